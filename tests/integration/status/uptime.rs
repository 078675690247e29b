//! Uptime leaves out what was our own fault, and says how much that was.

use serde_json::json;

use crate::support::{TestApp, TestDb, wait_until};

/// Uptime of a day, in words: percent, judged, down, and our own outages, in seconds.
fn uptime(db: &TestDb) -> String {
    let query = "SELECT concat_ws(' ', round((100 * uptime)::numeric, 3), judged_s, down_s, own_outage_s) AS value \
                 FROM node_uptime('a', '0x1', '2026-05-01T00:00Z', '2026-05-02T00:00Z')";
    db.texts(query).pop().unwrap_or_default()
}

fn change(db: &TestDb, to: &str, since: &str, changed: &str) {
    let at = |time: &str| match time.contains('T') {
        true => format!("'{time}Z'"),
        false => format!("'2026-05-01T{time}Z'"),
    };
    let (since, changed) = (at(since), at(changed));
    db.execute(&format!(
        "INSERT INTO status_changes (subject, peer_id, genesis_hash, to_state, reason, since, changed_at, revision) \
         VALUES ('node', 'a', '0x1', '{to}', '', {since}, {changed}, 1); \
         UPDATE node_status SET state = '{to}', since = {since}, changed_at = {changed}, change_id = currval('status_changes_id_seq')"
    ));
}

fn judged_from(time: &str) -> TestDb {
    let db = TestDb::new();
    db.execute(&format!(
        "INSERT INTO node_status VALUES ('a', '0x1', 'online', '', '{time}', '{time}', 1, 0, '{time}')"
    ));
    db
}

#[test]
fn a_node_is_down_from_its_last_message_to_its_recovery() {
    let db = judged_from("2026-04-01T00:00Z");
    assert_eq!(uptime(&db), "100.000 86400 0 0");
    change(&db, "late", "10:00:00", "10:00:11");
    change(&db, "online", "10:00:20", "10:00:25");
    assert_eq!(uptime(&db), "100.000 86400 0 0", "late is not down");
    for (state, at) in [
        ("late", "12:00:11"),
        ("missing", "12:00:31"),
        ("offline", "12:05:01"),
    ] {
        change(&db, state, "12:00:00", at);
    }
    // What is wrong with it began before it was away.
    change(&db, "stalled", "11:50:00", "12:14:24");
    assert_eq!(uptime(&db), "99.000 86400 864 0");
    change(&db, "online", "13:00:00", "13:00:00");
    change(&db, "missing", "23:59:00", "23:59:30");
    assert_eq!(uptime(&db), "98.931 86400 924 0", "it is down to this day");
    change(&db, "online", "2026-05-02T00:10:00", "2026-05-02T00:10:01");
    assert_eq!(uptime(&db), "98.931 86400 924 0");
}

#[test]
fn a_node_that_was_down_before_is_down_until_it_recovers() {
    let db = judged_from("2026-04-01T00:00Z");
    change(&db, "offline", "2026-04-30T10:00:00", "2026-04-30T10:05:00");
    assert_eq!(uptime(&db), "0.000 86400 86400 0");
    change(&db, "online", "06:00:00", "06:00:05");
    assert_eq!(uptime(&db), "75.000 86400 21600 0");
    db.execute("DELETE FROM status_changes");
    assert_eq!(uptime(&db), "100.000 86400 0 0", "that is purged");
    db.execute("UPDATE node_status SET state = 'offline', since = '2026-05-01T12:00Z'");
    assert_eq!(uptime(&db), "50.000 86400 43200 0");
}

