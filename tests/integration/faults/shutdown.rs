//! The server stops while much waits.

use std::time::{Duration, Instant};

use super::{account, wait_long};
use crate::support::{Load, TestApp};

const QUEUED: u32 = 100_000;

/// A server with [`QUEUED`] messages in memory or on disk, because the table
/// is locked; the lock ends with the connection.
fn start_with_queue(spool_bytes_max: u64, timeout_s: u64) -> (TestApp, diesel::PgConnection) {
    let app = TestApp::builder()
        .env("QUEUE_ROWS_MAX", 2 * QUEUED)
        .env("SPOOL_MAX_BYTES", spool_bytes_max)
        .env("SHUTDOWN_TIMEOUT_S", timeout_s)
        .start();
    let locker = app.db.lock("telemetry_messages");
    let load = Load::start(app.port(), 0, 25_000);
    wait_long(&app, "enough is sent", || load.next() >= QUEUED);
    let sent = load.stop();
    wait_long(&app, "all is read", || {
        app.metric("ingest_messages_received_total") == f64::from(sent.numbers.end)
    });
    assert!(app.metric("ingest_pending") >= f64::from(QUEUED));
    assert_eq!(app.metric("ingest_messages_dropped_total"), 0.0);
    (app, locker)
}

#[test]
fn a_hundred_thousand_messages_in_memory_are_stored_before_the_end() {
    // Nothing can go to disk, so all of them are in memory.
    let (mut app, locker) = start_with_queue(0, 30);
    let received = app.metric("ingest_messages_received_total") as u32;
    app.signal("TERM");
    std::thread::sleep(Duration::from_secs(1));
    let unlocked_at = Instant::now();
    drop(locker);
    assert!(app.wait_for_exit().success(), "{}", app.log());
    let account = account(received, 0, |query| app.db.count(query));
    eprintln!(
        "SIGTERM with all in memory: {account:?}; ended {:.1} s after the lock",
        unlocked_at.elapsed().as_secs_f64()
    );
    assert_eq!(
        (account.stored, account.distinct),
        (account.sent, account.sent)
    );
}

#[test]
fn a_hundred_thousand_messages_are_on_disk_at_the_end_if_the_table_stays_locked() {
    let (mut app, locker) = start_with_queue(1 << 30, 6);
    let received = app.metric("ingest_messages_received_total") as u32;
    let stopped_at = Instant::now();
    assert!(app.stop().success(), "{}", app.log());
    let took = stopped_at.elapsed();
    drop(locker);
    let app = app.start_again();
    wait_long(&app, "the spool is empty", || {
        app.metric("store_spool_batches") == 0.0 && app.metric("ingest_pending") == 0.0
    });
    let account = account(received, 0, |query| app.db.count(query));
    eprintln!(
        "SIGTERM with the table locked: {account:?}; ended after {:.1} s",
        took.as_secs_f64()
    );
    assert_eq!(
        (account.stored, account.distinct),
        (account.sent, account.sent)
    );
    assert!(took < Duration::from_secs(8));
}
