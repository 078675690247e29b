use std::collections::HashMap;
use std::time::Instant;

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::{introduce, say};
use crate::support::{FeedClient, PATIENCE, TestApp};

/// Merges what comes until the rows are as expected.
fn wait_for(
    feed: &mut FeedClient,
    rows: &mut HashMap<String, serde_json::Map<String, Value>>,
    what: &str,
    holds: impl Fn(&HashMap<String, serde_json::Map<String, Value>>) -> bool,
) {
    let until = Instant::now() + PATIENCE;
    while !holds(rows) {
        assert!(
            Instant::now() < until,
            "waited in vain for {what}: {rows:?}"
        );
        let answer = feed.next_with("nodes");
        assert!(answer["now"].is_string());
        for row in answer["nodes"].as_array().unwrap() {
            let row = row.as_object().unwrap().clone();
            let peer = row["peer_id"].as_str().unwrap().to_owned();
            rows.entry(peer).or_default().extend(row);
        }
    }
}

#[test]
fn the_table_shows_what_was_before_and_what_changes() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "one", "A");
    say(
        &mut node,
        1,
        json!({"msg": "system.interval", "height": 10, "best": "0x0a", "finalized_height": 8, "finalized_hash": "0x08", "txcount": 3, "used_state_cache_size": 1000}),
    );
    say(
        &mut node,
        1,
        json!({"msg": "system.interval", "peers": 25, "bandwidth_download": 1000, "bandwidth_upload": 2000.5}),
    );
    let mut gone = app.node("/submit");
    introduce(&mut gone, 1, "gone", "B");
    say(
        &mut gone,
        1,
        json!({"msg": "block.import", "height": 5, "best": "0x05", "origin": "Own"}),
    );
    gone.leave();
    app.wait_stored(5);
    crate::support::wait_until("the session ended", || {
        app.db
            .count("SELECT count(*) FROM peer_connections WHERE disconnected_at IS NOT NULL")
            == 1
    });

    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe", "request_id": 1}));
    assert_eq!(feed.next(), json!({"ack": {"request_id": 1}}));
    let mut rows = HashMap::new();
    wait_for(&mut feed, &mut rows, "both nodes", |rows| {
        rows.get("one")
            .is_some_and(|row| row.get("peers") == Some(&json!(25)))
            && rows
                .get("gone")
                .is_some_and(|row| row.get("height") == Some(&json!(5)))
    });
    let one = &rows["one"];
    for (field, value) in [
        ("name", json!("name of one")),
        ("chain", json!("A")),
        ("genesis_hash", json!("0xA")),
        ("authority", json!(true)),
        ("online", json!(true)),
        ("height", json!(10)),
        ("best_hash", json!("0x0a")),
        ("finalized_height", json!(8)),
        ("transactions", json!(3)),
        ("download_bytes_per_s", json!(1000.0)),
        ("upload_bytes_per_s", json!(2000.5)),
        ("disconnected_at", json!(null)),
    ] {
        assert_eq!(
            one.get(field),
            Some(&value).filter(|value| !value.is_null()),
            "{field}"
        );
    }
    assert!(one["best_at"].is_string() && one.get("ip_addr").is_none());
    assert_eq!(rows["gone"]["online"], json!(false));
    assert_eq!(rows["gone"]["disconnect_reason"], json!("closed_by_node"));

    // Only what changes comes.
    say(
        &mut node,
        1,
        json!({"msg": "block.import", "height": 11, "best": "0x0b", "origin": "Own"}),
    );
    let changed = loop {
        let answer = feed.next_with("nodes");
        let row = answer["nodes"][0].clone();
        if row["height"] == 11 {
            break row;
        }
    };
    assert_eq!(changed["propagation_ms"], 0);
    assert!(changed.get("name").is_none() && changed.get("peers").is_none());

    let mut late = app.node("/submit");
    introduce(&mut late, 1, "late", "A");
    say(
        &mut late,
        1,
        json!({"msg": "block.import", "height": 11, "best": "0x0b", "origin": "NetworkBroadcast"}),
    );
    wait_for(&mut feed, &mut rows, "the late node", |rows| {
        rows.get("late")
            .is_some_and(|row| row.get("height") == Some(&json!(11)))
    });
    assert!(rows["late"]["propagation_ms"].as_u64().unwrap() > 0);
    node.leave();
    wait_for(&mut feed, &mut rows, "the end", |rows| {
        rows["one"]["online"] == json!(false)
    });
}

