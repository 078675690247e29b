//! Nodes that fall silent, come back, and are wrong about their chain.

use std::time::Duration;

use super::{Beating, builder, changes, start, state, wait_judged_on, wait_state};
use crate::projections::{interval, introduce};
use crate::support::{TestApp, TestDb, wait_until};

#[test]
fn a_node_is_online_late_missing_and_offline_and_recovers() {
    let app = start();
    let node = Beating::start(&app, "a");
    wait_state(&app.db, "a", "online");
    let node = node.stop();
    for expected in ["late", "missing", "offline"] {
        wait_state(&app.db, "a", expected);
    }
    let since = app.db.texts(
        "SELECT (s.since = n.last_seen_at)::text AS value FROM node_status s JOIN nodes n USING (peer_id)",
    );
    assert_eq!(since, ["true"], "it is offline since its last message");
    let node = Beating::go_on(node);
    wait_state(&app.db, "a", "online");
    assert_eq!(
        changes(&app.db, "a"),
        [
            "new > online first_seen",
            "online > late silent",
            "late > missing silent",
            "missing > offline silent",
            "offline > online recovered",
        ]
    );
    assert_eq!(app.metric_with("status_nodes", "state=\"online\""), 1.0);
    assert!(app.metric_with("status_changes_total", "state=\"missing\"") >= 1.0);
    node.stop();
}

#[test]
fn a_single_message_is_no_recovery() {
    let app = start();
    let mut node = Beating::start(&app, "a").stop();
    wait_state(&app.db, "a", "offline");
    interval(&mut node, 100);
    let seen = "SELECT count(*) FROM nodes n JOIN node_status s USING (peer_id) WHERE n.last_seen_at > s.since";
    wait_until("it is seen", || app.db.count(seen) == 1);
    wait_judged_on(&app.db);
    assert_eq!(state(&app.db, "a"), "offline");
}

#[test]
fn an_orderly_end_says_so_and_a_lost_connection_too() {
    let app = start();
    let (orderly, lost) = (
        Beating::start(&app, "orderly"),
        Beating::start(&app, "lost"),
    );
    let other = Beating::start(&app, "other");
    for name in ["orderly", "lost", "other"] {
        wait_state(&app.db, name, "online");
    }
    orderly.stop().leave();
    // A frame that no websocket has.
    lost.stop().send_raw(&[0xff; 8]);
    wait_state(&app.db, "orderly", "offline");
    wait_state(&app.db, "lost", "offline");
    let last = |peer_id| changes(&app.db, peer_id).pop().unwrap();
    assert!(last("orderly").ends_with("> offline disconnected"));
    assert!(last("lost").ends_with("> offline connection_lost"));
    assert_eq!(state(&app.db, "other"), "online");
    other.stop();
}

#[test]
fn a_reconnect_and_a_second_connection_are_the_same_node() {
    let app = start();
    let first = Beating::start(&app, "a");
    wait_state(&app.db, "a", "online");
    let second = Beating::start(&app, "a");
    first.stop().leave();
    wait_until("the first session has ended", || {
        app.db
            .count("SELECT count(*) FROM peer_connections WHERE disconnected_at IS NOT NULL")
            == 1
    });
    second.stop().leave();
    let third = Beating::start(&app, "a");
    let sessions = "SELECT count(*) FROM peer_connections WHERE peer_id = 'a'";
    wait_until("there are three sessions", || app.db.count(sessions) == 3);
    wait_judged_on(&app.db);
    assert_eq!(changes(&app.db, "a"), ["new > online first_seen"]);
    third.stop();
}

#[test]
fn most_nodes_of_a_chain_that_fall_silent_are_one_change_of_the_chain() {
    let app = start();
    let nodes: Vec<_> = (0..5)
        .map(|number| Beating::start(&app, &format!("node-{number}")))
        .collect();
    for number in 0..5 {
        wait_state(&app.db, &format!("node-{number}"), "online");
    }
    let mut nodes = nodes.into_iter();
    let silent: Vec<_> = nodes.by_ref().take(4).map(Beating::stop).collect();
    let chain = "SELECT concat_ws(' ', from_state, to_state, reason, nodes, chain) AS value FROM status_changes WHERE subject = 'chain' ORDER BY id";
    wait_until("telemetry of the chain is lost", || {
        app.db.texts(chain) == ["online telemetry_lost telemetry_lost 4 Development"]
    });
    let told = "SELECT count(*) FROM status_changes WHERE part_of IS NULL AND from_state IS NOT NULL AND subject = 'node'";
    assert_eq!(app.db.count(told), 0, "no node stands for itself");
    assert_eq!(
        changes(&app.db, "node-0"),
        [
            "new > online first_seen",
            "online > telemetry_lost telemetry_lost part"
        ]
    );
    let beating: Vec<_> = silent.into_iter().map(Beating::go_on).collect();
    wait_until("it is back", || {
        app.db.texts(chain).last().unwrap() == "telemetry_lost online recovered 4 Development"
    });
    for number in 0..5 {
        wait_state(&app.db, &format!("node-{number}"), "online");
    }
    assert_eq!(app.db.count(told), 0);
    beating
        .into_iter()
        .chain(nodes)
        .for_each(|node| _ = node.stop());
}

