//! Counts and times every request by the pattern of its route, and tells its
//! connection whose turn it is.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, web};

use super::{AppState, Connection};

/// Stands for all paths that no route matches.
const UNMATCHED: &str = "unmatched";

/// The middleware of the whole application. A websocket counts when it is let
/// in; its life is not timed.
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
    let asked_at = Instant::now();
    let connection = request.conn_data::<Arc<Connection>>().cloned();
    if let Some(connection) = &connection {
        let (_, body) = request.parts();
        connection.asked(!matches!(body, Payload::None), asked_at);
    }
    let answered = next.call(request).await;
    let (route, status) = match &answered {
        Ok(response) => (response.request().match_pattern(), response.status()),
        Err(error) => (None, error.as_response_error().status_code()),
    };
    let route = route.as_deref().unwrap_or(UNMATCHED);
    match connection {
        Some(connection) if status == StatusCode::SWITCHING_PROTOCOLS => {
            connection.became_websocket();
        }
        Some(connection) => connection.answered(Instant::now()),
        None => {}
    }
    let seconds = asked_at.elapsed().as_secs_f64();
    state.metrics.http.answered(route, status.as_u16(), seconds);
    answered
}
