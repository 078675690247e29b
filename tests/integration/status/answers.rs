//! What the interface says of the status of nodes.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::{Beating, start, wait_state};
use crate::support::{TestApp, TestDb, wait_until};

/// Three nodes of two chains, long judged: one well, one gone today, one gone for long; and changes
/// of them, two of which are parts of one of their chain.
pub(super) fn story() -> TestDb {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO servers (id, version, started_at, heartbeat_at) VALUES ('s', '1', now() - interval '30 days', now() + interval '1 day');
         INSERT INTO peer_connections (id, ip_addr, peer_id, name, chain, genesis_hash, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) VALUES
             (1, '10.0.0.1', 'a', 'alice', 'main', '0x1', now() - interval '20 days', 1, 's', now() - interval '10 hours', now() - interval '10 hours', 'closed_by_node'),
             (2, '10.0.0.1', 'a', 'alice', 'main', '0x1', now() - interval '9 hours', 2, 's', now() + interval '1 hour', NULL, NULL),
             (3, '10.0.0.1', 'b', 'bob', 'main', '0x1', now() - interval '20 days', 3, 's', now() - interval '5 hours', now() - interval '5 hours', 'idle'),
             (4, '10.0.0.1', 'c', 'carol', 'dev', '0x2', now() - interval '20 days', 4, 's', now() - interval '9 days', now() - interval '9 days', 'idle');
         INSERT INTO status_progress VALUES ('nodes', now() - interval '20 days', now());
         INSERT INTO node_status VALUES
             ('a', '0x1', 'online', 'recovered', now() - interval '9 hours', now() - interval '9 hours', 6, 6, now() - interval '20 days'),
             ('b', '0x1', 'offline', 'silent', now() - interval '5 hours', now() - interval '5 hours', 6, 8, now() - interval '20 days'),
             ('c', '0x2', 'offline', 'silent', now() - interval '9 days', now() - interval '9 days', 6, 1, now() - interval '20 days');
         INSERT INTO chain_status VALUES ('0x1', '', 'online', now() - interval '9 hours', now() - interval '9 hours', 2, 5, 2);
         INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, part_of, nodes, revision) VALUES
             (1, 'node', 'c', '0x2', 'carol', 'dev', 'missing', 'offline', 'silent', now() - interval '9 days', now() - interval '9 days', NULL, NULL, 6),
             (2, 'chain', '', '0x1', NULL, 'main', 'online', 'telemetry_lost', 'telemetry_lost', now() - interval '10 hours', now() - interval '10 hours', NULL, 2, 1),
             (3, 'node', 'a', '0x1', 'alice', 'main', 'online', 'telemetry_lost', 'telemetry_lost', now() - interval '10 hours', now() - interval '10 hours', 2, NULL, 5),
             (5, 'chain', '', '0x1', NULL, 'main', 'telemetry_lost', 'online', 'recovered', now() - interval '9 hours', now() - interval '9 hours', NULL, 2, 2),
             (6, 'node', 'a', '0x1', 'alice', 'main', 'telemetry_lost', 'online', 'recovered', now() - interval '9 hours', now() - interval '9 hours', 5, NULL, 6),
             (7, 'node', 'b', '0x1', 'bob', 'main', 'online', 'missing', 'silent', now() - interval '5 hours', now() - interval '5 hours', NULL, NULL, 5),
             (8, 'node', 'b', '0x1', 'bob', 'main', 'missing', 'offline', 'silent', now() - interval '5 hours', now() - interval '5 hours', NULL, NULL, 6);
         INSERT INTO status_outages VALUES ('', now() - interval '3 hours', now() - interval '2 hours', 'not_judged'), ('other', now() - interval '3 hours', now() - interval '2 hours', 'server_away');
         SELECT setval('status_changes_id_seq', 100)",
    );
    db
}

fn ids(answer: &Value) -> Vec<i64> {
    let changes = answer.as_array().unwrap().iter();
    changes
        .map(|change| change["id"].as_i64().unwrap())
        .collect()
}

