//! Nothing that was read is lost or stored twice because of the database.

use std::ops::Range;

use serde_json::json;

use crate::support::{FakeNode, TestApp, TestDb, rename_database, wait_until};

/// Sends messages that carry their number.
fn send(node: &mut FakeNode, numbers: Range<u32>) {
    for number in numbers {
        let ts = chrono::Utc::now().to_rfc3339();
        node.send(json!({"id": 1, "payload": {"msg": "m", "n": number}, "ts": ts}).to_string());
    }
}

fn introduce(node: &mut FakeNode, peer: &str) {
    node.send(
        json!({"id": 1, "payload": {"msg": "system.connected", "name": peer, "network_id": peer}})
            .to_string(),
    );
}

/// All numbers up to `count` are stored, each once.
#[track_caller]
fn assert_all_once(db: &TestDb, count: u32) {
    let stored = db.count("SELECT count(*) FROM telemetry_logs WHERE msg = 'm'");
    let distinct =
        db.count("SELECT count(DISTINCT (logs ->> 'n')::int) FROM telemetry_logs WHERE msg = 'm'");
    assert_eq!((stored, distinct), (i64::from(count), i64::from(count)));
}

#[test]
fn messages_wait_on_disk_while_the_database_is_away() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    send(&mut node, 0..500);
    app.db.refuse_connections();
    send(&mut node, 500..1_000);
    wait_until("batches go to disk", || {
        app.metric("store_spool_messages") > 0.0
    });
    wait_until("the memory is empty", || {
        app.metric("ingest_queue_messages") == 0.0
    });
    assert_eq!(app.metric("store_database_up"), 0.0);
    let nodes = app.get("/nodes");
    assert_eq!(nodes.status, 503);
    assert!(nodes.headers.contains_key("retry-after"));
    assert!(!app.is_well());
    assert_eq!(app.get("/health/ready").status, 200);
    assert_eq!(app.get("/health/live").status, 200);
    app.db.allow_connections();
    send(&mut node, 1_000..1_500);
    app.wait_stored(1_501);
    assert_all_once(&app.db, 1_500);
    let of_peer = "SELECT count(*) FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE p.peer_id = 'peer'";
    assert_eq!(app.db.count(of_peer), 1_501);
    wait_until("the spool is empty", || {
        app.metric("store_spool_batches") == 0.0
    });
    wait_until("it is ready again", || app.is_well());
}

#[test]
fn a_server_started_without_its_database_takes_telemetry() {
    let db = TestDb::empty();
    let name = db
        .texts("SELECT current_database()::text AS value")
        .remove(0);
    let hidden = format!("{name}_hidden");
    rename_database(&name, &hidden);
    let app = TestApp::builder().db(db).start_listening();
    let mut node = app.node("/submit");
    introduce(&mut node, "early");
    send(&mut node, 0..300);
    wait_until("they wait on disk", || {
        app.metric("store_spool_messages") == 301.0
    });
    rename_database(&hidden, &name);
    app.wait_stored(301);
    send(&mut node, 300..400);
    app.wait_stored(401);
    assert_all_once(&app.db, 400);
    let sessions =
        "SELECT concat_ws(' ', peer_id, disconnected_at IS NULL) AS value FROM peer_connections";
    assert_eq!(app.db.texts(sessions), ["early t"]);
    let orphans = "SELECT count(*) FROM telemetry_logs l LEFT JOIN peer_connections p ON p.id = l.peer_connection_id WHERE p.id IS NULL";
    assert_eq!(app.db.count(orphans), 0);
}

#[test]
fn the_spool_survives_a_crash_and_sessions_of_it_are_ended() {
    let mut app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    send(&mut node, 0..100);
    app.wait_stored(101);
    app.db.refuse_connections();
    let mut late = app.node("/submit");
    introduce(&mut late, "late");
    send(&mut node, 100..600);
    wait_until("they wait on disk", || {
        app.metric("store_spool_messages") + app.metric("ingest_messages_stored_total") == 602.0
    });
    app.kill();
    app.db.allow_connections();
    let app = app.start_again();
    wait_until("all is stored", || {
        app.db.count("SELECT count(*) FROM telemetry_logs") == 602
    });
    assert_all_once(&app.db, 600);
    wait_until("the spool is empty", || {
        app.metric("store_spool_batches") == 0.0
    });
    let ended =
        "SELECT peer_id || ' ' || disconnect_reason AS value FROM peer_connections ORDER BY 1";
    assert_eq!(
        app.db.texts(ended),
        ["late server_lost", "peer server_lost"]
    );
}

#[test]
fn a_torn_spool_file_costs_only_itself() {
    let mut app = TestApp::start();
    let mut node = app.node("/submit");
    app.db.refuse_connections();
    for start in [0, 100, 200] {
        send(&mut node, start..start + 100);
        let waiting = f64::from(start + 100);
        wait_until("they wait on disk", || {
            app.metric("store_spool_messages") == waiting
        });
    }
    app.kill();
    let spool = app.data_dir().join("spool");
    let batches = || -> Vec<_> {
        let files = std::fs::read_dir(&spool)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut batches: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|ext| ext == "batch"))
            .collect();
        batches.sort();
        batches
    };
    let last = batches().pop().unwrap();
    let whole = std::fs::read(&last).unwrap();
    std::fs::write(&last, &whole[..whole.len() - 10]).unwrap();
    app.db.allow_connections();
    let app = app.start_again();
    wait_until("the spool is empty", || {
        app.metric("store_spool_batches") == 0.0
    });
    assert_eq!(app.metric("store_spool_torn_total"), 1.0);
    let lost = app.metric_with("ingest_messages_dropped_total", "spool_torn");
    assert!((1.0..=100.0).contains(&lost), "{lost}");
    let stored =
        f64::from(u32::try_from(app.db.count("SELECT count(*) FROM telemetry_logs")).unwrap());
    assert_eq!(stored + lost, 300.0);
}

