//! Pages for people: the start page and the description of the interface.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use actix_files::NamedFile;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::{AppError, AppState};

/// Shown if `ASSETS_PATH` does not have the pages.
const START_TEXT: &str = "tetcore-analytics keeps and explains the telemetry of nodes.\n\n\
     Give this to a node:  --telemetry-url 'ws://HOST:PORT/submit 1'\n\
     Read:                 /nodes  /nodes/logs?peer_id=  /metrics  /health\n\
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

/// The dashboards, and what they are made of. A path without an extension is a
/// page: `/dashboard/node` is `node.html`, which is one too, `/dashboard/` is `nodes.html`.
///
/// # Errors
/// [`AppError::NotFound`] if `ASSETS_PATH` has no such file.
pub(super) async fn dashboard(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, AppError> {
    let asked = path.into_inner();
    if let Some(page) = asked.strip_suffix('/') {
        // Addresses in pages are relative.
        let name = page.rsplit('/').next().unwrap_or_default();
        let file = relative_path(page).map(|path| path.with_extension("html"));
        let is_page = file.is_some_and(|file| state.config.http.assets_path.join(file).is_file());
        return match is_page {
            true => Ok(redirect(&format!("../{name}"))),
            false => Err(AppError::no_route()),
        };
    }
    let asked = if asked.is_empty() { "nodes" } else { &asked };
    let relative = relative_path(asked).ok_or_else(AppError::no_route)?;
    let is_page = relative.extension().is_none_or(|name| name == "html");
    let assets = &state.config.http.assets_path;
    if is_page {
        let page = relative.with_extension("html");
        return page_of(&request, assets, &page).map_err(|_missing| AppError::no_route());
    }
    let file = NamedFile::open(assets.join(relative)).map_err(|_missing| AppError::no_route())?;
    Ok(fresh(file.into_response(&request)))
}

/// `/dashboard`: with a slash, so that the addresses in pages are right.
pub(super) async fn to_dashboard() -> HttpResponse {
    redirect("dashboard/")
}

fn redirect(to: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, to))
        .finish()
}

/// A path that leads nowhere but down, and to nothing hidden.
fn relative_path(asked: &str) -> Option<PathBuf> {
    let is_plain = |component: Component<'_>| match component {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        _ => false,
    };
    let path = Path::new(asked);
    path.components().all(is_plain).then(|| path.to_owned())
}

/// Browsers ask each time whether a file has changed, so that a new version of
/// the server never runs with half of an old page.
fn fresh(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache"),
    );
    response
}

/// What a browser gets where nodes connect.
pub(super) async fn upgrade_required() -> Result<HttpResponse, AppError> {
    Err(AppError::UpgradeRequired)
}

fn page(request: &HttpRequest, assets: &Path, name: &str) -> HttpResponse {
    page_of(request, assets, Path::new(name)).unwrap_or_else(|error| {
        log::warn!("ASSETS_PATH has no {name}: {error}");
        HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .body(START_TEXT)
    })
}

fn page_of(request: &HttpRequest, assets: &Path, name: &Path) -> std::io::Result<HttpResponse> {
    let file = NamedFile::open(assets.join(name))?;
    let policy = content_policy(&read(file.file())?);
    let mut response = fresh(file.into_response(request));
    if let Ok(policy) = header::HeaderValue::from_str(&policy) {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

fn read(mut file: &File) -> std::io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// A page runs exactly the scripts of its file, by their hashes, and none that
/// telemetry brings in. It connects only to this server.
fn content_policy(page: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'{}; style-src 'self'{}; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hashes(page, "<script>", "</script>"),
        hashes(page, "<style>", "</style>"),
    )
}

fn hashes(page: &str, begin: &str, end: &str) -> String {
    let inside = page.split(begin).skip(1);
    let texts = inside.filter_map(|rest| rest.split_once(end));
    texts
        .map(|(text, _)| {
            let hash = BASE64.encode(Sha256::digest(text.as_bytes()));
            format!(" 'sha256-{hash}'")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_nowhere_but_down() {
        for (asked, is_fine) in [
            ("nodes", true),
            ("lib/feed.js", true),
            ("vendor/uplot/uPlot.esm.js", true),
            ("../Cargo.toml", false),
            ("lib/../../x", false),
            ("/etc/passwd", false),
            (".env", false),
            ("lib/.hidden", false),
        ] {
            assert_eq!(relative_path(asked).is_some(), is_fine, "{asked}");
        }
    }

    #[test]
    fn a_page_may_run_its_own_scripts_and_no_others() {
        let policy = content_policy("<style></style><script>alert(1)</script><script>x");
        // As browsers and `openssl dgst -sha256 -binary | base64` compute them.
        let script = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='";
        let style = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='";
        assert!(
            policy.contains(&format!("script-src 'self' {script};")),
            "{policy}"
        );
        assert!(policy.contains(&format!("style-src 'self' {style};")));
        assert!(!policy.contains("unsafe"));
    }
}
