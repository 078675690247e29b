//! Uptime leaves out what was our own fault, and says how much that was.

use crate::support::TestDb;

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
