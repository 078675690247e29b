//! The network between the server and its database fails.

use std::time::{Duration, Instant};

use super::{account, assert_all_stored, wait_long};
use crate::support::{ChaosProxy, Load, TestApp, TestDb, wait_until};

/// A server that reaches its database through a proxy.
fn start(seed: u64) -> (ChaosProxy, TestApp) {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), seed);
    let app = TestApp::builder()
        .env("DATABASE_URL", proxy.url(&db.url()))
        .db(db)
        .start();
    (proxy, app)
}

#[test]
fn a_black_hole_of_5_seconds() {
    black_hole(Duration::from_secs(5));
}

#[test]
#[ignore = "minutes; run by make soak"]
fn a_black_hole_of_60_seconds() {
    black_hole(Duration::from_secs(60));
}

fn black_hole(length: Duration) {
    let (proxy, app) = start(1);
    let load = Load::start(app.port(), 0, 2_000);
    std::thread::sleep(Duration::from_secs(1));
    proxy.set_silent(true);
    std::thread::sleep(length);
    // Nodes were read all the time.
    let unread = f64::from(load.next()) - app.metric("ingest_messages_received_total");
    assert!(unread < 2_000.0, "{unread}");
    assert!(app.metric("store_spool_messages") > 0.0);
    proxy.set_silent(false);
    std::thread::sleep(Duration::from_secs(1));
    let sent = load.stop();
    let what = format!("black hole of {} s", length.as_secs());
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
}

#[test]
fn connections_are_cut_40_times() {
    connections_are_cut(40);
}

#[test]
#[ignore = "minutes; run by make soak"]
fn connections_are_cut_500_times() {
    connections_are_cut(500);
}

fn connections_are_cut(times: u64) {
    let (proxy, app) = start(2);
    proxy.cut(times);
    // Those that are made from now on will be cut.
    app.db.refuse_connections();
    app.db.allow_connections();
    let load = Load::start(app.port(), 0, 2_000);
    wait_long(&app, "all cuts are made", || proxy.cuts().0 == times);
    let sent = load.stop();
    let (cuts, after_commit) = proxy.cuts();
    let what = format!("{cuts} cuts, {after_commit} of them after COMMIT");
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
    let recognised = app.metric("store_batches_recognised_total");
    eprintln!("{what}: {recognised} batches recognised");
    assert!(after_commit > times / 4);
    assert!(recognised > 0.0);
}

#[test]
fn answers_come_half_a_second_late() {
    answers_come_late(Duration::from_secs(5));
}

#[test]
#[ignore = "minutes; run by make soak"]
fn answers_come_half_a_second_late_for_a_minute() {
    answers_come_late(Duration::from_secs(60));
}

fn answers_come_late(length: Duration) {
    let (proxy, app) = start(3);
    proxy.delay_answers(Duration::from_millis(500));
    let load = Load::start(app.port(), 0, 1_000);
    std::thread::sleep(length);
    // Slow is not away.
    wait_long(&app, "messages are stored", || {
        app.metric("ingest_messages_stored_total") > 0.0
    });
    let stored = app.metric("ingest_messages_stored_total");
    let sent = load.stop();
    eprintln!(
        "{stored} of {} messages are stored, {} wait on disk",
        sent.numbers.end,
        app.metric("store_spool_messages")
    );
    // A batch from disk takes seconds as long as answers are late.
    proxy.delay_answers(Duration::ZERO);
    let what = format!("answers 500 ms late for {} s", length.as_secs());
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
}

#[test]
fn what_waits_on_disk_comes_back_quickly_over_a_slow_network() {
    let (proxy, app) = start(8);
    app.db.refuse_connections();
    let load = Load::start(app.port(), 0, 1_000);
    wait_long(&app, "many batches are on disk", || {
        app.metric("store_spool_batches") >= 100.0
    });
    let sent = load.stop();
    wait_long(&app, "all are on disk", || {
        app.metric("store_spool_messages") == app.metric("ingest_pending")
            && app.metric("ingest_messages_received_total") == f64::from(sent.numbers.end)
    });
    let batches = app.metric("store_spool_batches");
    let (waiting, before) = (
        app.metric("store_spool_messages"),
        app.metric("store_batch_seconds_count"),
    );
    proxy.delay_answers(Duration::from_millis(500));
    app.db.allow_connections();
    let back_at = Instant::now();
    let what = "from disk over a slow network";
    assert_all_stored(what, &app, sent.numbers.end, |query| app.db.count(query));
    let transactions = app.metric("store_batch_seconds_count") - before;
    eprintln!(
        "{what}: {waiting} messages in {batches} batches and {transactions} transactions, {:.0} messages/s",
        waiting / back_at.elapsed().as_secs_f64()
    );
    assert!(transactions < batches / 5.0);
}

#[test]
fn ten_kilobytes_a_second_for_4_seconds() {
    ten_kilobytes_a_second(Duration::from_secs(4));
}

#[test]
#[ignore = "minutes; run by make soak"]
fn ten_kilobytes_a_second_for_a_minute() {
    ten_kilobytes_a_second(Duration::from_secs(60));
}

/// About twice as much as fits through, so that it has to wait somewhere.
fn ten_kilobytes_a_second(length: Duration) {
    let (proxy, app) = start(4);
    proxy.limit_bandwidth(10_000);
    let load = Load::start(app.port(), 0, 500);
    std::thread::sleep(length);
    let sent = load.stop();
    let waiting = sent.numbers.end as f64 - app.metric("ingest_messages_stored_total");
    assert!(waiting > 100.0, "{waiting}");
    let what = format!("10 kB a second for {} s", length.as_secs());
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
}

