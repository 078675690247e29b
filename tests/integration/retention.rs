//! Expired messages go with their partition; audit data and open sessions stay.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::json;
use tetcore_analytics::store::partitions::{self, Made, PartitionBounds};

use crate::support::{TestApp, TestDb, wait_until};

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// A partition of an hour that ended `hours` ago, with a message of session `session`.
fn old_partition(db: &TestDb, parent: &str, hours: u32, session: u32) {
    db.execute(&format!(
        "DO $$ DECLARE start timestamptz := date_trunc('hour', now()) - interval '{hours} hours'; BEGIN \
         EXECUTE format('CREATE TABLE {parent}_old_{hours} PARTITION OF {parent} FOR VALUES FROM (%L) TO (%L)', start, start + interval '1 hour'); \
         INSERT INTO {parent} (id, created_at, peer_connection_id, kind_id, logs) VALUES ({session}, start + interval '1 minute', {session}, 0, '{{}}'); \
         END $$"
    ));
}

fn session(db: &TestDb, id: u32, ended_days_ago: Option<u32>, audit: bool) {
    let (ended, reason) = match ended_days_ago {
        Some(days) => (format!("now() - interval '{days} days'"), "'idle'"),
        None => ("NULL".to_owned(), "NULL"),
    };
    db.execute(&format!(
        "INSERT INTO peer_connections (id, ip_addr, created_at, audit, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) \
         VALUES ({id}, '127.0.0.1', now() - interval '40 days', {audit}, 1, 'other', now() - interval '10 days', {ended}, {reason})"
    ));
}

#[test]
fn expired_partitions_go_and_everything_else_stays() {
    let db = TestDb::new();
    // The server that holds the open session lives.
    db.execute("INSERT INTO servers VALUES ('other', '1', now(), now())");
    for (hours, id) in [(30, 900_001), (26, 900_002), (3, 900_003)] {
        old_partition(&db, "telemetry_messages", hours, id);
    }
    old_partition(&db, "telemetry_messages_audit", 40, 900_004);
    db.execute(
        "INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs) \
         VALUES (900005, '2001-01-01', 1, 0, '{}')",
    );
    session(&db, 900_001, Some(9), false);
    session(&db, 900_002, None, false);
    session(&db, 900_004, Some(9), true);
    session(&db, 900_006, Some(1), false);
    let app = TestApp::builder()
        .db(db)
        .env("LOG_EXPIRY_H", 24)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    let ids = "SELECT id::text AS value FROM telemetry_logs ORDER BY id";
    wait_until("expired messages are gone", || {
        app.db.texts(ids) == ["900003", "900004"]
    });
    let sessions = "SELECT id::text AS value FROM peer_connections ORDER BY id";
    wait_until("their sessions are gone", || {
        app.db.texts(sessions) == ["900002", "900004", "900006"]
    });
    wait_until("it is counted", || {
        app.metric("retention_purged_sessions_total") == 1.0
    });
    assert_eq!(app.metric("retention_purged_partitions_total"), 2.0);
    wait_until("the oldest partition is the one that is left", || {
        let oldest_hours = app.metric("retention_oldest_partition_age_seconds") / 3_600.0;
        (2.0..5.0).contains(&oldest_hours)
    });
}

#[test]
fn purging_goes_on_while_messages_come_and_while_somebody_reads() {
    let db = TestDb::new();
    old_partition(&db, "telemetry_messages", 48, 900_001);
    let mut reader = db.connect();
    reader
        .batch_execute("BEGIN; SELECT count(*) FROM telemetry_logs")
        .unwrap();
    let app = TestApp::builder()
        .db(db)
        .env("LOG_EXPIRY_H", 24)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    let mut node = app.node("/submit");
    let mut sent = 0;
    // The reader keeps the partition; messages are stored all the same.
    wait_until("purging was tried in vain", || {
        node.send(json!({"id": 1, "payload": {"msg": "m", "n": sent}}).to_string());
        sent += 1;
        app.metric("retention_failures_total") >= 1.0
    });
    app.wait_stored(sent);
    reader.batch_execute("COMMIT").unwrap();
    wait_until("the partition is gone", || {
        app.metric("retention_purged_partitions_total") == 1.0
    });
}

