//! `/api/v1/sessions` and `/api/v1/series`: the story of one node.

use actix_web::web;

use super::access::Caller;
use super::answer::Answer;
use super::error::{ErrorBody, ReadErrors};
use super::{AppError, AppState};
use crate::query::nodes::Node;
use crate::query::peer_sessions::{self, SessionsParams, SessionsQuery};
use crate::query::series::{self, Series, SeriesParams, SeriesQuery};

/// The sessions of a node, the newest first; each shows the node as it was then.
#[utoipa::path(
    get, operation_id = "list_sessions", path = "/api/v1/sessions", tag = "nodes", params(SessionsParams),
    responses(
        (status = 200, description = "The sessions.", body = [Node]),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(super) async fn sessions(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    asked: web::Query<SessionsParams>,
) -> Result<Answer, AppError> {
    let query = SessionsQuery::try_from(asked.into_inner())?;
    let sees_addresses = caller.sees_addresses;
    state
        .answer(move |conn| {
            let mut sessions = peer_sessions::fetch(conn, &query)?;
            if !sees_addresses {
                sessions.iter_mut().for_each(|node| node.ip_addr = None);
            }
            Ok(sessions)
        })
        .await
}

/// Telemetry of a node over time: height, finality, peers, pool, bandwidth,
/// beside the height of its chain.
///
/// Time is cut into buckets that are aligned to the clock in UTC, those at both
/// ends included as a whole. Each value is the last one of its bucket.
#[utoipa::path(
    get, operation_id = "show_series", path = "/api/v1/series", tag = "nodes", params(SeriesParams),
    responses(
        (status = 200, description = "The values.", body = Series),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(super) async fn series(
    state: web::Data<AppState>,
    asked: web::Query<SeriesParams>,
) -> Result<Answer, AppError> {
    let query = SeriesQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    state
        .answer(move |conn| series::fetch(conn, &query, &limits))
        .await
}
