//! The door for nodes: `/`, `/submit` and `/audit` as websockets, below
//! `/t/{token}` too.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use futures::stream;

use super::access::{Caller, admit_node};
use super::{AppError, AppState};
use crate::ingest::NodeSocket;
use crate::metrics::RefuseReason;

/// Lets a node in whose messages expire.
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

/// Lets a node in whose messages are kept for good.
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
    let refuse = |reason: RefuseReason, message: &str| {
        state.metrics.connection_refused(reason);
        AppError::Unavailable(message.to_owned())
    };
    let caller = request.extensions().get::<Caller>().copied();
    let ip = caller.and_then(|caller| caller.ip);
    let token = request.match_info().get("token");
    admit_node(&state.config.access, audit, token, ip).map_err(|reason| {
        state.metrics.connection_refused(reason);
        AppError::Forbidden(match reason {
            RefuseReason::Network => "nodes are not let in from this address",
            _ => "a node needs a token here: ws://HOST:PORT/t/TOKEN/submit",
        })
    })?;
    if state.is_stopping() {
        return Err(refuse(RefuseReason::Stopping, "the server stops"));
    }
    let open = usize::try_from(state.metrics.connections.get()).unwrap_or(0);
    if open >= state.config.http.connections_max {
        return Err(refuse(
            RefuseReason::TooManyConnections,
            "CONNECTIONS_MAX connections are open",
        ));
    }
    let place = ip.map(|ip| state.ingest.enter(ip)).transpose();
    let place = place.map_err(|reason| {
        let problem = match reason {
            RefuseReason::Blocked => "this address was over its limits and is refused for a while",
            _ => "this address has CONNECTIONS_PER_IP_MAX connections open",
        };
        refuse(reason, problem)
    })?;
    let mut response = ws::handshake(request).map_err(|error| {
        state.metrics.connection_refused(RefuseReason::Handshake);
        AppError::bad_request(format!("this is no websocket upgrade: {error}"))
    })?;
    let ip_addr = ip.map_or_else(String::new, |ip| ip.to_string());
    let socket = NodeSocket::new(state.ingest.clone(), payload, ip_addr, place, audit);
    // The actor reads its payload itself, many frames at a time.
    let nothing = stream::pending::<Result<web::Bytes, actix_web::error::PayloadError>>();
    Ok(response.streaming(ws::WebsocketContext::create(socket, nothing)))
}
