//! Faults of our own and of others: nothing that is well is told, and nothing that is not is lost.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{told, with_webhook};
use crate::projections::introduce;
use crate::status::{Beating, state, wait_judged, wait_judged_on, wait_state};
use crate::support::{FakeNode, Receiver, Reply, TestApp, wait_until};

/// A chain that has a new block each second, wherever its nodes are.
fn height() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() % 1_000_000
}

/// A node of that chain that is there and well.
fn living(app: &TestApp, peer_id: &str) -> Beating {
    let mut node = app.node("/submit");
    introduce(&mut node, peer_id);
    Beating::follow(node, height)
}

/// One with a version, which is not the newest.
fn outdated(app: &TestApp, peer_id: &str) -> Beating {
    let mut node = app.node("/submit");
    let introduction = json!({"msg": "system.connected", "name": peer_id, "chain": "Development", "network_id": peer_id, "version": "1.0.0",
        "genesis_hash": "0x61644a25da5ad31754e23bc1eca8c766a61ceaa8c60ddc65f158a30209256e35"});
    node.send(json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": introduction}).to_string());
    Beating::follow(node, height)
}

#[track_caller]
fn wait_online(app: &TestApp, peers: &[&str]) {
    for peer in peers {
        wait_state(&app.db, peer, "online");
    }
}

/// Waits until no outage of our own goes on, and for some rounds of the judge.
#[track_caller]
fn wait_calm(app: &TestApp) {
    wait_until("the outage is over", || {
        app.db
            .count("SELECT count(*) FROM status_outages WHERE ended_at IS NULL")
            == 0
    });
    wait_judged_on(&app.db);
}

/// Rules that fire as soon as they hold, so that nothing hides behind their patience.
fn impatient(dir: &std::path::Path) -> [(&'static str, String); 2] {
    let rules = dir.join("rules.toml");
    let quick = [
        "chain_stalled",
        "version_below_minimum",
        "node_lagging",
        "spool_filling",
        "projection_behind",
    ];
    let mut sections: String = quick.map(|rule| format!("[{rule}]\nfor_s = 0\n")).concat();
    sections += "[database_away]\nfor_s = 8\n";
    fs::write(&rules, sections).unwrap();
    let chains = dir.join("chains.toml");
    fs::write(&chains, "[Development]\nMINIMUM_VERSION = \"2.0.0\"\n").unwrap();
    [
        ("ALERT_RULES_PATH", rules.display().to_string()),
        ("CHAIN_OVERRIDES_PATH", chains.display().to_string()),
    ]
}

fn start(dir: &std::path::Path, webhook: &Receiver, alertmanager: &Receiver) -> TestApp {
    let builder = with_webhook(webhook)
        .env("NOTIFY_ALERTMANAGER_URL", alertmanager.url())
        // What they send as finalized is half of their best block.
        .env("NODE_FINALITY_LAG", 1_000_000);
    let files = impatient(dir).into_iter();
    let app = files
        .fold(builder, |builder, (name, value)| builder.env(name, value))
        .start();
    wait_judged(&app.db);
    app
}

/// What an Alertmanager was told, in words, each alert once: it is sent again while it is open.
fn told_manager(receiver: &Receiver) -> Vec<String> {
    let mut all = Vec::new();
    for request in receiver.received() {
        for alert in request.json().as_array().unwrap() {
            let label = |name: &str| alert["labels"][name].as_str().unwrap_or("-").to_owned();
            let phase = match alert["endsAt"].is_null() {
                true => "alert.fired",
                false => "alert.resolved",
            };
            let words = format!("{phase} {} {}", label("alertname"), label("name"));
            if !all.contains(&words) {
                all.push(words);
            }
        }
    }
    all
}

#[track_caller]
fn assert_told(webhook: &Receiver, alertmanager: &Receiver, expected: &[&str]) {
    wait_until("all are told", || {
        told(&webhook.received()).len() >= expected.len()
            && told_manager(alertmanager).len() >= expected.len()
    });
    assert_eq!(told(&webhook.received()), expected);
    assert_eq!(told_manager(alertmanager), expected);
}

#[test]
fn half_the_fleet_at_once_and_restarts_of_ours_are_no_alarm_and_hide_none() {
    let dir = tempfile::tempdir().unwrap();
    let (webhook, alertmanager) = (Receiver::start(), Receiver::start());
    let app = start(dir.path(), &webhook, &alertmanager);
    let names = ["a", "b", "c", "d", "e", "f"];
    let old = outdated(&app, "old");
    let gone = living(&app, "gone");
    let nodes = names.map(|name| living(&app, name));
    wait_online(&app, &["old", "gone", "a", "b", "c", "d", "e", "f"]);
    let mut expected = vec!["alert.fired version_below_minimum old"];
    assert_told(&webhook, &alertmanager, &expected);

    // Half of them lose their connections at the same moment, and come back as nodes do.
    let (lost, stayed): (Vec<_>, Vec<_>) = nodes
        .into_iter()
        .zip(0..)
        .partition(|(_, place)| *place < 4);
    let lost: Vec<FakeNode> = lost.into_iter().map(|(node, _)| node.stop()).collect();
    for mut node in lost {
        // A frame that no websocket has.
        node.send_raw(&[0xff; 8]);
    }
    std::thread::sleep(Duration::from_secs(3));
    let back: Vec<Beating> = names[..4].iter().map(|name| living(&app, name)).collect();
    wait_judged_on(&app.db);
    assert_told(&webhook, &alertmanager, &expected);
    let gone = gone.stop();
    expected.push("alert.fired node_missing gone");
    assert_told(&webhook, &alertmanager, &expected);

    // We restart: what is open stays so; who does not come back is told.
    let connected: Vec<FakeNode> = stayed
        .into_iter()
        .map(|(node, _)| node)
        .chain(back)
        .chain([old])
        .map(Beating::stop)
        .collect();
    let mut app = app.start_again();
    drop((connected, gone));
    let old = outdated(&app, "old");
    let nodes: Vec<Beating> = names[..5].iter().map(|name| living(&app, name)).collect();
    wait_calm(&app);
    wait_until("f is missing", || state(&app.db, "f") == "missing");
    expected.push("alert.fired node_missing f");
    assert_told(&webhook, &alertmanager, &expected);

    // We are killed: the same.
    let connected: Vec<FakeNode> = nodes.into_iter().chain([old]).map(Beating::stop).collect();
    app.kill();
    let app = app.start_again();
    drop(connected);
    let old = outdated(&app, "old");
    let nodes: Vec<Beating> = names[..4].iter().map(|name| living(&app, name)).collect();
    wait_calm(&app);
    wait_until("e is missing", || state(&app.db, "e") == "missing");
    expected.push("alert.fired node_missing e");
    assert_told(&webhook, &alertmanager, &expected);
    assert_eq!(app.db.count("SELECT count(*) FROM alerts"), 4);
    nodes
        .into_iter()
        .chain([old])
        .for_each(|node| _ = node.stop());
}

#[test]
fn a_database_that_is_away_is_one_alert_and_hides_none() {
    let dir = tempfile::tempdir().unwrap();
    let (webhook, alertmanager) = (Receiver::start(), Receiver::start());
    let app = start(dir.path(), &webhook, &alertmanager);
    let nodes = ["a", "b"].map(|name| living(&app, name));
    let falls = living(&app, "falls");
    wait_online(&app, &["a", "b", "falls"]);
    app.wait_projected();

    app.db.refuse_connections();
    // It is told while the database is away.
    let away = "alert.fired database_away";
    let of_server = |words: &[String]| words.iter().filter(|words| words.starts_with(away)).count();
    wait_until("both are told directly", || {
        of_server(&told(&webhook.received())) == 1 && of_server(&told_manager(&alertmanager)) == 1
    });
    let first = webhook.received()[0].clone();
    assert_eq!(first.json()["data"]["severity"], "critical");
    let _silent = falls.stop();
    // Longer than a chain may stand, and a node be silent.
    std::thread::sleep(Duration::from_secs(35));
    app.db.allow_connections();
    wait_calm(&app);
    wait_state(&app.db, "falls", "missing");
    wait_until("all are told", || {
        webhook.received().len() >= 3 && told_manager(&alertmanager).len() >= 3
    });
    let told: Vec<String> = told(&webhook.received());
    let rules: Vec<&str> = told
        .iter()
        .map(|words| words.rsplit_once(' ').unwrap().0)
        .collect();
    assert_eq!(
        rules,
        [
            "alert.fired database_away",
            "alert.resolved database_away",
            "alert.fired node_missing"
        ]
    );
    assert_eq!(told_manager(&alertmanager), told);
    let received = webhook.received();
    assert_eq!(
        received[0].id().replace("_fired", "_resolved"),
        received[1].id()
    );

    let alerts = app.get("/api/v1/alerts?rule=database_away").json();
    assert_eq!(alerts.as_array().unwrap().len(), 1);
    for time in ["began_at", "fired_at", "resolved_at"] {
        assert_eq!(alerts[0][time], received[1].json()["data"][time], "{time}");
    }
    assert_eq!(app.db.count("SELECT count(*) FROM alerts"), 2);
    nodes.into_iter().for_each(|node| _ = node.stop());
}

#[test]
fn who_could_not_hear_of_an_outage_hears_of_it_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let deaf = Receiver::answering(|_, _| Reply::Status(503, ""));
    let alertmanager = Receiver::start();
    let app = start(dir.path(), &deaf, &alertmanager);
    app.db.refuse_connections();
    deaf.wait(2);
    let first = deaf.received()[0].clone();
    deaf.answer(|_, _| Reply::Status(204, ""));
    let before = deaf.received().len();
    app.db.allow_connections();
    wait_until("it has heard", || {
        let received = deaf.received();
        let told = told(&received[before..]);
        told.iter()
            .any(|words| words.starts_with("alert.resolved database_away"))
    });
    let received = deaf.received();
    let fired: Vec<_> = received
        .iter()
        .filter(|one| one.json()["type"] == "alert.fired")
        .collect();
    assert!(
        fired
            .iter()
            .all(|one| one.id() == first.id() && one.body == first.body)
    );
    assert!(received.len() > before, "the last one was heard");
    assert_eq!(received.last().unwrap().json()["type"], "alert.resolved");
}

#[test]
fn nodes_in_trouble_beyond_the_limit_are_counted() {
    let app = TestApp::start();
    super::rules::judged_elsewhere(&app);
    app.db.execute(
        "INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, best_height, best_at, finalized_height) \
         SELECT 'n' || i, '0xaa', 'n' || i, 'Testnet', i, now(), i, now(), now(), true, now(), 1000 + i % 3, now(), 999 FROM generate_series(1, 10007) i; \
         INSERT INTO node_status SELECT peer_id, genesis_hash, 'missing', 'silent', now(), now(), 1, 1, now() FROM nodes",
    );
    wait_until("those beyond it are counted", || {
        app.metric("alerts_nodes_left_out") == 7.0
    });
    wait_until("alerts are kept of the others", || {
        app.db.count("SELECT count(*) FROM alerts") == 10_000
    });
    assert!(app.log().contains("10007 nodes are in trouble"));
}
