//! Faults under load, each with exact counts: what was sent is stored once, or
//! counted as lost.
//!
//! Each fault comes in two lengths: one of seconds for `make test`, and one of
//! minutes for `make soak`. docs/RELIABILITY.md says what they prove.

mod cluster;
mod crash;
mod disk;
mod locks;
mod outage;
mod pooler;
mod projections;
mod promises;
mod proxy;
mod replica;
mod shutdown;
mod watchdog;

use std::time::{Duration, Instant};

use crate::support::TestApp;

/// How long the longest catching up may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits for something that may take minutes.
#[track_caller]
fn wait_long(app: &TestApp, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "waited in vain for: {what}\n{}\n{}",
            app.get("/metrics").body,
            app.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What became of the messages of a test.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    sent: i64,
    stored: i64,
    distinct: i64,
    lost: i64,
}

/// Waits until every message has found its place; of `sent` messages all are
/// stored once or counted as lost. Returns how many are lost.
#[track_caller]
fn assert_accounted(what: &str, app: &TestApp, sent: u32, count: impl Fn(&str) -> i64) -> i64 {
    let started_at = Instant::now();
    wait_long(app, "every message is read", || {
        app.metric("ingest_messages_received_total") >= f64::from(sent)
    });
    wait_long(app, "nothing is pending", || {
        app.metric("ingest_pending") == 0.0
    });
    let lost = app.metric("ingest_messages_dropped_total") as i64;
    let account = account(sent, lost, count);
    eprintln!(
        "{what}: {account:?}; caught up {:.1} s after the last",
        started_at.elapsed().as_secs_f64()
    );
    assert_eq!(account.stored, account.distinct, "duplicates: {account:?}");
    assert_eq!(account.sent, account.stored + account.lost, "{account:?}");
    lost
}

fn account(sent: u32, lost: i64, count: impl Fn(&str) -> i64) -> Account {
    Account {
        sent: i64::from(sent),
        stored: count("SELECT count(*) FROM telemetry_logs WHERE msg = 'm'"),
        distinct: count(
            "SELECT count(DISTINCT (logs ->> 'n')::int) FROM telemetry_logs WHERE msg = 'm'",
        ),
        lost,
    }
}

/// As [`assert_accounted`], and nothing is lost.
#[track_caller]
fn assert_all_stored(what: &str, app: &TestApp, sent: u32, count: impl Fn(&str) -> i64) {
    assert_eq!(assert_accounted(what, app, sent, count), 0);
}
