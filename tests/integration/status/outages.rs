//! What is our own fault is no change of a node, and no change is told twice or lost.

use std::time::{Duration, Instant};

use super::{Beating, builder, changes, start, wait_judged_on, wait_state};
use crate::support::{TestApp, TestDb, wait_until};

/// Waits until all outages are over, and everything was judged for some time after.
#[track_caller]
fn wait_grace(app: &TestApp) {
    wait_until("the outage is over", || {
        app.db.count("SELECT count(*) FROM status_outages") > 0
            && app
                .db
                .count("SELECT count(*) FROM status_outages WHERE ended_at IS NULL")
                == 0
    });
    wait_judged_on(&app.db);
}

#[test]
fn a_restart_is_no_change_of_nodes_that_come_back() {
    let app = start();
    let nodes = ["a", "b", "c", "gone"].map(|name| Beating::start(&app, name));
    for name in ["a", "b", "c", "gone"] {
        wait_state(&app.db, name, "online");
    }
    let connected = nodes.map(Beating::stop);
    let app = app.start_again();
    drop(connected);
    // Longer than a node takes to be missing.
    std::thread::sleep(Duration::from_secs(5));
    let nodes = ["a", "b", "c"].map(|name| Beating::start(&app, name));
    wait_grace(&app);
    for name in ["a", "b", "c"] {
        assert_eq!(changes(&app.db, name), ["new > online first_seen"]);
    }
    wait_state(&app.db, "gone", "offline");
    assert!(
        changes(&app.db, "gone")
            .last()
            .unwrap()
            .ends_with("> offline server_lost"),
        "{:?}",
        changes(&app.db, "gone")
    );
    let causes = app
        .db
        .texts("SELECT cause AS value FROM status_outages WHERE server_id = ''");
    assert_eq!(causes, ["not_judged"]);
    for node in nodes {
        node.stop();
    }
}

#[test]
fn an_outage_of_the_database_is_no_change() {
    let app = start();
    let nodes = ["a", "b"].map(|name| Beating::start(&app, name));
    for name in ["a", "b"] {
        wait_state(&app.db, name, "online");
    }
    app.db.refuse_connections();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(100));
    }
    app.db.allow_connections();
    wait_grace(&app);
    for name in ["a", "b"] {
        assert_eq!(changes(&app.db, name), ["new > online first_seen"]);
    }
    for node in nodes {
        node.stop();
    }
}

#[test]
fn while_the_projection_lags_nothing_changes_and_afterwards_what_is_due() {
    let app = start();
    let (talks, falls) = (Beating::start(&app, "talks"), Beating::start(&app, "falls"));
    for name in ["talks", "falls"] {
        wait_state(&app.db, name, "online");
    }
    // Another transaction keeps the change stream from going on.
    let mut writer = app.db.connect();
    let batch = diesel::connection::SimpleConnection::batch_execute;
    batch(&mut writer, "BEGIN; SELECT pg_current_xact_id()").unwrap();
    let _silent = falls.stop();
    wait_judged_on(&app.db);
    for name in ["talks", "falls"] {
        assert_eq!(changes(&app.db, name), ["new > online first_seen"]);
    }
    batch(&mut writer, "COMMIT").unwrap();
    wait_state(&app.db, "falls", "offline");
    assert_eq!(changes(&app.db, "talks"), ["new > online first_seen"]);
    talks.stop();
}

#[test]
fn a_rebuild_of_the_projection_is_no_change() {
    let app = start();
    let nodes = ["a", "b"].map(|name| Beating::start(&app, name));
    for name in ["a", "b"] {
        wait_state(&app.db, name, "online");
    }
    app.rebuild_projections();
    wait_judged_on(&app.db);
    for name in ["a", "b"] {
        assert_eq!(changes(&app.db, name), ["new > online first_seen"]);
    }
    for node in nodes {
        node.stop();
    }
}

/// Changes that do not follow the one before them, and nodes whose last change is not
/// the one that is kept.
const TWICE_OR_LOST: &str = "
    SELECT concat_ws(' ', peer_id, id, revision, from_state, to_state) AS value
    FROM (
        SELECT *, lag(to_state) OVER w AS state_before, lag(revision) OVER w AS revision_before
        FROM status_changes WHERE subject = 'node' WINDOW w AS (PARTITION BY peer_id ORDER BY id)
    ) c
    WHERE revision_before IS NOT NULL AND (revision <> revision_before + 1 OR from_state <> state_before) OR from_state = to_state
    UNION ALL
    SELECT concat_ws(' ', s.peer_id, s.change_id, s.revision, s.state)
    FROM node_status s
    LEFT JOIN status_changes c ON c.id = s.change_id
    WHERE s.revision > 1 AND (c.revision, c.to_state) IS DISTINCT FROM (s.revision, s.state)";

#[test]
fn no_change_is_told_twice_or_lost_when_servers_are_killed() {
    const NODES: i64 = 20;
    let db = TestDb::new();
    // Conflicts that come and go as fast as nodes are looked at. Sessions that change
    // move the projection on.
    db.execute(&format!(
        "INSERT INTO peer_connections (id, ip_addr, created_at, connection_id, server_id, last_seen_at) VALUES (1, '::1', now(), 1, 'other', now()); \
         INSERT INTO nodes (peer_id, genesis_hash, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since) \
         SELECT 'n' || n, '0x' || n, n, now(), n, now(), now() + interval '1 hour', true, now() FROM generate_series(1, {NODES}) n; \
         UPDATE projections SET position = 0"
    ));
    let toggle = || {
        db.execute(
            "UPDATE nodes SET conflict_since = CASE WHEN random() < 0.5 THEN now() END; \
             UPDATE peer_connections SET last_seen_at = now()",
        );
    };
    let server = || builder().env("DATABASE_URL", db.url()).start();
    let changes = || db.count("SELECT count(*) FROM status_changes");
    let mut servers = [server(), server()];
    for kill in 0..4 {
        let until = changes() + 2 * NODES;
        wait_until("there are more changes", || {
            toggle();
            changes() >= until
        });
        if kill == 3 {
            break;
        }
        let judges =
            |app: &TestApp| app.metric_with("cluster_lease_held", "job_name=\"status\"") > 0.0;
        let judge = servers.iter_mut().find(|app| judges(app)).unwrap();
        judge.kill();
        *judge = server();
    }
    assert_eq!(db.texts(TWICE_OR_LOST), Vec::<String>::new());
    let tokens = "SELECT token FROM leases WHERE name = 'status'";
    assert!(db.count(tokens) >= 4, "several servers judged");
}
