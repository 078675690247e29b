//! `/api/v1/feed`: the live feed in the vocabulary of `/api/v1`.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::error::ErrorBody;
use crate::http::feed_dialect::Words;
use crate::http::{AppError, AppState, feed_socket};

/// As `/feed`, in the vocabulary of the other routes.
///
/// The aggregated value of a window is its `value`, beside its `count`; a refusal is
/// `{"error":{"code":"…","message":"…"}}`, with the `request_id` if there was one.
#[utoipa::path(
    get, operation_id = "watch_feed_v1", path = "/api/v1/feed", tag = "feed",
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 401, description = "A token is needed (`READ_TOKENS`).", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, AppError> {
    feed_socket::open(&request, payload, state, Words::V1)
}
