//! The log: readable by people or programs, with the ids of requests, and without what nodes and
//! clients sent or where they are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{FakeNode, TestApp, corpus, wait_until};

/// Stands in everything that is sent here.
const MARKER: &str = "geheimnis";

/// Where a proxy says that nodes and clients are.
const CLIENT: &str = "203.0.113.77";

fn lines(app: &TestApp) -> Vec<Value> {
    let log = app.log();
    let read =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(read).collect()
}

/// Texts in frames that are no words of the protocol.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() >= 16 => drop(found.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// Frames of which something is wrong.
fn bad_frames() -> [String; 8] {
    [
        format!("{MARKER} is no JSON"),
        format!("[\"{MARKER}\"]"),
        format!(r#"{{"id":1,"payload":{{"msg":"{MARKER}\u0000"}},"ts":"{MARKER}"}}"#),
        format!(r#"{{"id":1,"payload":{{"msg":"m","x":"{MARKER}"}}}}"#),
        format!(r#"{{"id":9,"payload":{{"msg":"m","y":"{MARKER}"}}}}"#),
        format!(r#"{{"id":10,"payload":{{"msg":"m","y":"{MARKER}"}}}}"#),
        format!(
            r#"{{"id":1,"payload":{{"msg":"log","line":"{{\"_e\":1,\"name\":5,\"x\":\"{MARKER}\"}}"}}}}"#
        ),
        format!(
            r#"{{"id":1,"payload":{{"msg":"m","x":"{}"}}}}"#,
            MARKER.repeat(10_000)
        ),
    ]
}

/// A method, a path with its query, headers and a body.
type Request = (
    &'static str,
    String,
    Vec<(&'static str, &'static str)>,
    String,
);

/// Requests that are refused.
fn bad_requests() -> [Request; 9] {
    let from = ("x-forwarded-for", CLIENT);
    let json_body = ("content-type", "application/json");
    [
        (
            "GET",
            format!("/{MARKER}?{MARKER}={MARKER}"),
            vec![from, ("cookie", MARKER)],
            String::new(),
        ),
        (
            "GET",
            format!("/nodes/logs?peer_id={MARKER}"),
            vec![from],
            String::new(),
        ),
        (
            "GET",
            format!("/nodes?limit={MARKER}"),
            vec![from, ("authorization", MARKER)],
            String::new(),
        ),
        (
            "GET",
            "/nodes".to_owned(),
            vec![("x-forwarded-for", MARKER), ("host", MARKER)],
            String::new(),
        ),
        (
            "POST",
            "/benchmarks".to_owned(),
            vec![from, json_body],
            format!("{{\"{MARKER}\": {MARKER}"),
        ),
        (
            "POST",
            "/events".to_owned(),
            vec![from, json_body],
            format!("{{\"_e\":1,\"{MARKER}\":1}}\n{MARKER}"),
        ),
        (
            "POST",
            "/loki/api/v1/push".to_owned(),
            vec![from, json_body],
            format!("{{\"streams\":\"{MARKER}\"}}"),
        ),
        (
            "POST",
            "/v1/logs".to_owned(),
            vec![from, json_body],
            MARKER.to_owned(),
        ),
        (
            "PUT",
            format!("/submit?{MARKER}"),
            vec![from, ("origin", MARKER)],
            MARKER.to_owned(),
        ),
    ]
}

#[test]
fn the_log_has_neither_payloads_nor_addresses_above_debug() {
    let app = TestApp::builder()
        .env("LOG_FORMAT", "json")
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .env("WS_MAX_PAYLOAD", 65_536)
        .env("NODES_PER_CONNECTION_MAX", 2)
        .env("MESSAGE_KINDS_MAX", 100)
        .start();
    let behind_proxy = format!("X-Forwarded-For: {CLIENT}\r\n");
    let connect = |path: &str| {
        let (node, answer) =
            FakeNode::try_connect_from("127.0.0.1", app.port(), path, &behind_proxy);
        (node, answer)
    };
    let mut sent = BTreeSet::new();
    for (version, path) in [("v1", "/submit"), ("v2", "/audit")] {
        let (mut node, _) = connect(path);
        for frame in corpus(version) {
            texts(&serde_json::from_slice(&frame).unwrap(), &mut sent);
            node.send(frame);
        }
    }
    let (mut node, _) = connect("/submit");
    let constraint = "ALTER TABLE telemetry_messages ADD CONSTRAINT no_poison CHECK (logs->>'x' IS DISTINCT FROM 'geheimnis')";
    app.db.execute(constraint);
    for frame in bad_frames() {
        node.send(frame);
    }
    node.send_raw(&[0xf0, 0x80, 0, 0, 0, 0]);
    let (_, refused) = connect(&format!("/t/{MARKER}/rubbish"));
    assert!(!refused.starts_with("HTTP/1.1 101"), "{refused}");

    for (method, path, headers, body) in bad_requests() {
        let answer = app.ask(method, &path, &headers, &body);
        assert!(
            (400..500).contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
    }
    wait_until("the database refused a message", || {
        app.metric_with("ingest_messages_rejected_total", "constraint") == 1.0
    });
    wait_until("losses are logged", || {
        ["not JSON", "were dropped"]
            .iter()
            .all(|word| app.log().contains(word))
    });

    // What is known to be refused by the database fails with the words of the database.
    app.db.execute("ALTER TABLE benchmarks RENAME TO hidden");
    let given = [("x-request-id", "7b0c-41.Z")];
    let failed = app.ask("GET", "/benchmarks", &given, "");
    assert_eq!(failed.status, 500);

    let log = app.log();
    for forbidden in [MARKER, CLIENT]
        .into_iter()
        .chain(sent.iter().map(String::as_str))
    {
        assert!(!log.contains(forbidden), "{forbidden} is in:\n{log}");
    }
    let lines = lines(&app);
    for line in &lines {
        for field in ["time", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field} is missing in {line}");
        }
    }
    let about = lines
        .iter()
        .filter(|line| line["request_id"] == "7b0c-41.Z");
    let said: Vec<_> = about
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    assert!(
        said.len() == 1 && said[0].starts_with("a request failed"),
        "{said:?}"
    );
}

#[test]
fn each_request_has_an_id_in_its_answer_its_error_and_its_log() {
    let app = TestApp::builder()
        .env(
            "RUST_LOG",
            "info,tetcore_analytics::http=debug,tetcore_analytics::ingest=debug",
        )
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let mut ids = BTreeSet::new();
    for (path, given, status) in [
        ("/nodes", Some("from-the-proxy_1.2"), 200),
        ("/nodes?limit=x", Some("7"), 400),
        ("/nowhere", None, 404),
        ("/health/live", Some("not well-formed"), 200),
        ("/dashboard/", Some(""), 200),
    ] {
        let headers: Vec<_> = given.map(|id| ("x-request-id", id)).into_iter().collect();
        let answer = app.ask("GET", path, &headers, "");
        let id = &answer.headers["x-request-id"];
        assert_eq!(answer.status, status);
        if given.is_some_and(|given| !given.is_empty() && !given.contains(' ')) {
            assert_eq!(Some(id.as_str()), given);
        }
        if status >= 400 {
            assert_eq!(answer.json()["error"]["request_id"], json!(id));
        }
        wait_until("the request is logged", || {
            let logged = format!("request_id={id}: GET ");
            let log = app.log();
            log.lines()
                .any(|line| line.contains(&logged) && line.contains(&format!(": {status} in ")))
        });
        assert!(ids.insert(id.clone()));
    }
    // What a node sent, and where it is, is there for an operator who asks for it.
    let (mut node, answer) = FakeNode::try_connect_from(
        "127.0.0.1",
        app.port(),
        "/submit",
        "X-Forwarded-For: 203.0.113.77\r\n",
    );
    assert!(!answer.to_lowercase().contains("x-request-id"), "{answer}");
    node.send(MARKER);
    wait_until("it is shown", || {
        app.log().contains(&format!("it begins with \"{MARKER}\""))
    });
}
