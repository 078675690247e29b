//! What fires: of nodes, chains, and this program.

use std::process::Command;

use serde_json::json;

use super::{told, with_webhook};
use crate::support::{Receiver, TestApp, wait_until};

/// Rules and names of the alerts that are open.
fn open(app: &TestApp) -> Vec<String> {
    app.db.texts("SELECT rule || ' ' || coalesce(name, chain, '') AS value FROM alerts WHERE resolved_at IS NULL ORDER BY 1")
}

/// Enters a node with a state, as the evaluator and the projection keep them; the job of judging
/// stays with another holder.
fn enter(app: &TestApp, peer_id: &str, state: &str, authority: bool) {
    app.db.execute(&format!(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, name, chain, version, authority, connection_id, server_id, genesis_hash, last_seen_at, cpu_hashrate_score) \
         VALUES (-(SELECT count(*) FROM peer_connections) - 1, '10.0.0.1', '{peer_id}', now(), 'name of {peer_id}', 'Testnet', '1.2.3', {authority}, 1, 'x', '0xaa', now(), 100); \
         INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since) \
         SELECT peer_id, genesis_hash, name, chain, id, created_at, id, created_at, last_seen_at, true, created_at FROM peer_connections WHERE peer_id = '{peer_id}' ON CONFLICT DO NOTHING; \
         INSERT INTO node_status VALUES ('{peer_id}', '0xaa', '{state}', 'silent', now() - interval '2 minutes', now() - interval '90 seconds', 1, 1, now() - interval '1 day')"
    ));
}

/// A server whose nodes are judged by somebody else, who does so now.
pub(super) fn judged_elsewhere(app: &TestApp) {
    app.db.execute(
        "INSERT INTO leases SELECT job, 'other', 1000, now(), now() + interval '1 day' FROM unnest(ARRAY['status', 'projection:nodes', 'supervision']) AS job \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, expires_at = excluded.expires_at; \
         INSERT INTO status_progress VALUES ('nodes', now(), now() + interval '1 hour') ON CONFLICT (name) DO UPDATE SET judged_at = excluded.judged_at",
    );
}

#[test]
fn each_state_of_a_node_has_its_rule_and_an_authority_is_graver() {
    let app = TestApp::start();
    judged_elsewhere(&app);
    for (peer, state, authority) in [
        ("a", "missing", false),
        ("b", "offline", false),
        ("c", "stalled", true),
        ("d", "lagging", false),
        ("e", "conflict", false),
        ("f", "missing", true),
        ("g", "late", false),
        ("h", "online", false),
        ("i", "telemetry_lost", false),
    ] {
        enter(&app, peer, state, authority);
    }
    let expected = [
        "node_conflict name of e",
        "node_lagging name of d",
        "node_missing name of a",
        "node_missing name of b",
        "node_offline name of b",
        "node_stalled name of c",
        "validator_missing name of f",
    ];
    wait_until("all have fired", || open(&app).len() >= expected.len());
    assert_eq!(open(&app), expected);
    let severity = |rule: &str| {
        app.db
            .texts(&format!(
                "SELECT severity AS value FROM alerts WHERE rule = '{rule}'"
            ))
            .remove(0)
    };
    assert_eq!(
        (severity("node_stalled"), severity("node_lagging")),
        ("critical".to_owned(), "warning".to_owned())
    );

    app.db.execute("UPDATE node_status SET state = 'online'");
    wait_until("all are over", || open(&app).is_empty());
    let graver = app
        .get("/api/v1/alerts?open=false&severity=critical")
        .json();
    assert_eq!(graver.as_array().unwrap().len(), 3);
}