#[test]
fn our_own_outages_are_left_out_and_said() {
    let db = judged_from("2026-05-01T12:00Z");
    assert_eq!(uptime(&db), "100.000 43200 0 0", "judged since noon");
    // Of all nodes, of its server, and of one that it was not connected to.
    db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) VALUES \
         (1, '::1', 'a', '0x1', '2026-05-01T11:00Z', 1, 'own', '2026-05-01T15:00Z', '2026-05-01T15:00Z', 'server_lost'), \
         (2, '::1', 'a', '0x1', '2026-05-01T15:20Z', 2, 'other', '2026-05-02T15:00Z', NULL, NULL); \
         INSERT INTO status_outages VALUES \
         ('', '2026-05-01T13:00Z', '2026-05-01T14:00Z', 'not_judged'), \
         ('own', '2026-05-01T15:00Z', '2026-05-01T16:00Z', 'server_away'), \
         ('own', '2026-05-01T17:00Z', '2026-05-01T18:00Z', 'server_away'), \
         ('stranger', '2026-05-01T17:00Z', NULL, 'server_away')",
    );
    assert_eq!(uptime(&db), "100.000 36000 0 7200");
    // It was down for two hours, one of them ours.
    change(&db, "offline", "13:30:00", "14:30:00");
    change(&db, "online", "15:30:00", "15:30:05");
    assert_eq!(uptime(&db), "90.000 36000 3600 7200");
    let all = db.texts("SELECT concat_ws(' ', peer_id, uptime) AS value FROM node_uptime('2026-05-01T00:00Z', '2026-05-02T00:00Z')");
    assert_eq!(all, Vec::<String>::new(), "of nodes that are known");
    db.execute(
        "INSERT INTO nodes (peer_id, genesis_hash, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since) \
         VALUES ('a', '0x1', 2, now(), 1, now(), now(), true, now())",
    );
    let all = db.texts("SELECT concat_ws(' ', peer_id, uptime) AS value FROM node_uptime('2026-05-01T00:00Z', '2026-05-02T00:00Z')");
    assert_eq!(all, ["a 0.9"]);
}

#[test]
fn what_a_node_did_not_send_and_what_was_not_kept_are_told_apart() {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO servers (id, version, started_at, heartbeat_at) VALUES ('s', '1', now() - interval '30 days', now() + interval '1 day');
         INSERT INTO peer_connections (id, ip_addr, peer_id, name, chain, genesis_hash, created_at, connection_id, server_id, last_seen_at)
         VALUES (1, '10.0.0.1', 'a', 'alice', 'main', '0x1', now() - interval '20 days', 1, 's', now())",
    );
    let app = TestApp::builder().db(db).start();
    app.wait_projected();
    // An hour may begin meanwhile.
    let hour = |hours: i64| {
        let hour = chrono::Utc::now().timestamp() / 3_600 - 1;
        chrono::DateTime::from_timestamp((hour + hours) * 3_600, 0)
            .unwrap()
            .format("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    };
    let (last, end) = (hour(0), hour(4));
    app.db.execute(&format!(
        "UPDATE leases SET holder = 'other', token = token + 1, expires_at = now() + interval '1 day' WHERE name = 'projection:node_hours';
         DELETE FROM node_hours;
         INSERT INTO node_hours (peer_id, genesis_hash, hour, messages, intervals, lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count, seconds_online)
         SELECT 'a', '0x1', '{last}'::timestamptz + (1 - i) * interval '1 hour', 2000, CASE i WHEN 1 THEN 1440 WHEN 2 THEN 1000 WHEN 3 THEN 716 ELSE 9 END,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, CASE i WHEN 3 THEN 1800 ELSE 3600 END FROM unnest('{{-2,1,2,3}}'::int[]) i;
         INSERT INTO server_losses SELECT s, '{last}', r, 5 FROM unnest('{{s,other}}'::text[]) s, unnest('{{queue_full,rejected}}'::text[]) r"
    ));
    let found = app
        .get(&format!("/api/v1/nodes/a/telemetry?end_time={end}"))
        .json();
    let sums =
        ["expected", "received", "missing", "not_kept"].map(|field| found[field].as_i64().unwrap());
    // Half an hour that lacks four reports lacks none: its ends are not sharp.
    assert_eq!(sums, [1440 + 1440 + 720, 1440 + 1000 + 716, 440, 10]);
    let hours = found["hours"].as_array().unwrap().iter();
    let missing: Vec<i64> = hours
        .map(|hour| hour["missing"].as_i64().unwrap())
        .collect();
    assert_eq!(
        missing,
        [0, 440, 0],
        "the hour that is not over is left out"
    );
    assert_eq!(app.get("/api/v1/nodes/nobody/telemetry").status, 404);
    assert_eq!(app.get("/api/v1/nodes/a/telemetry?end_time=x").status, 400);
}

#[test]
fn what_a_server_does_not_keep_is_in_the_database() {
    let app = TestApp::builder()
        .env("NODES_PER_CONNECTION_MAX", 1)
        .start();
    let mut node = app.node("/submit");
    for id in 1..=3 {
        node.send(json!({"id": id, "payload": {"msg": "m"}}).to_string());
    }
    wait_until("the losses are kept", || {
        app.db.count("SELECT coalesce(sum(messages), 0)::bigint FROM server_losses WHERE reason = 'too_many_nodes' AND hour <= now()") == 2
    });
}
