//! The database is busy with something else.

use std::time::Duration;

use diesel::connection::SimpleConnection;

use super::{assert_all_stored, wait_long};
use crate::support::{Load, TestApp, TestDb, wait_until};

#[test]
fn vacuum_full_of_the_partition_that_is_written_to() {
    vacuum_full(30_000, 3);
}

#[test]
#[ignore = "minutes; run by make soak"]
fn vacuum_full_of_a_million_messages() {
    vacuum_full(1_000_000, 5);
}

fn vacuum_full(rows: u32, times: u32) {
    let app = TestApp::start();
    app.db.execute(&format!(
        "INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs) \
         SELECT -n, now(), 1, 0, '{{}}' FROM generate_series(1, {rows}) n"
    ));
    let partition = "SELECT DISTINCT tableoid::regclass::text AS value FROM telemetry_messages";
    let load = Load::start(app.port(), 0, 1_000);
    for _ in 0..times {
        std::thread::sleep(Duration::from_millis(500));
        for partition in app.db.texts(partition) {
            app.db.execute(&format!("VACUUM FULL {partition}"));
        }
    }
    let sent = load.stop();
    let what = format!("VACUUM FULL of {rows} rows, {times} times");
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
}

#[test]
fn a_purge_during_heavy_ingestion() {
    purge(10, 2_000, Duration::from_secs(3));
}

#[test]
#[ignore = "minutes; run by make soak"]
fn a_purge_of_a_million_messages_during_heavy_ingestion() {
    purge(20, 50_000, Duration::from_secs(30));
}

/// Expired hours go while messages come.
fn purge(hours: u32, rows: u32, length: Duration) {
    let db = TestDb::new();
    let app = TestApp::builder()
        .db(db)
        .env("LOG_EXPIRY_H", 24)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    let load = Load::start(app.port(), 0, 2_000);
    for hour in 0..hours {
        app.db.execute(&format!(
            "DO $$ DECLARE start timestamptz := date_trunc('hour', now()) - interval '{ago} hours'; BEGIN \
             EXECUTE format('CREATE TABLE expired_{ago} (LIKE telemetry_messages INCLUDING ALL)'); \
             EXECUTE format('INSERT INTO expired_{ago} (id, created_at, peer_connection_id, kind_id, logs) \
             SELECT -n, %L::timestamptz, 1, 0, ''{{}}'' FROM generate_series(1, {rows}) n', start); \
             EXECUTE format('ALTER TABLE telemetry_messages ATTACH PARTITION expired_{ago} FOR VALUES FROM (%L) TO (%L)', start, start + interval '1 hour'); \
             END $$",
            ago = 48 + hour
        ));
    }
    std::thread::sleep(length);
    wait_long(&app, "all that is expired is purged", || {
        app.metric("retention_purged_partitions_total") >= f64::from(hours)
    });
    let sent = load.stop();
    let what = format!("purge of {hours} partitions with {rows} messages each");
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM telemetry_messages WHERE id < 0"),
        0
    );
}

/// Queries that wait for a lock hold all connections for queries.
#[test]
fn an_exhausted_read_pool_does_not_slow_ingestion() {
    let app = TestApp::builder()
        .env("DB_POOL_SIZE", 2)
        .env("DB_POOL_TIMEOUT_S", 1)
        .env("STATEMENT_TIMEOUT_S", 6)
        .start();
    let mut locker = app.db.connect();
    locker
        .batch_execute("BEGIN; LOCK TABLE benchmarks")
        .unwrap();
    let load = Load::start(app.port(), 0, 2_000);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| app.get("/benchmarks"));
        }
        let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                       WHERE NOT l.granted AND d.datname = current_database()";
        wait_until("the pool is exhausted", || app.db.count(waiting) == 2);
        let refused = app.get("/nodes");
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.headers.contains_key("retry-after"));
        std::thread::sleep(Duration::from_secs(2));
        // What was sent more than a second ago is stored; nothing waits on disk.
        let waiting = f64::from(load.next()) - app.metric("ingest_messages_stored_total");
        assert!(waiting < 2_000.0, "{waiting}");
        assert_eq!(app.metric("store_spool_written_total"), 0.0);
        locker.batch_execute("ROLLBACK").unwrap();
    });
    assert_eq!(app.get("/nodes").status, 200);
    let sent = load.stop();
    assert_all_stored("exhausted read pool", &app, sent.numbers.end, |query| {
        app.db.count(query)
    });
}