#[test]
fn a_rule_is_changed_by_a_file_which_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    std::fs::write(
        &path,
        "[node_missing]\nenabled = false\n[node_late]\nenabled = true\nseverity = \"critical\"\n",
    )
    .unwrap();
    let app = TestApp::builder()
        .env("ALERT_RULES_PATH", path.display())
        .start();
    judged_elsewhere(&app);
    enter(&app, "a", "missing", false);
    enter(&app, "b", "late", false);
    wait_until("one has fired", || !open(&app).is_empty());
    assert_eq!(open(&app), ["node_late name of b"]);
    let rules = app.get("/api/v1/alerts/rules").json();
    let late = rules
        .as_array()
        .unwrap()
        .iter()
        .find(|rule| rule["name"] == "node_late")
        .unwrap();
    assert_eq!(
        (&late["enabled"], &late["severity"]),
        (&json!(true), &json!("critical"))
    );

    std::fs::write(&path, "[node_mising]\nenabled = false\n").unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .arg("--check-config")
        .env("ALERT_RULES_PATH", &path)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        !checked.status.success() && said.contains("[node_mising] is no rule"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_with_chains_servers_and_versions_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, chains) = (
        dir.path().join("rules.toml"),
        dir.path().join("chains.toml"),
    );
    let at_once = [
        "chain_stalled",
        "chain_finality_lag",
        "version_below_minimum",
        "hardware_below_reference",
        "server_lost",
        "spool_filling",
        "disk_filling",
    ];
    let sections = at_once.map(|rule| format!("[{rule}]\nfor_s = 0\n"));
    std::fs::write(&rules, sections.concat()).unwrap();
    std::fs::write(&chains, "[Testnet]\nMINIMUM_VERSION = \"1.10.0\"\n").unwrap();
    let app = TestApp::builder()
        .env("ALERT_RULES_PATH", rules.display())
        .env("CHAIN_OVERRIDES_PATH", chains.display())
        .start();
    judged_elsewhere(&app);
    for peer in ["a", "b", "c"] {
        enter(&app, peer, "online", peer == "a");
    }
    // Two of three say the same; the third one claims a height of its own.
    app.db.execute(
        "UPDATE nodes SET best_height = CASE peer_id WHEN 'c' THEN 4000000000 ELSE 500 END, best_at = now() - interval '5 minutes', finalized_height = 400; \
         INSERT INTO chain_status VALUES ('0xbb', '', 'telemetry_lost', now(), now(), 1, 1, 12); \
         INSERT INTO servers (id, version, started_at, heartbeat_at, name, heartbeat_interval_s, messages_dropped, dropped_at, spool_bytes, spool_bytes_max, disk_full_in_days) VALUES \
             ('gone', '1', now(), now() - interval '1 minute', 'gone', 1, 0, NULL, 0, 1, NULL), ('ill', '1', now(), now() + interval '1 hour', 'ill', 1, 7, now(), 6, 10, 3)",
    );
    let expected = [
        "chain_finality_lag Testnet",
        "chain_stalled Testnet",
        "disk_filling ill",
        "hardware_below_reference name of a",
        "messages_lost ill",
        "server_lost gone",
        "spool_filling ill",
        "telemetry_lost ",
        "version_below_minimum name of a",
        "version_below_minimum name of b",
        "version_below_minimum name of c",
    ];
    wait_until("all have fired", || open(&app).len() >= expected.len());
    assert_eq!(open(&app), expected);
    let lag = app
        .db
        .texts("SELECT summary AS value FROM alerts WHERE rule = 'chain_finality_lag'");
    assert_eq!(lag, ["has finalized block 400, 100 behind the best"]);
}

#[test]
fn an_authority_that_is_silent_for_half_a_session_is_at_risk() {
    let app = TestApp::builder().env("NODE_SESSION_S", 120).start();
    judged_elsewhere(&app);
    enter(&app, "a", "missing", true);
    enter(&app, "b", "missing", false);
    wait_until("it is told", || {
        open(&app).contains(&"slash_risk name of a".to_owned())
    });
    assert!(!open(&app).contains(&"slash_risk name of b".to_owned()));
}

#[test]
fn one_that_flaps_is_one_alert() {
    let webhook = Receiver::start();
    let app = with_webhook(&webhook).start();
    judged_elsewhere(&app);
    enter(&app, "a", "missing", false);
    for round in 1..=3 {
        wait_until("it is open", || open(&app) == ["node_missing name of a"]);
        app.db.execute("UPDATE node_status SET state = 'online'");
        if round < 3 {
            wait_until("it is over", || open(&app).is_empty());
        } else {
            // The third one in an hour stays until it is calm.
            wait_until("it is absent", || {
                app.db
                    .count("SELECT count(*) FROM alerts WHERE absent_since IS NOT NULL")
                    == 1
            });
        }
        app.db.execute("UPDATE node_status SET state = 'missing'");
    }
    wait_until("it is back", || {
        app.db
            .count("SELECT count(*) FROM alerts WHERE resolved_at IS NULL AND absent_since IS NULL")
            == 1
    });
    assert_eq!(app.db.count("SELECT count(*) FROM alerts"), 3);
    assert_eq!(told(&webhook.wait(5)).len(), 5);
    app.db.execute("UPDATE node_status SET state = 'online'");
    wait_until("it is absent again", || {
        app.db
            .count("SELECT count(*) FROM alerts WHERE absent_since IS NOT NULL")
            == 1
    });
    app.db.execute("UPDATE alerts SET absent_since = absent_since - interval '10 minutes' WHERE resolved_at IS NULL");
    wait_until("it is over", || open(&app).is_empty());
    assert_eq!(
        webhook.wait(6).last().unwrap().json()["type"],
        "alert.resolved"
    );
}
