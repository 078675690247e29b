//! `POST /events`: structured events of programs that are no nodes.

use std::collections::HashSet;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{BODY_BYTES_MAX, keep, put_text, read_body, source};
use crate::http::error::EntryErrors;
use crate::http::{AppError, AppState};
use crate::ids::SessionId;
use crate::ingest::PostedMessage;
use crate::query::events::known;
use crate::telemetry::events::{Event, identity, read};

/// Kind of the messages in which posted events stand.
const KIND: &str = "event";

/// Content type of lines; any other may be an array too.
const LINES: &str = "application/x-ndjson";

/// Longest wait for which events are stored already: it only tells the sender so, and in an
/// outage of the database the few bodies at once would wait for it.
const LOOK_UP_WAIT: Duration = Duration::from_millis(500);

/// Malformed lines that an answer names.
const NAMED_MAX: usize = 100;

/// What became of the events of a request.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::http) struct Posted {
    /// Events that are kept now; they are found within a second or two.
    #[schema(minimum = 0)]
    accepted: usize,
    /// Events that are stored already, or stand twice in the request.
    #[schema(minimum = 0)]
    duplicate: usize,
    /// JSON objects that are no events: `_e` is not the number 1.
    #[schema(minimum = 0)]
    ignored: usize,
    /// Lines that are no JSON object, or over a limit.
    #[schema(minimum = 0)]
    malformed: usize,
    /// The first 100 of these.
    malformed_lines: Vec<MalformedLine>,
}

/// A line that is no event.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct MalformedLine {
    /// Its number, from 1; of an array the number of the element.
    #[schema(minimum = 1)]
    line: usize,
    /// What is wrong.
    reason: String,
}

/// What stands in a body.
#[derive(Debug, Default)]
struct Read {
    /// Events with their identity, where it follows from them alone.
    events: Vec<(Option<[u8; 16]>, Event)>,
    posted: Posted,
}

/// Posts events: one on each line, or an array of them.
///
/// An event is a JSON object with `"_e":1`; see docs/EVENTS.md for its fields. `Content-Encoding` may be `gzip` or
/// `zstd`. Needs one of `TELEMETRY_TOKENS` or `API_TOKENS`, whose name becomes the source; without any, only this
/// machine may post. When the answer comes the events are in the database or on disk. After a 503, or without an
/// answer, send them again: those with `_id`, `nonce` or `timestamp` are stored once.
#[utoipa::path(
    post, operation_id = "post_events", path = "/events", tag = "events",
    request_body(content = Option<String>, content_type = "application/x-ndjson", description = "Events, one on each line; or as application/json an array of them. Nothing is no events."),
    responses((status = 200, description = "What became of them.", body = Posted), EntryErrors)
)]
pub(in crate::http) async fn post(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Posted>, AppError> {
    let Ok(_place) = state.posts.try_acquire() else {
        return Err(AppError::Unavailable(
            "too many bodies are read at once".to_owned(),
        ));
    };
    let body = read_body(&request, payload).await?;
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_lines = kind.is_some_and(|kind| kind.as_bytes().starts_with(LINES.as_bytes()));
    let source = source(&state, &request);
    let of = source.clone();
    let Read {
        mut events,
        mut posted,
    } = web::block(move || read_events(&body, is_lines, &of))
        .await
        .map_err(AppError::internal)??;
    let identities: Vec<[u8; 16]> = events
        .iter()
        .filter_map(|(identity, _)| *identity)
        .collect();
    let mut seen = HashSet::new();
    if !identities.is_empty() {
        let look_up = state.ask(move |conn| known(conn, &identities));
        // Otherwise they are accepted, and found to be duplicates later.
        match tokio::time::timeout(LOOK_UP_WAIT, look_up).await {
            Ok(Ok(known)) => seen = known,
            Ok(Err(error)) => log::debug!("stored events could not be looked up: {error}"),
            Err(_late) => log::debug!("stored events were not looked up in time"),
        }
    }
    let all = events.len();
    events.retain(|(identity, _)| identity.is_none_or(|identity| seen.insert(identity)));
    posted.accepted = events.len();
    posted.duplicate = all - events.len();
    let (about, source) = (SessionId::of_posts(&source), &source);
    let messages: Vec<PostedMessage> = events
        .into_iter()
        .map(|(_, event)| {
            let mut fields = Vec::with_capacity(event.json.len() + 64);
            put_text(&mut fields, "source", source);
            put_text(&mut fields, "line", &event.json);
            PostedMessage {
                kind: KIND,
                session: about,
                time: None,
                target: None,
                fields,
            }
        })
        .collect();
    keep(&state, &messages).await?;
    Ok(web::Json(posted))
}

/// Reads an array of events, or lines.
fn read_events(body: &[u8], is_lines: bool, source: &str) -> Result<Read, AppError> {
    debug_assert!(body.len() <= BODY_BYTES_MAX);
    let mut read = Read::default();
    if !is_lines && body.trim_ascii_start().first() == Some(&b'[') {
        let list: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
            AppError::bad_request(format!("the body is no JSON array: {error}"))
        })?;
        for (place, value) in list.iter().enumerate() {
            read.take(place + 1, &value.get().replace(['\n', '\r'], " "), source);
        }
        return Ok(read);
    }
    for (place, line) in body.split(|byte| *byte == b'\n').enumerate() {
        match std::str::from_utf8(line) {
            Ok(line) if line.trim_ascii().is_empty() => {}
            Ok(line) => read.take(place + 1, line, source),
            Err(_other) => read.malformed(place + 1, "is not UTF-8".to_owned()),
        }
    }
    Ok(read)
}