#[test]
fn stopping_while_the_database_is_away_puts_everything_on_disk() {
    let mut app = TestApp::builder().env("DB_SAVE_LATENCY_MS", 60_000).start();
    let mut node = app.node("/submit");
    send(&mut node, 0..200);
    wait_until("all are read", || {
        app.metric("ingest_messages_received_total") == 200.0
    });
    app.db.refuse_connections();
    assert!(app.stop().success(), "{}", app.log());
    assert!(
        app.log()
            .contains("messages wait on disk for the next start"),
        "{}",
        app.log()
    );
    app.db.allow_connections();
    let app = app.start_again();
    app.wait_stored(200);
    assert_all_once(&app.db, 200);
}

#[test]
fn a_table_that_is_locked_sends_batches_to_disk_and_stops_nobody() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    send(&mut node, 0..10);
    app.wait_stored(10);
    let mut locker = app.db.lock("telemetry_messages");
    let mut sent = 10;
    wait_until("batches go to disk", || {
        send(&mut node, sent..sent + 20);
        sent += 20;
        app.metric("store_spool_messages") > 100.0
    });
    diesel::connection::SimpleConnection::batch_execute(&mut locker, "ROLLBACK").unwrap();
    app.wait_stored(sent);
    assert_all_once(&app.db, sent);
}

#[test]
fn a_read_only_database_sends_batches_to_disk_until_it_is_writable_again() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    send(&mut node, 0..10);
    app.wait_stored(10);
    app.db.set_read_only(true);
    send(&mut node, 10..200);
    wait_until("batches go to disk", || {
        app.metric("store_spool_messages") > 0.0
    });
    assert_eq!(app.metric("ingest_messages_rejected_total"), 0.0);
    app.db.set_read_only(false);
    app.wait_stored(200);
    assert_all_once(&app.db, 200);
}

#[test]
fn without_a_spool_a_full_queue_drops_counts_and_recovers() {
    let app = TestApp::builder()
        .env("SPOOL_MAX_BYTES", 0)
        .env("QUEUE_ROWS_MAX", 16_384)
        .env("HOLD_BACK_MS", 50)
        .start();
    let mut node = app.node("/submit");
    send(&mut node, 0..1);
    app.wait_stored(1);
    app.db.refuse_connections();
    send(&mut node, 1..40_001);
    wait_until("some are dropped", || {
        app.metric_with("ingest_messages_dropped_total", "queue_full") > 0.0
    });
    assert!(app.metric("ingest_queue_messages") <= 16_384.0);
    // There is no room for messages, so others should get the nodes.
    wait_until("it says that it takes nothing", || {
        let ready = app.get("/health/ready");
        ready.status == 503 && ready.json()["checks"][1]["name"] == "telemetry"
    });
    assert_eq!(app.get("/health").json()["status"], "unavailable");
    app.db.allow_connections();
    wait_until("all are read", || {
        app.metric("ingest_messages_received_total") == 40_001.0
    });
    wait_until("nothing is pending", || app.metric("ingest_pending") == 0.0);
    let before = app.metric("ingest_messages_stored_total");
    send(&mut node, 40_001..40_101);
    wait_until("all goes on", || {
        app.metric("ingest_messages_stored_total") >= before + 100.0
    });
    assert_eq!(app.get("/health/ready").status, 200);
}

#[test]
fn a_database_that_refuses_for_good_is_named_once_and_messages_wait_on_disk() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    send(&mut node, 0..10);
    app.wait_stored(10);
    app.db
        .execute("ALTER TABLE telemetry_messages RENAME TO hidden");
    send(&mut node, 10..100);
    wait_until("batches go to disk", || {
        app.metric("store_spool_messages") > 0.0
    });
    wait_until("it is named", || {
        let health = app.get("/health");
        health.status == 200 && health.body.contains("the database refuses: 42P01")
    });
    // It is requested several times, and logged once.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let said = app
        .log()
        .matches("go to disk: the database refuses")
        .count();
    assert_eq!(said, 1, "{}", app.log());
    app.db
        .execute("ALTER TABLE hidden RENAME TO telemetry_messages");
    app.wait_stored(100);
    assert_eq!(app.metric("ingest_messages_rejected_total"), 0.0);
    assert_all_once(&app.db, 100);
}

#[test]
fn what_a_node_says_forges_no_line_of_the_log() {
    let app = TestApp::start();
    app.db.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'refused: %', NEW.name; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON peer_connections \
         FOR EACH ROW WHEN (NEW.name LIKE 'evil%') EXECUTE FUNCTION refuse()",
    );
    let mut node = app.node("/submit");
    introduce(
        &mut node,
        "evil\r\n2026-01-01T00:00:00.000Z ERROR forged: \u{1b}[2J",
    );
    wait_until("the refusal is logged", || app.log().contains("forged"));
    let log = app.log();
    assert!(!log.contains(['\u{1b}', '\r']), "{log}");
    let forged = log.lines().find(|line| line.starts_with("2026-01-01"));
    assert_eq!(forged, None);
    // The message itself is stored.
    app.wait_stored(1);
}
