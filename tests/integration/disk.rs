//! That a disk will be full is said before it is.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::support::{TestApp, wait_until};

/// 11 minutes of messages that fill any disk in the 114 years that they are kept.
const MESSAGES: &str = "
    INSERT INTO servers VALUES ('other', '1.0.0', now(), now() + interval '1 day');
    INSERT INTO message_kinds (id, msg) VALUES (30000, 'kind');
    INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
    VALUES (1, '10.0.0.1', 'peer', now() - interval '11 minutes', 1, 'other', now(), now(), 'closed');
    INSERT INTO telemetry_messages
    SELECT n, now(), 1, 30000, NULL, NULL, jsonb_build_object('n', repeat(md5(n::text), 20)) FROM generate_series(1, 40000) AS n;";

#[test]
fn a_disk_that_will_not_last_is_named_at_the_start_and_in_the_metrics() {
    let app = TestApp::builder()
        .env("DATABASE_URL", "")
        .env("LOG_EXPIRY_H", 1_000_000)
        .env("SPOOL_MAX_BYTES", 0)
        .start();
    wait_until("it has looked", || app.metric("disk_available_bytes") > 0.0);
    let text = app.get("/metrics").body;
    assert!(
        text.contains("disk_full_in_seconds NaN"),
        "too little is known"
    );
    assert!(!app.log().contains("the disk of DATA_DIR"));

    let said = app.said();
    let url = said
        .lines()
        .find_map(|line| line.strip_prefix("database: "));
    let mut conn = PgConnection::establish(url.unwrap()).unwrap();
    conn.batch_execute(MESSAGES).unwrap();
    drop(conn);
    let app = app.start_again();
    wait_until("it has warned", || app.log().contains("is full in"));
    assert!(app.log().contains("LOG_EXPIRY_H"), "the cure is named");
    assert!(app.metric("disk_full_in_seconds") > 0.0);
    assert!(app.metric("disk_growth_bytes_per_second") > 1e4);
}

#[test]
fn of_a_database_elsewhere_only_the_disk_of_the_spool_is_judged() {
    let app = TestApp::builder()
        .env("SPOOL_MAX_BYTES", 1_000_000_000_000_000_u64)
        .start();
    wait_until("it has warned", || {
        app.log().contains("less than the spool may still take")
    });
    assert!(
        app.get("/metrics")
            .body
            .contains("disk_full_in_seconds NaN")
    );
}
