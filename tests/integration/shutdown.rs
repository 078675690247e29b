//! The end of the server: nothing that was read is left behind.

use serde_json::json;

use crate::support::{TestApp, wait_until};

fn numbered(number: u32) -> String {
    json!({"id": 1, "payload": {"msg": "m", "n": number}, "ts": "2026-01-01T00:00:00Z"}).to_string()
}

#[test]
fn a_half_full_batch_is_stored_before_the_server_ends() {
    for signal in ["TERM", "INT"] {
        // Only the signal makes this batch leave.
        let mut app = TestApp::builder().env("DB_SAVE_LATENCY_MS", 60_000).start();
        let mut node = app.node("/submit");
        for number in 0..100 {
            node.send(numbered(number));
        }
        wait_until("all are read", || {
            app.metric("ingest_messages_received_total") == 100.0
        });
        assert_eq!(app.db.count("SELECT count(*) FROM telemetry_logs"), 0);
        app.signal(signal);
        assert!(app.wait_for_exit().success(), "{}", app.log());
        assert_eq!(app.db.count("SELECT count(*) FROM telemetry_logs"), 100);
        assert_eq!(
            app.db
                .count("SELECT count(DISTINCT id) FROM telemetry_logs"),
            100
        );
        let ended = "SELECT disconnect_reason AS value FROM peer_connections";
        assert_eq!(app.db.texts(ended), ["server_stopped"]);
        node.read_to_end();
    }
}

#[test]
fn a_second_start_finds_all_the_data_and_ends_sessions_left_open_by_a_crash() {
    let mut app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(numbered(1));
    app.wait_stored(1);
    app.kill();
    let app = app.start_again();
    assert_eq!(app.db.count("SELECT count(*) FROM telemetry_logs"), 1);
    let ended = "SELECT disconnect_reason AS value FROM peer_connections WHERE disconnected_at = last_seen_at";
    assert_eq!(app.db.texts(ended), ["server_lost"]);
    let mut node = app.node("/submit");
    node.send(numbered(2));
    app.wait_stored(1);
    assert_eq!(
        app.db
            .count("SELECT count(DISTINCT id) FROM telemetry_logs"),
        2
    );
}

#[test]
fn what_can_neither_be_stored_nor_put_on_disk_is_said_by_the_exit_code() {
    let mut app = TestApp::builder()
        .env("SHUTDOWN_TIMEOUT_S", 1)
        .env("SPOOL_MAX_BYTES", 0)
        .env("DB_SAVE_LATENCY_MS", 1)
        .start();
    let mut node = app.node("/submit");
    app.db
        .execute("ALTER TABLE ingest_batches RENAME TO hidden");
    node.send(numbered(1));
    wait_until("it is read", || {
        app.metric("ingest_messages_received_total") == 1.0
    });
    let status = app.stop();
    assert_eq!(status.code(), Some(1));
    assert!(
        app.log().contains("1 messages could neither be stored"),
        "{}",
        app.log()
    );
}
