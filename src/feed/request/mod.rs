//! Requests of subscribers, as JSON; each refusal says what is allowed.

mod rows;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use rows::{EventsRequest, RowsSince, StatusRequest};

use crate::feed::cursor::{CURSOR_BYTES_MAX, Cursor, CursorError, is_plausible};
use crate::feed::filter::Filter;
use crate::feed::windows::{Aggregate, AggregateKind};
use crate::telemetry::parse_time;

/// Longest text of a field, bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// Longest window, seconds: a day.
const INTERVAL_MAX_S: i64 = 86_400;

/// Field that is aggregated where `aggregate_key` says nothing.
const DEFAULT_KEY: &str = "time";

/// Chosen by a subscriber to match the answer to its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

/// Whether something is wanted, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// It is wanted.
    Subscribe,
    /// No more.
    Unsubscribe,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Messages, raw or aggregated.
    Messages(MessagesRequest),
    /// The table of all nodes, of one chain if there is one.
    Nodes(Option<String>),
    /// Nodes that come and go.
    Presence(Option<String>),
    /// Changes of status.
    Status(StatusRequest),
    /// Structured events.
    Events(EventsRequest),
}

/// Which messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagesRequest {
    /// Which messages, of which nodes.
    pub filter: Filter,
    /// From when on.
    pub since: Since,
    /// None for the messages themselves.
    pub aggregate: Option<Aggregate>,
}

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Now.
    Now,
    /// At a time.
    Time(DateTime<Utc>),
    /// After what was sent before.
    Cursor(Cursor),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Wanted or not.
    pub interest: Interest,
    /// What.
    pub topic: Topic,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(String);

impl RequestError {
    fn field(name: &str, problem: impl fmt::Display) -> Self {
        Self(format!("{name} {problem}"))
    }
}

/// The fields, before any is checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default)]
    request_id: Value,
    #[serde(default)]
    topic: Value,
    #[serde(default)]
    interest: Value,
    #[serde(default)]
    peer_id: Value,
    #[serde(default)]
    chain: Value,
    #[serde(default)]
    msg: Value,
    #[serde(default)]
    start_time: Value,
    #[serde(default)]
    cursor: Value,
    #[serde(default)]
    aggregate_type: Value,
    #[serde(default)]
    aggregate_interval: Value,
    #[serde(default)]
    aggregate_key: Value,
    #[serde(default)]
    source: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    severity: Value,
    #[serde(default)]
    r#where: Value,
    #[serde(default)]
    text: Value,
}

/// Reads a request. The id comes back with refusals too.
///
/// # Errors
/// If it is no request; the error says what is wrong with which field.
pub fn read_request(text: &str) -> (Option<RequestId>, Result<Request, RequestError>) {
    let object = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) => object,
        Err(error) => {
            let problem = format!("a request is a JSON object: {error}");
            return (None, Err(RequestError(problem)));
        }
    };
    let id = object.get("request_id").cloned().unwrap_or_default();
    let fields: Fields = match serde_json::from_value(Value::Object(object)) {
        Ok(fields) => fields,
        Err(error) => {
            let id = request_id(&id).ok().flatten();
            let problem = format!("a request is a JSON object of known fields: {error}");
            return (id, Err(RequestError(problem)));
        }
    };
    match request_id(&fields.request_id) {
        Ok(id) => (id, check(&fields)),
        Err(error) => (None, Err(error)),
    }
}

fn request_id(value: &Value) -> Result<Option<RequestId>, RequestError> {
    let is_short = |id: &RequestId| match id {
        RequestId::Number(_) => true,
        RequestId::Text(text) => text.len() <= 64,
    };
    match value {
        Value::Null => Ok(None),
        value => serde_json::from_value(value.clone())
            .ok()
            .filter(is_short)
            .map(Some)
            .ok_or_else(|| {
                RequestError::field(
                    "request_id",
                    "must be a whole number or a text of at most 64 bytes",
                )
            }),
    }
}

fn check(fields: &Fields) -> Result<Request, RequestError> {
    let interest = match text("interest", &fields.interest)?.as_deref() {
        Some("subscribe") => Interest::Subscribe,
        Some("unsubscribe") => Interest::Unsubscribe,
        _ => {
            return Err(RequestError::field(
                "interest",
                "must be subscribe or unsubscribe",
            ));
        }
    };
    let chain = text("chain", &fields.chain)?;
    let topic = match text("topic", &fields.topic)?.as_deref() {
        None | Some("messages") => Topic::Messages(messages(fields, chain)?),
        Some("status") => Topic::Status(StatusRequest::read(fields, chain)?),
        Some("events") => Topic::Events(EventsRequest::read(fields)?),
        Some(name @ ("nodes" | "presence")) => {
            let places = [
                ("start_time", &fields.start_time),
                ("cursor", &fields.cursor),
            ];
            refuse_others(fields, name, &places)?;
            refuse(rows::of_events(fields).iter(), name)?;
            match name {
                "nodes" => Topic::Nodes(chain),
                _ => Topic::Presence(chain),
            }
        }
        Some(_) => {
            return Err(RequestError::field(
                "topic",
                "must be messages, nodes, presence, status or events",
            ));
        }
    };
    Ok(Request { interest, topic })
}

