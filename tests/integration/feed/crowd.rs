//! Many who connect or leave at once, and one who asks without end.

use std::io::{ErrorKind, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{FIN, FakeNode, FeedClient, TEXT, TestApp, frame, wait_until};

/// Memory that a connection may cost while it sends as fast as it can.
const GROWTH_MAX: u64 = 64 << 20;

/// Requests to write together.
const TOGETHER: usize = 1_000;

/// A connection, if it is let in: while many come, some are not even answered.
fn connect(app: &TestApp, path: &str) -> Option<FakeNode> {
    let (client, answer) = FakeNode::try_connect(app.port(), path);
    answer.starts_with("HTTP/1.1 101 ").then_some(client)
}

/// Sends requests in turn, none of which waits for its answer, for a few seconds.
fn flood(app: &TestApp, requests: &[&str]) {
    let before = app.memory_peak();
    let client = FeedClient::connect(app);
    let frames: Vec<u8> = requests
        .iter()
        .flat_map(|text| frame(FIN | TEXT, text.as_bytes()))
        .collect();
    let frames = frames.repeat(TOGETHER);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = client.stream();
            let wait = Some(Duration::from_millis(100));
            stream.set_write_timeout(wait).unwrap();
            let mut rest = frames.as_slice();
            while !is_over.load(Ordering::Relaxed) {
                match stream.write(rest) {
                    Ok(count) if count < rest.len() => rest = &rest[count..],
                    Ok(_) => rest = &frames,
                    // Held back.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // Closed.
                    Err(_) => return,
                }
            }
        });
        thread::sleep(Duration::from_secs(3));
        // Others are answered meanwhile.
        let mut other = FeedClient::connect(app);
        other.ask(&json!({"chain": "c", "interest": "subscribe", "request_id": 1}));
        assert_eq!(other.next(), json!({"ack": {"request_id": 1}}));
        is_over.store(true, Ordering::Relaxed);
    });
    let growth = app.memory_peak() - before;
    eprintln!("{} MiB more", growth >> 20);
    assert!(growth < GROWTH_MAX, "{} MiB more", growth >> 20);
}

#[test]
fn requests_that_come_faster_than_they_are_answered_are_held_back() {
    let app = TestApp::start();
    flood(
        &app,
        &[
            r#"{"interest":"subscribe","peer_id":"p","msg":"m"}"#,
            r#"{"interest":"unsubscribe","peer_id":"p","msg":"m"}"#,
        ],
    );
}

#[test]
fn histories_that_are_given_up_again_do_not_pile_up() {
    let app = TestApp::start();
    flood(
        &app,
        &[
            r#"{"interest":"subscribe","peer_id":"p","msg":"m","start_time":"2020-01-01T00:00:00Z"}"#,
            r#"{"interest":"unsubscribe","peer_id":"p","msg":"m"}"#,
        ],
    );
}

#[test]
fn a_request_that_is_too_long_ends_its_connection_with_a_code() {
    let app = TestApp::start();
    let mut feed = FeedClient::connect(&app);
    feed.send(&" ".repeat(100_000));
    assert_eq!(feed.close_code(), Some(1009));
}

#[test]
fn readers_that_leave_all_at_once_give_their_places_back() {
    let app = TestApp::builder().env("FEED_CONNECTIONS_MAX", 200).start();
    let mut readers = Vec::new();
    for _ in 0..3 {
        wait_until("all places are free again", || {
            while readers.len() < 200 {
                match connect(&app, "/feed") {
                    Some(reader) => readers.push(reader),
                    None => return false,
                }
            }
            true
        });
        wait_until("all readers are there", || {
            app.metric("feed_subscribers") == 200.0
        });
        readers.clear();
    }
    wait_until("nobody is there", || app.metric("feed_subscribers") == 0.0);
}

#[test]
fn a_limit_holds_for_those_that_come_in_the_same_moment() {
    for (setting, path) in [
        ("FEED_CONNECTIONS_MAX", "/feed"),
        ("CONNECTIONS_MAX", "/submit"),
    ] {
        let app = TestApp::builder()
            .env(setting, 20)
            .env("CONNECTIONS_PER_IP_MAX", 0)
            .start();
        let start = Barrier::new(60);
        thread::scope(|scope| {
            let connect = || {
                start.wait();
                connect(&app, path)
            };
            let clients: Vec<_> = (0..60).map(|_| scope.spawn(connect)).collect();
            // Nobody leaves before all have tried; one that was reset has panicked.
            let clients: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            let admitted = clients
                .iter()
                .filter(|client| matches!(client, Ok(Some(_))));
            let admitted = admitted.count();
            assert!((1..=20).contains(&admitted), "{path}: {admitted}");
        });
    }
}
