//! Middleware that counts and times requests by the pattern of their route, gives each its id,
//! and reports their beginning and end to `connections`.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, web};

use super::{AppState, HttpConnection};
use crate::ids::RequestId;

/// The id of a request, in it and in its answer; most proxies know this header.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The label of all paths that no route matches.
const UNMATCHED: &str = "unmatched";

/// The middleware. A websocket counts when it is upgraded; its lifetime is not timed.
pub fn middleware<S, B>()
-> impl Transform<S, ServiceRequest, Response = ServiceResponse<B>, Error = Error, InitError = ()>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    from_fn(measure::<B>)
}

async fn measure<B: MessageBody + 'static>(
    state: web::Data<AppState>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started_at = Instant::now();
    let connection = request.conn_data::<Arc<HttpConnection>>().cloned();
    if let Some(connection) = &connection {
        let (_, body) = request.parts();
        connection.request_received(!matches!(body, Payload::None), started_at);
    }
    let given = request.headers().get(X_REQUEST_ID);
    let id = RequestId::of(given.and_then(|id| id.to_str().ok()));
    let method = request.method().clone();
    let mut response = id.clone().scope(next.call(request)).await;
    let (route, status) = match &response {
        Ok(response) => (response.request().match_pattern(), response.status()),
        Err(error) => (None, error.as_response_error().status_code()),
    };
    let route = route.as_deref().unwrap_or(UNMATCHED);
    match connection {
        Some(connection) if status == StatusCode::SWITCHING_PROTOCOLS => {
            connection.became_websocket();
        }
        Some(connection) => connection.response_made(Instant::now()),
        None => {}
    }
    let seconds = started_at.elapsed().as_secs_f64();
    state.metrics.http.observe(route, status.as_u16(), seconds);
    RequestId::scope_blocking(Some(id.clone()), || {
        log::debug!("{method} {route}: {} in {seconds:.3} s", status.as_u16());
    });
    // Nodes know few headers.
    if let Ok(response) = &mut response
        && status != StatusCode::SWITCHING_PROTOCOLS
        && let Ok(id) = HeaderValue::from_str(id.as_str())
    {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}