/// Fields that only messages have, and `more` of them.
fn refuse_others(
    fields: &Fields,
    topic: &str,
    more: &[(&str, &Value)],
) -> Result<(), RequestError> {
    let others = [
        ("peer_id", &fields.peer_id),
        ("msg", &fields.msg),
        ("aggregate_type", &fields.aggregate_type),
        ("aggregate_interval", &fields.aggregate_interval),
        ("aggregate_key", &fields.aggregate_key),
    ];
    refuse(others.iter().chain(more), topic)
}

fn refuse<'a>(
    mut others: impl Iterator<Item = &'a (&'a str, &'a Value)>,
    topic: &str,
) -> Result<(), RequestError> {
    match others.find(|(_, value)| !value.is_null()) {
        Some((name, _)) => {
            let problem = format!("does not go with the topic {topic}");
            Err(RequestError::field(name, problem))
        }
        None => Ok(()),
    }
}

fn messages(fields: &Fields, chain: Option<String>) -> Result<MessagesRequest, RequestError> {
    refuse(rows::of_events(fields).iter(), "messages")?;
    let filter = Filter {
        peer_id: text("peer_id", &fields.peer_id)?,
        chain,
        msg: text("msg", &fields.msg)?,
    };
    Ok(MessagesRequest {
        filter,
        since: since(fields)?,
        aggregate: aggregate(fields)?,
    })
}

fn since(fields: &Fields) -> Result<Since, RequestError> {
    let time = limited("start_time", &fields.start_time, TEXT_BYTES_MAX)?;
    let cursor = limited("cursor", &fields.cursor, CURSOR_BYTES_MAX)?;
    match (time, cursor) {
        (None, None) => Ok(Since::Now),
        (Some(time), None) => start_time(&time).map(Since::Time),
        (None, Some(cursor)) => cursor
            .parse()
            .map(Since::Cursor)
            .map_err(|error: CursorError| RequestError(error.to_string())),
        (Some(_), Some(_)) => Err(both_places()),
    }
}

fn start_time(text: &str) -> Result<DateTime<Utc>, RequestError> {
    let time = parse_time(text).filter(|time| is_plausible(*time));
    time.ok_or_else(|| {
        RequestError::field(
            "start_time",
            "must be a time as 2019-01-01T00:00:00Z, or 2019-01-01T00:00:00[.ffffff] in UTC",
        )
    })
}

fn both_places() -> RequestError {
    RequestError::field("cursor", "and start_time exclude each other")
}

fn aggregate(fields: &Fields) -> Result<Option<Aggregate>, RequestError> {
    let key = text("aggregate_key", &fields.aggregate_key)?;
    let Some(kind) = text("aggregate_type", &fields.aggregate_type)? else {
        return Ok(None);
    };
    let kind = AggregateKind::ALL
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(&kind))
        .ok_or_else(|| {
            RequestError::field(
                "aggregate_type",
                "must be mean, median, min, max or percentile90; without it messages come as they are",
            )
        })?;
    let interval = fields
        .aggregate_interval
        .as_i64()
        .filter(|seconds| (1..=INTERVAL_MAX_S).contains(seconds))
        .ok_or_else(|| {
            let problem = format!("must be whole seconds from 1 to {INTERVAL_MAX_S}");
            RequestError::field("aggregate_interval", problem)
        })?;
    Ok(Some(Aggregate {
        kind,
        interval: TimeDelta::seconds(interval),
        key: key.unwrap_or_else(|| DEFAULT_KEY.to_owned()),
    }))
}

fn text(name: &str, value: &Value) -> Result<Option<String>, RequestError> {
    limited(name, value, TEXT_BYTES_MAX)
}

