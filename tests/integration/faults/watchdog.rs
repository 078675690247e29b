//! The threads of jobs, when answers of the database are lost for good.

use diesel::connection::SimpleConnection;

use super::wait_long;
use crate::feed::{count, introduce};
use crate::support::{ChaosProxy, TestApp, TestDb, wait_until};

/// Something in between acknowledges what the server sends, and passes nothing on. The
/// heartbeat, the projections, the status of nodes and retention go on over new connections.
#[test]
fn jobs_go_on_when_their_connections_fall_silent_for_good() {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), 11);
    let app = TestApp::builder()
        .env("DATABASE_URL", proxy.url(&db.url()))
        .env("DB_WRITE_TIMEOUT_S", 1)
        .env("STATEMENT_TIMEOUT_S", 1)
        .env("PURGE_INTERVAL_S", 1)
        .db(db)
        .start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    wait_until("the node is judged", || {
        app.db.count("SELECT count(*) FROM node_status") == 1
    });
    // Retention connects for each run: it is held in one.
    let mut locker = app.db.connect();
    locker
        .batch_execute(
            "BEGIN; LOCK TABLE ONLY telemetry_messages_audit_default IN ACCESS EXCLUSIVE MODE",
        )
        .unwrap();
    wait_until("retention waits", || {
        app.db.count(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE application_name = 'tetcore-analytics retention' AND wait_event_type = 'Lock'",
        ) == 1
    });
    let purged = app.metric("retention_purge_seconds_count");
    proxy.forget_connections();
    locker.batch_execute("ROLLBACK").unwrap();
    let silent_at = app
        .db
        .texts("SELECT clock_timestamp()::text AS value")
        .remove(0);
    count(&mut node, 1, 0..10);
    wait_long(&app, "the heart beats", || {
        app.db.count(&format!(
            "SELECT count(*) FROM servers WHERE heartbeat_at > '{silent_at}'::timestamptz + interval '1 s'"
        )) == 1
    });
    wait_long(&app, "nodes are judged", || {
        app.db.count(&format!(
            "SELECT count(*) FROM status_progress WHERE judged_at > '{silent_at}'::timestamptz + interval '1 s'"
        )) == 1
    });
    wait_long(&app, "all is stored and projected", || {
        let behind = "SELECT count(*) FROM projections p JOIN ingest_batches b ON b.transaction_id >= p.position";
        app.metric("ingest_messages_stored_total") == 11.0 && app.db.count(behind) == 0
    });
    wait_long(&app, "retention goes on", || {
        app.metric("retention_purge_seconds_count") > purged
    });
    let lost = app.metric("database_threads_lost_total");
    assert!((4.0..10.0).contains(&lost), "{lost} threads lost");
}
