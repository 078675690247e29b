//! `POST /v1/logs`: logs by OTLP/HTTP, as OpenTelemetry collectors and libraries send them.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use super::logs::{Label, LogLine, time_of_nanos};
use super::{keep, read_body, source};
use crate::http::error::EntryErrors;
use crate::http::{AppError, AppState};
use crate::ingest::PostedMessage;

/// Levels of arrays and lists in a value.
const DEPTH_MAX: usize = 8;

/// The encodings of OTLP/HTTP; an answer has that of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(request: &HttpRequest) -> Self {
        match request
            .content_type()
            .eq_ignore_ascii_case("application/json")
        {
            true => Self::Json,
            false => Self::Protobuf,
        }
    }

    fn read(self, body: Bytes) -> Result<ExportLogsServiceRequest, String> {
        match self {
            Self::Protobuf => Message::decode(body).map_err(|error| error.to_string()),
            Self::Json => serde_json::from_slice(&body).map_err(|error| error.to_string()),
        }
    }

    /// An `ExportLogsServiceResponse`: nothing is refused.
    fn answer(self) -> HttpResponse {
        let (kind, body) = match self {
            Self::Protobuf => ("application/x-protobuf", ""),
            Self::Json => ("application/json", "{}"),
        };
        HttpResponse::Ok().content_type(kind).body(body)
    }
}

/// Pushes log lines by OTLP/HTTP, in protobuf or JSON.
///
/// They become messages of kind `log`, with the attributes of resource, scope and record as labels. With the attribute
/// `peer_id` they stand beside the telemetry of that node, and events are found in the lines. Needs one of
/// `TELEMETRY_TOKENS` or `API_TOKENS`.
#[utoipa::path(
    post, operation_id = "push_logs_otlp", path = "/v1/logs", tag = "events",
    request_body(
        content((Option<String> = "application/x-protobuf"), (Object = "application/json")),
        description = "An ExportLogsServiceRequest; nothing is an empty one in protobuf."
    ),
    responses(
        (status = 200, description = "The lines are kept; an ExportLogsServiceResponse in the encoding of the request.",
            content((String = "application/x-protobuf"), (Object = "application/json"))),
        EntryErrors
    )
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
    let (source, encoding) = (source(&state, &request), Encoding::of(&request));
    let messages = web::block(move || {
        let request = encoding.read(body).map_err(|error| {
            AppError::bad_request(format!("the body is no ExportLogsServiceRequest: {error}"))
        })?;
        let lines = lines_of(request).into_iter();
        Ok(lines.map(|line| line.into_message(&source)).collect())
    });
    let messages: Result<Vec<PostedMessage>, AppError> =
        messages.await.map_err(AppError::internal)?;
    keep(&state, &messages?).await?;
    Ok(encoding.answer())
}

fn lines_of(request: ExportLogsServiceRequest) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for of_resource in request.resource_logs {
        let resource = of_resource.resource.unwrap_or_default();
        let resource = labels_of(resource.attributes);
        for of_scope in of_resource.scope_logs {
            let scope = of_scope.scope.unwrap_or_default().name;
            let scope = (!scope.is_empty()).then(|| ("target".to_owned(), scope));
            let shared = resource.iter().cloned().chain(scope);
            let shared: Vec<Label> = shared.collect();
            lines.extend(
                of_scope
                    .log_records
                    .into_iter()
                    .map(|record| line_of(record, &shared)),
            );
        }
    }
    lines
}

fn line_of(record: LogRecord, shared: &[Label]) -> LogLine {
    let level = match (record.severity_text.as_str(), record.severity_number) {
        ("", 1..=4) => "trace",
        ("", 5..=8) => "debug",
        ("", 9..=12) => "info",
        ("", 13..=16) => "warn",
        ("", 17..=20) => "error",
        ("", 21..) => "fatal",
        (text, _) => text,
    };
    let own = [("level", level), ("event_name", record.event_name.as_str())];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // The record says it more exactly than what it comes from.
    let labels = own
        .chain(labels_of(record.attributes))
        .chain(shared.iter().cloned());
    let nanos = [record.time_unix_nano, record.observed_time_unix_nano];
    let nanos = nanos.into_iter().find(|nanos| *nanos > 0).unwrap_or(0);
    LogLine {
        time: i64::try_from(nanos).ok().and_then(time_of_nanos),
        labels: labels.collect(),
        text: record
            .body
            .as_ref()
            .map(|body| text_of(body, 0))
            .unwrap_or_default(),
    }
}

fn labels_of(attributes: Vec<KeyValue>) -> Vec<Label> {
    let attributes = attributes.into_iter().map(|one| {
        let value = one.value.as_ref().map(|value| text_of(value, 0));
        (one.key, value.unwrap_or_default())
    });
    attributes.collect()
}

/// A text as it is; anything else as JSON.
fn text_of(value: &AnyValue, depth: usize) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        _ => json_of(value, depth).to_string(),
    }
}

fn json_of(value: &AnyValue, depth: usize) -> serde_json::Value {
    let Some(value) = value.value.as_ref().filter(|_| depth < DEPTH_MAX) else {
        return serde_json::Value::Null;
    };
    match value {
        Value::StringValue(text) => text.as_str().into(),
        Value::BoolValue(flag) => (*flag).into(),
        Value::IntValue(number) => (*number).into(),
        Value::DoubleValue(number) => (*number).into(),
        Value::ArrayValue(list) => list
            .values
            .iter()
            .map(|one| json_of(one, depth + 1))
            .collect(),
        Value::KvlistValue(list) => {
            let fields = list.values.iter().map(|one| {
                let value = one.value.as_ref().map(|value| json_of(value, depth + 1));
                (one.key.clone(), value.unwrap_or_default())
            });
            serde_json::Value::Object(fields.collect())
        }
        Value::BytesValue(bytes) => bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
        // Of profiles; the protocol says to take it for nothing.
        Value::StringValueStrindex(_) => serde_json::Value::Null,
    }
}