#[test]
fn a_node_whose_block_stands_is_stalled_and_one_far_behind_is_syncing() {
    let app = start();
    let mut nodes: Vec<_> = (0..4).map(|_| app.node("/submit")).collect();
    for (node, name) in nodes.iter_mut().zip(["a", "b", "stands", "syncs"]) {
        introduce(node, name);
    }
    let mut height = 1_000;
    wait_until("both are noticed", || {
        height += 1;
        for (node, name) in nodes.iter_mut().zip(["a", "b", "stands", "syncs"]) {
            let own = match name {
                "stands" => height.min(1_005),
                "syncs" => height - 900,
                _ => height,
            };
            interval(node, own);
        }
        std::thread::sleep(Duration::from_millis(200));
        state(&app.db, "stands") == "stalled" && state(&app.db, "syncs") == "syncing"
    });
    assert_eq!(
        changes(&app.db, "stands"),
        [
            "new > online first_seen",
            "online > stalled best_block_stands"
        ]
    );
    assert!(
        changes(&app.db, "syncs").contains(&"online > syncing catching_up".to_owned())
            || changes(&app.db, "syncs") == ["new > syncing catching_up"],
        "{:?}",
        changes(&app.db, "syncs")
    );
    for name in ["a", "b"] {
        assert_eq!(changes(&app.db, name), ["new > online first_seen"]);
    }
}

#[test]
fn two_processes_of_one_peer_id_are_a_conflict() {
    let db = TestDb::new();
    let sessions = |peer_id: &str, id: u32, second: &str, seen: &str| {
        format!(
            "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, created_at, connection_id, server_id, last_seen_at, startup_time) VALUES \
             ({id}, '::1', '{peer_id}', '0x1', now() - interval '10 minutes', 1, 'other', now() - interval '{seen}', 1), \
             ({id} + 1, '::1', '{peer_id}', '0x1', now() - interval '5 minutes', 2, 'other', now(), {second});"
        )
    };
    db.execute("INSERT INTO servers (id, version, started_at, heartbeat_at) VALUES ('other', '1', now() - interval '1 hour', now())");
    // The older connection says nothing since the newer one is there: it was left behind.
    db.execute(&sessions("restarted", 1, "2", "6 minutes"));
    // One process with two URLs.
    db.execute(&sessions("twice", 3, "1", "1 second"));
    db.execute(&sessions("conflict", 5, "2", "1 second"));
    let app = builder().db(db).start();
    wait_state(&app.db, "conflict", "conflict");
    for name in ["restarted", "twice"] {
        wait_state(&app.db, name, "online");
    }
    let since = "SELECT count(*) FROM node_status s JOIN peer_connections p ON p.id = 6 WHERE s.state = 'conflict' AND s.since = p.created_at";
    assert_eq!(app.db.count(since), 1, "since the second one is there");
    app.db.execute("UPDATE peer_connections SET disconnected_at = now(), disconnect_reason = 'idle', revision = revision + 1 WHERE id = 5");
    wait_until("it is over", || state(&app.db, "conflict") != "conflict");
}

#[test]
fn nodes_that_were_there_before_they_were_judged_are_no_news() {
    let db = TestDb::new();
    db.execute("INSERT INTO servers (id, version, started_at, heartbeat_at) VALUES ('other', '1', now() - interval '1 hour', now())");
    db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, created_at, connection_id, server_id, last_seen_at) \
         VALUES (1, '::1', 'old', '0x1', now() - interval '10 minutes', 1, 'other', now())",
    );
    let app = builder().db(db).start();
    wait_until("it is judged", || !state(&app.db, "old").is_empty());
    assert!(!changes(&app.db, "old").contains(&"new > online first_seen".to_owned()));
}

#[test]
fn changes_are_purged_and_a_forgotten_node_has_no_status() {
    let app = TestApp::builder()
        .env("LOG_EXPIRY_H", 1)
        .env("ROLLUP_EXPIRY_D", 1)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    // Building it begins without any nodes.
    app.wait_projected();
    app.db.execute(
        "INSERT INTO nodes (peer_id, genesis_hash, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since) \
         VALUES ('gone', '', 1, now() - interval '40 days', 1, now(), now() - interval '40 days', false, now()); \
         INSERT INTO node_status VALUES ('gone', '', 'offline', 'silent', now(), now(), 1, 1, now()), ('kept', '', 'offline', 'silent', now(), now(), 1, 1, now()); \
         INSERT INTO status_changes (subject, peer_id, to_state, reason, since, changed_at, revision) VALUES \
         ('node', 'old', 'offline', 'silent', now(), now() - interval '25 hours', 1), ('node', 'new', 'offline', 'silent', now(), now(), 1); \
         INSERT INTO status_outages VALUES ('old', now() - interval '30 hours', now() - interval '26 hours', 'storage'), ('new', now(), NULL, 'storage')",
    );
    wait_until("what is old is gone", || {
        app.db.texts(
            "SELECT peer_id AS value FROM node_status UNION ALL SELECT peer_id FROM status_changes UNION ALL SELECT server_id FROM status_outages ORDER BY 1",
        ) == ["kept", "new", "new"]
    });
}
