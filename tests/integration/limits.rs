//! Limits of connections and addresses, and what becomes of those over them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::hostile::{Attacked, message, push};
use crate::support::{FakeNode, TestApp, frame, upgrade, wait_until};

const BINARY: u8 = 0x82;

#[test]
fn who_stays_over_the_limit_is_closed_and_refused_for_a_while() {
    let attacked = Attacked::start(&[("NODE_BYTES_PER_S_MAX", 20_000), ("BLOCK_S", 3)]);
    let mut flood = attacked.app.node("/submit");
    let mut sent = 0.0;
    let bytes = frame(BINARY, message("flood").as_bytes()).repeat(100);
    while push(&mut flood.stream, &bytes) {
        sent += 100.0;
        assert!(sent < 1e7);
        std::thread::sleep(Duration::from_millis(20));
    }
    let closed_at = Instant::now();
    let app = &attacked.app;
    wait_until("it is counted", || attacked.closed("over_limit") == 1.0);
    let (_, answer) = FakeNode::try_connect(app.port(), "/submit");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let refused = app.metric_with("ingest_connections_refused_total", "\"blocked\"");
    assert_eq!(refused, 1.0);
    assert_eq!(app.metric("ingest_addresses_blocked_total"), 1.0);
    assert_eq!(app.log().matches("stayed over its limit").count(), 1);
    let log = app.log();
    let line = log
        .lines()
        .find(|line| line.contains("stayed over its limit"));
    assert!(!line.unwrap().contains("127.0.0.1"), "{line:?}");

    // Within the limit messages were stored, over it they were dropped.
    let stored = app.metric("ingest_messages_stored_total");
    let dropped = attacked.dropped("too_many_bytes");
    assert!(stored > 1_000.0 && dropped > 1_000.0, "{stored} {dropped}");
    let of_flood = (stored - 1.0) * (bytes.len() / 100) as f64;
    assert!(of_flood <= 10.0 * 20_000.0, "{of_flood} bytes");

    // Open connections stay, and later ones are accepted.
    wait_until("the address is let in again", || {
        FakeNode::try_connect(app.port(), "/submit")
            .1
            .contains(" 101 ")
    });
    assert!(closed_at.elapsed().as_secs() >= 2);
    let mut attacked = attacked;
    attacked.assert_unharmed();
}

