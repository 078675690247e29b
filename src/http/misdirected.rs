//! Nodes with a wrong path in their telemetry URL: they log the refusal only at level
//! debug, so the server shows it, in its log and on the start page.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use actix_web::http::{Method, header};
use actix_web::web;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{Asked, is_node_door, wants_websocket};
use super::error::ReadErrors;
use super::extractors::NoParams;
use super::{AppError, AppState};
use crate::ingest::Sampler;

/// Most paths that are remembered; a further one takes the place of the oldest.
const PATHS_MAX: usize = 10;

/// Longest path that is shown, characters.
const PATH_CHARS_MAX: usize = 64;

/// Shortest token that the settings allow: what is as long in a path may be one.
const TOKEN_CHARS_MIN: usize = 16;

/// Wrong paths that nodes requested.
#[derive(Debug, Default)]
pub(super) struct Misdirected {
    /// The latest last.
    paths: Mutex<Vec<WrongPath>>,
    log: Sampler,
}

/// A wrong path that nodes requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct WrongPath {
    /// The path; what may be a token in it is left out.
    #[schema(example = "/telemetry")]
    path: String,
    /// How often it was requested.
    #[schema(minimum = 1)]
    count: u64,
    /// Time of the latest request.
    last_at: DateTime<Utc>,
}

/// Whether a request comes from a node that is meant for another path: clients of
/// the feed use its path, and browsers send an `Origin`.
pub(super) fn is_misdirected(asked: &Asked<'_>) -> bool {
    let path = asked.uri.path();
    asked.method == Method::GET
        && wants_websocket(asked.headers)
        && !asked.headers.contains_key(header::ORIGIN)
        && !is_node_door(asked)
        && path.strip_suffix('/').unwrap_or(path) != "/feed"
        && path.strip_suffix('/').unwrap_or(path) != "/api/v1/feed"
}

impl Misdirected {
    /// Remembers and logs a path as [`shown`]; returns the answer.
    pub(super) fn refuse(&self, path: String, needs_token: bool) -> AppError {
        let right = if needs_token {
            "/t/TOKEN/submit"
        } else {
            "/submit"
        };
        if let Some(left_out) = self.log.admit(Instant::now()) {
            log::warn!(
                "a node requests {path}, which is no path for nodes; start it with \
                 --telemetry-url 'ws://HOST:PORT{right} 1' ({left_out} others since the last such line)"
            );
        }
        self.remember(path, Utc::now());
        AppError::NotFound {
            message: format!("nodes connect to ws://HOST:PORT{right}"),
            parameter: None,
        }
    }

    fn remember(&self, path: String, now: DateTime<Utc>) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let known = paths.iter().position(|known| known.path == path);
        let count = known.map_or(0, |at| paths.remove(at).count);
        if paths.len() >= PATHS_MAX {
            paths.remove(0);
        }
        paths.push(WrongPath {
            path,
            count: count.saturating_add(1),
            last_at: now,
        });
    }

    /// The paths, the latest first.
    fn list(&self) -> Vec<WrongPath> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.iter().rev().cloned().collect()
    }
}

/// What of a path stands in the log and on pages.
pub(super) fn shown(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let is_long = segment.chars().count() >= TOKEN_CHARS_MIN;
        if is_long { "…" } else { segment }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    path.chars().take(PATH_CHARS_MAX).collect()
}

/// Wrong paths that nodes requested since the start of this server, the latest first:
/// the last ten. Give nodes `/submit`.
#[utoipa::path(
    get, operation_id = "list_wrong_paths", path = "/api/v1/wrong_paths", tag = "telemetry",
    responses((status = 200, description = "The paths.", body = [WrongPath]), ReadErrors)
)]
pub(super) async fn list(
    state: web::Data<AppState>,
    _none: web::Query<NoParams>,
) -> web::Json<Vec<WrongPath>> {
    web::Json(state.misdirected.list())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_paths_are_not_shown() {
        for (path, is) in [
            ("/telemetry", "/telemetry"),
            ("/t/0123456789abcdef/submitt", "/t/…/submitt"),
            ("/0123456789abcdef", "/…"),
        ] {
            assert_eq!(shown(path), is);
        }
        let long = "/a".repeat(100);
        assert_eq!(shown(&long).chars().count(), PATH_CHARS_MAX);
    }

    #[test]
    fn the_latest_paths_are_remembered() {
        let misdirected = Misdirected::default();
        for path in (0..30).chain([25]) {
            misdirected.remember(format!("/{path}"), Utc::now());
        }
        let list = misdirected.list();
        assert_eq!(list.len(), PATHS_MAX);
        assert_eq!((list[0].path.as_str(), list[0].count), ("/25", 2));
        assert_eq!((list[1].path.as_str(), list[1].count), ("/29", 1));
    }
}
