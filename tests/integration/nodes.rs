//! `/nodes`: the latest session of each node.

use serde_json::{Value, json};

use crate::support::{TestApp, cases, run_cases};

/// Three peers: `a` with an old and a new session, `b` that left, and one that
/// never reported its id.
const SESSIONS: &str = "
    INSERT INTO peer_connections
        (id, ip_addr, peer_id, created_at, name, chain, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
    VALUES
        (1, '10.0.0.1', 'a', now() - interval '3 days', 'old name', 'dev', 1, 'other', now() - interval '2 days', now() - interval '2 days', 'closed'),
        (2, '10.0.0.2', 'a', now() - interval '1 day', 'alice', 'main', 2, 'other', now(), NULL, NULL),
        (3, '10.0.0.3', 'b', now() - interval '2 days', 'bob', 'dev', 3, 'other', now() - interval '1 day', now() - interval '1 day', 'silent'),
        (4, '10.0.0.4', NULL, now(), NULL, NULL, 4, 'other', now(), NULL, NULL);
    INSERT INTO servers VALUES ('other', '1.0.0', now(), now() + interval '1 day');";

fn names(answer: &Value) -> Vec<&str> {
    let nodes = answer.as_array().unwrap().iter();
    nodes.map(|node| node["name"].as_str().unwrap()).collect()
}

#[test]
fn the_latest_session_of_each_peer_counts() {
    let app = TestApp::start();
    assert_eq!(app.get("/nodes").json(), json!([]));
    app.db.execute(SESSIONS);
    app.wait_projected();
    run_cases(
        &app,
        cases![
            each_peer_appears_once_by_its_latest_session,
            filters_look_at_the_latest_session_only
        ],
    );
}

fn each_peer_appears_once_by_its_latest_session(app: &TestApp) {
    let nodes = app.get("/nodes/").json();
    assert_eq!(names(&nodes), ["alice", "bob"]);
    assert_eq!(nodes[0]["id"], 2);
    assert_eq!(nodes[0]["ip_addr"], "10.0.0.2");
    assert_eq!(nodes[0]["online"], true);
    assert_eq!(nodes[0]["disconnect_reason"], Value::Null);
    assert_eq!(nodes[1]["online"], false);
    assert_eq!(nodes[1]["disconnect_reason"], "silent");
    let created_at = nodes[0]["created_at"].as_str().unwrap();
    assert!(created_at.ends_with('Z'), "{created_at}");
}

fn filters_look_at_the_latest_session_only(app: &TestApp) {
    let none: [&str; 0] = [];
    for (question, expected) in [
        ("chain=main", ["alice"].as_slice()),
        ("chain=dev", &["bob"]),
        ("name=bob", &["bob"]),
        ("name=old%20name", &none),
        ("online=true", &["alice"]),
        ("online=false", &["bob"]),
        ("limit=1", &["alice"]),
        ("chain=dev&online=true", &none),
        ("chain=dev%27%20OR%201=1", &none),
    ] {
        let nodes = app.get(&format!("/nodes?{question}")).json();
        assert_eq!(names(&nodes), expected, "{question}");
    }
}

pub(crate) fn bad_parameters_are_named(app: &TestApp) {
    for (question, parameter) in [
        ("limit=0", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("online=1", "online"),
        ("chain=a%00b", "chain"),
        ("peer=a", "peer"),
    ] {
        let answer = app.get(&format!("/nodes?{question}"));
        assert_eq!(answer.status, 400, "{question}");
        let error = &answer.json()["error"];
        assert_eq!(error["parameter"], parameter, "{question}");
        assert_eq!(error["code"], "bad_request");
    }
}

#[test]
fn a_node_that_connects_appears_with_what_it_told() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(
        json!({"id": 7, "ts": "2026-11-21T08:02:05.022698342+00:00", "payload": {
            "msg": "system.connected", "name": "alice", "chain": "Development", "version": "1.0",
            "implementation": "Substrate Node", "authority": true, "network_id": "12D3KooWTest",
            "genesis_hash": "0x61644a25da5ad31754e23bc1eca8c766a61ceaa8c60ddc65f158a30209256e35",
            "startup_time": "1795248624569", "config": "", "target_os": "linux",
            "sysinfo": {"core_count": 8, "memory": 67_448_651_776_u64}}})
        .to_string(),
    );
    app.wait_stored(1);
    app.wait_projected();
    let nodes = app.get("/nodes").json();
    for (field, value) in [
        ("peer_id", json!("12D3KooWTest")),
        ("node_id", json!(7)),
        ("audit", json!(false)),
        ("authority", json!(true)),
        ("startup_time", json!(1_795_248_624_569_i64)),
        ("target_os", json!("linux")),
        ("core_count", json!(8)),
        ("memory_bytes", json!(67_448_651_776_u64)),
        ("online", json!(true)),
    ] {
        assert_eq!(nodes[0][field], value, "{field} in {nodes}");
    }
}