/// It answers often enough not to count as away, but stores less than comes.
#[test]
fn a_database_that_is_too_slow_for_the_memory_costs_nothing() {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), 9);
    let app = TestApp::builder()
        .env("DATABASE_URL", proxy.url(&db.url()))
        .env("DB_WRITERS", 2)
        .env("QUEUE_ROWS_MAX", 16_384)
        .env("HOLD_BACK_MS", 200)
        .db(db)
        .start();
    proxy.limit_bandwidth(400_000);
    let load = Load::start(app.port(), 0, 19_000);
    wait_long(&app, "batches go to disk", || {
        app.metric("store_spool_messages") > 5_000.0
    });
    wait_until("batches reach the database too", || {
        app.metric("ingest_messages_stored_total") > 0.0
    });
    assert!(app.log().contains("faster than the database"));
    let sent = load.stop();
    proxy.limit_bandwidth(0);
    let what = "more than the database can store";
    assert_all_stored(what, &app, sent.numbers.end, |query| app.db.count(query));
}

#[test]
fn connections_fall_silent_for_good_12_times() {
    connections_fall_silent(12, 2);
}

#[test]
#[ignore = "minutes; run by make soak"]
fn connections_fall_silent_for_good_100_times() {
    connections_fall_silent(100, 5);
}

/// Something in between acknowledges what the server sends, and forgets it; in
/// the middle of a batch, or after COMMIT. Each time the writer is given up
/// after a while, and its connection, which counts as alive in the database,
/// is ended over another one.
fn connections_fall_silent(times: u64, timeout_s: u64) {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), 5);
    let app = TestApp::builder()
        .env("DATABASE_URL", proxy.url(&db.url()))
        .env("READ_DATABASE_URL", db.url())
        // A server ends when ten of its connections hang for each writer.
        .env("DB_WRITERS", times / 5)
        .env("DB_WRITE_TIMEOUT_S", timeout_s)
        .db(db)
        .start();
    proxy.silence(times);
    app.db.refuse_connections();
    app.db.allow_connections();
    let load = Load::start(app.port(), 0, 1_000);
    wait_long(&app, "all have fallen silent", || proxy.cuts().0 == times);
    // Some of them were for heartbeats, projections, alerts and events, which commit too.
    wait_long(&app, "their writers and other threads are given up", || {
        let writers = app.metric("store_writers_abandoned_total");
        writers > 0.0 && writers + app.metric("database_threads_lost_total") >= (times / 2) as f64
    });
    let sent = load.stop();
    let (_, after_commit) = proxy.cuts();
    let what = format!("{times} connections silent for good, {after_commit} after COMMIT");
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
    assert!(after_commit > times / 4);
    wait_until("it is ready", || app.is_well());
}

/// All connections at once, those for queries too.
#[test]
fn all_connections_fall_silent_for_good() {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), 6);
    let mut app = TestApp::builder()
        .env("DATABASE_URL", proxy.url(&db.url()))
        .env("DB_WRITE_TIMEOUT_S", 2)
        .env("STATEMENT_TIMEOUT_S", 1)
        .env("DB_POOL_TIMEOUT_S", 1)
        .env("DB_POOL_SIZE", 3)
        .db(db)
        .start();
    let load = Load::start(app.port(), 0, 1_000);
    let ask_thrice = |app: &TestApp| {
        std::thread::scope(|scope| {
            let asked = [(); 3].map(|()| scope.spawn(|| app.get("/nodes").status));
            asked.map(|asked| asked.join().unwrap())
        })
    };
    wait_until("all connections are open", || {
        ask_thrice(&app);
        app.metric("query_pool_connections") == 3.0
            && app.metric("ingest_messages_stored_total") > 0.0
    });
    proxy.forget_connections();
    wait_until("it is noticed", || !app.is_well());
    // Sooner or later each of them is tried.
    wait_until("queries are answered", || {
        ask_thrice(&app) == [200; 3] && ask_thrice(&app) == [200; 3]
    });
    wait_until("it is ready", || app.is_well());
    assert!(app.metric("store_writers_abandoned_total") > 0.0);
    let sent = load.stop();
    let what = "all connections silent for good";
    assert_all_stored(what, &app, sent.numbers.end, |query| app.db.count(query));
    // Threads still wait for answers, without an effect on others.
    assert!(app.stop().success(), "{}", app.log());
}

/// Threads that wait in vain cannot be ended; there must not be ever more.
#[test]
fn a_server_with_too_many_writers_that_hang_ends_in_order() {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), 7);
    let mut app = TestApp::builder()
        .env("DATABASE_URL", proxy.url(&db.url()))
        .env("DB_WRITERS", 1)
        .env("DB_WRITE_TIMEOUT_S", 1)
        .env("SHUTDOWN_TIMEOUT_S", 3)
        .db(db)
        .start();
    proxy.silence(u64::MAX);
    app.db.refuse_connections();
    app.db.allow_connections();
    let load = Load::start(app.port(), 0, 500);
    let status = app.wait_for_exit();
    assert_eq!(status.code(), Some(1), "{}", app.log());
    load.end();
    proxy.cut(0);
    let app = app.start_again();
    wait_long(&app, "the spool is empty", || {
        app.metric("store_spool_batches") == 0.0 && app.metric("ingest_pending") == 0.0
    });
    // All that was read, which are all numbers up to the last one.
    let last = "SELECT max((logs ->> 'n')::int) FROM telemetry_logs WHERE msg = 'm'";
    let read = u32::try_from(app.db.count(last) + 1).unwrap();
    let account = account(read, 0, |query| app.db.count(query));
    eprintln!("too many writers that hang: {account:?}");
    assert_eq!(
        (account.stored, account.distinct),
        (account.sent, account.sent)
    );
}
