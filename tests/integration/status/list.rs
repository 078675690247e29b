//! What the interface says of the status of nodes: the list of them, now and at a moment.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::answers::story;
use super::start;
use crate::support::{TestApp, wait_until};

/// A time in the past, as a parameter.
fn moment(ago: TimeDelta) -> String {
    (Utc::now() - ago).to_rfc3339().replace('+', "%2B")
}

/// The names of a list of nodes, all pages of it.
fn listed(app: &TestApp, question: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = format!("?{question}");
    loop {
        let answer = app.get(&format!("/api/v1/nodes{next}"));
        assert_eq!(answer.status, 200, "{next}: {}", answer.body);
        for node in answer.json().as_array().unwrap() {
            found.push(node["name"].as_str().unwrap().to_owned());
        }
        let Some(link) = answer.headers.get("link") else {
            return found;
        };
        next = link
            .split_once('>')
            .unwrap()
            .0
            .trim_start_matches('<')
            .to_owned();
    }
}

/// Six more nodes beside those of the story, of which the database says what is wrong.
fn many() -> TestApp {
    let db = story();
    db.execute("INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day')");
    let app = TestApp::builder().db(db).start();
    app.wait_projected();
    // Somebody else maintains the nodes from now on.
    app.db.execute(
        "UPDATE leases SET holder = 'other', token = token + 1, expires_at = now() + interval '1 day' WHERE name = 'projection:nodes';
         INSERT INTO peer_connections (id, ip_addr, peer_id, name, chain, genesis_hash, version, implementation, authority, created_at, connection_id, server_id, last_seen_at)
         SELECT 10 + i, '10.0.0.1', 'p' || i, 'node ' || i, 'main', '0x1', '1.' || i, 'parity', i = 1, now() - i * interval '1 minute', 10 + i, 's', now() FROM generate_series(1, 6) i;
         INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, best_height, finalized_height, peers)
         SELECT peer_id, genesis_hash, name, chain, id, created_at, id, created_at, now() - id * interval '1 second', true, created_at,
                CASE id WHEN 13 THEN 900 WHEN 14 THEN 9007199254740992 ELSE 1000 END, 960 + id, 7 FROM peer_connections WHERE id > 10;
         UPDATE nodes SET best_height = 1000 WHERE peer_id = 'a';
         INSERT INTO node_status SELECT peer_id, genesis_hash, CASE session_id WHEN 13 THEN 'stalled' WHEN 15 THEN 'late' WHEN 16 THEN 'syncing' ELSE 'online' END, 'x', now(), now(), 1, 1, now()
         FROM nodes WHERE session_id > 10;
         INSERT INTO node_identities VALUES ('p1', '0x1', 0, '5Older', now() - interval '1 day', now() - interval '1 hour', 6, true),
             ('p1', '0x1', 0, '5FAuth', now() - interval '1 day', now(), 7, true), ('p2', '0x1', 0, '5Full', now(), now(), 7, false)",
    );
    app
}

