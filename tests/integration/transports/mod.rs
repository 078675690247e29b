//! Events leave by transports: each of them, through which faults, with exact counts.

mod failures;
mod kinds;
mod outage;
mod plans;
mod replay;
mod server_log;
mod servers;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Received, Receiver, TestApp, TestAppBuilder, TestDb, wait_until};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server that sends by these, quickly.
fn sending(transports: &str) -> TestAppBuilder {
    TestApp::builder()
        .env("EVENT_TRANSPORTS", transports)
        .env("EVENT_BATCH_AGE_MS", 50)
        .env("NOTIFY_ALLOW_PRIVATE", "true")
        .env("NOTIFY_TIMEOUT_S", 2)
}

fn to_webhook(receiver: &Receiver) -> TestAppBuilder {
    sending("webhook")
        .env("EVENT_WEBHOOK_URL", receiver.url())
        .env("EVENT_WEBHOOK_SECRET", KEY)
}

/// Waits until a server has begun with so many transports: what is said from now on is sent.
#[track_caller]
fn wait_begun(db: &TestDb, transports: i64) {
    wait_until("the server has jobs", || {
        db.count("SELECT count(*) FROM leases WHERE name LIKE 'transport:%'") >= transports
    });
    // Events are entered by SQL, and nobody extracts others.
    db.execute(
        "INSERT INTO leases VALUES ('projection:events', 'other', 1000, now(), now() + interval '1 day') \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, expires_at = excluded.expires_at; \
         UPDATE projections SET position = coalesce(position, 0) WHERE name = 'events'",
    );
    wait_until("the transports have begun", || {
        db.count("SELECT count(*) FROM event_transports") == transports
    });
}

/// Enters events as they are extracted from messages: numbers from `first` on, each with
/// `fields` beside its own.
fn say(db: &TestDb, first: i64, count: i64, fields: &str) {
    db.execute(&format!(
        "SELECT make_events_day(now()), make_events_day(now() + interval '1 day');
         INSERT INTO events (event_id, source, peer_id, chain, name, severity, time, received_at, data)
         SELECT 'event ' || n, '12D3KooW' || n % 7, '12D3KooW' || n % 7, 'Testnet', 'transfer',
                (ARRAY['info', 'warn', 'error'])[1 + n % 3], now() - interval '1 second', now(),
                jsonb_build_object('_e', 1, 'n', n) || '{fields}'
         FROM generate_series({first}, {first} + {count} - 1) n"
    ));
}

/// Identities of the events in a request of a webhook.
fn ids(request: &Received) -> Vec<String> {
    let body = request.json();
    assert_eq!(body["type"], "events");
    let events = body["data"]["events"].as_array().unwrap();
    let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
    events.iter().map(id).collect()
}

/// How often each event came.
fn counted(requests: &[Received]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in requests.iter().flat_map(ids) {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

/// Identities of a number of events.
fn expected(range: std::ops::Range<i64>) -> BTreeSet<String> {
    range.map(|n| format!("event {n}")).collect()
}

/// What the server says of a transport.
fn progress(app: &TestApp, name: &str) -> Value {
    let all = app.get("/api/v1/events/transports").json();
    let all = all.as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {all:?}"))
        .clone()
}

/// Waits until a transport has sent so many, and nothing waits.
#[track_caller]
fn wait_sent(app: &TestApp, name: &str, sent: i64) {
    let mut seen = Value::Null;
    wait_until(&format!("{name} has sent {sent}"), || {
        seen = progress(app, name);
        let is_done = seen["sent"] == sent && seen["pending"] == 0 && seen["refused"] == 0;
        if !is_done && seen["sent"].as_i64() > Some(sent) {
            panic!("it has sent more: {seen}");
        }
        is_done
    });
}