#[test]
fn partitions_are_made_ahead_and_take_in_what_was_caught_outside() {
    let db = TestDb::new();
    db.execute("INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs) VALUES (1, now(), 1, 0, '{}')");
    assert_eq!(
        db.count("SELECT count(*) FROM telemetry_messages_default"),
        1
    );
    let app = TestApp::builder().db(db).start();
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM telemetry_messages_default"),
        0
    );
    assert_eq!(app.db.count("SELECT count(*) FROM telemetry_messages"), 1);
    let ahead = "SELECT count(*) FROM pg_inherits i WHERE i.inhparent = 'telemetry_messages'::regclass \
                 AND substring(pg_get_expr((SELECT relpartbound FROM pg_class WHERE oid = inhrelid), inhrelid) FROM 'FROM \\(''([^'']+)')::timestamptz > now()";
    assert!(app.db.count(ahead) >= 1);
}

#[test]
fn what_waits_for_the_node_of_a_session_goes_with_the_session() {
    let app = TestApp::builder()
        .env("LOG_EXPIRY_H", 24)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    app.wait_projected();
    for (id, days) in [(900_001, 9), (900_002, 1)] {
        app.db.execute(&format!(
            "INSERT INTO session_values (session_id, seen_at) VALUES ({id}, now() - interval '{days} days'); \
             INSERT INTO session_hours (session_id, hour, messages, intervals, lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count) \
             VALUES ({id}, date_trunc('hour', now()) - interval '{days} days', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
        ));
        session(&app.db, id, Some(days), false);
    }
    let left = "SELECT session_id::text AS value FROM session_values \
                UNION ALL SELECT session_id::text FROM session_hours";
    wait_until("those of the purged session are gone", || {
        app.db.texts(left) == ["900002", "900002"]
    });
    assert_eq!(app.db.count("SELECT count(*) FROM peer_connections"), 1);
}

#[test]
fn hours_have_an_expiry_of_their_own_and_charts_of_the_time_before_come_from_the_messages() {
    let db = TestDb::new();
    for (hours, height) in [(72, 7), (30, 8), (2, 9)] {
        old_partition(&db, "telemetry_messages", hours, height);
    }
    db.execute(
        "UPDATE message_kinds SET id = 100 WHERE msg = 'system.interval'; \
         UPDATE telemetry_messages SET logs = jsonb_build_object('height', id), peer_connection_id = 1, \
kind_id = 100; \
         INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) \
         VALUES (1, '::1', 'peer', '0x1', now() - interval '80 hours', 1, 'other', now(), now(), 'closed')",
    );
    let mut app = TestApp::builder().db(db).start();
    app.wait_projected();
    let hours =
        "SELECT best_height::text AS value FROM node_hours WHERE best_height > 0 ORDER BY 1";
    assert_eq!(app.db.texts(hours), ["7", "8", "9"]);
    app.stop();
    let other = TestApp::builder()
        .env("DATABASE_URL", app.db.url())
        .env("ROLLUP_EXPIRY_D", 1)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    wait_until("expired hours are gone", || app.db.texts(hours) == ["9"]);
    let start = (Utc::now() - TimeDelta::hours(100)).format("%FT%TZ");
    let series = other
        .get(&format!(
            "/api/v1/series?peer_id=peer&points=20&start_time={start}"
        ))
        .json();
    let mut heights: Vec<_> = series["points"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|point| point["height"].as_i64())
        .collect();
    heights.dedup();
    assert_eq!(heights, [7, 8, 9], "{series}");
}

