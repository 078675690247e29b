//! What is wrong now, and what changed lately; and the same of one node.

use serde_json::json;

use super::assert_sound;
use super::trouble::ill;
use crate::support::Browser;

const CHANGES: &str = "INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, part_of, nodes, revision) VALUES
    (10, 'chain', '', '0x1', NULL, 'Main', 'online', 'telemetry_lost', 'telemetry_lost', now() - interval '9 hours', now() - interval '9 hours', NULL, 5, 1),
    (11, 'node', 'p3', '0x1', 'node 3', 'Main', 'online', 'telemetry_lost', 'telemetry_lost', now() - interval '9 hours', now() - interval '9 hours', 10, NULL, 1),
    (12, 'node', 'p3', '0x1', 'node 3', 'Main', 'online', 'stalled', 'best_block_stands', now() - interval '2 minutes', now() - interval '1 minute', NULL, NULL, 2)";

#[test]
fn the_status_page_says_what_is_wrong_by_chain_and_what_changed() {
    let app = ill(&[]);
    app.db.execute(CHANGES);
    let browser = Browser::start();
    assert_sound(&browser, &app, "/dashboard/status", "#changes li");
    browser.wait_for_text("#verdict", "3 of 7 nodes need attention.");
    assert_eq!(browser.texts("#wrong .name"), ["bob", "node 3", "node 5"]);
    browser.wait_for_text(
        "#wrong",
        "its best block stands while that of its chain moves, 100 blocks behind its chain",
    );
    assert_eq!(
        browser.texts("#chains .chip"),
        ["1 offline", "1 stalled", "1 late", "1 syncing", "3 online"]
    );
    assert_eq!(
        browser.texts("#changes .name"),
        ["node 3", "Chain Main (5 nodes)"]
    );
    assert_eq!(browser.texts("nav [aria-current=page]"), ["Status"]);
    browser.wait_for_text("#errors", "No errors within a day.");
    app.db.execute(
        r#"INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs)
           SELECT 1000001, now(), p.id, k.id, '{"slot": 7, "err": "UnknownBlock(\"State already discarded\")"}'
           FROM message_kinds k, peer_connections p WHERE k.msg = 'slots.unable_authoring_block' AND p.peer_id = 'p2'"#,
    );

    // It goes on as another server judges.
    app.db.execute(
        "UPDATE node_status SET state = 'missing', since = now() WHERE peer_id = 'p1';
         INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, revision)
         VALUES (300, 'node', 'p1', '0x1', 'node 1', 'Main', 'online', 'missing', 'silent', now(), now(), 2)",
    );
    browser.wait_for_text("#verdict", "4 of 7 nodes need attention.");
    assert_eq!(
        browser.texts("#wrong .name"),
        ["bob", "node 1", "node 3", "node 5"]
    );
    app.post(
        "/api/v1/heartbeats",
        &json!({"service": "relayer", "interval_s": 60, "metrics": {"queue": 7}}),
    );
    browser.wait_for_text("#services", "relayer");
    browser.wait_for_text("#services", "queue 7");
    // What was told since is there as well.
    browser.wait_for_text("#errors li", "node 2");
    browser.wait_for_text("#errors li", "could not author a block");
    browser.wait_for_text("#errors li", "State already discarded");
    browser.click("#chains .chip");
    browser.wait_until("location.search.includes('where.state=offline')");
    browser.wait_for_text(".table-count", "1 of 7 nodes");
}

#[test]
fn the_page_of_a_node_has_its_status_and_its_changes_with_reasons() {
    let app = ill(&[]);
    app.db.execute(CHANGES);
    app.db.execute(
        "INSERT INTO server_losses VALUES ('s', date_trunc('hour', now(), 'UTC') - interval '1 hour', 'queue_full', 7);
         UPDATE leases SET holder = 'other', token = token + 1, expires_at = now() + interval '1 day' WHERE name = 'projection:node_hours';
         INSERT INTO node_hours (peer_id, genesis_hash, hour, messages, intervals, lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count, seconds_online)
         VALUES ('p3', '0x1', date_trunc('hour', now(), 'UTC') - interval '1 hour', 2000, 1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3600)
         ON CONFLICT (peer_id, genesis_hash, hour) DO UPDATE SET messages = 2000, intervals = 1000, seconds_online = 3600;
         UPDATE peer_connections SET created_at = now() - interval '2 days' WHERE peer_id = 'p3'",
    );
    let browser = Browser::start();
    assert_sound(
        &browser,
        &app,
        "/dashboard/node?peer_id=p3&span=24h",
        "#status li",
    );
    browser.wait_for_text("#state", "Stalled for 2");
    assert_eq!(
        browser.texts("#status li strong"),
        ["stalled", "telemetry lost"]
    );
    browser.wait_for_text("#status", "as most of its chain");
    // Of that hour: another may begin meanwhile.
    let hour = |hours: i64| {
        let start = app
            .db
            .count("SELECT extract(epoch FROM hour)::bigint FROM server_losses");
        let time = chrono::DateTime::from_timestamp(start + hours * 3_600, 0);
        time.unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let span = format!("/dashboard/node?peer_id=p3&from={}&to={}", hour(0), hour(1));
    browser.open(&app.url(&span));
    browser.wait_for_text("#losses", "1000 of 1440 reports arrived that were due");
    browser.wait_for_text("#losses", "440 were not sent.");
    browser.wait_for_text("#losses", "did not keep 7 messages of all nodes");
}
