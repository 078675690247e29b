//! `POST /loki/api/v1/push`: what Promtail, Alloy, Fluent Bit and others send to Loki.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use prost::Message;
use serde::Deserialize;

use super::logs::{Label, LogLine, time_of_nanos};
use super::{BODY_BYTES_MAX, keep, read_body, source};
use crate::http::error::EntryErrors;
use crate::http::{AppError, AppState};
use crate::ingest::PostedMessage;

/// `PushRequest` of Loki.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

/// Lines with the same labels.
#[derive(Clone, PartialEq, Message)]
struct Stream {
    /// As `{name="value", …}`.
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// The same as JSON.
#[derive(Debug, Deserialize)]
struct JsonPush {
    #[serde(default)]
    streams: Vec<JsonStream>,
}

#[derive(Debug, Deserialize)]
struct JsonStream {
    #[serde(default)]
    stream: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<JsonEntry>,
}

/// Nanoseconds since 1970 as a text, the line, and metadata.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum JsonEntry {
    Plain(String, String),
    With(String, String, BTreeMap<String, String>),
}

/// Pushes log lines, as to Loki: JSON, or protobuf with snappy.
///
/// They become messages of kind `log`. A stream with the label `peer_id` stands beside the telemetry of that node, and
/// events are found in the lines. Needs one of `TELEMETRY_TOKENS` or `API_TOKENS`.
#[utoipa::path(
    post, operation_id = "push_logs_loki", path = "/loki/api/v1/push", tag = "events",
    request_body(content = String, content_type = "application/x-protobuf", description = "A PushRequest of Loki with snappy; or the same as application/json."),
    responses((status = 204, description = "The lines are kept."), EntryErrors)
)]
pub(in crate::http) async fn push(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, AppError> {
    let Ok(_place) = state.posts.try_acquire() else {
        return Err(AppError::Unavailable(
            "too many bodies are read at once".to_owned(),
        ));
    };
    let body = read_body(&request, payload).await?;
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let source = source(&state, &request);
    let messages = web::block(move || {
        let lines = match is_json {
            true => of_json(&body)?,
            false => of_protobuf(&body)?,
        };
        let lines = lines.into_iter();
        Ok(lines.map(|line| line.into_message(&source)).collect())
    });
    let messages: Result<Vec<PostedMessage>, AppError> =
        messages.await.map_err(AppError::internal)?;
    keep(&state, &messages?).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn of_json(body: &[u8]) -> Result<Vec<LogLine>, AppError> {
    let push: JsonPush = serde_json::from_slice(body)
        .map_err(|error| AppError::bad_request(format!("the body is no push of Loki: {error}")))?;
    let streams = push.streams.into_iter();
    let lines = streams.flat_map(|JsonStream { stream, values }| {
        values.into_iter().map(move |entry| {
            let (nanos, text, metadata) = match entry {
                JsonEntry::Plain(nanos, text) => (nanos, text, BTreeMap::new()),
                JsonEntry::With(nanos, text, metadata) => (nanos, text, metadata),
            };
            LogLine {
                time: nanos.parse().ok().and_then(time_of_nanos),
                labels: stream.clone().into_iter().chain(metadata).collect(),
                text,
            }
        })
    });
    Ok(lines.collect())
}

fn of_protobuf(body: &[u8]) -> Result<Vec<LogLine>, AppError> {
    let refuse = |why: String| AppError::bad_request(format!("the body is no push of Loki: {why}"));
    let length = snap::raw::decompress_len(body).map_err(|error| refuse(error.to_string()))?;
    if length > BODY_BYTES_MAX {
        return Err(AppError::TooLarge {
            bytes_max: BODY_BYTES_MAX,
        });
    }
    let body = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|error| refuse(error.to_string()))?;
    let push = PushRequest::decode(body.as_slice()).map_err(|error| refuse(error.to_string()))?;
    let mut lines = Vec::new();
    for stream in push.streams {
        let labels = labels_of(&stream.labels).ok_or_else(|| refuse("labels".to_owned()))?;
        lines.extend(stream.entries.into_iter().map(|entry| {
            let time = entry.timestamp.unwrap_or_default();
            let nanos = time.seconds.checked_mul(1_000_000_000);
            let nanos = nanos.and_then(|nanos| nanos.checked_add(time.nanos.into()));
            let metadata = entry
                .metadata
                .into_iter()
                .map(|pair| (pair.name, pair.value));
            LogLine {
                time: nanos.and_then(time_of_nanos),
                labels: labels.clone().into_iter().chain(metadata).collect(),
                text: entry.line,
            }
        }));
    }
    Ok(lines)
}

/// Reads `{name="value", …}`, with the escapes of Go, which are those of JSON but for few.
fn labels_of(text: &str) -> Option<Vec<Label>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let mut values = serde_json::Deserializer::from_str(behind).into_iter::<String>();
        let value = values.next()?.ok()?;
        let (_, after) = behind.split_at_checked(values.byte_offset())?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_loki_writes_them() {
        let of = |text: &str| {
            let labels = labels_of(text)?;
            Some(
                labels
                    .iter()
                    .map(|(name, value)| format!("{name} {value}"))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(of("{}").unwrap(), [""; 0]);
        assert_eq!(
            of(r#"{job="node", level = "info",msg="a \"b\", c=d\n"}"#).unwrap(),
            ["job node", "level info", "msg a \"b\", c=d\n"]
        );
        for bad in ["", "job=\"node\"", "{job}", "{job=node}", "{job=\"node}"] {
            assert!(labels_of(bad).is_none(), "{bad}");
        }
    }
}
