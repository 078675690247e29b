//! A batch is stored once, however often it is sent.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use serde_json::json;
use tetcore_analytics::ids::{MessageId, SessionId};
use tetcore_analytics::metrics::Metrics;
use tetcore_analytics::store::{Batch, Group, Kinds, NewRow, RowBuffer, store_batch};

use crate::support::{TestApp, TestDb, wait_until};

fn batch(kinds: &Kinds, ids: std::ops::Range<i64>) -> Batch {
    let mut rows = RowBuffer::default();
    for id in ids {
        let row = NewRow {
            id: MessageId(id),
            created_at: Utc::now(),
            session: SessionId(1),
            kind: kinds.find("m"),
            node_ts: None,
            target: None,
        };
        rows.push(&row, |out| out.extend_from_slice(b"{\"n\":1}"));
    }
    Batch::new(vec![Group {
        rows,
        sessions: Vec::new(),
        audit: false,
        received_at: Instant::now(),
    }])
}

#[test]
fn a_batch_whose_answer_was_lost_is_recognised() {
    let db = TestDb::new();
    let mut conn = db.connect();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    let first = store_batch(&mut conn, &kinds, &mut batch, 10).unwrap();
    assert_eq!((first.stored, first.recognised), (100, false));
    let second = store_batch(&mut conn, &kinds, &mut batch, 10).unwrap();
    assert_eq!((second.stored, second.recognised), (100, true));
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 100);
}

#[test]
fn what_was_rejected_before_is_known_when_a_batch_is_recognised() {
    let db = TestDb::new();
    db.execute("ALTER TABLE telemetry_messages ADD CHECK (id <> 50)");
    let mut conn = db.connect();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    let first = store_batch(&mut conn, &kinds, &mut batch, 10).unwrap();
    assert_eq!((first.stored, first.rejected.len()), (99, 1));
    let second = store_batch(&mut conn, &kinds, &mut batch, 10).unwrap();
    assert_eq!(
        (second.stored, second.rejected.len(), second.recognised),
        (99, 1, true)
    );
    assert_eq!(db.count("SELECT count(*) FROM rejected_messages"), 1);
}

#[test]
fn a_fault_of_the_database_rejects_no_message() {
    let db = TestDb::new();
    db.execute("ALTER TABLE telemetry_messages RENAME TO hidden");
    let mut conn = db.connect();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    store_batch(&mut conn, &kinds, &mut batch, 10).unwrap_err();
    assert_eq!(db.count("SELECT count(*) FROM rejected_messages"), 0);
    db.execute("ALTER TABLE hidden RENAME TO telemetry_messages");
    assert_eq!(
        store_batch(&mut conn, &kinds, &mut batch, 10)
            .unwrap()
            .stored,
        100
    );
}

#[test]
fn messages_wait_while_the_database_is_away_and_are_stored_once() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    let send = |node: &mut crate::support::FakeNode, numbers: std::ops::Range<u32>| {
        for number in numbers {
            node.send(json!({"id": 1, "payload": {"msg": "m", "n": number}}).to_string());
        }
    };
    send(&mut node, 0..500);
    app.db.refuse_connections();
    send(&mut node, 500..1_000);
    wait_until("the outage is noticed", || {
        app.metric("store_database_up") == 0.0
    });
    let nodes = app.get("/nodes");
    assert_eq!(nodes.status, 503);
    assert!(nodes.headers.contains_key("retry-after"));
    assert_eq!(app.get("/health/ready").status, 503);
    assert_eq!(app.get("/health/live").status, 200);
    app.db.allow_connections();
    app.wait_stored(1_000);
    assert_eq!(app.db.count("SELECT count(*) FROM telemetry_logs"), 1_000);
    assert_eq!(
        app.db
            .count("SELECT count(DISTINCT logs ->> 'n') FROM telemetry_logs"),
        1_000
    );
    wait_until("it is ready again", || {
        app.get("/health/ready").status == 200
    });
}

#[test]
fn a_full_queue_drops_counts_and_recovers() {
    let app = TestApp::builder()
        .env("QUEUE_ROWS_MAX", 1_024)
        .env("HOLD_BACK_MS", 50)
        .start();
    let mut node = app.node("/submit");
    node.send(json!({"id": 1, "payload": {"msg": "m"}}).to_string());
    app.wait_stored(1);
    app.db.refuse_connections();
    for number in 0..5_000 {
        node.send(json!({"id": 1, "payload": {"msg": "m", "n": number}}).to_string());
    }
    wait_until("some are dropped", || {
        app.metric_with("ingest_messages_dropped_total", "queue_full") > 0.0
    });
    assert!(app.metric("ingest_pending") <= 1_024.0);
    app.db.allow_connections();
    wait_until("nothing is pending", || app.metric("ingest_pending") == 0.0);
    let sent_after = 100;
    wait_until("everything sent before is read", || {
        app.metric("ingest_messages_received_total") == 5_001.0
    });
    let before = app.metric("ingest_messages_stored_total");
    for _ in 0..sent_after {
        node.send(json!({"id": 1, "payload": {"msg": "after"}}).to_string());
    }
    wait_until("all goes on", || {
        app.metric("ingest_messages_stored_total") >= before + f64::from(sent_after)
    });
}
