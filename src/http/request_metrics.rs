//! Middleware that counts and times requests by the pattern of their route, and
//! reports their beginning and end to `connections`.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, web};

use super::{AppState, HttpConnection};

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
    let response = next.call(request).await;
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
    response
}
