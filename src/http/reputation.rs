//! `/reputation`: what peers think of each other.

use actix_web::web;
use serde::Serialize;

use super::answer::Answer;
use super::error::{ErrorBody, ReadErrors};
use super::{AppError, AppState};
use crate::query::params;
use crate::query::reputation::{
    self, Opinion, Report, ReportsQuery, ReputationParams, ReputationsParams, Shown,
};

/// The newest report of each reporting peer, with all peers that it knows.
///
/// Fed by `system.network_state`, which nodes up to early 2021 and custom ones send.
#[utoipa::path(
    get, operation_id = "list_reputation", path = "/reputation", tag = "reputation", params(ReputationsParams),
    responses((status = 200, description = "The reports, newest first.", body = [Report]), ReadErrors)
)]
pub(super) async fn all(
    state: web::Data<AppState>,
    asked: web::Query<ReputationsParams>,
) -> Result<Answer, AppError> {
    reports::<Report>(&state, asked.into_inner(), Shown::All).await
}

/// As `/reputation`, but each report only with those peers that ever connected
/// to this server themselves.
#[utoipa::path(
    get, operation_id = "list_reputation_logged", path = "/reputation/logged", tag = "reputation", params(ReputationsParams),
    responses((status = 200, description = "The reports, newest first.", body = [Report]), ReadErrors)
)]
pub(super) async fn logged(
    state: web::Data<AppState>,
    asked: web::Query<ReputationsParams>,
) -> Result<Answer, AppError> {
    reports::<Report>(&state, asked.into_inner(), Shown::Logged).await
}

/// The reports, in the words of `T`.
pub(super) async fn reports<T: From<Report> + Serialize>(
    state: &AppState,
    asked: ReputationsParams,
    shown: Shown,
) -> Result<Answer, AppError> {
    let query = ReportsQuery::try_from(asked)?;
    let limits = state.query_limits();
    state
        .answer(move |conn| {
            let reports = reputation::fetch_all(conn, &query, shown, &limits)?;
            Ok(reports.into_iter().map(T::from).collect::<Vec<_>>())
        })
        .await
}

/// What others think of one peer: what the newest report of each reporting peer
/// in the range says of it. Reports that do not mention it are left out.
#[utoipa::path(
    get, operation_id = "list_reputation_of_peer", path = "/reputation/{peer_id}", tag = "reputation",
    params(("peer_id" = String, Path, description = "libp2p identity of the peer."), ReputationParams),
    responses(
        (status = 200, description = "The opinions, newest first.", body = [Opinion]),
        (status = 404, description = "Nobody mentions the peer, and it never connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(super) async fn of_peer(
    state: web::Data<AppState>,
    peer_id: web::Path<String>,
    asked: web::Query<ReputationParams>,
) -> Result<Answer, AppError> {
    opinions::<Opinion>(&state, &peer_id, asked.into_inner()).await
}

/// The opinions of a peer, in the words of `T`.
pub(super) async fn opinions<T: From<Opinion> + Serialize>(
    state: &AppState,
    peer_id: &str,
    asked: ReputationParams,
) -> Result<Answer, AppError> {
    let peer_id = params::peer_id(Some(peer_id))?;
    let query = ReportsQuery::try_from(asked)?;
    let limits = state.query_limits();
    state
        .answer(move |conn| {
            let opinions = reputation::fetch_of(conn, &peer_id, &query, &limits)?;
            Ok(opinions.into_iter().map(T::from).collect::<Vec<_>>())
        })
        .await
}
