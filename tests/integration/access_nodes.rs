//! Which nodes are let in: tokens, networks, proxies, chains.

use serde_json::json;

use crate::support::{FakeNode, TestApp, wait_until};

const OURS: &str = "0x61644a25da5ad31754e23bc1eca8c766a61ceaa8c60ddc65f158a30209256e35";
const THEIRS: &str = "0x03f73dff17a47a69200000000000000000000000000000000000000000000000";

/// The status that a node gets.
fn knock(app: &TestApp, path: &str, headers: &str) -> String {
    let (_node, answer) = FakeNode::try_connect_from("127.0.0.1", app.port(), path, headers);
    answer.split(' ').nth(1).unwrap().to_owned()
}

fn refused(app: &TestApp, reason: &str) -> f64 {
    app.metric_with("ingest_connections_refused_total", reason)
}

fn introduction(id: u64, genesis_hash: &str) -> String {
    json!({"id": id, "payload": {"msg": "system.connected", "network_id": format!("peer-{id}"), "genesis_hash": genesis_hash}})
        .to_string()
}

fn interval(id: u64) -> String {
    json!({"id": id, "payload": {"msg": "system.interval"}}).to_string()
}

#[test]
fn nodes_need_a_token_that_stands_in_their_path() {
    let (old, new, audit) = (
        "old-0123456789abcdef",
        "new-0123456789abcdef",
        "audit-0123456789",
    );
    let app = TestApp::builder()
        .env("TELEMETRY_TOKENS", format!("{old},{new}"))
        .env("AUDIT_TOKENS", audit)
        .env("RUST_LOG", "trace")
        .start();
    assert!(app.said().contains("/t/TOKEN/submit 1"), "{}", app.said());
    assert!(
        app.said()
            .contains("access: nodes are let in by token; everybody may read")
    );
    for path in [
        format!("/t/{old}/submit"),
        format!("/t/{new}/submit/"),
        format!("/t/{old}/"),
        format!("/t/{new}"),
        format!("/t/{audit}/audit"),
        format!("/t/{audit}/audit/"),
    ] {
        assert_eq!(knock(&app, &path, ""), "101", "{path}");
    }
    let bad = [
        "/".to_owned(),
        "/submit".to_owned(),
        "/submit/".to_owned(),
        "/audit".to_owned(),
        "/t/wrong-0123456789/submit".to_owned(),
        format!("/t/{old}x/"),
        format!("/t/{audit}/submit"),
        format!("/t/{old}/audit"),
    ];
    for path in &bad {
        assert_eq!(knock(&app, path, ""), "403", "{path}");
    }
    assert_eq!(refused(&app, "\"token\""), bad.len() as f64);
    assert_eq!(knock(&app, &format!("/t/{old}/nodes"), ""), "404");
    // Clients that are not nodes learn nothing of tokens.
    for path in [
        format!("/t/{old}/submit"),
        "/t/wrong-0123456789/submit".to_owned(),
    ] {
        assert_eq!(app.get(&path).status, 426);
    }
    app.node(&format!("/t/{new}/submit")).send(interval(1));
    app.node(&format!("/t/{audit}/audit")).send(interval(1));
    app.wait_stored(2);
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM telemetry_messages_audit"),
        1
    );

    let metrics = app.get("/metrics").body;
    assert!(metrics.contains("route=\"/t/{token}/submit\""));
    assert!(metrics.contains("route=\"/t/{token}/audit\""));
    for token in [old, new, audit] {
        assert!(!metrics.contains(token));
        assert!(!app.log().contains(token), "the log has {token}");
        assert!(!app.said().contains(token));
    }
}

#[test]
fn audit_is_closed_as_soon_as_nodes_have_tokens() {
    let app = TestApp::builder()
        .env("TELEMETRY_TOKENS", "telemetry-0123456789")
        .start();
    assert_eq!(knock(&app, "/audit", ""), "403");
    assert_eq!(knock(&app, "/t/telemetry-0123456789/audit", ""), "403");
    drop(app);
    let app = TestApp::builder()
        .env("AUDIT_TOKENS", "audit-0123456789")
        .start();
    assert_eq!(knock(&app, "/audit", ""), "403");
    assert_eq!(knock(&app, "/t/audit-0123456789/audit", ""), "101");
    assert_eq!(knock(&app, "/submit", ""), "101");
}

#[test]
fn without_settings_every_node_is_let_in_and_the_start_says_so() {
    let app = TestApp::start();
    let said = app.said();
    let open = "access: everything is open: every node is let in, everybody may read, only this machine may write";
    assert_eq!(
        said.lines().filter(|line| line.starts_with(open)).count(),
        1,
        "{said}"
    );
    for path in [
        "/",
        "/submit",
        "/audit",
        "/t/any-token/submit",
        "/t/any-token/",
        "/t/any-token/audit",
    ] {
        assert_eq!(knock(&app, path, ""), "101", "{path}");
    }
}