/// A text; an empty one counts as none, as old clients send it.
fn limited(name: &str, value: &Value, bytes_max: usize) -> Result<Option<String>, RequestError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) if text.len() <= bytes_max && !text.contains('\0') => {
            Ok(Some(text.clone()))
        }
        _ => {
            let problem = format!("must be a text of at most {bytes_max} bytes without U+0000");
            Err(RequestError::field(name, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, String> {
        read_request(text).1.map_err(|error| error.to_string())
    }

    #[test]
    fn the_request_of_an_old_client_is_understood() {
        let request = read(
            r#"{"peer_id":"p","msg":"tracing.profiling","interest":"subscribe","start_time":"2019-01-01T00:00:00",
                "aggregate_type":"Percentile90","aggregate_interval":60,"aggregate_key":""}"#,
        );
        let Topic::Messages(messages) = request.unwrap().topic else {
            panic!("it asks for messages");
        };
        assert_eq!(messages.filter.peer_id.as_deref(), Some("p"));
        assert_eq!(
            messages.since,
            Since::Time("2019-01-01T00:00:00Z".parse().unwrap())
        );
        let aggregate = messages.aggregate.unwrap();
        assert_eq!(
            (aggregate.kind, aggregate.interval, aggregate.key.as_str()),
            (AggregateKind::Percentile90, TimeDelta::seconds(60), "time")
        );
        let raw = read(
            r#"{"peer_id":"p","msg":"m","interest":"unsubscribe","start_time":null,"aggregate_type":""}"#,
        );
        assert_eq!(
            raw.unwrap(),
            Request {
                interest: Interest::Unsubscribe,
                topic: Topic::Messages(MessagesRequest {
                    filter: Filter {
                        peer_id: Some("p".to_owned()),
                        chain: None,
                        msg: Some("m".to_owned())
                    },
                    since: Since::Now,
                    aggregate: None
                })
            }
        );
    }

    #[test]
    fn the_id_of_a_request_comes_back_with_its_refusal_too() {
        for (text, expected) in [
            (
                r#"{"request_id":7,"interest":"subscribe"}"#,
                Some(RequestId::Number(7)),
            ),
            (
                r#"{"request_id":"a","interest":"x"}"#,
                Some(RequestId::Text("a".to_owned())),
            ),
            (
                r#"{"request_id":"a","nonsense":1}"#,
                Some(RequestId::Text("a".to_owned())),
            ),
            (r#"{"interest":"subscribe"}"#, None),
            ("no json", None),
        ] {
            assert_eq!(read_request(text).0, expected, "{text}");
        }
    }

    #[test]
    fn each_bad_field_is_named() {
        for (field, text) in [
            ("JSON object", "[]"),
            ("`nonsense`", r#"{"nonsense":1}"#),
            ("interest", r#"{}"#),
            ("interest", r#"{"interest":"maybe"}"#),
            ("request_id", r#"{"interest":"subscribe","request_id":1.5}"#),
            ("topic", r#"{"interest":"subscribe","topic":"weather"}"#),
            (
                "msg",
                r#"{"interest":"subscribe","topic":"nodes","msg":"m"}"#,
            ),
            (
                "cursor",
                r#"{"interest":"subscribe","topic":"presence","cursor":"1"}"#,
            ),
            (
                "cursor",
                r#"{"interest":"subscribe","topic":"status","cursor":"here"}"#,
            ),
            (
                "peer_id",
                r#"{"interest":"subscribe","topic":"status","peer_id":"p"}"#,
            ),
            ("peer_id", r#"{"interest":"subscribe","peer_id":5}"#),
            (
                "chain",
                "{\"interest\":\"subscribe\",\"chain\":\"\\u0000\"}",
            ),
            (
                "start_time",
                r#"{"interest":"subscribe","start_time":"yesterday"}"#,
            ),
            (
                "start_time",
                r#"{"interest":"subscribe","start_time":"+99999-01-01T00:00:00"}"#,
            ),
            (
                "start_time",
                r#"{"interest":"subscribe","start_time":"-262143-01-01T00:00:00"}"#,
            ),
            ("cursor", r#"{"interest":"subscribe","cursor":"here"}"#),
            (
                "cursor",
                r#"{"interest":"subscribe","cursor":"-9223372036854775808"}"#,
            ),
            (
                "cursor",
                r#"{"interest":"subscribe","cursor":"1","start_time":"2019-01-01T00:00:00Z"}"#,
            ),
            (
                "aggregate_type",
                r#"{"interest":"subscribe","aggregate_type":"mode","aggregate_interval":1}"#,
            ),
            (
                "aggregate_interval",
                r#"{"interest":"subscribe","aggregate_type":"mean"}"#,
            ),
            (
                "aggregate_interval",
                r#"{"interest":"subscribe","aggregate_type":"mean","aggregate_interval":0}"#,
            ),
            (
                "aggregate_interval",
                r#"{"interest":"subscribe","aggregate_type":"mean","aggregate_interval":86401}"#,
            ),
            (
                "aggregate_interval",
                r#"{"interest":"subscribe","aggregate_type":"mean","aggregate_interval":1.5}"#,
            ),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(field), "{text}: {refused}");
        }
    }
}
