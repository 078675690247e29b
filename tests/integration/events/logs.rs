//! Log lines that shippers push, and the events in them.

use prost::Message;
use serde_json::{Value, json};

use super::{NAMES, assert_rebuilt_alike};
use crate::projections::introduce;
use crate::support::{TestApp, wait_until};

const TOKEN: &str = "shipper-token-0123456789";

/// Sends bytes, and gives the status and the body of the answer.
fn post(app: &TestApp, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
    let mut request = ureq::http::Request::builder()
        .method("POST")
        .uri(app.url(path))
        .header("authorization", format!("Bearer {TOKEN}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.run(request.body(body).unwrap()).unwrap();
    (
        answer.status().as_u16(),
        answer.body_mut().read_to_vec().unwrap(),
    )
}

/// A length-delimited field of protobuf.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// A push of Loki as Promtail sends it, written by hand: one stream, one line with metadata.
fn loki_push(labels: &str, line: &str) -> Vec<u8> {
    let mut timestamp = vec![1 << 3];
    prost::encoding::encode_varint(1_700_000_000, &mut timestamp);
    let pair = [field(1, b"trace_id"), field(2, b"t1")].concat();
    let entry = [
        field(1, &timestamp),
        field(2, line.as_bytes()),
        field(3, &pair),
    ]
    .concat();
    let stream = [field(1, labels.as_bytes()), field(2, &entry)].concat();
    snap::raw::Encoder::new()
        .compress_vec(&field(1, &stream))
        .unwrap()
}

fn otlp_request(line: &str) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, InstrumentationScope, KeyValue, any_value::Value,
    };
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    let text = |text: &str| {
        Some(AnyValue {
            value: Some(Value::StringValue(text.to_owned())),
        })
    };
    let record = LogRecord {
        time_unix_nano: 1_700_000_001_000_000_000,
        severity_number: 17,
        body: text(line),
        ..LogRecord::default()
    };
    let attribute = KeyValue {
        key: "peer_id".to_owned(),
        value: text("alice"),
        ..KeyValue::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: vec![attribute],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs {
                scope: Some(InstrumentationScope {
                    name: "sync".to_owned(),
                    ..InstrumentationScope::default()
                }),
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
    .encode_to_vec()
}

#[test]
fn logs_of_nodes_stand_beside_their_telemetry_and_events_are_found_in_them() {
    let app = TestApp::builder()
        .env("TELEMETRY_TOKENS", format!("shipper:{TOKEN}"))
        .start();
    let mut node = app.node(&format!("/t/{TOKEN}/submit"));
    introduce(&mut node, "alice");
    app.wait_stored(1);

    let json_type = ("content-type", "application/json");
    let push = json!({"streams": [
        {"stream": {"job": "node", "peer_id": "alice", "level": "warn"}, "values": [
            ["1700000000000000000", "Idle (5 peers)"],
            ["1700000000000000001", r#"{"_e":1,"name":"from loki"}"#, {"trace_id": "t0"}]]},
        {"stream": {"job": "other"}, "values": [["1700000000000000002", "nobody's"]]}]});
    assert_eq!(
        post(
            &app,
            "/loki/api/v1/push",
            &[json_type],
            push.to_string().as_bytes()
        )
        .0,
        204
    );
    let protobuf = ("content-type", "application/x-protobuf");
    let labels = r#"{job="node", peer_id="alice", level="error"}"#;
    assert_eq!(
        post(
            &app,
            "/loki/api/v1/push",
            &[protobuf],
            &loki_push(labels, "panicked at \"x\"")
        )
        .0,
        204
    );
    let (status, answer) = post(
        &app,
        "/v1/logs",
        &[protobuf],
        &otlp_request("{\"_e\":1,\"name\":\"from otlp\"}\nsecond line"),
    );
    assert_eq!((status, answer), (200, Vec::new()));
    wait_until("all is read", || app.metric("ingest_pending") == 0.0);
    app.wait_projected();

    let logs = app.get("/nodes/logs?peer_id=alice&msg=log").json();
    let lines: Vec<Value> = logs
        .as_array()
        .unwrap()
        .iter()
        .map(|log| {
            json!([
                log["logs"]["line"],
                log["logs"]["level"],
                log["logs"]["source"]
            ])
        })
        .collect();
    assert_eq!(
        lines,
        [
            json!([
                "{\"_e\":1,\"name\":\"from otlp\"}\nsecond line",
                "error",
                "shipper"
            ]),
            json!(["panicked at \"x\"", "error", "shipper"]),
            json!([r#"{"_e":1,"name":"from loki"}"#, "warn", "shipper"]),
            json!(["Idle (5 peers)", "warn", "shipper"]),
        ]
    );
    assert_eq!(
        logs[1]["logs"]["labels"],
        json!({"job": "node", "peer_id": "alice", "level": "error", "trace_id": "t1"})
    );
    assert_eq!(app.db.texts("SELECT concat_ws(' ', target, node_ts AT TIME ZONE 'UTC') AS value FROM telemetry_logs WHERE logs->>'line' = 'nobody''s'"), ["other 2023-11-14 22:13:20"]);
    assert_eq!(
        app.db.texts(NAMES),
        ["shipper from loki", "shipper from otlp"]
    );
    assert_eq!(
        app.db.texts("SELECT DISTINCT peer_id AS value FROM events"),
        ["alice"]
    );
    assert_eq!(app.get("/nodes").json().as_array().unwrap().len(), 1);

    for (path, headers, body) in [
        ("/loki/api/v1/push", json_type, &b"{\"streams\":5}"[..]),
        ("/loki/api/v1/push", protobuf, b"not snappy"),
        ("/v1/logs", protobuf, b"\xff\xff"),
    ] {
        assert_eq!(post(&app, path, &[headers], body).0, 400, "{path}");
    }
    assert_eq!(app.ask("POST", "/v1/logs", &[protobuf], "x").status, 401);
    assert_rebuilt_alike(&app);
}
