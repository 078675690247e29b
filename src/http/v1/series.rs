//! `/api/v1/sessions` and `/api/v1/series`: the story of one node.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::access::Caller;
use crate::http::answer::Answer;
use crate::http::error::{ErrorBody, ReadErrors};
use crate::http::nodes::show_to;
use crate::http::{AppError, AppState, paging};
use crate::query::nodes::Node;
use crate::query::peer_sessions::{self, SessionsParams, SessionsQuery};
use crate::query::series::{self, Series, SeriesParams, SeriesQuery};

/// The sessions of a node, the newest first; each shows the node as it was then.
///
/// An answer with as many sessions as `limit` allows has a cursor for the next page in the
/// headers `X-Next-Cursor` and `Link`, if there are more.
#[utoipa::path(
    get, operation_id = "list_sessions", path = "/api/v1/sessions", tag = "nodes", params(SessionsParams),
    responses(
        (
            status = 200, description = "The sessions.", body = [Node],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn sessions(
    state: web::Data<AppState>,
    request: HttpRequest,
    caller: web::ReqData<Caller>,
    asked: web::Query<SessionsParams>,
) -> Result<HttpResponse, AppError> {
    let query = SessionsQuery::try_from(asked.into_inner())?;
    let (answer, next) = state
        .ask(move |conn| {
            let mut page = peer_sessions::fetch(conn, &query)?;
            show_to(&caller, &mut page.rows);
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
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
pub(in crate::http) async fn series(
    state: web::Data<AppState>,
    asked: web::Query<SeriesParams>,
) -> Result<Answer, AppError> {
    let query = SeriesQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    state
        .answer(move |conn| series::fetch(conn, &query, &limits))
        .await
}
