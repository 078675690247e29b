//! `/api/v1/status` and `/api/v1/nodes/{peer_id}/status`: whether nodes are alive and well.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::answer::Answer;
use crate::http::error::{ErrorBody, ReadErrors};
use crate::http::extractors::NoParams;
use crate::http::{AppError, AppState, paging};
use crate::query::status::{
    self, Change, ChangesParams, ChangesQuery, FlappingNode, FlappingParams, FlappingQuery,
    NodeStatus, NodeStatusParams, NodeStatusQuery, Overview,
};

/// What is wrong now: the nodes of each chain by status, and outages of our own.
///
/// Nodes that went offline more than a day ago are left out.
#[utoipa::path(
    get, operation_id = "show_status", path = "/api/v1/status", tag = "nodes",
    responses((status = 200, description = "The status.", body = Overview), ReadErrors)
)]
pub(in crate::http) async fn overview(
    state: web::Data<AppState>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    state.answer(status::overview).await
}

/// Changes of the status of nodes and chains, the newest first.
///
/// A program that follows them asks with `since` and the number of the last change it
/// knows: it gets each change once, in their order, and an empty answer when there is none.
/// Changes of nodes that are part of a change of their chain are left out unless `parts`
/// is `true`.
#[utoipa::path(
    get, operation_id = "list_status_changes", path = "/api/v1/status/changes", tag = "nodes", params(ChangesParams),
    responses(
        (
            status = 200, description = "The changes.", body = [Change],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last, and with `since`."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last, and with `since`."),
            )
        ),
        ReadErrors,
    )
)]
pub(in crate::http) async fn changes(
    state: web::Data<AppState>,
    request: HttpRequest,
    asked: web::Query<ChangesParams>,
) -> Result<HttpResponse, AppError> {
    let query = ChangesQuery::try_from(asked.into_inner())?;
    let (answer, next) = state
        .ask(move |conn| {
            let page = status::changes(conn, &query)?;
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// Nodes that come and go: those that fell silent most often, each for itself and not with most of its
/// chain, the most often first.
#[utoipa::path(
    get, operation_id = "list_flapping_nodes", path = "/api/v1/status/flapping", tag = "nodes", params(FlappingParams),
    responses((status = 200, description = "The nodes.", body = [FlappingNode]), ReadErrors)
)]
pub(in crate::http) async fn flapping(
    state: web::Data<AppState>,
    asked: web::Query<FlappingParams>,
) -> Result<Answer, AppError> {
    let query = FlappingQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| status::flapping(conn, &query))
        .await
}

/// The status of a node, and its story: changes, times without a connection, and its
/// uptime without outages of our own.
#[utoipa::path(
    get, operation_id = "show_node_status", path = "/api/v1/nodes/{peer_id}/status", tag = "nodes",
    params(("peer_id" = String, Path, description = "libp2p identity of the node."), NodeStatusParams),
    responses(
        (status = 200, description = "The status.", body = NodeStatus),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn of_node(
    state: web::Data<AppState>,
    peer_id: web::Path<String>,
    asked: web::Query<NodeStatusParams>,
) -> Result<Answer, AppError> {
    let query = NodeStatusQuery::new(&peer_id, &asked)?;
    state
        .answer(move |conn| status::of_node(conn, &query))
        .await
}
