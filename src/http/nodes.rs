//! `/nodes`: the nodes and their messages.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::value::RawValue;

use super::access::Caller;
use super::answer::Answer;
use super::error::{ErrorBody, ReadErrors};
use super::{AppError, AppState, paging};
use crate::query::QueryError;
use crate::query::log_stats::{self, LogStat, LogStatsParams, LogStatsQuery};
use crate::query::node_logs::{self, NodeLog, NodeLogsParams, NodeLogsQuery};
use crate::query::nodes::{self, Node, NodesParams, NodesQuery};
use crate::telemetry::hide_addresses;

/// The nodes, each as it was in its latest session, the newest session first.
///
/// Connections without a peer id are left out.
#[utoipa::path(
    get, operation_id = "list_nodes", path = "/nodes", tag = "nodes", params(NodesParams),
    responses((status = 200, description = "The nodes.", body = [Node]), ReadErrors)
)]
pub(super) async fn list(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    asked: web::Query<NodesParams>,
) -> Result<Answer, AppError> {
    let query = NodesQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| {
            let mut nodes = nodes::fetch(conn, &query)?;
            show_to(&caller, &mut nodes);
            Ok(nodes)
        })
        .await
}

/// Leaves out addresses unless the caller may see them.
pub(super) fn show_to(caller: &Caller, nodes: &mut [Node]) {
    if !caller.sees_addresses {
        nodes.iter_mut().for_each(|node| node.ip_addr = None);
    }
}

/// The messages of a node, newest first, from all its sessions.
///
/// An answer with as many messages as `limit` allows, or with 8 MiB of fields, has
/// a cursor for the next page in the headers `X-Next-Cursor` and `Link`, if there
/// are more. Readers who may not see IP addresses get `/ip4/-` for those within
/// the fields.
#[utoipa::path(
    get, operation_id = "list_node_logs", path = "/nodes/logs", tag = "nodes", params(NodeLogsParams),
    responses(
        (
            status = 200, description = "The messages.", body = [NodeLog],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(super) async fn logs(
    state: web::Data<AppState>,
    request: HttpRequest,
    caller: web::ReqData<Caller>,
    asked: web::Query<NodeLogsParams>,
) -> Result<HttpResponse, AppError> {
    let mut query = NodeLogsQuery::try_from(asked.into_inner())?;
    if !caller.sees_addresses {
        query = query.without_addresses();
    }
    let limits = state.query_limits();
    let sees_addresses = caller.sees_addresses;
    let (answer, next) = state
        .ask(move |conn| {
            let mut page = node_logs::fetch(conn, &query, &limits)?;
            if !sees_addresses {
                page.rows.iter_mut().try_for_each(without_address)?;
            }
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// Hides the addresses of a message, those within its fields too.
fn without_address(log: &mut NodeLog) -> Result<(), QueryError> {
    log.ip_addr = None;
    without_addresses(&mut log.logs)
}

/// Hides the addresses within the fields of a message.
pub(super) fn without_addresses(logs: &mut Box<RawValue>) -> Result<(), QueryError> {
    if let Cow::Owned(shown) = hide_addresses(logs.get()) {
        let shown = RawValue::from_string(shown);
        *logs = shown.map_err(|error| QueryError::Internal(error.to_string()))?;
    }
    Ok(())
}

/// How many messages of each kind a node sent, the most frequent first.
#[utoipa::path(
    get, operation_id = "count_node_logs", path = "/nodes/log_stats", tag = "nodes", params(LogStatsParams),
    responses(
        (status = 200, description = "The counts.", body = [LogStat]),
        (status = 404, description = "No node with this peer id ever connected.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(super) async fn log_stats(
    state: web::Data<AppState>,
    asked: web::Query<LogStatsParams>,
) -> Result<Answer, AppError> {
    let query = LogStatsQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    state
        .answer(move |conn| log_stats::fetch(conn, &query, &limits))
        .await
}
