//! Pages for people: the start page and the description of the interface.

use std::path::Path;

use actix_files::NamedFile;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};

use super::{AppError, AppState};

/// The pages carry their own script and style, and ask nothing of anybody else.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Shown if `ASSETS_PATH` does not have the pages.
const START_TEXT: &str = "tetcore-analytics keeps and explains the telemetry of nodes.\n\n\
     Give this to a node:  --telemetry-url 'ws://HOST:PORT/submit 1'\n\
     Read:                 /nodes  /nodes/logs?peer_id=  /metrics  /health/ready\n\
     All routes:           /api/openapi.json\n\n\
     The pages are missing: ASSETS_PATH does not name the directory that holds index.html.\n";

/// The start page: what this is, and how to connect a node.
#[utoipa::path(
    get, operation_id = "show_start_page", path = "/", tag = "telemetry",
    responses(
        (status = 200, description = "The start page, for a request without an upgrade.", body = String, content_type = "text/html"),
        (status = 101, description = "With a websocket upgrade: takes telemetry that is purged after LOG_EXPIRY_H, as `/submit`."),
        (status = 503, description = "With an upgrade: the server starts or stops, or all places are taken.", body = super::error::ErrorBody),
    )
)]
pub(super) async fn start(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    page(&request, &state.config.http.assets_path, "index.html")
}

/// The description of the interface, for people.
#[utoipa::path(
    get, operation_id = "show_description", path = "/api/", tag = "server",
    responses((status = 200, description = "This description as a page.", body = String, content_type = "text/html"))
)]
pub(super) async fn api(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    page(&request, &state.config.http.assets_path, "api.html")
}

/// What a browser gets where nodes connect.
pub(super) async fn upgrade_required() -> Result<HttpResponse, AppError> {
    Err(AppError::UpgradeRequired)
}

fn page(request: &HttpRequest, assets: &Path, name: &str) -> HttpResponse {
    let mut response = match NamedFile::open(assets.join(name)) {
        Ok(file) => file.into_response(request),
        Err(error) => {
            log::warn!("ASSETS_PATH has no {name}: {error}");
            HttpResponse::Ok()
                .content_type(ContentType::plaintext())
                .body(START_TEXT)
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    response
}
