//! Many subscribers that connect or leave at once, and one that sends requests without end.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use socket2::SockRef;

use super::{count, introduce, numbers, say};
use crate::support::{FIN, FakeNode, FeedClient, TEXT, TestApp, frame, wait_until};

/// Memory that a connection may cost while it sends as fast as it can.
const GROWTH_MAX: u64 = 64 << 20;

/// Pages that are open when a deployment restarts.
const CROWD: u32 = 500;

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
            // All stay until each has tried; one that was reset has panicked.
            let clients: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            let admitted = clients
                .iter()
                .filter(|client| matches!(client, Ok(Some(_))));
            let admitted = admitted.count();
            assert!((1..=20).contains(&admitted), "{path}: {admitted}");
        });
    }
}

/// Enters nodes that came and went, with names of so many bytes.
fn enter_nodes(app: &TestApp, count: usize, name_bytes: usize) {
    app.db.execute(&format!(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, audit, name, chain, version, authority, startup_time, implementation, \
           connection_id, server_id, genesis_hash, last_seen_at, disconnected_at, disconnect_reason) \
         SELECT -i, '10.0.0.1', 'gone-' || i, now() - interval '2 hours', false, repeat('x', {name_bytes}), 'Chain', '1.0.0', false, '0', 'substrate-node', \
           -i, 'before', '0x01', now() - interval '1 hour', now() - interval '1 hour', 'closed_by_node' FROM generate_series(1, {count}) i; \
         INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, disconnect_reason, best_height, best_at) \
         SELECT peer_id, genesis_hash, name, chain, id, created_at, id, created_at, last_seen_at, false, disconnected_at, disconnect_reason, 1, created_at \
         FROM peer_connections WHERE server_id = 'before'; \
         ANALYZE peer_connections; ANALYZE nodes"
    ));
}

/// Reads the table of all nodes until it is complete; the number of nodes.
fn read_table(feed: &mut FeedClient) -> usize {
    let mut nodes = HashSet::new();
    loop {
        let answer = feed.next_with("nodes");
        let rows = answer["nodes"].as_array().unwrap().iter();
        nodes.extend(rows.map(|row| row["peer_id"].as_str().unwrap().to_owned()));
        if answer["complete"] == true {
            return nodes.len();
        }
    }
}

#[test]
fn readers_of_a_large_table_who_read_nothing_hold_a_bounded_part_of_it() {
    let nodes = 5_000;
    let app = TestApp::builder().env("CLIENT_TIMEOUT_S", 60).start();
    // A reader gets 20 MB.
    enter_nodes(&app, nodes, 4_000);
    let subscribe = json!({"topic": "nodes", "interest": "subscribe"});
    let mut first = FeedClient::connect(&app);
    first.ask(&subscribe);
    assert_eq!(read_table(&mut first), nodes);
    let before = app.memory_peak();
    let mut slow: Vec<FeedClient> = (0..20).map(|_| FeedClient::connect(&app)).collect();
    for feed in &mut slow {
        let socket = SockRef::from(feed.stream());
        socket.set_recv_buffer_size(256 << 10).unwrap();
        feed.ask(&subscribe);
    }
    let mut quick = FeedClient::connect(&app);
    quick.ask(&subscribe);
    assert_eq!(read_table(&mut quick), nodes);
    let growth = app.memory_peak() - before;
    eprintln!("{} MiB more", growth >> 20);
    assert!(growth < 200 << 20, "{} MiB more", growth >> 20);
    // Reading late is no reason to get less; those that read nothing for 30 s are given up.
    for feed in slow.iter_mut().take(3) {
        assert_eq!(read_table(feed), nodes);
    }
}

/// Ends what runs beside a test, also if that fails.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A deployment restarts while many pages are open.
#[test]
fn a_crowd_that_subscribes_at_once_silences_nobody() {
    // Pages that read nothing yet are not given up meanwhile.
    let app = TestApp::builder()
        .env("CONNECTIONS_PER_IP_MAX", 0)
        .env("CLIENT_TIMEOUT_S", 60)
        .start();
    enter_nodes(&app, 1_000, 20);
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut reader = FeedClient::connect(&app);
    reader
        .ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe", "request_id": 1}));
    reader.next();
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                count(&mut node, 1, sent..sent + 5);
                sent += 5;
                thread::sleep(Duration::from_millis(20));
            }
            sent
        });
        let _ends_it = OnDrop(&is_over);
        let mut crowd: Vec<FeedClient> = (0..CROWD).map(|_| FeedClient::connect(&app)).collect();
        for (number, page) in crowd.iter_mut().enumerate() {
            for topic in ["nodes", "presence"] {
                page.ask(&json!({"topic": topic, "interest": "subscribe"}));
            }
            for msg in 0..10 {
                page.ask(&json!({"chain": format!("chain {number}"), "msg": format!("kind {msg}"), "interest": "subscribe"}));
            }
        }
        // However slow the machine is, it goes on.
        let (mut subscribed, all) = (0.0, f64::from(CROWD) * 12.0 + 1.0);
        while subscribed < all {
            wait_until("more have subscribed", || {
                app.metric("feed_subscriptions") > subscribed
            });
            subscribed = app.metric("feed_subscriptions");
        }
        is_over.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    let (items, _) = reader.items(usize::try_from(sent).unwrap());
    assert_eq!(numbers(&items), (0..sent).collect::<Vec<_>>());
    assert!(app.metric_with("feed_messages_missed_total", "hub_busy") == 0.0);
}

#[test]
fn a_reader_with_a_hundred_subscriptions_misses_nothing() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut reader = FeedClient::connect(&app);
    for number in 0..100 {
        reader.ask(
            &json!({"peer_id": "peer", "msg": format!("kind {number}"), "interest": "subscribe", "request_id": 1}),
        );
        assert_eq!(reader.next(), json!({"ack": {"request_id": 1}}));
    }
    for round in 0..5 {
        for number in 0..100 {
            say(
                &mut node,
                1,
                json!({"msg": format!("kind {number}"), "n": round}),
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
    let mut items = 0;
    while items < 500 {
        let answer = reader.next();
        assert!(answer.get("lagged").is_none(), "{answer}");
        items += answer["data"].as_array().unwrap().len();
    }
}
