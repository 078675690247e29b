//! `/metrics`, for Prometheus.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::error::ErrorBody;
use super::{AppError, AppState};

/// The content type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics of the server, in the text format of Prometheus.
#[utoipa::path(
    get, operation_id = "scrape_metrics", path = "/metrics", tag = "server",
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
        (status = 500, description = "A mistake of the server; its log says more.", body = ErrorBody),
    )
)]
pub(super) async fn scrape(state: web::Data<AppState>) -> Result<HttpResponse, AppError> {
    if let Some(store) = state.store() {
        store.pools.show(&state.metrics);
    }
    let metrics = state.metrics.clone();
    let text = web::block(move || metrics.render()).await;
    let text = text
        .map_err(AppError::internal)?
        .map_err(AppError::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, TEXT_FORMAT))
        .body(text))
}
