//! Frames in, rows out.

mod sessions;

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Timestamptz};
use serde_json::{Value, json};

use crate::support::{FakeNode, TestApp, TestDb, corpus, wait_until};

#[derive(QueryableByName, Debug)]
struct StoredMessage {
    #[diesel(sql_type = Text)]
    msg: String,
    #[diesel(sql_type = Nullable<Text>)]
    target: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    node_ts: chrono::DateTime<chrono::Utc>,
    #[diesel(sql_type = Text)]
    logs: String,
}

impl StoredMessage {
    fn fields(&self) -> Value {
        serde_json::from_str(&self.logs).unwrap()
    }
}

fn stored_messages(db: &TestDb) -> Vec<StoredMessage> {
    diesel::sql_query(
        "SELECT msg, target, node_ts, logs::text AS logs FROM telemetry_logs ORDER BY id",
    )
    .load(&mut db.connect())
    .unwrap()
}

/// What a frame of the corpus should have become.
fn expected(frame: &[u8]) -> (String, Value, chrono::DateTime<chrono::Utc>) {
    let mut frame: Value = serde_json::from_slice(frame).unwrap();
    let ts = frame["ts"]
        .as_str()
        .unwrap()
        .parse::<chrono::DateTime<chrono::Utc>>()
        .unwrap();
    let mut fields = match frame.get_mut("payload") {
        Some(payload) => payload.take(),
        None => {
            let fields = frame.as_object_mut().unwrap();
            fields.remove("ts");
            fields.remove("level");
            frame
        }
    };
    let msg = fields.as_object_mut().unwrap().remove("msg").unwrap();
    let micros = chrono::DateTime::from_timestamp_micros(ts.timestamp_micros()).unwrap();
    (msg.as_str().unwrap().to_owned(), fields, micros)
}

#[test]
fn every_frame_of_both_corpora_is_found_again_field_by_field() {
    for (format, path, peers) in [("v2", "/submit", 3), ("v1", "/", 1)] {
        let app = TestApp::start();
        let frames = corpus(format);
        let mut node = app.node(path);
        for frame in &frames {
            node.send(frame);
        }
        app.wait_stored(u32::try_from(frames.len()).unwrap());
        let stored = stored_messages(&app.db);
        assert_eq!(stored.len(), frames.len());
        for (frame, stored) in frames.iter().zip(&stored) {
            let (msg, fields, ts) = expected(frame);
            assert_eq!(stored.msg, msg);
            assert_eq!(stored.fields(), fields);
            assert_eq!(stored.node_ts, ts);
            assert_eq!(
                stored.target.as_deref(),
                fields.get("target").and_then(Value::as_str)
            );
        }
        let sessions = app
            .db
            .count("SELECT count(DISTINCT peer_id) FROM peer_connections");
        assert_eq!(sessions, peers, "{format}");
        assert_http_finds(&app, &frames);
    }
}

/// The same by HTTP: each message of each peer, by kind.
fn assert_http_finds(app: &TestApp, frames: &[Vec<u8>]) {
    let mut by_kind: HashMap<String, Vec<Value>> = HashMap::new();
    for frame in frames {
        let (msg, fields, _) = expected(frame);
        by_kind.entry(msg).or_default().push(fields);
    }
    app.wait_projected();
    let nodes = app.get("/nodes").json();
    for (msg, mut expected) in by_kind {
        let mut found = Vec::new();
        for node in nodes.as_array().unwrap() {
            let peer = node["peer_id"].as_str().unwrap();
            let path = format!("/nodes/logs?peer_id={peer}&msg={msg}&limit=2000");
            for log in app.get(&path).json().as_array().unwrap() {
                assert_eq!(log["msg"], json!(msg));
                assert_eq!(log["peer_id"], json!(peer));
                found.push(log["logs"].clone());
            }
        }
        let by_text = |value: &Value| value.to_string();
        expected.sort_by_key(by_text);
        found.sort_by_key(by_text);
        assert_eq!(found, expected, "{msg}");
    }
}

fn message(id: u64, msg: &str, extra: &Value) -> String {
    let mut payload = json!({"msg": msg});
    payload
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    json!({"id": id, "payload": payload, "ts": chrono::Utc::now().to_rfc3339()}).to_string()
}

fn connected(id: u64, peer: &str, name: &str) -> String {
    let facts = json!({"name": name, "network_id": peer, "chain": "Dev", "startup_time": "1795248624569", "authority": true});
    message(id, "system.connected", &facts)
}