#[test]
fn a_partition_that_could_not_be_made_is_made_under_traffic() {
    let db = TestDb::new();
    // A read takes so long that no partition could be made, and more came
    // than can be moved at once.
    db.execute(
        "INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs)
         SELECT i, now() - i * interval '100 microseconds', 1, 0, '{}' FROM generate_series(1, 60000) i;
         INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs)
         VALUES (90001, now() - interval '3 days', 1, 0, '{}'), (90002, now() - interval '2 days', 1, 0, '{}')",
    );
    let mut reader = db.connect();
    reader
        .batch_execute("BEGIN; SELECT count(*) FROM telemetry_logs")
        .unwrap();
    let app = TestApp::builder().db(db).env("PURGE_INTERVAL_S", 1).start();
    let mut node = app.node("/submit");
    let mut sent = 0;
    let mut send = || {
        node.send(json!({"id": 1, "payload": {"msg": "m", "n": sent}}).to_string());
        sent += 1;
        sent
    };
    wait_until("it is an alarm", || {
        send();
        app.metric("retention_stray_messages") >= 60_002.0
            && app.metric("retention_failures_total") >= 1.0
    });
    reader.batch_execute("COMMIT").unwrap();
    wait_until("the default partition is empty", || {
        send();
        app.db
            .count("SELECT count(*) FROM telemetry_messages_default")
            == 0
    });
    wait_until("the alarm is over", || {
        app.metric("retention_stray_messages") == 0.0
    });
    let sent = send();
    app.wait_stored(sent);
    assert_eq!(
        app.db.count("SELECT count(*) FROM telemetry_messages"),
        i64::from(sent) + 60_002
    );
    assert_eq!(app.db.count("SELECT count(*) FROM rejected_messages"), 0);
}

#[test]
fn audit_has_a_partition_for_each_month_with_messages() {
    let app = TestApp::start();
    let partitions = "SELECT inhrelid::regclass::text AS value FROM pg_inherits \
                      WHERE inhparent = 'telemetry_messages_audit'::regclass ORDER BY 1";
    assert_eq!(
        app.db.texts(partitions),
        ["telemetry_messages_audit_default"]
    );
    let mut node = app.node("/audit");
    node.send(json!({"id": 1, "payload": {"msg": "m"}}).to_string());
    app.wait_stored(1);
    let month = app.db.texts("SELECT 'telemetry_messages_audit_p' || to_char(created_at AT TIME ZONE 'UTC', 'YYYYMM') || '0100' AS value FROM telemetry_messages_audit");
    let mut expected = vec!["telemetry_messages_audit_default".to_owned()];
    expected.extend(month);
    assert_eq!(app.db.texts(partitions), expected);
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM telemetry_messages_audit_default"),
        0
    );
}

#[test]
fn a_query_finds_messages_while_they_are_moved_into_their_partition() {
    let db = TestDb::new();
    // The partition is made up to the creation of its table, and waits there.
    db.execute(
        "INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs)
         SELECT i, '2020-01-01T00:00Z'::timestamptz + i * interval '1 s', 1, 0, '{}' FROM generate_series(1, 1000) i;
         CREATE FUNCTION pause() RETURNS event_trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock(1); END $$;
         CREATE EVENT TRIGGER pause ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION pause();",
    );
    let mut holder = db.connect();
    holder.batch_execute("SELECT pg_advisory_lock(1)").unwrap();
    let (mut maker, mut reader) = (db.connect(), db.connect());
    let start: DateTime<Utc> = "2020-01-01T00:00:00Z".parse().unwrap();
    let bounds = PartitionBounds {
        start,
        end: start + TimeDelta::hours(1),
    };
    let waiting = |what: &str| {
        db.count(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%{what}%'"
        )) == 1
    };
    std::thread::scope(|scope| {
        let made = scope.spawn(move || partitions::create(&mut maker, false, bounds));
        wait_until("the table is created", || waiting("ATTACH PARTITION"));
        let count = "SELECT count(*) FROM telemetry_rows WHERE created_at >= '2020-01-01T00:00Z' AND created_at < '2020-01-01T01:00Z'";
        let found = scope.spawn(move || {
            let found: Found = diesel::sql_query(count).get_result(&mut reader).unwrap();
            found.count
        });
        wait_until("the query waits for it", || waiting("FROM telemetry_rows"));
        holder
            .batch_execute("SELECT pg_advisory_unlock(1)")
            .unwrap();
        assert_eq!(made.join().unwrap().unwrap(), Made::Whole);
        assert_eq!(found.join().unwrap(), 1_000);
    });
    let left = "SELECT count(*) FROM telemetry_messages_default";
    assert_eq!(db.count(left), 0);
}
