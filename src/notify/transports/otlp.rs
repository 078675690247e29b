//! Events as logs of OpenTelemetry: OTLP over HTTP, in protobuf.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::value::RawValue;

use super::Transport;
use super::fate::{Answered, Fate, Sent, Unnamed, in_halves};
use super::request::{GZIP, OWN_LOG, gzip, text, with_path};
use crate::config::{SecretText, TargetUrl};
use crate::notify::client::{Answer, Client, Method, Request};
use crate::notify::receiver::accepted;
use crate::store::event_transports::Event;

/// Fields of an event that become attributes of their own; its body has all.
const FIELDS_MAX: usize = 64;

/// Longest text among them, bytes.
const FIELD_BYTES_MAX: usize = 1_024;

/// Longest answer that is read.
const ANSWER_MAX: u64 = 65_536;

/// Names of attributes that this program sets.
const OWN: [&str; 6] = [
    "event_id",
    "source",
    "peer_id",
    "genesis_hash",
    "chain",
    "_e",
];

/// What all events of nodes are of; a label in many receivers.
const NODES: &str = "tetcore-node";

/// A receiver of OTLP.
#[derive(Debug)]
pub(super) struct Otlp {
    url: String,
    headers: Vec<(String, SecretText)>,
}

impl Otlp {
    pub(super) fn new(url: &TargetUrl, headers: &[(String, SecretText)]) -> Self {
        Self {
            url: with_path(url, "/v1/logs"),
            headers: headers.to_vec(),
        }
    }

    fn post(&self, client: &Client, events: &[Event]) -> Result<Answer, String> {
        let body = gzip(&request(events).encode_to_vec())?;
        let mut headers = vec![("content-type", "application/x-protobuf"), GZIP];
        let own = self.headers.iter();
        headers.extend(own.map(|(name, value)| (name.as_str(), value.text())));
        client.send(Request {
            method: Method::Post,
            url: &self.url,
            headers: &headers,
            body: &body,
            answer_max: ANSWER_MAX,
        })
    }
}

impl Transport for Otlp {
    fn send(&self, client: &Client, events: &[Event]) -> Sent {
        in_halves(events.len(), |part| {
            let events = events.get(part).unwrap_or_default();
            match self.post(client, events) {
                Ok(answer) if accepted(&answer) => partial(&answer.body),
                answer => Answered::of(answer),
            }
        })
    }
}

/// What a success means: part of it may have been refused.
fn partial(body: &[u8]) -> Answered {
    let response = match ExportLogsServiceResponse::decode(body) {
        Ok(response) => response,
        Err(error) => {
            return Answered::Stopped(Fate::Failed {
                error: format!("its answer is not that of OTLP: {error}"),
                retry_after: None,
            });
        }
    };
    let refused = response.partial_success.unwrap_or_default();
    let said = refused.error_message;
    match usize::try_from(refused.rejected_log_records) {
        Ok(events @ 1..) => Answered::TakenBut(Unnamed {
            events,
            error: format!("it refused {events}: {said}"),
        }),
        _ if said.is_empty() => Answered::Taken,
        _ => Answered::TakenBut(Unnamed {
            events: 0,
            error: format!("it took all, and warned: {said}"),
        }),
    }
}

/// Events, by their sources.
fn request(events: &[Event]) -> ExportLogsServiceRequest {
    let mut places = HashMap::new();
    let mut resource_logs: Vec<ResourceLogs> = Vec::new();
    for event in events {
        let place = *places.entry(event.source.as_str()).or_insert_with(|| {
            resource_logs.push(resource(event));
            resource_logs.len() - 1
        });
        let logs = resource_logs.get_mut(place);
        let logs = logs.and_then(|logs| logs.scope_logs.first_mut());
        if let Some(logs) = logs {
            logs.log_records.push(record(event));
        }
    }
    ExportLogsServiceRequest { resource_logs }
}