#[test]
fn the_list_of_nodes_says_how_they_are() {
    let app = many();
    let all = app.get("/api/v1/nodes?limit=10").json();
    let of = |name: &str| {
        all.as_array()
            .unwrap()
            .iter()
            .find(|node| node["name"] == name)
            .unwrap()
            .clone()
    };
    let stalled = of("node 3");
    assert_eq!(
        [
            &stalled["state"],
            &stalled["state_reason"],
            &stalled["behind"],
            &stalled["finality_lag"],
            &stalled["peers"],
            &stalled["attention"]
        ],
        [
            &json!("stalled"),
            &json!("x"),
            &json!(100),
            &json!(900 - 973),
            &json!(7),
            &json!(true)
        ]
    );
    // One that claims a height of its own moves none of its neighbours.
    assert_eq!(
        (&of("node 1")["behind"], &of("node 4")["behind"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(of("bob")["behind"], Value::Null);
    let validator = of("node 1");
    assert_eq!(
        (
            &validator["authority_id"],
            &validator["is_in_authority_set"]
        ),
        (&json!("5FAuth"), &json!(true))
    );
    assert_eq!(of("node 2")["is_in_authority_set"], false);
    assert_eq!(stalled["authority_id"], Value::Null);
    let one = app.get("/api/v1/nodes/a").json();
    assert!(one["uptime"].as_f64().unwrap() < 1.0, "{one}");
    assert_eq!(all[0]["uptime"], Value::Null, "only if it is asked for");
    assert!(app.get("/api/v1/nodes?uptime_h=720&name=alice").json()[0]["uptime"].is_number());
}

#[test]
fn the_list_of_nodes_is_filtered_and_sorted() {
    let app = many();
    for (question, expected) in [
        (
            "limit=2",
            &[
                "node 1", "node 2", "node 3", "node 4", "node 5", "node 6", "alice", "carol", "bob",
            ][..],
        ),
        (
            "limit=2&sort=name",
            &[
                "alice", "bob", "carol", "node 1", "node 2", "node 3", "node 4", "node 5", "node 6",
            ],
        ),
        (
            "limit=2&sort=-name",
            &[
                "node 6", "node 5", "node 4", "node 3", "node 2", "node 1", "carol", "bob", "alice",
            ],
        ),
        (
            "limit=2&sort=state",
            &[
                "bob", "node 3", "node 5", "node 6", "alice", "node 1", "node 2", "node 4", "carol",
            ],
        ),
        (
            "limit=3&sort=-behind&chain=0x1&online=true&state=stalled,online",
            &["node 3", "node 4", "node 2", "node 1", "alice"],
        ),
        (
            "sort=last_seen_at&chain=main&online=true&authority=false",
            &["node 6", "node 5", "node 4", "node 3", "node 2"],
        ),
        ("attention=true", &["node 3", "node 5", "bob"]),
        ("attention=false&online=false", &["carol"]),
        ("state=late", &["node 5"]),
        ("version=1.4", &["node 4"]),
        ("implementation=parity&authority=true", &["node 1"]),
        ("name=alice", &["alice"]),
        (
            "text=NODE&limit=2&sort=-state",
            &["node 4", "node 2", "node 1", "node 6", "node 5", "node 3"],
        ),
        ("text=P6", &["node 6"]),
        ("text=5fau", &["node 1"]),
        ("sort=created_at&limit=2&online=false", &["bob", "carol"]),
        (
            "state=late,stalled,syncing&limit=1",
            &["node 3", "node 5", "node 6"],
        ),
    ] {
        assert_eq!(listed(&app, question), expected, "{question}");
    }
    let week_ago = moment(TimeDelta::days(7));
    let seen = format!("seen_after={week_ago}&online=false");
    assert_eq!(listed(&app, &seen), ["bob"]);
    for (question, parameter) in [
        ("sort=height", "sort"),
        ("state=dead", "state"),
        ("at=yesterday", "at"),
        ("cursor=x&sort=name", "cursor"),
        ("uptime_h=0", "uptime_h"),
        ("seen_after=yesterday", "seen_after"),
        ("at=2026-01-01T00:00:00Z&text=a", "text"),
    ] {
        let answer = app.get(&format!("/api/v1/nodes?{question}"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["parameter"]),
            (400, &json!(parameter)),
            "{question}"
        );
    }
}

#[test]
fn the_nodes_are_shown_as_they_were_at_a_moment() {
    let db = story();
    db.execute("INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day')");
    let app = TestApp::builder().db(db).start();
    app.wait_projected();
    app.db.execute(
        "INSERT INTO node_hours (peer_id, genesis_hash, hour, messages, intervals, lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count, best_height, finalized_height)
         VALUES ('a', '0x1', date_trunc('hour', now() - interval '13 hours'), 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77, 70)
         ON CONFLICT (peer_id, genesis_hash, hour) DO UPDATE SET messages = 1, best_height = 77, finalized_height = 70",
    );
    let at = |hours: i64| {
        let moment = moment(TimeDelta::hours(hours));
        let answer = app.get(&format!("/api/v1/nodes?at={moment}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let nodes = answer.json();
        let words = nodes.as_array().unwrap().iter().map(|node| {
            let text = |field: &str| node[field].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {} {}",
                text("name"),
                text("state"),
                node["online"],
                node["best_height"]
            )
        });
        let mut words: Vec<_> = words.collect();
        words.sort();
        words
    };
    assert_eq!(at(12), ["alice online true 77", "bob online true null"]);
    let moment = moment(TimeDelta::minutes(570));
    let then = app
        .get(&format!("/api/v1/nodes?at={moment}&name=alice"))
        .json();
    assert_eq!(
        (&then[0]["state"], &then[0]["online"]),
        (&json!("telemetry_lost"), &json!(false))
    );
    assert_eq!(then[0]["attention"], true, "{then}");
    // Of what came after the moment nothing is told.
    let online = app
        .get(&format!(
            "/api/v1/nodes?at={}&name=bob",
            self::moment(TimeDelta::hours(12))
        ))
        .json();
    assert_eq!(
        [
            "online",
            "disconnected_at",
            "disconnect_reason",
            "attention"
        ]
        .map(|field| &online[0][field]),
        [&json!(true), &Value::Null, &Value::Null, &json!(false)]
    );
    assert_eq!(at(4), ["alice online true 77", "bob offline false null"]);
    assert_eq!(
        at(24 * 8 + 12),
        [
            "alice online true null",
            "bob online true null",
            "carol offline false null"
        ]
    );
    assert_eq!(
        at(24 * 15),
        [
            "alice online true null",
            "bob online true null",
            "carol missing true null"
        ]
    );
    assert_eq!(at(24 * 30), Vec::<String>::new());
}

#[test]
fn a_clock_that_is_off_is_measured_by_messages_that_were_not_late() {
    let app = start();
    let mut node = app.node("/submit");
    let mut send = |ahead: TimeDelta, payload: Value| {
        let ts = (Utc::now() + ahead).to_rfc3339();
        node.send(json!({"id": 1, "ts": ts, "payload": payload}).to_string());
    };
    send(
        TimeDelta::seconds(240),
        json!({"msg": "system.connected", "name": "fast", "network_id": "fast", "chain": "main", "genesis_hash": "0x1"}),
    );
    // One comes ten seconds late.
    send(
        TimeDelta::seconds(230),
        json!({"msg": "system.interval", "peers": 3}),
    );
    app.wait_stored(2);
    wait_until("the node is listed", || {
        app.get("/api/v1/nodes/fast").status == 200
    });
    let ahead = app.get("/api/v1/nodes/fast").json()["clock_ahead_ms"].as_i64();
    let ahead = ahead.expect("the clock is measured");
    let status = app.get("/api/v1/nodes/fast/status").json();
    assert!((status["clock_ahead_ms"].as_i64().unwrap() - ahead).abs() < 1_000);
    assert!((235_000..=241_000).contains(&ahead), "{ahead}");
}
