//! The made-up network itself: what its nodes report they have
//! done is what the server and the database know of them.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Network, TestApp, free_port, wait_until};

/// A number from the newest message of a node that has it.
fn newest(app: &TestApp, network: &Network, node: usize, msg: &str, field: &str) -> u64 {
    let peer = &network.node(node).peer_id;
    let number = app.db.count(&format!(
        "SELECT logs ->> '{field}' FROM telemetry_logs l JOIN peer_connections p ON p.id = peer_connection_id \
         WHERE p.peer_id = '{peer}' AND msg = '{msg}' AND logs ? '{field}' ORDER BY l.id DESC LIMIT 1"
    ));
    number.try_into().unwrap()
}

fn online(app: &TestApp) -> usize {
    app.wait_projected();
    let nodes = app.get("/nodes?online=true").json();
    nodes.as_array().unwrap().len()
}

#[test]
fn the_database_knows_what_the_network_does() {
    let app = TestApp::start();
    let mut network = Network::start(&app, &[("Alpha", 5), ("Beta", 3)]);
    network.step();
    network.import(3, 105);
    network.finalize(3, 103);
    network.report(3);
    network.profile(3, "pallet_test", "on_test", 4_711);
    network.rate(3, &[(1, -42, true)]);
    network.wait_stored(&app);

    for (node, facts) in network.nodes().iter().enumerate() {
        let found = app.get(&format!("/nodes?name={}", facts.name)).json();
        assert_eq!(found[0]["peer_id"], json!(facts.peer_id));
        assert_eq!(found[0]["chain"], json!(network.chain(facts.chain).name));
        assert_eq!(found[0]["authority"], json!(facts.is_authority));
        for (msg, field, expected) in [
            ("block.import", "height", facts.height),
            ("notify.finalized", "height", facts.finalized_height),
            ("system.interval", "peers", facts.peers),
            ("system.interval", "height", facts.height),
            ("system.interval", "txcount", facts.transactions),
            (
                "system.interval",
                "bandwidth_download",
                facts.download_bytes_per_s,
            ),
        ] {
            assert_eq!(
                newest(&app, &network, node, msg, field),
                expected,
                "{msg} {field}"
            );
        }
    }
    assert_eq!(network.node(3).height, 105);
    assert_eq!(network.node(2).height, 101);
    // The same block is the same block on all nodes.
    let blocks =
        "SELECT count(DISTINCT logs ->> 'best') FROM telemetry_logs WHERE msg = 'block.import'";
    assert_eq!(app.db.count(blocks), 3);
    let best = format!("{blocks} AND logs ->> 'best' = '{}'", network.hash(0, 105));
    assert_eq!(app.db.count(&best), 1);
    assert_eq!(
        newest(&app, &network, 3, "tracing.profiling", "time"),
        4_711
    );
    let peer = &network.node(1).peer_id;
    let said = app.get(&format!("/reputation/{peer}")).json();
    assert_eq!(said[0]["reporting_peer"], json!(network.node(3).peer_id));
    assert_eq!(
        (&said[0]["reputation"], &said[0]["connected"]),
        (&json!(-42), &json!(true))
    );

    network.disconnect(6);
    wait_until("node 6 is offline", || online(&app) == 7);
    network.grow(1);
    assert_eq!((network.node(6).height, network.node(7).height), (101, 102));
    network.reconnect(6);
    network.wait_stored(&app);
    assert_eq!(online(&app), 8);
}

#[test]
fn the_network_comes_back_after_the_server() {
    let app = TestApp::builder().env("PORT", free_port()).start();
    let mut network = Network::start(&app, &[("Alpha", 2)]);
    network.play_corpora();
    network.wait_stored(&app);
    let port = app.port();
    let app = app.start_again();
    assert_eq!(app.port(), port);
    assert_eq!(online(&app), 0);
    network.reconnect_all(&app);
    network.wait_stored(&app);
    assert_eq!(online(&app), 2);
}

#[test]
fn the_network_remembers_a_past() {
    let builder = Network::SETTINGS
        .iter()
        .fold(TestApp::builder(), |app, (name, value)| {
            app.env(name, value)
        });
    let app = builder.start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.play_past(TimeDelta::hours(2), TimeDelta::minutes(10));
    network.wait_stored(&app);
    let path = format!(
        "/nodes/logs?peer_id={}&msg=block.import",
        network.node(0).peer_id
    );
    let imports: Value = app.get(&path).json();
    let times: Vec<chrono::DateTime<chrono::Utc>> = imports
        .as_array()
        .unwrap()
        .iter()
        .map(|import| import["created_at"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(times.len(), 12);
    assert!(
        times
            .windows(2)
            .all(|pair| pair[0] - pair[1] == TimeDelta::minutes(10)),
        "{times:?}"
    );
}
