//! `/reputation`: the reports of nodes about their peers, from frames as old nodes sent them.

use serde_json::{Value, json};

use crate::support::{FakeNode, TestApp, cases, corpus, run_cases};

fn connected(peer_id: &str) -> String {
    json!({"msg": "system.connected", "level": "INFO", "ts": "2020-11-21T08:02:05+00:00", "name": peer_id,
        "network_id": peer_id, "chain": "dev", "version": "2", "implementation": "node", "authority": false, "config": ""})
    .to_string()
}

fn report(nodes: &Value) -> String {
    json!({"msg": "system.network_state", "level": "INFO", "ts": "2020-11-21T08:02:05+00:00",
        "state": {"peerId": "ignored", "peerset": {"message_queue": 0, "nodes": nodes, "reserved_only": false}}})
    .to_string()
}

fn reporting(app: &TestApp, peer_id: &str, reports: &[Value]) -> FakeNode {
    let mut node = app.node("/submit");
    node.send_text(&connected(peer_id));
    for nodes in reports {
        node.send_text(&report(nodes));
    }
    node
}

/// Alice reports twice, Bob once; Carol is only talked about.
fn with_reports(app: &TestApp) -> [FakeNode; 2] {
    let alice = reporting(
        app,
        "alice",
        &[
            json!({"bob": {"connected": false, "reputation": -1000}}),
            json!({"bob": {"connected": true, "reputation": -42}, "carol": {"connected": false, "reputation": "7"}}),
        ],
    );
    let bob = reporting(
        app,
        "bob",
        &[json!({"alice": {"connected": true, "reputation": 5}})],
    );
    app.wait_stored(5);
    [alice, bob]
}

fn without_time(mut answer: Value) -> Value {
    let reports = answer.as_array_mut().unwrap();
    for report in reports.iter_mut() {
        let ts = report.as_object_mut().unwrap().remove("ts").unwrap();
        assert!(ts.as_str().unwrap().ends_with('Z'), "{ts}");
    }
    reports.sort_by_key(|report| report["reporting_peer"].to_string());
    answer
}

#[test]
fn reports_are_those_of_the_nodes() {
    let app = TestApp::start();
    assert_eq!(app.get("/reputation").json(), json!([]));
    let _nodes = with_reports(&app);
    let cases = cases![
        the_newest_report_of_each_peer_counts,
        a_peer_gets_what_was_said_of_it_and_of_no_other,
    ];
    run_cases(&app, cases);
    app.db
        .execute("UPDATE telemetry_messages SET created_at = created_at - interval '2 hours'");
    run_cases(&app, cases![old_reports_are_left_out]);
}

fn the_newest_report_of_each_peer_counts(app: &TestApp) {
    assert_eq!(
        without_time(app.get("/reputation/").json()),
        json!([
            {"reporting_peer": "alice", "remote_peer": ["bob", "carol"], "reputation": [-42, 7], "connected": [true, false]},
            {"reporting_peer": "bob", "remote_peer": ["alice"], "reputation": [5], "connected": [true]},
        ])
    );
    assert_eq!(
        without_time(app.get("/reputation/logged").json()),
        json!([
            {"reporting_peer": "alice", "remote_peer": ["bob"], "reputation": [-42], "connected": [true]},
            {"reporting_peer": "bob", "remote_peer": ["alice"], "reputation": [5], "connected": [true]},
        ])
    );
    let one = app.get("/reputation?limit=1").json();
    assert_eq!(one.as_array().unwrap().len(), 1);
}

fn a_peer_gets_what_was_said_of_it_and_of_no_other(app: &TestApp) {
    for (peer, expected) in [
        (
            "bob",
            json!([{"reporting_peer": "alice", "reputation": -42, "connected": true}]),
        ),
        (
            "carol/",
            json!([{"reporting_peer": "alice", "reputation": 7, "connected": false}]),
        ),
        (
            "alice",
            json!([{"reporting_peer": "bob", "reputation": 5, "connected": true}]),
        ),
    ] {
        let answer = app.get(&format!("/reputation/{peer}"));
        assert_eq!(without_time(answer.json()), expected, "{peer}");
    }
    let past =
        app.get("/reputation/bob?start_time=2019-01-01T00:00:00&end_time=2019-01-02T00:00:00");
    assert_eq!(past.json(), json!([]));
    let unknown = app.get("/reputation/mallory");
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["parameter"]),
        (404, &json!("peer_id"))
    );
}

fn old_reports_are_left_out(app: &TestApp) {
    assert_eq!(app.get("/reputation").json(), json!([]));
    let older = app.get("/reputation?max_age_s=86400").json();
    assert_eq!(older.as_array().unwrap().len(), 2);
}

pub(crate) fn bad_parameters_are_named(app: &TestApp) {
    for (path, parameter) in [
        ("/reputation?max_age_s=0", "max_age_s"),
        ("/reputation?limit=x", "limit"),
        ("/reputation?start_time=2019-01-01T00:00:00", "start_time"),
        ("/reputation/logged?limit=0", "limit"),
        ("/reputation/bob?start_time=x", "start_time"),
    ] {
        let answer = app.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.json()["error"]["parameter"], parameter, "{path}");
    }
}

#[test]
fn the_captured_frames_of_an_old_node_feed_it() {
    let app = TestApp::start();
    let mut node = app.node("/");
    let frames = corpus("v1");
    for frame in &frames {
        node.send_text(std::str::from_utf8(frame).unwrap());
    }
    app.wait_stored(u32::try_from(frames.len()).unwrap());
    let reports = app.get("/reputation").json();
    assert_eq!(reports[0]["reputation"], json!([-42]));
    assert_eq!(reports[0]["connected"], json!([true]));
    let peer = reports[0]["remote_peer"][0].as_str().unwrap();
    let opinions = app.get(&format!("/reputation/{peer}")).json();
    assert_eq!(opinions[0]["reporting_peer"], reports[0]["reporting_peer"]);
}
