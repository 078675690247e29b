//! A subscriber that stalls gets the number of messages that it missed, or is disconnected;
//! others are not affected.

use std::time::{Duration, Instant};

use serde_json::json;
use socket2::SockRef;

use super::{introduce, say};
use crate::support::{FeedClient, TestApp, wait_until};

/// Small, but larger than a packet of the loopback, which would else crawl.
const RECEIVE_BYTES: usize = 256 * 1024;

/// Large, so that few of them fill what lies between the server and a reader.
const BLOB_BYTES: usize = 400_000;

const SUBSCRIBE: &str = r#"{"peer_id":"peer","msg":"blob","interest":"subscribe","request_id":1}"#;

fn app() -> TestApp {
    TestApp::builder()
        .env("CACHE_UPDATE_INTERVAL_MS", 40)
        .env("NODE_BYTES_PER_S_MAX", 0)
        .start()
}

#[test]
fn a_slow_reader_is_told_what_it_missed_and_others_miss_nothing() {
    let app = app();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut slow = FeedClient::connect(&app);
    SockRef::from(slow.stream())
        .set_recv_buffer_size(RECEIVE_BYTES)
        .unwrap();
    let mut quick = FeedClient::connect(&app);
    for feed in [&mut slow, &mut quick] {
        feed.send(SUBSCRIBE);
        feed.next();
    }
    let text = "x".repeat(BLOB_BYTES);
    let missed = || app.metric_with("feed_messages_missed_total", "slow_reader");
    let mut sent: u64 = 0;
    let mut seen: u64 = 0;
    while missed() < 10.0 {
        say(
            &mut node,
            1,
            json!({"msg": "blob", "n": sent, "text": text}),
        );
        sent += 1;
        // The quick one gets each message, in order.
        while seen < sent {
            for item in quick.items(1).0 {
                assert_eq!(item["n"], json!(seen));
                seen += 1;
            }
        }
        assert!(sent < 5_000);
    }
    // It wakes up, and gets the exact number of messages that it missed.
    let (mut got, mut lagged, mut last) = (0, 0, None);
    while last != Some(sent - 1) {
        let Some(answer) = slow.next_within(Duration::from_secs(5)) else {
            say(
                &mut node,
                1,
                json!({"msg": "blob", "n": sent, "text": "end"}),
            );
            sent += 1;
            continue;
        };
        if let Some(missed) = answer.get("lagged") {
            assert_eq!(
                answer["peer_message"],
                json!({"peer_id": "peer", "msg": "blob"})
            );
            lagged += missed.as_u64().unwrap();
        }
        let items = answer.get("data").and_then(|data| data.as_array());
        for item in items.into_iter().flatten() {
            got += 1;
            last = item["n"].as_u64();
        }
    }
    assert!(lagged >= 10);
    assert_eq!(got + lagged, sent);
}

/// A ping waits behind all that was sent before it, so a slow link answers late.
#[test]
fn a_reader_on_a_slow_link_is_not_taken_for_dead() {
    let app = TestApp::builder()
        .env("CACHE_UPDATE_INTERVAL_MS", 40)
        .env("NODE_BYTES_PER_S_MAX", 0)
        .env("HEARTBEAT_INTERVAL", 1)
        .env("CLIENT_TIMEOUT_S", 2)
        .start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut slow = FeedClient::connect(&app);
    SockRef::from(slow.stream())
        .set_recv_buffer_size(RECEIVE_BYTES)
        .unwrap();
    slow.send(SUBSCRIBE);
    slow.next();
    let text = "x".repeat(BLOB_BYTES);
    let missed = || app.metric_with("feed_messages_missed_total", "slow_reader");
    let mut sent = 0;
    while missed() < 1.0 {
        say(
            &mut node,
            1,
            json!({"msg": "blob", "n": sent, "text": text}),
        );
        sent += 1;
        assert!(sent < 5_000);
    }
    // What is on its way now takes it several times CLIENT_TIMEOUT_S.
    let since = Instant::now();
    let mut got = 0;
    while since.elapsed() < Duration::from_secs(8) {
        got += usize::from(slow.next_within(Duration::from_secs(1)).is_some());
        std::thread::sleep(Duration::from_millis(700));
        if got > 2 {
            say(
                &mut node,
                1,
                json!({"msg": "blob", "n": sent, "text": text}),
            );
        }
    }
    assert!(app.metric("feed_subscribers") == 1.0);
}

#[test]
fn a_reader_that_stalls_for_good_is_given_up() {
    let app = app();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut stalled = FeedClient::connect(&app);
    SockRef::from(stalled.stream())
        .set_recv_buffer_size(RECEIVE_BYTES)
        .unwrap();
    stalled.send(SUBSCRIBE);
    stalled.next();
    let text = "x".repeat(BLOB_BYTES);
    wait_until("it is given up", || {
        say(&mut node, 1, json!({"msg": "blob", "text": text}));
        std::thread::sleep(Duration::from_millis(20));
        app.metric("feed_subscribers_dropped_total") == 1.0
    });
    assert!(app.metric("feed_subscribers") == 0.0);
}