#[test]
fn who_goes_on_with_messages_over_a_limit_is_closed_and_refused() {
    let of_two_nodes = [1, 2].map(|id| json!({"id": id, "payload": {"msg": "m"}}).to_string());
    let too_large = " ".repeat(600_000);
    for (messages, reason) in [
        (&of_two_nodes[..], "too_many_nodes"),
        (&[too_large], "too_large"),
    ] {
        let app = TestApp::builder()
            .env("NODES_PER_CONNECTION_MAX", 1)
            .start();
        let mut node = app.node("/submit");
        let bytes = messages
            .iter()
            .flat_map(|message| frame(BINARY, message.as_bytes()));
        let bytes: Vec<u8> = bytes.collect();
        let started_at = Instant::now();
        while push(&mut node.stream, &bytes) {
            assert!(started_at.elapsed().as_secs() < 60, "it is never closed");
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(started_at.elapsed().as_secs() >= 10, "it has its time");
        let closed = |reason| app.metric_with("ingest_connections_closed_total", reason);
        wait_until("it is counted", || closed("over_limit") == 1.0);
        let (_, answer) = FakeNode::try_connect(app.port(), "/submit");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert_eq!(app.metric("ingest_addresses_blocked_total"), 1.0);
        let line = format!("stayed over its limit ({reason})");
        assert_eq!(app.log().matches(&line).count(), 1);
    }
}

#[test]
fn there_are_so_many_telemetry_connections_in_all_and_of_one_address() {
    for (setting, reason) in [
        ("CONNECTIONS_MAX", "too_many_connections"),
        ("CONNECTIONS_PER_IP_MAX", "too_many_from_address"),
    ] {
        let app = TestApp::builder().env(setting, 2).start();
        let _first = app.node("/submit");
        let second = app.node("/");
        // The place is taken by an actor that starts in its own time.
        wait_until("both are there", || app.metric("ingest_connections") == 2.0);
        // Before its upgrade a node has an HTTP connection; those of the address
        // that ask for metrics are in its way.
        let mut answers = 0;
        wait_until("three are refused", || {
            let (_, answer) = FakeNode::try_connect(app.port(), "/submit");
            answers += u32::from(answer.starts_with("HTTP/1.1 503 "));
            answers == 3
        });
        let label = format!("reason=\"{reason}\"");
        let refused = app.metric_with("ingest_connections_refused_total", &label);
        assert!(refused >= 3.0, "{refused}");
        let line = format!("a telemetry connection was refused: {reason} ");
        let lines = app.log().matches(&line).count();
        assert!(
            (1..3).contains(&lines),
            "{lines} lines, once in ten seconds"
        );
        second.leave();
        wait_until("its place is free", || {
            FakeNode::try_connect(app.port(), "/submit")
                .1
                .contains(" 101 ")
        });
    }
}

#[test]
fn zero_is_no_limit() {
    let limits = [
        "NODE_BYTES_PER_S_MAX",
        "NODE_FRAMES_PER_S_MAX",
        "NODES_PER_CONNECTION_MAX",
        "CONNECTIONS_PER_IP_MAX",
        "CONNECTIONS_MAX",
        "UPGRADE_TIMEOUT_S",
        "BLOCK_S",
        "METRIC_KINDS_MAX",
        "METRIC_CHAINS_MAX",
    ];
    let mut attacked = Attacked::start(&limits.map(|name| (name, 0)));
    let mut node = attacked.app.node("/submit");
    for id in 0..300 {
        node.send(json!({"id": id, "payload": {"msg": format!("kind.{id}")}}).to_string());
    }
    attacked.app.wait_stored(301);
    assert_eq!(attacked.app.metric("ingest_sessions"), 301.0);
    assert_eq!(
        attacked
            .app
            .metric_with("ingest_messages_by_kind_total", "\"kind.299\""),
        1.0
    );
    attacked.assert_unharmed();
}

#[test]
fn all_addresses_of_an_ipv6_line_are_one() {
    let app = TestApp::builder()
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .env("CONNECTIONS_PER_IP_MAX", 2)
        .env("IPV6_PREFIX", 56)
        .start();
    let connect = |address: &str| {
        let header = format!("X-Forwarded-For: {address}\r\n");
        let (node, answer) =
            FakeNode::try_connect_from("127.0.0.1", app.port(), "/submit", &header);
        answer.contains(" 101 ").then_some(node)
    };
    let first = connect("2001:db8:0:100::1");
    let second = connect("2001:db8:0:1ff:1:2:3:4");
    assert!(first.is_some() && second.is_some());
    assert!(connect("2001:db8:0:180::5").is_none());
    assert!(connect("2001:db8:0:200::1").is_some());
    drop(first);
    wait_until("a place is free", || connect("2001:db8:0:1aa::6").is_some());
}

#[test]
fn with_more_nodes_than_files_the_server_keeps_those_that_it_needs() {
    let app = TestApp::builder().files_max(256).start();
    let mut nodes: Vec<_> = (0..400)
        .filter_map(|_| {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", app.port())).ok()?;
            let request = upgrade(app.port(), "/submit", "");
            std::io::Write::write_all(&mut stream, request.as_bytes()).ok()?;
            // Its connection is no longer one of HTTP, of which there are few.
            std::io::Read::read(&mut stream, &mut [0; 512]).ok()?;
            Some(stream)
        })
        .collect();
    wait_until("as many are let in as there is room for", || {
        app.metric("ingest_connections") > 50.0
            && app.metric_with("ingest_connections_refused_total", "too_many_connections") > 0.0
    });
    assert_eq!(app.get("/health/ready").status, 200);
    assert!(app.log().contains("raise `ulimit -n`"));
    app.db.refuse_connections();
    let message = frame(0x82, br#"{"id":1,"payload":{"msg":"m"}}"#);
    for stream in &mut nodes {
        // Those that were refused are closed.
        std::io::Write::write_all(stream, &message).ok();
    }
    wait_until("messages wait on disk", || {
        app.metric("store_spool_messages") > 0.0 && app.metric("ingest_queue_messages") == 0.0
    });
    app.db.allow_connections();
    wait_until("all is stored again", || {
        app.metric("ingest_pending") == 0.0
    });
    assert!(app.is_well());
}