#[test]
fn a_node_that_left_more_than_a_day_ago_is_not_in_the_table() {
    let app = TestApp::start();
    let mut online = app.node("/submit");
    introduce(&mut online, 1, "online", "A");
    for name in ["left lately", "left long ago"] {
        let mut node = app.node("/submit");
        introduce(&mut node, 1, name, "A");
        node.leave();
    }
    app.wait_projected();
    crate::support::wait_until("two have left", || {
        app.db.count("SELECT count(*) FROM nodes WHERE NOT online") == 2
    });
    app.db.execute(
        "UPDATE nodes SET since = since - CASE peer_id WHEN 'left long ago' THEN interval '25 hours' ELSE interval '23 hours' END",
    );

    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe", "request_id": 1}));
    let mut peers = Vec::new();
    loop {
        let answer = feed.next_with("nodes");
        for row in answer["nodes"].as_array().unwrap() {
            peers.push(row["peer_id"].as_str().unwrap().to_owned());
        }
        if answer["complete"] == true {
            break;
        }
    }
    peers.sort();
    peers.dedup();
    assert_eq!(peers, ["left lately", "online"]);
}

#[test]
fn one_chain_can_be_chosen() {
    let app = TestApp::start();
    let (mut one, mut two) = (app.node("/submit"), app.node("/submit"));
    introduce(&mut one, 1, "one", "A");
    introduce(&mut two, 1, "two", "B");
    app.wait_stored(2);
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe", "chain": "0xB"}));
    loop {
        let answer = feed.next_with("nodes");
        for row in answer["nodes"].as_array().unwrap() {
            assert_eq!(row["peer_id"], "two");
        }
        if answer["complete"] == json!(true) {
            break;
        }
    }
}

#[test]
fn nodes_come_and_go() {
    let app = TestApp::start();
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "presence", "interest": "subscribe", "request_id": 1}));
    feed.next();
    let mut node = app.node("/submit");
    // Its identity is not known yet.
    say(&mut node, 1, json!({"msg": "system.interval", "peers": 1}));
    introduce(&mut node, 1, "peer", "chain");
    let came = feed.next()["presence"][0].clone();
    assert_eq!(
        (&came["event"], &came["peer_id"]),
        (&json!("online"), &json!("peer"))
    );
    node.leave();
    let went = feed.next()["presence"][0].clone();
    assert_eq!(
        (&went["event"], &went["reason"], &went["session"]),
        (
            &json!("offline"),
            &json!("closed_by_node"),
            &came["session"]
        )
    );
}

#[test]
fn a_reader_has_what_nodes_reported_before_when_it_is_complete() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "one", "A");
    say(
        &mut node,
        1,
        json!({"msg": "block.import", "height": 7, "best": "0x07", "origin": "Own"}),
    );
    app.wait_stored(2);
    app.wait_projected();
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe"}));
    let mut height = Value::Null;
    loop {
        let answer = feed.next_with("nodes");
        for row in answer["nodes"].as_array().unwrap() {
            height = row.get("height").cloned().unwrap_or(height);
        }
        if answer["complete"] == json!(true) {
            break;
        }
    }
    assert_eq!(height, json!(7));
}

/// So many that the table is filled in several steps.
#[test]
fn four_readers_at_once_have_all_nodes_when_they_are_told_so() {
    const NODES: usize = 15_000;
    const GROWTH_MAX: u64 = 300 << 20;
    let app = TestApp::start();
    let mut conn = app.db.connect();
    conn.batch_execute(&format!(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, name, chain, created_at, genesis_hash, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
         SELECT -i, '10.0.0.1', 'peer ' || i, repeat('name', 10), 'chain', now(), '0x01', i, 's', now(), now(), 'server_lost' FROM generate_series(1, {NODES}) i"
    ))
    .unwrap();
    app.wait_projection("nodes");
    let before = app.memory_peak();
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut feed = FeedClient::connect(&app);
                start.wait();
                feed.ask(&json!({"topic": "nodes", "interest": "subscribe"}));
                let mut peers = std::collections::HashSet::new();
                loop {
                    let answer = feed.next();
                    for row in answer["nodes"].as_array().unwrap() {
                        peers.insert(row["peer_id"].as_str().unwrap().to_owned());
                    }
                    if answer["complete"] == json!(true) {
                        break;
                    }
                }
                assert_eq!(peers.len(), NODES);
            });
        }
    });
    let growth = app.memory_peak() - before;
    assert!(growth < GROWTH_MAX, "{} MiB more", growth >> 20);
}
