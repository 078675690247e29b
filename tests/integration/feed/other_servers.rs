//! Two servers on one database.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{count, introduce, numbers, say};
use crate::support::{FeedClient, TestApp};

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
