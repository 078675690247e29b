//! The door for nodes: `/`, `/submit` and `/audit` as websockets, below
//! `/t/{token}` too.

use std::net::IpAddr;
use std::time::Instant;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use chrono::Utc;
use futures::stream;

use super::access::{Caller, admit_node};
use super::handover::Reading;
use super::{AppError, AppState};
use crate::ingest::{ConnectionPermit, NodeSocket};
use crate::metrics::RefuseReason;

/// Connects a node whose messages expire.
///
/// # Errors
/// [`AppError::Forbidden`] without a token that is needed, or from elsewhere
/// than `ALLOWED_NETWORKS`; [`AppError::Unavailable`] while the server starts or stops, or if all places
/// are taken; [`AppError::BadRequest`] if this is no proper upgrade. The node
/// tries again by itself, after 10 to 19 seconds.
pub(super) async fn submit(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, AppError> {
    connect(&request, payload, &state, false)
}

/// Connects a node whose messages are kept for good.
///
/// # Errors
/// As [`submit`].
pub(super) async fn audit(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, AppError> {
    connect(&request, payload, &state, true)
}

fn connect(
    request: &HttpRequest,
    payload: web::Payload,
    state: &AppState,
    audit: bool,
) -> Result<HttpResponse, AppError> {
    let caller = request.extensions().get::<Caller>().copied();
    let ip = caller.and_then(|caller| caller.ip);
    let token = request.match_info().get("token");
    let admitted = admit_node(&state.config.access, audit, token, ip);
    let permit = admitted
        .and_then(|()| acquire_permit(state, ip))
        .map_err(|reason| refuse(state, reason, ip))?;
    let mut response =
        ws::handshake(request).map_err(|_no_upgrade| refuse(state, RefuseReason::Handshake, ip))?;
    let reading = request.conn_data::<Reading>().cloned();
    let reads = reading.ok_or(AppError::Internal)?.take_over(payload);
    let ip_addr = ip.map_or_else(String::new, |ip| ip.to_string());
    let ingest = state.ingest.clone();
    let socket = NodeSocket::new(ingest, reads, ip_addr, permit, audit);
    // The actor reads its connection itself, many frames at a time.
    let nothing = stream::pending::<Result<web::Bytes, actix_web::error::PayloadError>>();
    Ok(response.streaming(ws::WebsocketContext::create(socket, nothing)))
}

/// A permit for one more connection, unless this server is full, or has enough
/// from the address.
fn acquire_permit(state: &AppState, ip: Option<IpAddr>) -> Result<ConnectionPermit, RefuseReason> {
    if state.is_stopping() {
        return Err(RefuseReason::Stopping);
    }
    let connection = state.server.telemetry.acquire();
    let connection = connection.ok_or(RefuseReason::TooManyConnections)?;
    state.ingest.admit(ip, connection)
}

/// Counts and logs a refusal, and returns the answer to the node.
fn refuse(state: &AppState, reason: RefuseReason, ip: Option<IpAddr>) -> AppError {
    state.metrics.connection_refused(reason);
    if let Some(left_out) = state.refusals.admit(Instant::now()) {
        log::warn!(
            "a telemetry connection was refused: {} ({left_out} others since the last such line)",
            reason.label()
        );
    }
    log::debug!("refused: {ip:?}, {}", reason.label());
    state
        .ingest
        .refusals()
        .add(ip, reason.label(), None, Utc::now());
    let unavailable = |message: &str| AppError::Unavailable(message.to_owned());
    match reason {
        RefuseReason::Token => {
            AppError::forbidden("a node needs a token here: ws://HOST:PORT/t/TOKEN/submit")
        }
        RefuseReason::Network => AppError::forbidden("nodes are not let in from this address"),
        RefuseReason::Stopping => unavailable("the server stops"),
        RefuseReason::TooManyConnections => unavailable("CONNECTIONS_MAX connections are open"),
        RefuseReason::TooManyFromAddress => {
            unavailable("this address has CONNECTIONS_PER_IP_MAX connections open")
        }
        RefuseReason::Blocked => {
            unavailable("this address was over its limits and is refused for a while")
        }
        RefuseReason::Handshake => AppError::bad_request("this is no websocket upgrade"),
    }
}
