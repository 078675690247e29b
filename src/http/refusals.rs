//! `/api/v1/refusals`: why nodes are missing that this server did not let in.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::access::Caller;
use super::error::ReadErrors;
use super::extractors::NoParams;
use crate::ingest::Refusal;

/// Connections of nodes that were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct RefusalShown {
    /// Address that they came from; null without the right to see it, or if it is not known.
    ip_addr: Option<String>,
    /// `token`, `network`, `wrong_path`, `chain_refused`, `too_many_connections`, `too_many_from_address`,
    /// `over_limit`, `blocked`, `handshake` or `stopping`.
    #[schema(example = "token")]
    reason: &'static str,
    /// The path, the chain or the limit; null where the reason says it all.
    #[schema(example = "/telemetry")]
    detail: Option<String>,
    /// What to do.
    #[schema(example = "Start the node with --telemetry-url 'ws://HOST:PORT/submit 1'.")]
    cure: String,
    /// How often.
    #[schema(minimum = 1)]
    count: u64,
    /// The first time.
    first_at: DateTime<Utc>,
    /// The last time.
    last_at: DateTime<Utc>,
}

/// Connections of nodes that this server refused within the last day, the latest first, by
/// address and reason; at most 1,000.
///
/// A node logs a refusal only at level debug. Readers who may not see IP addresses get one row
/// for each reason.
#[utoipa::path(
    get, operation_id = "list_refusals", path = "/api/v1/refusals", tag = "telemetry",
    responses((status = 200, description = "The refusals.", body = [RefusalShown]), ReadErrors)
)]
pub(super) async fn list(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    _none: web::Query<NoParams>,
) -> web::Json<Vec<RefusalShown>> {
    let needs_token = state.config.access.submit_needs_token();
    let block_s = state.config.ingest.block.as_secs();
    let mut rows: Vec<RefusalShown> = Vec::new();
    for refusal in state.ingest.refusals().list(Utc::now()) {
        let ip_addr = refusal.ip.filter(|_| caller.sees_addresses);
        let same = |row: &&mut RefusalShown| {
            (row.reason, &row.detail) == (refusal.reason, &refusal.detail)
        };
        match rows
            .iter_mut()
            .find(same)
            .filter(|_| !caller.sees_addresses)
        {
            Some(row) => {
                row.count = row.count.saturating_add(refusal.count);
                row.first_at = row.first_at.min(refusal.first_at);
            }
            None => rows.push(RefusalShown {
                ip_addr: ip_addr.map(|ip| ip.to_string()),
                cure: cure(&refusal, needs_token, block_s),
                reason: refusal.reason,
                detail: refusal.detail,
                count: refusal.count,
                first_at: refusal.first_at,
                last_at: refusal.last_at,
            }),
        }
    }
    web::Json(rows)
}

/// What to do about it.
fn cure(refusal: &Refusal, needs_token: bool, block_s: u64) -> String {
    let path = match needs_token {
        true => "/t/TOKEN/submit",
        false => "/submit",
    };
    let start = format!("Start the node with --telemetry-url 'ws://HOST:PORT{path} 1'");
    match refusal.reason {
        "token" => {
            format!("{start}, with one of TELEMETRY_TOKENS for TOKEN (AUDIT_TOKENS for /audit).")
        }
        "wrong_path" | "handshake" => format!("{start}."),
        "network" => "Add its address to ALLOWED_NETWORKS.".to_owned(),
        "chain_refused" => {
            "Add the chain to ALLOWED_CHAINS, or take it out of DENIED_CHAINS.".to_owned()
        }
        "too_many_connections" => "Raise CONNECTIONS_MAX, or add a server.".to_owned(),
        "too_many_from_address" => {
            "Raise CONNECTIONS_PER_IP_MAX; behind a proxy, name it in TRUSTED_PROXIES.".to_owned()
        }
        "over_limit" => "Lower the verbosity of the node, or raise the limit.".to_owned(),
        "blocked" => format!(
            "It was over a limit, and is let in again {block_s} s (BLOCK_S) after that; lower the verbosity of the node, or raise the limit."
        ),
        _ => "None is needed: the node tries again by itself.".to_owned(),
    }
}