impl Read {
    fn take(&mut self, number: usize, line: &str, source: &str) {
        match read(line) {
            Ok(Some(event)) => {
                let time = event.timestamp.unwrap_or(DateTime::<Utc>::MIN_UTC);
                let identity = event
                    .has_own_identity()
                    .then(|| identity(source, &event.digest(time)));
                self.events.push((identity, event));
            }
            Ok(None) => self.posted.ignored += 1,
            Err(reason) => self.malformed(number, reason.to_string()),
        }
    }

    fn malformed(&mut self, line: usize, reason: String) {
        self.posted.malformed += 1;
        if self.posted.malformed_lines.len() < NAMED_MAX {
            self.posted
                .malformed_lines
                .push(MalformedLine { line, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_arrays_are_read_alike_and_mistakes_are_named_by_line() {
        let lines = b"{\"_e\":1,\"_id\":1}\n\n{\"_e\":2}\r\n{\"_e\":1,}\n\xff\n[]\n 5\n{\"_e\":1,\"a\":\"\\n\"}";
        let read = read_events(lines, true, "s").unwrap();
        assert_eq!(read.events.len(), 2);
        assert!(read.events[0].0.is_some() && read.events[1].0.is_none());
        assert_eq!((read.posted.ignored, read.posted.malformed), (1, 4));
        let named: Vec<_> = read
            .posted
            .malformed_lines
            .iter()
            .map(|one| one.line)
            .collect();
        assert_eq!(named, [4, 5, 6, 7]);

        let read = read_events(b" [ {\"_e\":1,\n\"a\":\"b\"}, {}, 5 ]", false, "s").unwrap();
        assert_eq!(
            (
                read.events.len(),
                read.posted.ignored,
                read.posted.malformed
            ),
            (1, 1, 1)
        );
        assert_eq!(read.events[0].1.json, "{\"_e\":1, \"a\":\"b\"}");
        assert!(read_events(b"[{\"_e\":1}", false, "s").is_err());
        let line = read_events(b"[{\"_e\":1}]", true, "s").unwrap();
        assert_eq!(line.posted.malformed, 1);
        assert_eq!(read_events(b"", true, "s").unwrap().events.len(), 0);
    }
}
