//! History and then live: no gap, no repeat.

use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::{count, introduce, numbers, say};
use crate::support::{ChaosProxy, FeedClient, TestApp, TestDb, wait_until};

/// Sends numbered messages for a while and subscribes meanwhile, many times.
pub fn play_and_subscribe(app: &TestApp, subscribers: u64) {
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let total: u64 = 2_000;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..total {
                say(&mut node, 1, json!({"msg": "count", "n": n}));
                if n % 5 == 0 {
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
        for number in 0..subscribers {
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(number * 317 % 3_500));
                let mut feed = FeedClient::connect(app);
                feed.ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe", "start_time": "2020-01-01T00:00:00"}));
                let (items, _) = feed.items(usize::try_from(total).unwrap());
                let mut got = numbers(&items);
                got.sort_unstable();
                assert_eq!(got, (0..total).collect::<Vec<_>>());
                feed.expect_no_items(Duration::from_millis(600));
            });
        }
    });
}

#[test]
fn history_goes_over_into_live_without_gap_or_repeat() {
    play_and_subscribe(&TestApp::start(), 12);
}

#[test]
fn also_when_the_database_is_slow() {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), 1);
    let app = TestApp::builder()
        .env("DATABASE_URL", proxy.url(&db.url()))
        .db(db)
        .start();
    proxy.delay_answers(Duration::from_millis(60));
    play_and_subscribe(&app, 6);
}

/// Writers store batches side by side, so the one with the session may be the last.
#[test]
fn messages_that_are_stored_before_their_session_are_in_the_history() {
    let app = TestApp::start();
    let mut locker = app.db.connect();
    // What holds sessions waits for it, messages alone do not.
    locker
        .batch_execute("BEGIN; LOCK TABLE peer_connections IN EXCLUSIVE MODE")
        .unwrap();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    wait_until("a writer has the session", || {
        app.metric("store_batches_in_flight") == 1.0
    });
    count(&mut node, 1, 0..50);
    app.wait_stored(50);
    let mut feed = FeedClient::connect(&app);
    let start = chrono::Utc::now() - chrono::TimeDelta::minutes(5);
    feed.ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe", "start_time": start.to_rfc3339()}));
    assert_eq!(numbers(&feed.items(50).0), (0..50).collect::<Vec<_>>());
    locker.batch_execute("ROLLBACK").unwrap();
    app.wait_stored(51);
    feed.expect_no_items(Duration::from_millis(600));
}

#[test]
fn a_cursor_goes_on_after_a_reconnect_and_after_a_restart() {
    let app = TestApp::start();
    let subscribe = |cursor: Option<&str>| {
        let mut request =
            json!({"chain": "chain", "msg": "count", "interest": "subscribe", "request_id": 1});
        if let Some(cursor) = cursor {
            request["cursor"] = Value::from(cursor);
        }
        request
    };
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    introduce(&mut node, 2, "other", "chain");
    let mut feed = FeedClient::connect(&app);
    feed.ask(&subscribe(None));
    feed.next();
    count(&mut node, 1, 0..10);
    count(&mut node, 2, 100..110);
    let (items, cursor) = feed.items(20);
    assert_eq!(items.len(), 20);
    drop(feed);
    count(&mut node, 1, 10..20);
    app.wait_stored(32);
    count(&mut node, 2, 110..120);
    let mut feed = FeedClient::connect(&app);
    feed.ask(&subscribe(cursor.as_deref()));
    let (items, cursor) = feed.items(20);
    let mut got = numbers(&items);
    got.sort_unstable();
    assert_eq!(got, (10..20).chain(110..120).collect::<Vec<_>>());
    let cursor = cursor.or_else(|| last_cursor(&mut feed));
    app.wait_stored(42);
    drop(node);
    let app = app.start_again();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    count(&mut node, 1, 20..30);
    app.wait_stored(11);
    let mut feed = FeedClient::connect(&app);
    feed.ask(&subscribe(cursor.as_deref()));
    let (items, _) = feed.items(10);
    assert_eq!(numbers(&items), (20..30).collect::<Vec<_>>());
    feed.expect_no_items(Duration::from_millis(600));
}

/// The cursor at the end of a history, which may come with no data.
fn last_cursor(feed: &mut FeedClient) -> Option<String> {
    let answer = feed.next_with("cursor");
    answer["cursor"].as_str().map(str::to_owned)
}

#[test]
fn messages_are_live_while_the_database_is_away() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    app.wait_stored(1);
    app.db.refuse_connections();
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe"}));
    wait_until("the subscription is there", || {
        app.metric("feed_subscriptions") == 1.0
    });
    count(&mut node, 1, 0..50);
    assert_eq!(numbers(&feed.items(50).0), (0..50).collect::<Vec<_>>());
    // Its history waits for what is on disk.
    let mut late = FeedClient::connect(&app);
    late.ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe", "start_time": "2020-01-01T00:00:00Z"}));
    wait_until("the messages are on disk", || {
        app.metric("store_spool_messages") >= 50.0
    });
    app.db.allow_connections();
    assert_eq!(numbers(&late.items(50).0), (0..50).collect::<Vec<_>>());
    app.wait_stored(51);
}
