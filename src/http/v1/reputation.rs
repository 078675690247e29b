//! `/api/v1/reputation`: what peers think of each other.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::Answer;
use crate::http::error::{ErrorBody, ReadErrors};
use crate::http::reputation::{opinions, reports};
use crate::http::{AppError, AppState};
use crate::query::reputation::{Opinion, Report, ReputationParams, ReputationsParams, Shown};

/// The newest report of a peer. The three lists are in step.
#[derive(Debug, Serialize, ToSchema)]
struct PeerReport {
    /// libp2p identity of the node that reports.
    reporting_peer: String,
    /// About whom.
    remote_peer: Vec<String>,
    /// The reputation of each; null where it is no number.
    reputation: Vec<Option<i64>>,
    /// Whether each is connected to the reporting peer; null where the report does not say.
    connected: Vec<Option<bool>>,
    /// When the server received the report, by its clock.
    created_at: DateTime<Utc>,
}

impl From<Report> for PeerReport {
    fn from(report: Report) -> Self {
        Self {
            reporting_peer: report.reporting_peer,
            remote_peer: report.remote_peer,
            reputation: report.reputation,
            connected: report.connected,
            created_at: report.ts,
        }
    }
}

/// What the newest report of a peer says of the requested peer.
#[derive(Debug, Serialize, ToSchema)]
struct PeerOpinion {
    /// libp2p identity of the node that reports.
    reporting_peer: String,
    /// The reputation; null if it is no number.
    reputation: Option<i64>,
    /// Whether the two are connected; null if the report does not say.
    connected: Option<bool>,
    /// When the server received the report, by its clock.
    created_at: DateTime<Utc>,
}

impl From<Opinion> for PeerOpinion {
    fn from(opinion: Opinion) -> Self {
        Self {
            reporting_peer: opinion.reporting_peer,
            reputation: opinion.reputation,
            connected: opinion.connected,
            created_at: opinion.ts,
        }
    }
}

/// The newest report of each reporting peer, with all peers that it knows.
///
/// Fed by `system.network_state`, which nodes up to early 2021 and custom ones send.
#[utoipa::path(
    get, operation_id = "list_reputation_v1", path = "/api/v1/reputation", tag = "reputation", params(ReputationsParams),
    responses((status = 200, description = "The reports, newest first.", body = [PeerReport]), ReadErrors)
)]
pub(in crate::http) async fn all(
    state: web::Data<AppState>,
    asked: web::Query<ReputationsParams>,
) -> Result<Answer, AppError> {
    reports::<PeerReport>(&state, asked.into_inner(), Shown::All).await
}

/// As `/api/v1/reputation`, but each report only with those peers that ever connected
/// to this server themselves.
#[utoipa::path(
    get, operation_id = "list_reputation_logged_v1", path = "/api/v1/reputation/logged", tag = "reputation", params(ReputationsParams),
    responses((status = 200, description = "The reports, newest first.", body = [PeerReport]), ReadErrors)
)]
pub(in crate::http) async fn logged(
    state: web::Data<AppState>,
    asked: web::Query<ReputationsParams>,
) -> Result<Answer, AppError> {
    reports::<PeerReport>(&state, asked.into_inner(), Shown::Logged).await
}

/// What others think of one peer: what the newest report of each reporting peer
/// in the range says of it. Reports that do not mention it are left out.
#[utoipa::path(
    get, operation_id = "list_reputation_of_peer_v1", path = "/api/v1/reputation/{peer_id}", tag = "reputation",
    params(("peer_id" = String, Path, description = "libp2p identity of the peer."), ReputationParams),
    responses(
        (status = 200, description = "The opinions, newest first.", body = [PeerOpinion]),
        (status = 404, description = "Nobody mentions the peer, and it never connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn of_peer(
    state: web::Data<AppState>,
    peer_id: web::Path<String>,
    asked: web::Query<ReputationParams>,
) -> Result<Answer, AppError> {
    opinions::<PeerOpinion>(&state, &peer_id, asked.into_inner()).await
}