#[test]
fn only_nodes_of_allowed_networks_are_let_in() {
    let app = TestApp::builder()
        .env("ALLOWED_NETWORKS", "192.0.2.0/24, 2001:db8::/32")
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let good = [
        "X-Forwarded-For: 192.0.2.7\r\n",
        "X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n",
        "Forwarded: for=\"[2001:db8::7]:4711\";proto=https\r\n",
    ];
    for headers in good {
        assert_eq!(knock(&app, "/submit", headers), "101", "{headers}");
    }
    let bad = [
        "",
        "X-Forwarded-For: 198.51.100.1\r\n",
        "X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n",
        "Forwarded: for=\"[2001:db9::7]\"\r\n",
    ];
    for headers in bad {
        assert_eq!(knock(&app, "/submit", headers), "403", "{headers}");
    }
    assert_eq!(refused(&app, "\"network\""), bad.len() as f64);
    let contradiction = "Forwarded: for=192.0.2.7\r\nX-Forwarded-For: 198.51.100.1\r\n";
    assert_eq!(knock(&app, "/submit", contradiction), "400");

    let (mut node, _) = FakeNode::try_connect_from("127.0.0.1", app.port(), "/submit", good[1]);
    node.send(introduction(1, OURS));
    app.wait_stored(1);
    let stored = "SELECT ip_addr AS value FROM peer_connections WHERE peer_id = 'peer-1'";
    assert_eq!(app.db.texts(stored), ["192.0.2.7"]);
}

#[test]
fn proxies_are_not_believed_unless_they_are_trusted() {
    let app = TestApp::builder()
        .env("LISTEN_ADDRESS", "::")
        .env("ALLOWED_NETWORKS", "127.0.0.0/8,::1")
        .env("TRUSTED_PROXIES", "192.0.2.0/24")
        .start();
    let claims = "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.8\r\n";
    let (mut node, answer) = FakeNode::try_connect_from("127.0.0.1", app.port(), "/submit", claims);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    node.send(introduction(1, OURS));
    let mut expected = vec!["127.0.0.1"];
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if has_v6 {
        let (mut node, answer) = FakeNode::try_connect_from("::1", app.port(), "/submit", claims);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        node.send(introduction(2, OURS));
        expected.push("::1");
    }
    app.wait_stored(expected.len() as u32);
    let stored =
        "SELECT ip_addr AS value FROM peer_connections WHERE peer_id IS NOT NULL ORDER BY peer_id";
    assert_eq!(app.db.texts(stored), expected);
}

#[test]
fn only_nodes_of_allowed_chains_are_kept() {
    let app = TestApp::builder().env("ALLOWED_CHAINS", OURS).start();
    let dropped = || app.metric_with("ingest_messages_dropped_total", "\"chain_refused\"");
    let closed = || app.metric_with("ingest_connections_closed_total", "\"chain_refused\"");

    // A node of another chain, and one without system.connected.
    let mut stranger = app.node("/submit");
    stranger.send(introduction(1, THEIRS));
    stranger.send(interval(1));
    let mut nobody = app.node("/submit");
    nobody.send(interval(1));
    // One process with a node of each kind, the stranger first.
    let mut both = app.node("/submit");
    both.send(introduction(1, THEIRS));
    both.send(introduction(2, &OURS.to_uppercase().replace("0X", "0x")));
    both.send(interval(1));
    both.send(interval(2));
    stranger.read_to_end();
    nobody.read_to_end();
    wait_until("both are closed", || closed() == 2.0);
    both.send(interval(2));
    app.wait_stored(3);
    assert_eq!(dropped(), 5.0);
    assert_eq!(app.metric("ingest_connections"), 1.0);
    assert_eq!(
        app.db
            .texts("SELECT peer_id AS value FROM peer_connections"),
        ["peer-2"]
    );
}

#[test]
fn nodes_of_denied_chains_are_dropped_from_their_introduction_on() {
    let app = TestApp::builder().env("DENIED_CHAINS", THEIRS).start();
    let mut stranger = app.node("/submit");
    stranger.send(interval(1));
    stranger.send(introduction(1, THEIRS));
    stranger.send(interval(1));
    let mut ours = app.node("/submit");
    ours.send(introduction(2, OURS));
    let mut old = app.node("/submit");
    old.send(r#"{"msg":"system.connected","network_id":"old","ts":"2019-01-01T00:00:00+00:00"}"#);
    stranger.read_to_end();
    app.wait_stored(3);
    assert_eq!(
        app.metric_with("ingest_messages_dropped_total", "\"chain_refused\""),
        2.0
    );
    wait_until("the reason is stored", || {
        app.db.count("SELECT count(*) FROM peer_connections WHERE peer_id IS NULL AND disconnect_reason = 'chain_refused'") == 1
    });
    let open =
        "SELECT peer_id AS value FROM peer_connections WHERE disconnected_at IS NULL ORDER BY 1";
    assert_eq!(app.db.texts(open), ["old", "peer-2"]);
}
