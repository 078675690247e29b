//! How sessions begin, stay and end.

use serde_json::json;

use super::{connected, message};
use crate::support::{TestApp, wait_until};

#[test]
fn several_nodes_share_a_connection_and_need_no_introduction() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(connected(2, "peer-b", "b"));
    node.send(connected(1, "peer-a", "a"));
    for id in [1, 2, 3, 1] {
        node.send(message(id, "block.import", &json!({"height": id})));
    }
    app.wait_stored(6);
    let of_peer = |peer: &str| {
        app.db.count(&format!(
            "SELECT count(*) FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE p.peer_id {peer}"
        ))
    };
    assert_eq!(
        (
            of_peer("= 'peer-a'"),
            of_peer("= 'peer-b'"),
            of_peer("IS NULL")
        ),
        (3, 2, 1)
    );
    assert_eq!(
        app.db
            .count("SELECT count(DISTINCT connection_id) FROM peer_connections"),
        1
    );
    assert_eq!(app.metric("ingest_sessions"), 3.0);
}

#[test]
fn a_repeated_introduction_changes_nothing_and_another_peer_is_another_session() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(connected(1, "peer-a", "old name"));
    node.send(connected(1, "peer-a", "old name"));
    node.send(connected(1, "peer-a", "new name"));
    node.send(message(
        1,
        "sysinfo.hwbench",
        &json!({"cpu_hashrate_score": 1021}),
    ));
    app.wait_stored(4);
    let sessions = "SELECT concat_ws(' ', peer_id, name, cpu_hashrate_score, disconnect_reason) AS value FROM peer_connections ORDER BY id";
    assert_eq!(app.db.texts(sessions), ["peer-a new name 1021"]);
    node.send(connected(1, "peer-b", "other"));
    node.send(message(1, "m", &json!({})));
    app.wait_stored(6);
    assert_eq!(
        app.db.texts(sessions),
        ["peer-a new name 1021 replaced", "peer-b other"]
    );
    let of_b = "SELECT count(*) FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE p.peer_id = 'peer-b'";
    assert_eq!(app.db.count(of_b), 2);
}

#[test]
fn the_end_of_a_session_is_stored_with_its_reason() {
    let app = TestApp::builder().env("NODE_IDLE_TIMEOUT_S", 20).start();
    let mut leaving = app.node("/submit");
    leaving.send(connected(1, "leaving", "l"));
    let mut closing = app.node("/submit");
    closing.send(connected(1, "closing", "c"));
    let mut large = app.node("/submit");
    large.send(connected(1, "large", "g"));
    let mut broken = app.node("/submit");
    broken.send(connected(1, "broken", "b"));
    app.wait_stored(4);
    leaving.leave();
    closing.send_frame(0x88, &1_000_u16.to_be_bytes());
    closing.read_to_end();
    large.send_raw(&[&[0x82, 0xFF][..], &u64::MAX.to_be_bytes()].concat());
    large.read_to_end();
    broken.send_raw(b"\x00\x01\x02 no websocket");
    broken.read_to_end();
    let reasons = "SELECT peer_id || ' ' || disconnect_reason AS value FROM peer_connections \
                   WHERE disconnected_at IS NOT NULL ORDER BY 1";
    wait_until("all sessions have ended", || {
        app.db.texts(reasons).len() == 4
    });
    assert_eq!(
        app.db.texts(reasons),
        [
            "broken protocol_error",
            "closing close_frame",
            "large message_too_large",
            "leaving closed_by_node"
        ]
    );
    wait_until("no connection is counted", || {
        app.metric("ingest_connections") == 0.0
    });
}

#[test]
fn a_silent_node_is_dropped_and_one_that_never_answers_pings_is_not() {
    let app = TestApp::builder()
        .env("NODE_IDLE_TIMEOUT_S", 20)
        .env("HEARTBEAT_INTERVAL", 1)
        .env("CLIENT_TIMEOUT_S", 2)
        .start();
    let mut silent = app.node("/submit");
    silent.send(connected(1, "silent", "s"));
    let mut talking = app.node("/submit");
    let started_at = std::time::Instant::now();
    let ended = "SELECT disconnect_reason AS value FROM peer_connections WHERE peer_id = 'silent' AND disconnected_at IS NOT NULL";
    let mut sent = 1;
    wait_until("the silent node is dropped", || {
        talking.send(message(1, "still.here", &json!({})));
        sent += 1;
        std::thread::sleep(std::time::Duration::from_millis(500));
        !app.db.texts(ended).is_empty()
    });
    assert_eq!(app.db.texts(ended), ["idle"]);
    assert!(started_at.elapsed().as_secs() >= 19);
    app.wait_stored(sent);
    // A node of today must find nothing in its receive buffer when it ends.
    talking.stream.set_nonblocking(true).unwrap();
    let read = std::io::Read::read(&mut talking.stream, &mut [0; 1]);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn an_old_node_is_asked_by_pings_as_long_as_it_answers() {
    let app = TestApp::builder()
        .env("HEARTBEAT_INTERVAL", 1)
        .env("CLIENT_TIMEOUT_S", 2)
        .start();
    let mut old = app.node("/");
    old.send(b"{\"msg\":\"system.connected\",\"level\":\"INFO\",\"network_id\":\"old\"}\n");
    let mut ping = [0; 2];
    std::io::Read::read_exact(&mut old.stream, &mut ping).unwrap();
    assert_eq!(ping, [0x89, 0]);
    old.send_frame(0x8A, b"");
    // It answers no more, and is dropped long before NODE_IDLE_TIMEOUT_S.
    old.read_to_end();
    let ended =
        "SELECT disconnect_reason AS value FROM peer_connections WHERE disconnected_at IS NOT NULL";
    wait_until("its session has ended", || !app.db.texts(ended).is_empty());
    assert_eq!(app.db.texts(ended), ["ping_timeout"]);
}

#[test]
fn a_slow_upgrade_is_waited_for() {
    let app = TestApp::start();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    // Genuine nodes send the request up to 5 s after the TCP connection.
    std::thread::sleep(std::time::Duration::from_secs(6));
    let request = "GET /submit HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                   Sec-WebSocket-Key: FCZBJVBlr3K/Gp3QozaLbw==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}
