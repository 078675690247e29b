//! What programs post that are no nodes: events and logs.
//!
//! They show a token of nodes or one of `API_TOKENS`, and its name is the source. What they
//! post goes the way of all messages into the log (`ingest/posted.rs`), and they are answered
//! when it is kept.

pub(super) mod events;
mod logs;
pub(super) mod loki;
pub(super) mod otlp;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, dev, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::access::{Asked, Shown, WRITE_CHALLENGES};
use super::{AppError, AppState};
use crate::config::AccessConfig;
use crate::ingest::{PostError, PostedMessage};

/// The routes.
const PATHS: [&str; 4] = ["/events", "/api/v1/events", "/loki/api/v1/push", "/v1/logs"];

/// Largest body, decompressed.
const BODY_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Bodies that may be in memory.
pub(super) const BODIES_MAX: usize = 8;

/// Source of what this machine posts without a token.
const LOCAL: &str = "local";

/// Whether a request goes to one of these routes.
pub(super) fn is_door(asked: &Asked<'_>) -> bool {
    let path = asked.uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    asked.method == Method::POST && PATHS.contains(&path)
}

/// Whether a client may post.
///
/// # Errors
/// Which token it needs, or that only this machine may.
pub(super) fn judge(
    access: &AccessConfig,
    asked: &Asked<'_>,
    is_local: bool,
) -> Result<(), AppError> {
    let has_tokens = !access.api_tokens.is_empty() || !access.telemetry_tokens.is_empty();
    match name_of(access, asked.headers) {
        Some(_) => Ok(()),
        None if has_tokens => Err(AppError::Unauthorized {
            message: "posting needs one of TELEMETRY_TOKENS or API_TOKENS: Authorization: Bearer",
            challenges: WRITE_CHALLENGES,
        }),
        None if is_local => Ok(()),
        None => Err(AppError::forbidden(
            "only this machine may post, by its address or as localhost, until TELEMETRY_TOKENS or API_TOKENS is set",
        )),
    }
}

/// The name of the token that a request shows.
fn name_of<'a>(access: &'a AccessConfig, headers: &HeaderMap) -> Option<&'a str> {
    let bearer = Shown::of(headers).bearer?;
    let lists = [&access.telemetry_tokens, &access.api_tokens];
    lists.iter().find_map(|list| list.name_of(bearer))
}

/// The source of what a request posts.
fn source(state: &AppState, request: &HttpRequest) -> String {
    let name = name_of(&state.config.access, request.headers());
    name.unwrap_or(LOCAL).to_owned()
}

/// Reads and decompresses a body.
///
/// # Errors
/// If it is too large, in an unknown encoding, broken, or the connection ends.
async fn read_body(request: &HttpRequest, payload: web::Payload) -> Result<Bytes, AppError> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    let encoding = encoding.map_or("", |value| value.to_str().unwrap_or("?"));
    if !["", "identity", "gzip", "zstd"].contains(&encoding.to_ascii_lowercase().as_str()) {
        return Err(AppError::bad_request(
            "Content-Encoding must be gzip, zstd or identity",
        ));
    }
    let mut chunks = dev::Decompress::from_headers(payload, request.headers());
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|error| AppError::bad_request(format!("the body is broken: {error}")))?;
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(AppError::TooLarge {
                bytes_max: BODY_BYTES_MAX,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Hands messages on, and waits until they are kept.
///
/// # Errors
/// If they are to be sent again.
async fn keep(state: &AppState, messages: &[PostedMessage]) -> Result<(), AppError> {
    let kept = state.ingest.post(messages).await;
    kept.map_err(|error: PostError| AppError::Unavailable(error.to_string()))?;
    state.metrics.events.posts.inc();
    Ok(())
}

/// A member of a JSON object, with a comma before it if others stand there.
fn put_text(out: &mut Vec<u8>, name: &str, text: &str) {
    if !out.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(format!("\"{name}\":").as_bytes());
    // The database takes no U+0000.
    let text = text.replace('\0', "\u{fffd}");
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}
