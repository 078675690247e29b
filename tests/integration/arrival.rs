//! Arrival is the axis of time: the time of a node's clock is kept, and decides nothing.

use std::thread;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{FakeNode, FeedClient, TestApp, wait_until};

/// A time as nodes write it, in whole microseconds.
fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// A node whose clock is off.
struct OffNode {
    socket: FakeNode,
    clock_off: TimeDelta,
}

impl OffNode {
    fn say(&mut self, payload: &Value) {
        let ts = written(Utc::now() + self.clock_off);
        let message = json!({"id": 1, "payload": payload, "ts": ts});
        self.socket.send(message.to_string());
    }

    fn import(&mut self, height: u64) {
        let hash = format!("0x{height:02x}");
        self.say(&json!({"msg": "block.import", "height": height, "best": hash, "origin": "NetworkBroadcast"}));
    }
}

#[test]
fn a_message_is_dated_by_its_arrival_and_keeps_what_its_node_claimed() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    let before = Utc::now();
    let off = |delta: TimeDelta| Some(written(before + delta));
    let claims = [
        None,
        Some("yesterday".to_owned()),
        off(TimeDelta::zero()),
        off(TimeDelta::minutes(4)),
        off(TimeDelta::minutes(-4)),
        off(TimeDelta::minutes(36)),
        off(TimeDelta::minutes(-36)),
        Some("1970-01-01T00:00:00.000000Z".to_owned()),
        Some("9999-12-31T23:59:59.999999Z".to_owned()),
    ];
    for (number, claim) in claims.iter().enumerate() {
        let payload = json!({"msg": "m", "number": number});
        let mut message = json!({"id": 1, "payload": payload});
        if let Some(claim) = claim {
            message["ts"] = json!(claim);
        }
        node.send(message.to_string());
    }
    app.wait_stored(9);
    let after = Utc::now();
    let rows = app.db.texts(
        "SELECT json_build_array(l.created_at, l.node_ts, m.node_ts IS NOT NULL, m.node_delta_us IS NOT NULL, s.logs ->> 'ts')::text AS value \
         FROM telemetry_logs l JOIN telemetry_messages m USING (id) JOIN substrate_logs s USING (id) ORDER BY l.created_at",
    );
    assert_eq!(rows.len(), claims.len());
    let mut last = before - TimeDelta::microseconds(1);
    for (claim, row) in claims.iter().zip(rows) {
        let row: Value = serde_json::from_str(&row).unwrap();
        let (created_at, node_ts) = (time(&row[0]), time(&row[1]));
        assert!(last < created_at && created_at <= after, "{claim:?}: {row}");
        last = created_at;
        let claimed = claim.as_ref().and_then(|claim| claim.parse().ok());
        assert_eq!(node_ts, claimed.unwrap_or(created_at), "{claim:?}");
        assert_eq!(time(&row[4]), node_ts, "{claim:?}");
        let is_near =
            claimed.is_some_and(|time| (time - created_at).abs() < TimeDelta::minutes(35));
        assert_eq!(
            (&row[2], &row[3]),
            (&json!(claimed.is_some() && !is_near), &json!(is_near)),
            "{claim:?}"
        );
    }
}

/// Three nodes of a chain of which one clock is right and two are four minutes
/// off: pages and SQL say what is true of them.
#[test]
fn nodes_whose_clocks_are_four_minutes_off_are_seen_as_they_are() {
    let app = TestApp::start();
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe", "request_id": 1}));
    feed.next_with("ack");
    let offs = [("behind", -4), ("right", 0), ("ahead", 4)];
    let mut nodes = offs.map(|(peer, minutes)| {
        let mut node = OffNode {
            socket: app.node("/submit"),
            clock_off: TimeDelta::minutes(minutes),
        };
        node.say(
            &json!({"msg": "system.connected", "name": peer, "network_id": peer, "chain": "c",
            "genesis_hash": "0xc", "version": "1", "implementation": "i", "startup_time": "1"}),
        );
        node
    });
    app.wait_stored(3);
    // The one ahead is the first to have each block, the one behind the last.
    let mut sent = 3;
    for height in 1..=5 {
        for node in nodes.iter_mut().rev() {
            node.import(height);
            sent += 1;
            app.wait_stored(sent);
        }
    }
    let is_near = |at: DateTime<Utc>| (Utc::now() - at).abs() < TimeDelta::minutes(2);
    for (peer, _) in offs {
        let logs = app
            .get(&format!("/nodes/logs?peer_id={peer}&limit=1"))
            .json();
        assert!(is_near(time(&logs[0]["created_at"])), "{peer}: {logs}");
        let series = app.get(&format!("/api/v1/series?peer_id={peer}")).json();
        let points = series["points"].as_array().unwrap();
        let said: Vec<&Value> = points
            .iter()
            .filter(|point| !point["height"].is_null())
            .collect();
        let last = said.last().unwrap();
        assert!(is_near(time(&last["created_at"])), "{peer}: {last}");
        assert_eq!(
            (&last["height"], &last["chain_height"]),
            (&json!(5), &json!(5)),
            "{peer}"
        );
    }
    let order = app.db.texts(
        "SELECT string_agg(name, ' ' ORDER BY created_at) AS value FROM block_imports GROUP BY height ORDER BY height",
    );
    assert_eq!(order, ["ahead right behind"; 5]);
    let claimed = app.db.count("SELECT count(*) FROM telemetry_logs WHERE abs(extract(epoch FROM node_ts - created_at)) > 230");
    assert_eq!(claimed, 12, "what the two claimed is kept");
    let mut propagation = [None; 3];
    while propagation.iter().any(Option::is_none) {
        for row in feed.next_with("nodes")["nodes"].as_array().unwrap() {
            let index = offs
                .iter()
                .position(|(peer, _)| row["peer_id"] == *peer)
                .unwrap();
            if row["height"] == 5 {
                propagation[index] = Some(row["propagation_ms"].as_u64().unwrap());
                assert!(is_near(time(&row["best_at"])), "{row}");
            }
        }
    }
    let [behind, right, ahead] = propagation.map(Option::unwrap);
    assert!(
        ahead == 0 && ahead < right && right < behind,
        "{propagation:?}"
    );
    // Reported beyond MAX_CLOCK_SKEW_S; at least each introduction is an observation.
    let observed = app.metric("ingest_clock_skew_seconds_count");
    let exceeded = app.metric("ingest_clock_skew_exceeded_total");
    assert_eq!((observed, exceeded), (18.0, 12.0));
}

#[test]
fn what_waited_on_disk_keeps_the_time_of_its_arrival() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    app.db.refuse_connections();
    for _ in 0..50 {
        node.send(r#"{"id":1,"payload":{"msg":"m"},"ts":"2026-01-01T00:00:00Z"}"#);
    }
    wait_until("all are on disk", || {
        app.metric("store_spool_messages") == 50.0
    });
    let on_disk_at = Utc::now();
    thread::sleep(Duration::from_millis(50));
    app.db.allow_connections();
    app.wait_stored(50);
    let late = format!(
        "SELECT count(*) FROM telemetry_logs WHERE created_at > '{}'",
        written(on_disk_at)
    );
    assert_eq!(app.db.count(&late), 0);
    let in_batch = "SELECT count(*) FROM telemetry_logs l JOIN ingest_batches b ON l.id BETWEEN b.id AND b.last_id \
                    WHERE l.created_at BETWEEN b.first_at AND b.last_at";
    assert_eq!(app.db.count(in_batch), 50);
}
