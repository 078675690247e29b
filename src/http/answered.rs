//! Counts and times every request by the pattern of its route.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, web};

use super::AppState;

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
    let answered = next.call(request).await;
    let (route, status) = match &answered {
        Ok(response) => (response.request().match_pattern(), response.status()),
        Err(error) => (None, error.as_response_error().status_code()),
    };
    let route = route.as_deref().unwrap_or(UNMATCHED);
    let seconds = asked_at.elapsed().as_secs_f64();
    state.metrics.http_answered(route, status.as_u16(), seconds);
    answered
}
