//! `/api/v1/nodes`: the nodes, page by page, and one of them.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::access::Caller;
use crate::http::answer::Answer;
use crate::http::error::{ErrorBody, ReadErrors};
use crate::http::extractors::NoParams;
use crate::http::nodes::without_addresses;
use crate::http::{AppError, AppState, paging};
use crate::query::QueryError;
use crate::query::log_stats::{self, LogStat, LogStatsParams, LogStatsQuery};
use crate::query::node_errors::{self, NodeError, NodeErrorsParams, NodeErrorsQuery};
use crate::query::node_list::{self, ListedNode, NodeListParams, NodeListQuery};
use crate::query::node_telemetry::{self, NodeTelemetry, NodeTelemetryParams, NodeTelemetryQuery};

/// The nodes: what each is, what it reported last, and whether it is well; the newest session first,
/// or in another order.
///
/// An answer with as many nodes as `limit` allows has a cursor for the next page in the
/// headers `X-Next-Cursor` and `Link`, if there are more. A node whose place in the order changes
/// meanwhile may be on two pages, or on none. Connections without a peer id are left out.
#[utoipa::path(
    get, operation_id = "list_nodes_v1", path = "/api/v1/nodes", tag = "nodes", params(NodeListParams),
    responses(
        (
            status = 200, description = "The nodes.", body = [ListedNode],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        ReadErrors,
    )
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    request: HttpRequest,
    caller: web::ReqData<Caller>,
    asked: web::Query<NodeListParams>,
) -> Result<HttpResponse, AppError> {
    let query = NodeListQuery::try_from(asked.into_inner())?;
    let locations = state.locations_for(&caller);
    let (answer, next) = state
        .ask(move |conn| {
            let mut list = node_list::fetch(conn, &query, locations.as_deref())?;
            hide(&caller, &mut list.nodes);
            Ok((Answer::of(&list.nodes)?, list.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// A node: its latest session, what it reported last, and its status, with its uptime of the
/// last 24 hours.
#[utoipa::path(
    get, operation_id = "show_node_v1", path = "/api/v1/nodes/{peer_id}", tag = "nodes",
    params(("peer_id" = String, Path, description = "libp2p identity of the node.")),
    responses(
        (status = 200, description = "The node.", body = ListedNode),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn show(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    peer_id: web::Path<String>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    let query = NodeListQuery::of_peer(&peer_id)?;
    let locations = state.locations_for(&caller);
    state
        .answer(move |conn| {
            let mut list = node_list::fetch(conn, &query, locations.as_deref())?;
            hide(&caller, &mut list.nodes);
            list.nodes.pop().ok_or(QueryError::NotFound {
                parameter: "peer_id",
            })
        })
        .await
}

/// Leaves out what who asks may not see.
pub(super) fn hide(caller: &Caller, nodes: &mut [ListedNode]) {
    if !caller.sees_addresses {
        let nodes = nodes.iter_mut();
        nodes.for_each(|listed| listed.node.ip_addr = None);
    }
}

/// How much telemetry of a node arrived of what was due, hour by hour: what it did not send, and
/// what its servers did not keep.
///
/// A node reports each 5 s while it is connected (`system.interval`, in two halves), so what is due is
/// known. Hours that are not over are left out.
#[utoipa::path(
    get, operation_id = "show_node_telemetry", path = "/api/v1/nodes/{peer_id}/telemetry", tag = "nodes",
    params(("peer_id" = String, Path, description = "libp2p identity of the node."), NodeTelemetryParams),
    responses(
        (status = 200, description = "The telemetry.", body = NodeTelemetry),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn telemetry(
    state: web::Data<AppState>,
    peer_id: web::Path<String>,
    asked: web::Query<NodeTelemetryParams>,
) -> Result<Answer, AppError> {
    let query = NodeTelemetryQuery::new(&peer_id, &asked)?;
    state
        .answer(move |conn| node_telemetry::fetch(conn, &query))
        .await
}

/// Errors that nodes report, of all nodes, the newest first: why they could not author a block, and bad
/// messages of their peers.
///
/// Nodes report most of them from level 4 on, those of bad signatures and headers from level 5 on.
#[utoipa::path(
    get, operation_id = "list_node_errors", path = "/api/v1/nodes/errors", tag = "nodes", params(NodeErrorsParams),
    responses(
        (
            status = 200, description = "The errors.", body = [NodeError],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        ReadErrors,
    )
)]
pub(in crate::http) async fn errors(
    state: web::Data<AppState>,
    request: HttpRequest,
    caller: web::ReqData<Caller>,
    asked: web::Query<NodeErrorsParams>,
) -> Result<HttpResponse, AppError> {
    let query = NodeErrorsQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    let (answer, next) = state
        .ask(move |conn| {
            let mut page = node_errors::fetch(conn, &query, &limits)?;
            for error in page.rows.iter_mut().filter(|_| !caller.sees_addresses) {
                without_addresses(&mut error.logs)?;
            }
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// How many messages there are of a kind.
#[derive(Debug, Serialize, ToSchema)]
struct KindCount {
    /// Kind.
    #[schema(example = "block.import")]
    msg: String,
    /// Messages.
    #[schema(minimum = 1)]
    count: i64,
}

impl From<LogStat> for KindCount {
    fn from(stat: LogStat) -> Self {
        Self {
            msg: stat.log_type,
            count: stat.qty,
        }
    }
}

/// How many messages of each kind a node sent, the most frequent first.
#[utoipa::path(
    get, operation_id = "count_node_logs_v1", path = "/api/v1/nodes/log_stats", tag = "nodes", params(LogStatsParams),
    responses(
        (status = 200, description = "The counts.", body = [KindCount]),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn log_stats(
    state: web::Data<AppState>,
    asked: web::Query<LogStatsParams>,
) -> Result<Answer, AppError> {
    let query = LogStatsQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    state
        .answer(move |conn| {
            let stats = log_stats::fetch(conn, &query, &limits)?;
            Ok(stats.into_iter().map(KindCount::from).collect::<Vec<_>>())
        })
        .await
}