#[test]
fn all_paths_take_telemetry_with_and_without_trailing_slash() {
    let app = TestApp::start();
    for (count, path) in ["/", "/submit", "/submit/", "/audit", "/audit/"]
        .into_iter()
        .enumerate()
    {
        let mut node = app.node(path);
        node.send(message(1, "m", &json!({"path": path})));
        app.wait_stored(u32::try_from(count).unwrap() + 1);
    }
    let audited = app
        .db
        .count("SELECT count(*) FROM telemetry_messages_audit");
    let audit_sessions = app
        .db
        .count("SELECT count(*) FROM peer_connections WHERE audit");
    assert_eq!((audited, audit_sessions), (2, 2));
}

#[test]
fn text_frames_fragments_and_newlines_are_messages_too() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send_text(&message(1, "text", &json!({"é": "ü"})));
    let whole = message(1, "fragments", &json!({"a": [1, 2, {"b": null}]}));
    let (head, tail) = whole.as_bytes().split_at(30);
    node.send_fragments(&[head, &tail[..5], &tail[5..]]);
    node.send(format!("{}\n", message(1, "newline", &json!({}))));
    app.wait_stored(3);
    let kinds: Vec<_> = stored_messages(&app.db)
        .into_iter()
        .map(|stored| stored.msg)
        .collect();
    assert_eq!(kinds, ["text", "fragments", "newline"]);
}

#[test]
fn odd_messages_are_kept_and_cost_their_neighbours_nothing() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(connected(1, "odd", "o"));
    let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let odd = [
        r#"{"id":1,"payload":{"msg":"no.ts"}}"#.to_owned(),
        r#"{"id":1,"payload":{"msg":"bad.ts"},"ts":"yesterday"}"#.to_owned(),
        r#"{"id":1,"payload":{"msg":"old.ts"},"ts":"1999-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"id":1,"payload":{"msg":"nul","a":"x\u0000y"}}"#.to_owned(),
        r#"{"id":1,"payload":{"msg":"surrogate","a":"\ud800"}}"#.to_owned(),
        r#"{"id":1,"payload":{"msg":"empty.key","":""}}"#.to_owned(),
        r#"{"id":1,"payload":{"msg":"big","a":123456789012345678901234567890,"b":1e999999}}"#
            .to_owned(),
        format!(r#"{{"id":1,"payload":{{"msg":"deep","a":{nested}}}}}"#),
        r#"{"id":1,"payload":{"a":"no msg"}}"#.to_owned(),
        r#"{"id":1,"payload":{"msg":5}}"#.to_owned(),
        r#"{"id":1,"payload":{}}"#.to_owned(),
    ];
    let bad: [&[u8]; 4] = [b"\xff\xfe", b"{\"id\":1,", b"[1,2,3]", b""];
    for message in &odd {
        node.send(message);
    }
    for frame in bad {
        node.send(frame);
    }
    node.send(message(1, "last", &json!({})));
    app.wait_stored(u32::try_from(odd.len()).unwrap() + 2);
    let stored = stored_messages(&app.db);
    let logs = |msg: &str| {
        stored
            .iter()
            .find(|stored| stored.msg == msg)
            .unwrap()
            .fields()
    };
    assert_eq!(logs("nul"), json!({"a": "x\u{fffd}y"}));
    assert_eq!(logs("surrogate"), json!({"a": "\u{fffd}"}));
    assert_eq!(logs("empty.key"), json!({"": ""}));
    assert_eq!(logs("big")["b"], json!("1e999999"));
    let text = "SELECT logs ->> 'a' AS value FROM telemetry_logs WHERE msg = 'big'";
    assert_eq!(app.db.texts(text), ["123456789012345678901234567890"]);
    assert_eq!(stored.last().unwrap().msg, "last");
    let old = stored.iter().find(|stored| stored.msg == "old.ts").unwrap();
    assert_eq!(old.node_ts.to_rfc3339(), "1999-01-01T00:00:00+00:00");
    let believed =
        "SELECT count(*) FROM telemetry_logs WHERE created_at < now() - interval '1 minute'";
    assert_eq!(app.db.count(believed), 0);
    let page = app.get("/nodes/logs?peer_id=odd");
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains(&nested));
    for (kind, count) in [("not_utf8", 1.0), ("not_json", 2.0), ("not_an_object", 1.0)] {
        let label = format!("kind=\"{kind}\"");
        assert_eq!(
            app.metric_with("ingest_messages_undecodable_total", &label),
            count,
            "{kind}"
        );
    }
}

#[test]
fn kinds_beyond_the_limit_are_stored_with_their_name_inside() {
    let app = TestApp::builder().env("MESSAGE_KINDS_MAX", 100).start();
    let mut node = app.node("/submit");
    for number in 0..150 {
        node.send(message(1, &format!("kind.{number}"), &json!({"n": number})));
    }
    app.wait_stored(150);
    let unlisted = "SELECT count(*) FROM telemetry_logs WHERE msg = '(unlisted)' AND logs ->> 'msg' = 'kind.' || (logs ->> 'n')";
    assert_eq!(app.db.count(unlisted), 50);
    assert_eq!(app.metric("store_kinds"), 100.0);
    node.send(connected(1, "peer", "p"));
    app.wait_stored(151);
    let found = app.get("/nodes/logs?peer_id=peer&msg=kind.149").json();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
}

