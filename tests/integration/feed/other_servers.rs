//! Two servers on one database.

use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use serde_json::json;

use super::{count, introduce, numbers, say};
use crate::support::{FeedClient, TestApp, wait_until};

/// A server, and another one on its database.
fn two_servers() -> (TestApp, TestApp) {
    let one = TestApp::start();
    let two = TestApp::builder()
        .env("CACHE_UPDATE_INTERVAL_MS", 200)
        .env("DATABASE_URL", one.db.url())
        .start();
    (one, two)
}

#[test]
fn what_another_server_received_comes_too() {
    let (one, two) = two_servers();
    let mut feed = FeedClient::connect(&two);
    feed.ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe"}));
    feed.ask(&json!({"topic": "presence", "interest": "subscribe"}));
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe", "request_id": 1}));
    feed.next_with("ack");
    // The first look finds what is there already.
    thread::sleep(Duration::from_millis(600));
    let mut node = one.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    count(&mut node, 1, 0..100);
    say(
        &mut node,
        1,
        json!({"msg": "block.import", "height": 5, "best": "0x05", "origin": "Own"}),
    );
    let (items, cursor) = feed.items(100);
    assert_eq!(numbers(&items), (0..100).collect::<Vec<_>>());
    let came = feed.next_with("presence")["presence"][0].clone();
    assert_eq!(
        (&came["event"], &came["peer_id"]),
        (&json!("online"), &json!("peer"))
    );
    while feed.next_with("nodes")["nodes"][0]["height"] != json!(5) {}
    count(&mut node, 1, 100..120);
    one.wait_stored(122);
    drop(feed);
    // The place is the same at either server.
    for app in [&one, &two] {
        let mut feed = FeedClient::connect(app);
        feed.ask(
            &json!({"peer_id": "peer", "msg": "count", "interest": "subscribe", "cursor": cursor}),
        );
        assert_eq!(numbers(&feed.items(20).0), (100..120).collect::<Vec<_>>());
        feed.expect_no_items(Duration::from_millis(600));
    }
    let mut feed = FeedClient::connect(&two);
    feed.ask(&json!({"topic": "presence", "interest": "subscribe", "request_id": 1}));
    feed.next();
    thread::sleep(Duration::from_millis(600));
    node.leave();
    let went = feed.next_with("presence")["presence"][0].clone();
    assert_eq!(
        (&went["event"], &went["peer_id"]),
        (&json!("offline"), &json!("peer"))
    );
}

#[test]
fn history_goes_over_into_what_another_server_receives() {
    let (one, two) = two_servers();
    let mut node = one.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let total: u64 = 1_500;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..total {
                say(&mut node, 1, json!({"msg": "count", "n": n}));
                if n % 5 == 0 {
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
        for number in 0..6 {
            let two = &two;
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(number * 431));
                let mut feed = FeedClient::connect(two);
                feed.ask(&json!({"chain": "chain", "msg": "count", "interest": "subscribe", "start_time": "2020-01-01T00:00:00"}));
                let (items, _) = feed.items(usize::try_from(total).unwrap());
                let mut got = numbers(&items);
                got.sort_unstable();
                assert_eq!(got, (0..total).collect::<Vec<_>>());
                feed.expect_no_items(Duration::from_millis(800));
            });
        }
    });
}

/// Writers store batches side by side, so the one with the session may be the last.
#[test]
fn messages_of_another_server_wait_for_their_session() {
    let (one, two) = two_servers();
    let mut feed = FeedClient::connect(&two);
    feed.ask(&json!({"chain": "chain", "msg": "count", "interest": "subscribe", "request_id": 1}));
    feed.next_with("ack");
    let mut locker = one.db.connect();
    // What holds sessions waits for it, messages alone do not.
    locker
        .batch_execute("BEGIN; LOCK TABLE peer_connections IN EXCLUSIVE MODE")
        .unwrap();
    let mut node = one.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    wait_until("a writer has the session", || {
        one.metric("store_batches_in_flight") == 1.0
    });
    count(&mut node, 1, 0..50);
    one.wait_stored(50);
    feed.expect_no_items(Duration::from_millis(600));
    locker.batch_execute("ROLLBACK").unwrap();
    assert_eq!(numbers(&feed.items(50).0), (0..50).collect::<Vec<_>>());
    feed.expect_no_items(Duration::from_millis(600));
}

#[test]
fn a_long_transaction_holds_nothing_back() {
    let (one, two) = two_servers();
    let mut writer = one.db.connect();
    writer
        .batch_execute("BEGIN; SELECT pg_current_xact_id()")
        .unwrap();
    let mut feed = FeedClient::connect(&two);
    feed.ask(&json!({"chain": "chain", "msg": "count", "interest": "subscribe", "request_id": 1}));
    feed.next_with("ack");
    let mut node = one.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    count(&mut node, 1, 0..20);
    assert_eq!(numbers(&feed.items(20).0), (0..20).collect::<Vec<_>>());
    writer.batch_execute("ROLLBACK").unwrap();
    count(&mut node, 1, 20..40);
    assert_eq!(numbers(&feed.items(20).0), (20..40).collect::<Vec<_>>());
    feed.expect_no_items(Duration::from_millis(600));
}

#[test]
fn a_cursor_repeats_nothing_of_a_server_that_is_gone() {
    let (one, two) = two_servers();
    let mut node = one.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    count(&mut node, 1, 0..20);
    one.wait_stored(21);
    node.leave();
    let (mut one, two) = (one, two.start_again());
    assert!(one.stop().success());
    let subscribe = |more: serde_json::Value| {
        let mut request = json!({"chain": "chain", "msg": "count", "interest": "subscribe"});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        request
    };
    let mut feed = FeedClient::connect(&two);
    feed.ask(&subscribe(json!({"start_time": "2020-01-01T00:00:00"})));
    assert_eq!(numbers(&feed.items(20).0), (0..20).collect::<Vec<_>>());
    let cursor = feed.next_with("cursor")["cursor"].clone();
    let mut feed = FeedClient::connect(&two);
    feed.ask(&subscribe(json!({"cursor": cursor})));
    assert_eq!(feed.next_with("cursor")["data"], json!([]));
    feed.expect_no_items(Duration::from_millis(600));
}

/// Each rollout of a deployment has names of its own.
#[test]
fn cursors_stay_good_after_hundreds_of_servers() {
    let app = TestApp::start();
    let mut conn = app.db.connect();
    conn.batch_execute(
        "INSERT INTO ingest_batches (id, server_id, last_id, first_at, last_at)
         SELECT n, 'server ' || repeat('x', 50) || n, n, now(), now() FROM generate_series(1, 400) AS n",
    )
    .unwrap();
    let app = app.start_again();
    let mut cursor: Option<serde_json::Value> = None;
    for _ in 0..2 {
        let mut feed = FeedClient::connect(&app);
        let mut request = json!({"chain": "chain", "interest": "subscribe", "request_id": 1});
        match &cursor {
            None => request["start_time"] = json!("2020-01-01T00:00:00"),
            Some(cursor) => request["cursor"] = cursor.clone(),
        }
        feed.ask(&request);
        assert_eq!(feed.next(), json!({"ack": {"request_id": 1}}));
        cursor = Some(feed.next_with("cursor")["cursor"].clone());
    }
    assert!(cursor.unwrap().as_str().unwrap().len() > 4_096);
}
