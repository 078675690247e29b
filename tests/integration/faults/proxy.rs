//! The network between the server and its database fails.

use std::time::Duration;

use super::{assert_all_stored, wait_long};
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

/// Something in between acknowledges and forgets: the writers are given up
/// after 90 s, and others take their place.
#[test]
#[ignore = "minutes; run by make soak"]
fn connections_that_fell_silent_for_good() {
    let (proxy, app) = start(5);
    let load = Load::start(app.port(), 0, 1_000);
    wait_until("some are stored", || {
        app.metric("ingest_messages_stored_total") > 0.0
    });
    proxy.forget_connections();
    wait_until("it is noticed", || app.get("/health/ready").status == 503);
    wait_long(&app, "the writers are given up", || {
        app.metric("store_writers_abandoned_total") > 0.0
    });
    let sent = load.stop();
    assert_all_stored(
        "connections silent for good",
        &app,
        sent.numbers.end,
        |query| app.db.count(query),
    );
}
