//! `/api/v1/nodes`: the nodes, page by page, and one of them.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::access::Caller;
use crate::http::answer::Answer;
use crate::http::error::{ErrorBody, ReadErrors};
use crate::http::nodes::show_to;
use crate::http::{AppError, AppState, paging};
use crate::query::QueryError;
use crate::query::log_stats::{self, LogStat, LogStatsParams, LogStatsQuery};
use crate::query::nodes::{self, Node, NodesPageParams, NodesQuery};

/// The nodes, each as it was in its latest session, the newest session first.
///
/// An answer with as many nodes as `limit` allows has a cursor for the next page in the
/// headers `X-Next-Cursor` and `Link`, if there are more. A node that connects anew
/// moves to the first page. Connections without a peer id are left out.
#[utoipa::path(
    get, operation_id = "list_nodes_v1", path = "/api/v1/nodes", tag = "nodes", params(NodesPageParams),
    responses(
        (
            status = 200, description = "The nodes.", body = [Node],
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
    asked: web::Query<NodesPageParams>,
) -> Result<HttpResponse, AppError> {
    let query = NodesQuery::try_from(asked.into_inner())?;
    let (answer, next) = state
        .ask(move |conn| {
            let mut page = nodes::fetch(conn, &query)?;
            show_to(&caller, &mut page.rows);
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// A node as it was in its latest session.
#[utoipa::path(
    get, operation_id = "show_node_v1", path = "/api/v1/nodes/{peer_id}", tag = "nodes",
    params(("peer_id" = String, Path, description = "libp2p identity of the node.")),
    responses(
        (status = 200, description = "The node.", body = Node),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn show(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    peer_id: web::Path<String>,
) -> Result<Answer, AppError> {
    let query = NodesQuery::of_peer(&peer_id)?;
    state
        .answer(move |conn| {
            let mut page = nodes::fetch(conn, &query)?;
            show_to(&caller, &mut page.rows);
            page.rows.pop().ok_or(QueryError::NotFound {
                parameter: "peer_id",
            })
        })
        .await
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