fn resource(event: &Event) -> ResourceLogs {
    let service = match &event.peer_id {
        Some(_) => NODES,
        None => &event.source,
    };
    ResourceLogs {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", text_value(service))],
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs {
            scope: Some(InstrumentationScope {
                name: OWN_LOG.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }
}

fn record(event: &Event) -> LogRecord {
    let own = [
        ("event_id", Some(event.event_id.as_str())),
        ("source", Some(event.source.as_str())),
        ("peer_id", event.peer_id.as_deref()),
        ("genesis_hash", event.genesis_hash.as_deref()),
        ("chain", event.chain.as_deref()),
    ];
    let own = own.into_iter();
    let mut attributes: Vec<_> = own
        .filter_map(|(name, value)| Some(attribute(name, text_value(value?))))
        .collect();
    attributes.extend(fields(event));
    LogRecord {
        time_unix_nano: nanoseconds(event.time),
        severity_number: severity_number(&event.severity),
        severity_text: event.severity.clone(),
        body: Some(AnyValue {
            value: Some(text_value(&text(event))),
        }),
        attributes,
        observed_time_unix_nano: nanoseconds(event.received_at),
        event_name: event.name.clone().unwrap_or_default(),
        ..LogRecord::default()
    }
}

/// The fields of an event that are no objects or lists, and not too long.
fn fields(event: &Event) -> Vec<KeyValue> {
    let fields: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(RawValue::get(&event.data));
    let fields = fields.unwrap_or_default().into_iter();
    let attributes = fields.filter_map(|(name, value)| {
        if OWN.contains(&name.as_str()) || name.is_empty() || name.len() > FIELD_BYTES_MAX {
            return None;
        }
        let value = match value {
            serde_json::Value::String(text) if text.len() <= FIELD_BYTES_MAX => {
                Value::StringValue(text)
            }
            serde_json::Value::Bool(is_so) => Value::BoolValue(is_so),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(number) => Value::IntValue(number),
                None => Value::DoubleValue(number.as_f64()?),
            },
            _ => return None,
        };
        Some(attribute(&name, value))
    });
    attributes.take(FIELDS_MAX).collect()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text_value(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

/// Nanoseconds since 1970; 0, which is no time to OTLP, for years before that and after 2262.
fn nanoseconds(time: DateTime<Utc>) -> u64 {
    let nanoseconds = time.timestamp_nanos_opt().unwrap_or_default();
    u64::try_from(nanoseconds).unwrap_or_default()
}

fn severity_number(severity: &str) -> i32 {
    match severity {
        "trace" => 1,
        "debug" => 5,
        "info" => 9,
        "warn" => 13,
        "error" => 17,
        "fatal" => 21,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;

    use super::*;

    fn event(source: &str, peer_id: Option<&str>, data: &str) -> Event {
        Event {
            id: 1,
            bytes: 1,
            event_id: "e1".to_owned(),
            source: source.to_owned(),
            peer_id: peer_id.map(str::to_owned),
            genesis_hash: None,
            chain: Some("Polkadot".to_owned()),
            name: Some("transfer".to_owned()),
            severity: "warn".to_owned(),
            time: DateTime::from_timestamp_nanos(1_700_000_000_000_000_001),
            received_at: DateTime::from_timestamp_nanos(1_700_000_001_000_000_000),
            data: RawValue::from_string(data.to_owned()).unwrap(),
        }
    }

    #[test]
    fn an_event_is_a_record_with_attributes() {
        let data = r#"{"_e":1,"a":"x","n":-3,"f":1.5,"b":true,"o":{"y":1},"source":"mine"}"#;
        let own = r#"{"message":"hello","target":"t"}"#;
        let events = [
            event("12D3", Some("12D3"), data),
            event(OWN_LOG, None, own),
            event("12D3", Some("12D3"), "{}"),
        ];
        let bytes = request(&events).encode_to_vec();
        let read = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(read.resource_logs.len(), 2);
        let records = &read.resource_logs[0].scope_logs[0].log_records;
        assert_eq!(records.len(), 2);
        let record = &records[0];
        assert_eq!(record.time_unix_nano, 1_700_000_000_000_000_001);
        assert_eq!(record.observed_time_unix_nano, 1_700_000_001_000_000_000);
        assert_eq!(
            (record.severity_number, &*record.severity_text),
            (13, "warn")
        );
        assert_eq!(record.event_name, "transfer");
        let value = |name: &str| {
            let found = record.attributes.iter().filter(|one| one.key == name);
            let values: Vec<_> = found.map(|one| one.value.clone()?.value).collect();
            values
        };
        let text = |text: &str| vec![Some(Value::StringValue(text.to_owned()))];
        assert_eq!(value("event_id"), text("e1"));
        assert_eq!(
            value("source"),
            text("12D3"),
            "once, and not what it claims"
        );
        assert_eq!(value("a"), text("x"));
        assert_eq!(value("n"), [Some(Value::IntValue(-3))]);
        assert_eq!(value("f"), [Some(Value::DoubleValue(1.5))]);
        assert_eq!(value("b"), [Some(Value::BoolValue(true))]);
        assert!(value("o").is_empty(), "the body has it");
        let body = |record: &LogRecord| record.body.clone().unwrap().value;
        assert_eq!(vec![body(record)], text(data));
        let line = &read.resource_logs[1].scope_logs[0].log_records[0];
        assert_eq!(vec![body(line)], text("hello"));
        let service = &read.resource_logs[0].resource.as_ref().unwrap().attributes[0];
        assert_eq!(service.key, "service.name");
        assert_eq!(
            vec![service.value.clone().unwrap().value],
            text("tetcore-node")
        );
    }

    #[test]
    fn answers_are_understood() {
        let answer = |rejected_log_records| {
            let partial_success = Some(ExportLogsPartialSuccess {
                rejected_log_records,
                error_message: "too old".to_owned(),
            });
            let answer = ExportLogsServiceResponse { partial_success };
            partial(&answer.encode_to_vec())
        };
        assert_eq!(
            answer(2),
            Answered::TakenBut(Unnamed {
                events: 2,
                error: "it refused 2: too old".to_owned()
            })
        );
        for none in [0, -1] {
            assert_eq!(
                answer(none),
                Answered::TakenBut(Unnamed {
                    events: 0,
                    error: "it took all, and warned: too old".to_owned()
                })
            );
        }
        assert_eq!(partial(b""), Answered::Taken);
        assert!(matches!(partial(b"<html>"), Answered::Stopped(_)));
    }
}