#[test]
fn invented_kinds_hide_no_known_one_and_can_be_merged() {
    let app = TestApp::builder()
        .env("MESSAGE_KINDS_MAX", 100)
        .env("METRIC_KINDS_MAX", 1)
        .start();
    let mut node = app.node("/submit");
    for number in 0..101 {
        node.send(message(1, &format!("invented.{number}"), &json!({})));
    }
    for kind in ["block.import", "of.ours"] {
        node.send(message(1, kind, &json!({})));
    }
    app.wait_stored(103);
    let stored_as = |msg: &str| {
        let query = format!("SELECT count(*) FROM telemetry_logs WHERE msg = '{msg}'");
        app.db.count(&query)
    };
    assert_eq!((stored_as("block.import"), stored_as("of.ours")), (1, 0));
    let said = |args: &[&str]| {
        let output = app.run(args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let by_kind = |kind: &str| app.metric_with("ingest_messages_by_kind_total", kind);
    assert_eq!(by_kind("\"block.import\""), 1.0);
    let listed = said(&["kinds"]);
    assert!(listed.contains("listed  invented.7\n"), "{listed}");
    assert!(listed.contains("known   block.import\n"), "{listed}");
    said(&["kinds", "--merge", "invented.*", "block.import"]);
    wait_until("the places are free", || app.metric("store_kinds") == 0.0);
    for kind in ["invented.7", "of.ours", "block.import"] {
        node.send(message(1, kind, &json!({})));
    }
    app.wait_stored(106);
    assert_eq!(stored_as("(unlisted)"), 3);
    assert_eq!((stored_as("block.import"), stored_as("of.ours")), (2, 1));
    let listed = said(&["kinds"]);
    assert!(listed.contains("merged  invented.7\n"), "{listed}");
}

#[test]
fn node_ids_beyond_the_limit_are_dropped_and_counted() {
    let app = TestApp::builder()
        .env("NODES_PER_CONNECTION_MAX", 2)
        .start();
    let mut node = app.node("/submit");
    for id in [1, 2, 3, 1] {
        node.send(message(id, "m", &json!({})));
    }
    app.wait_stored(3);
    let dropped = app.metric_with("ingest_messages_dropped_total", "too_many_nodes");
    assert_eq!(dropped, 1.0);
}

#[test]
fn a_message_that_is_too_large_costs_only_itself() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(connected(1, "peer", "p"));
    node.send(vec![b' '; 600_000]);
    node.send_frame(2, &[b' '; 400_000]);
    node.send_frame(0x80, &[b' '; 400_000]);
    node.send(message(1, "after", &json!({})));
    app.wait_stored(2);
    let dropped = app.metric_with("ingest_messages_dropped_total", "too_large");
    assert_eq!(dropped, 2.0);
    assert_eq!(app.metric("ingest_connections"), 1.0);
}

#[test]
fn bad_rows_cost_one_row_each_and_are_kept_with_the_reason() {
    let db = TestDb::new();
    db.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF NEW.logs ->> 'n' IN ('3', '700') THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON telemetry_messages FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let app = TestApp::builder()
        .db(db)
        .env("REJECTED_MESSAGES_MAX", 1)
        .start();
    let mut node = app.node("/submit");
    for number in 0..1_000 {
        node.send(message(1, "m", &json!({"n": number})));
    }
    app.wait_stored(998);
    assert_eq!(app.db.count("SELECT count(*) FROM telemetry_messages"), 998);
    assert_eq!(
        app.metric_with("ingest_messages_rejected_total", "constraint"),
        2.0
    );
    let kept = "SELECT msg || ' ' || reason || ' ' || convert_from(logs, 'UTF8') AS value FROM rejected_messages";
    assert_eq!(app.db.texts(kept), ["m P0001: poison {\"n\":700}"]);
}

#[test]
fn a_client_that_never_reads_harms_nobody() {
    let app = TestApp::start();
    let mut deaf = app.node("/submit");
    // Each ping is answered, into a buffer that is never emptied.
    for _ in 0..20_000 {
        deaf.send_frame(0x89, &[0; 100]);
    }
    deaf.send(message(1, "deaf", &json!({})));
    let mut other = FakeNode::connect(app.port(), "/submit");
    other.send(message(1, "other", &json!({})));
    app.wait_stored(2);
}
