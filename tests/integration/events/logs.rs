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

/// Numbers of 64 bits may be texts.
fn otlp_json() -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "peer_id", "value": {"stringValue": "alice"}}]},
        "scopeLogs": [{"scope": {"name": "grandpa"}, "logRecords": [{
            "timeUnixNano": "1700000002000000000", "severityNumber": 13,
            "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
            "body": {"kvlistValue": {"values": [
                {"key": "heights", "value": {"arrayValue": {"values": [{"intValue": "7"}, {"intValue": 8}]}}}]}},
            "attributes": [{"key": "attempt", "value": {"intValue": "2"}}],
            "someday": "a field that is not known",
        }]}],
    }]})
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

#[test]
fn otlp_is_taken_in_json_too_and_answered_in_it() {
    let app = TestApp::builder()
        .env("TELEMETRY_TOKENS", format!("shipper:{TOKEN}"))
        .start();
    let json_type = ("content-type", "application/json; charset=utf-8");
    let body = otlp_json().to_string();
    let answer = post(&app, "/v1/logs", &[json_type], body.as_bytes());
    assert_eq!(answer, (200, b"{}".to_vec()));
    let bad = post(&app, "/v1/logs", &[json_type], b"{\"resourceLogs\":5}");
    assert_eq!(bad.0, 400);
    app.wait_stored(1);
    let logs = app.get("/nodes/logs?peer_id=alice").json();
    assert_eq!(logs[0]["logs"]["line"], r#"{"heights":[7,8]}"#);
    assert_eq!(
        logs[0]["logs"]["labels"],
        json!({"level": "warn", "peer_id": "alice", "attempt": "2", "target": "grandpa"})
    );
    assert_eq!(
        app.db.texts("SELECT concat_ws(' ', target, node_ts AT TIME ZONE 'UTC') AS value FROM telemetry_logs WHERE target = 'grandpa'"),
        ["grandpa 2023-11-14 22:13:22"]
    );
}

#[test]
fn lines_about_a_node_are_shown_also_while_it_has_no_session() {
    let app = TestApp::start();
    let json_type = ("content-type", "application/json");
    let push = |peer_id: &str, line: &str| {
        let push = json!({"streams": [{"stream": {"peer_id": peer_id}, "values": [["1700000000000000000", line]]}]});
        let answer = app.ask("POST", "/loki/api/v1/push", &[json_type], &push.to_string());
        assert_eq!(answer.status, 204, "{}", answer.body);
    };
    let lines = |peer_id: &str, more: &str| {
        let found = app.get(&format!("/nodes/logs?peer_id={peer_id}{more}"));
        assert_eq!(found.status, 200, "{}", found.body);
        let found = found.json();
        let line = |log: &Value| match log["logs"]["line"].as_str() {
            Some(line) => line.to_owned(),
            None => log["msg"].as_str().unwrap().to_owned(),
        };
        found
            .as_array()
            .unwrap()
            .iter()
            .map(line)
            .collect::<Vec<_>>()
    };
    // It is not known but for what was pushed about it.
    push("bob", "starting");
    app.wait_stored(1);
    assert_eq!(lines("bob", ""), ["starting"]);
    let stats = app.get("/nodes/log_stats?peer_id=bob").json();
    assert_eq!(stats, json!([{"log_type": "log", "qty": 1}]));
    assert_eq!(app.get("/nodes/logs?peer_id=carol").status, 404);
    assert_eq!(app.get("/nodes/log_stats?peer_id=carol").status, 404);

    // It was here hours ago, and its process writes on.
    let mut node = app.node("/submit");
    introduce(&mut node, "bob");
    app.wait_stored(2);
    node.leave();
    let ended = "SELECT count(*) FROM peer_connections WHERE disconnected_at IS NOT NULL";
    wait_until("its session has ended", || app.db.count(ended) == 1);
    push("bob", "no peers");
    app.wait_stored(3);
    app.db.execute(
        "UPDATE telemetry_messages SET created_at = created_at - interval '5 hours' WHERE kind_id <> (SELECT id FROM message_kinds WHERE msg = 'log'); \
         UPDATE peer_connections SET created_at = created_at - interval '5 hours', last_seen_at = last_seen_at - interval '5 hours'",
    );
    assert_eq!(
        lines("bob", ""),
        ["no peers", "starting", "system.connected"]
    );
    assert_eq!(lines("bob", "&msg=log&limit=1"), ["no peers"]);
    let cursor = app.get("/nodes/logs?peer_id=bob&limit=1").headers["x-next-cursor"].clone();
    assert_eq!(
        lines("bob", &format!("&cursor={cursor}")),
        ["starting", "system.connected"]
    );
}
