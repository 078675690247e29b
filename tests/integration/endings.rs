//! However a connection ends, each message that the server has read, or could
//! have read when the node's FIN came, is stored or counted.

use std::io::Write;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use socket2::SockRef;

use crate::support::{FakeNode, TestApp, frame, upgrade, wait_until};

/// FIN and BINARY, the first byte of a message in one frame.
const MESSAGE: u8 = 0x82;

/// The frames of so many messages.
fn messages(count: u32) -> Vec<u8> {
    let ts = chrono::Utc::now().to_rfc3339();
    let numbered =
        |number| json!({"id": 1, "payload": {"msg": "m", "n": number}, "ts": ts}).to_string();
    (0..count)
        .flat_map(|number| frame(MESSAGE, numbered(number).as_bytes()))
        .collect()
}

/// Nodes that send all of `bytes` as fast as they can, at the same time.
fn crowd(app: &TestApp, nodes: usize, bytes: &[u8]) -> Vec<JoinHandle<FakeNode>> {
    (0..nodes)
        .map(|_| {
            let mut node = app.node("/submit");
            let bytes = bytes.to_vec();
            std::thread::spawn(move || {
                node.stream.write_all(&bytes).unwrap();
                node
            })
        })
        .collect()
}

/// How many messages were received, and how many have ended somewhere.
fn account(app: &TestApp) -> (f64, f64) {
    let ends = ["stored", "rejected", "undecodable", "dropped"];
    let ended = ends.map(|end| app.metric(&format!("ingest_messages_{end}_total")));
    let received = app.metric("ingest_messages_received_total");
    (received, ended.iter().sum())
}

/// A server with little memory and nowhere to put it, whose sockets wait for room.
fn overloaded() -> TestApp {
    let app = TestApp::builder()
        .env("QUEUE_ROWS_MAX", 16_384)
        .env("SPOOL_MAX_BYTES", 0)
        .env("HOLD_BACK_MS", 500)
        .start();
    app.db.refuse_connections();
    app
}

/// Waits until nothing is connected and nothing waits; each message that was
/// received has ended somewhere. How many were received.
#[track_caller]
fn received_at_the_end(app: &TestApp) -> f64 {
    wait_until("all connections have ended", || {
        app.metric("ingest_connections") == 0.0
    });
    app.db.allow_connections();
    wait_until("nothing is pending", || app.metric("ingest_pending") == 0.0);
    let (received, ended) = account(app);
    assert_eq!(received, ended, "{}", app.log());
    received
}

#[test]
fn nothing_vanishes_when_nodes_end_by_fin_while_they_are_held_back() {
    let app = overloaded();
    let bytes = messages(8_000);
    for node in crowd(&app, 4, &bytes) {
        node.join().unwrap().leave();
    }
    assert_eq!(received_at_the_end(&app), 32_000.0);
}

#[test]
fn nothing_vanishes_when_nodes_send_flat_out_and_end_by_fin() {
    let app = TestApp::start();
    let bytes = messages(7_500);
    for node in crowd(&app, 20, &bytes) {
        node.join().unwrap().leave();
    }
    assert_eq!(received_at_the_end(&app), 150_000.0);
}

#[test]
fn nothing_vanishes_when_connections_are_reset_while_they_are_held_back() {
    let app = overloaded();
    let bytes = messages(8_000);
    let nodes = crowd(&app, 4, &bytes).into_iter();
    let nodes: Vec<_> = nodes.map(|node| node.join().unwrap()).collect();
    wait_until("the memory is full", || {
        app.metric("ingest_queue_messages") > 14_000.0
    });
    for node in nodes {
        let socket = SockRef::from(&node.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    // What the node had not handed to the network yet is gone with it.
    assert!(received_at_the_end(&app) > 16_384.0);
}

#[test]
fn messages_that_come_together_with_the_upgrade_and_the_fin_are_taken_in_their_order() {
    let app = TestApp::start();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    let mut bytes = upgrade(app.port(), "/submit", "").into_bytes();
    bytes.extend(messages(3_000));
    stream.write_all(&bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    app.wait_stored(3_000);
    wait_until("the connection has ended", || {
        app.metric_with("ingest_connections_closed_total", "closed_by_node") == 1.0
    });
    let in_order = "SELECT count(*) FROM (SELECT (logs ->> 'n')::int AS n, row_number() OVER (ORDER BY id) - 1 AS place FROM telemetry_logs) AS numbered WHERE n = place";
    assert_eq!(app.db.count(in_order), 3_000);
}

#[test]
fn what_comes_over_a_limit_is_counted_to_the_end_of_its_connection() {
    let app = TestApp::builder().env("NODE_FRAMES_PER_S_MAX", 100).start();
    let mut node = app.node("/submit");
    let bytes = messages(200);
    let mut sent = 0;
    let is_over_limit = || app.metric_with("ingest_connections_closed_total", "over_limit") == 1.0;
    while !is_over_limit() {
        node.send_raw(&bytes);
        sent += 200;
        wait_until("all of it is received", || {
            app.metric("ingest_messages_received_total") == f64::from(sent)
        });
    }
    assert_eq!(received_at_the_end(&app), f64::from(sent));
}

#[test]
fn nodes_that_leave_while_the_memory_is_full_are_offline_afterwards() {
    let app = TestApp::builder()
        .env("QUEUE_BYTES_MAX", 1_048_576)
        .env("SPOOL_MAX_BYTES", 0)
        .env("HOLD_BACK_MS", 50)
        .start();
    // More sessions than the part of the memory for what has priority holds.
    let nodes: Vec<_> = (0..150)
        .map(|number| {
            let mut node = app.node("/submit");
            let name = format!("node {number}");
            let facts = json!({"msg": "system.connected", "name": name, "network_id": name});
            node.send(json!({"id": 1, "payload": facts}).to_string());
            node
        })
        .collect();
    app.wait_stored(150);
    app.db.refuse_connections();
    let mut last = app.node("/submit");
    let bytes = messages(1_000);
    while app.metric_with("ingest_messages_dropped_total", "queue_full") == 0.0 {
        last.send_raw(&bytes);
    }
    drop(nodes);
    last.leave();
    wait_until("nobody is connected", || {
        app.metric("ingest_connections") == 0.0
    });
    app.db.allow_connections();
    received_at_the_end(&app);
    wait_until("all of them are offline", || {
        app.db
            .count("SELECT count(*) FROM peer_connections WHERE disconnected_at IS NULL")
            == 0
    });
    assert_eq!(app.metric("ingest_session_ends_lost_total"), 0.0);
}