#[test]
fn changes_are_asked_for_by_number_time_chain_node_and_state() {
    // It judges nothing: somebody else has the job.
    let db = story();
    db.execute("INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day')");
    let app = TestApp::builder().db(db).start();
    let ask = |question: &str| {
        let answer = app.get(&format!("/api/v1/status/changes{question}"));
        assert_eq!(answer.status, 200, "{question}: {}", answer.body);
        ids(&answer.json())
    };
    for (question, expected) in [
        ("", &[8, 7, 5, 2, 1][..]),
        ("?parts=true", &[8, 7, 6, 5, 3, 2, 1]),
        ("?since=0", &[1, 2, 5, 7, 8]),
        ("?since=5&limit=1", &[7]),
        ("?since=8", &[]),
        ("?chain=main", &[8, 7, 5, 2]),
        ("?chain=0x2", &[1]),
        ("?peer_id=a", &[6, 3]),
        ("?peer_id=a&parts=false", &[]),
        ("?state=offline", &[8, 1]),
        ("?limit=2", &[8, 7]),
    ] {
        assert_eq!(ask(question), expected, "{question}");
    }
    let day_ago = (chrono::Utc::now() - chrono::TimeDelta::days(1)).to_rfc3339();
    let day_ago = day_ago.replace('+', "%2B");
    assert_eq!(ask(&format!("?start_time={day_ago}")), [8, 7, 5, 2]);
    assert_eq!(ask(&format!("?end_time={day_ago}")), [1]);
    let mut found = Vec::new();
    let mut next = "?limit=2".to_owned();
    loop {
        let answer = app.get(&format!("/api/v1/status/changes{next}"));
        found.extend(ids(&answer.json()));
        let Some(cursor) = answer.headers.get("x-next-cursor") else {
            break;
        };
        next = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(found, [8, 7, 5, 2, 1]);
    let change = &app.get("/api/v1/status/changes?since=7").json()[0];
    let fields = [
        "subject",
        "peer_id",
        "genesis_hash",
        "name",
        "chain",
        "from_state",
        "to_state",
        "reason",
        "part_of",
        "nodes",
    ];
    let shown: Vec<&Value> = fields.iter().map(|field| &change[field]).collect();
    let expected = json!([
        "node", "b", "0x1", "bob", "main", "missing", "offline", "silent", null, null
    ]);
    assert_eq!(json!(shown), expected);
    for (question, parameter) in [
        ("since=-1", "since"),
        ("state=dead", "state"),
        ("parts=yes", "parts"),
        ("since=1&cursor=1_1", "cursor"),
        ("limit=0", "limit"),
    ] {
        let answer = app.get(&format!("/api/v1/status/changes?{question}"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["parameter"]),
            (400, &json!(parameter)),
            "{question}"
        );
    }
}

#[test]
fn a_node_has_a_status_a_story_and_an_uptime() {
    let db = story();
    db.execute("INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day')");
    let app = TestApp::builder().db(db).start();
    app.wait_projected();
    let a = app.get("/api/v1/nodes/a/status/").json();
    assert_eq!(
        (&a["state"], &a["reason"], &a["name"]),
        (&json!("online"), &json!("recovered"), &json!("alice"))
    );
    assert_eq!(ids(&a["changes"]), [6, 3]);
    let gaps = a["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0]["reason"], "closed_by_node");
    assert!(gaps[0]["end_time"].is_string());
    // Its ends are the same in a span that ends within it.
    let ends = |gap: &Value| {
        ["start_time", "end_time"]
            .map(|end| DateTime::parse_from_rfc3339(gap[end].as_str().unwrap()).unwrap())
    };
    let [start, end] = ends(&gaps[0]);
    let third = (end - start) / 3;
    let span = [start + third, end - third]
        .map(|time| time.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true));
    let part = app
        .get(&format!(
            "/api/v1/nodes/a/status?start_time={}&end_time={}",
            span[0], span[1]
        ))
        .json();
    assert_eq!(ends(&part["gaps"][0]), [start, end], "{part}");
    // Lost for one hour of 23.
    let seconds = |field: &str| a[field].as_f64().unwrap().round();
    assert_eq!(
        [
            seconds("judged_s"),
            seconds("down_s"),
            seconds("own_outage_s")
        ],
        [23.0 * 3600.0, 3600.0, 3600.0]
    );
    assert!((a["uptime"].as_f64().unwrap() - 22.0 / 23.0).abs() < 1e-3);
    assert_eq!(
        a["outages"].as_array().unwrap().len(),
        1,
        "not of a server that it was not connected to"
    );
    let b = app.get("/api/v1/nodes/b/status").json();
    assert_eq!(
        (&b["state"], &b["gaps"][0]["end_time"]),
        (&json!("offline"), &Value::Null)
    );
    let c = app
        .get("/api/v1/nodes/c/status?start_time=2020-01-01T00:00:00Z")
        .json();
    assert_eq!(ids(&c["changes"]), [1]);
    assert_eq!(app.get("/api/v1/nodes/nobody/status").status, 404);
    assert_eq!(
        app.get("/api/v1/nodes/a/status?start_time=2999-01-01T00:00:00Z")
            .status,
        400
    );
}

#[test]
fn what_is_wrong_now_is_told_by_chain() {
    let db = story();
    db.execute("INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day')");
    let app = TestApp::builder().db(db).start();
    app.wait_projected();
    let status = app.get("/api/v1/status").json();
    assert_eq!(status["is_judged"], true);
    let chains = status["chains"].as_array().unwrap();
    assert_eq!(
        chains.len(),
        1,
        "who went offline more than a day ago is left out: {status}"
    );
    assert_eq!(
        (
            &chains[0]["chain"],
            &chains[0]["nodes"],
            &chains[0]["state"]
        ),
        (&json!("main"), &json!(2), &json!("online"))
    );
    assert_eq!(chains[0]["states"], json!({"online": 1, "offline": 1}));
    assert_eq!(status["outages"], json!([]));
    app.db
        .execute("UPDATE status_outages SET ended_at = NULL WHERE server_id = ''");
    let status = app.get("/api/v1/status").json();
    assert_eq!(status["outages"][0]["cause"], "not_judged");
}

#[test]
fn who_follows_the_changes_hears_each_once() {
    let app = start();
    let node = Beating::start(&app, "a");
    wait_state(&app.db, "a", "online");
    let node = node.stop();
    let (mut since, mut heard) = (0, Vec::new());
    wait_until("it is offline", || {
        let new = app
            .get(&format!("/api/v1/status/changes?since={since}"))
            .json();
        for change in new.as_array().unwrap() {
            since = change["id"].as_i64().unwrap();
            heard.push(change["to_state"].as_str().unwrap().to_owned());
        }
        heard.last().is_some_and(|state| state == "offline")
    });
    assert_eq!(heard, ["online", "late", "missing", "offline"]);
    drop(node);
}

#[test]
fn nodes_that_come_and_go_are_found_the_most_often_first() {
    let db = story();
    db.execute(
        "INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day');
         INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, part_of, revision)
         SELECT 1000 + 100 * i + 10 * m + n, 'node', p, '0x1', p, 'main', f, t, 'silent', now(), now() - i * interval '30 minutes', CASE p WHEN 'c' THEN 2 END, 7
         FROM generate_series(0, 5) i, unnest('{a,b,c}'::text[]) WITH ORDINALITY AS of (p, n), unnest('{online,late,missing}'::text[], '{late,missing,online}'::text[]) WITH ORDINALITY AS changes (f, t, m)
         WHERE p <> 'b' OR i < 5",
    );
    let app = TestApp::builder().db(db).start();
    let ask = |question: &str| {
        let answer = app.get(&format!("/api/v1/status/flapping?{question}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let nodes = answer.json();
        let nodes = nodes.as_array().unwrap().iter();
        nodes
            .map(|node| {
                (
                    node["peer_id"].as_str().unwrap().to_owned(),
                    node["falls"].as_i64().unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    let own = |falls: &[(&str, i64)]| {
        falls
            .iter()
            .map(|(peer, falls)| ((*peer).to_owned(), *falls))
            .collect::<Vec<_>>()
    };
    // Those of c are parts of an event of its chain, and b fell silent once before.
    assert_eq!(ask(""), own(&[("a", 6), ("b", 6)]));
    assert_eq!(ask("hours=2"), own(&[("a", 4), ("b", 4)]));
    assert_eq!(ask("falls=6&limit=1&chain=0x1"), own(&[("a", 6)]));
    assert_eq!(ask("chain=dev"), own(&[]));
    for parameter in ["hours", "falls", "limit"] {
        let answer = app.get(&format!("/api/v1/status/flapping?{parameter}=0"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["parameter"]),
            (400, &json!(parameter))
        );
    }
}
