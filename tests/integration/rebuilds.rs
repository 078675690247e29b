//! A rebuild is made beside what readers see, and replaces it row by row.

use serde_json::Value;
use tetcore_analytics::ids::SessionId;
use tetcore_analytics::projections;

use crate::documents::statements::filled;
use crate::projections::{NODES, assert_true, interval, introduce};
use crate::support::{TestApp, TestDb, wait_until};

/// Tables of projections, and those of them that [`filled`] has rows in.
const TABLES: [&str; 17] = [
    "nodes",
    "session_values",
    "node_hours",
    "session_hours",
    "span_hours",
    "blocks",
    "block_arrivals",
    "block_finalities",
    "session_blocks",
    "chain_hours",
    "node_identities",
    "software_hours",
    "hardware_hours",
    "authorings",
    "events",
    "malformed_events",
    "job_hours",
];

/// The tables that are being built.
const BESIDE: &str =
    "SELECT count(*) FROM pg_class WHERE relnamespace = 'rebuild'::regnamespace AND relkind = 'r'";

fn ask_for_rebuild(app: &TestApp, projection: &str) {
    // A build that is just beginning would take this for its own beginning.
    match projection {
        "%" => app.wait_projected(),
        one => app.wait_projection(one),
    }
    app.db.execute(&format!(
        "UPDATE projections SET position = NULL, build_end = NULL, beside_end = NULL, built_until = NULL WHERE name LIKE '{projection}'"
    ));
}

/// The rows of a table, without what says when they are forgotten.
fn rows(db: &TestDb, table: &str) -> Vec<String> {
    db.texts(&format!(
        "SELECT (to_jsonb(t) - 'kept_until')::text AS value FROM {table} t ORDER BY 1"
    ))
}

#[test]
fn readers_see_all_rows_while_they_are_built_anew() {
    let app = filled();
    let counts = || {
        let counts = TABLES.map(|table| format!("(SELECT count(*) FROM {table})"));
        let counts = format!("SELECT unnest(ARRAY[{}])::text AS value", counts.join(","));
        let counts = app.db.texts(&counts);
        counts
            .iter()
            .map(|count| count.parse().unwrap())
            .collect::<Vec<u64>>()
    };
    let before = counts();
    let listed = || app.get("/nodes").json().as_array().unwrap().len();
    let nodes = listed();
    assert!(nodes > 0);
    assert!(
        before.iter().filter(|count| **count > 0).count() > 6,
        "{before:?}"
    );
    ask_for_rebuild(&app, "%");
    let mut looks = 0;
    wait_until("all are built", || {
        let built = app
            .db
            .count("SELECT count(*) FROM projections WHERE position IS NULL")
            == 0;
        let now = counts();
        for ((table, before), now) in TABLES.iter().zip(&before).zip(&now) {
            // Arrivals of a past that is read again are forgotten sooner.
            assert!(
                now >= before || table.starts_with("block_"),
                "{table}: {now} of {before}"
            );
        }
        assert_eq!(listed(), nodes);
        looks += u32::from(!built);
        built
    });
    assert!(looks > 0, "it was over before the first look");
    assert_eq!(app.db.count(BESIDE), 0);
}

#[test]
fn a_rebuild_mends_what_is_wrong_and_writes_nothing_else() {
    let app = filled();
    let open = "SELECT count(*) FROM peer_connections WHERE disconnected_at IS NULL";
    wait_until("sessions are closed", || app.db.count(open) == 0);
    app.wait_projected();
    let tables = [
        ("nodes", "name"),
        ("node_hours", "messages"),
        ("blocks", "nodes"),
        ("software_hours", "nodes"),
        ("events", "severity"),
    ];
    let before = tables.map(|(table, _)| rows(&app.db, table));
    let written = |table: &str| {
        app.db.texts(&format!(
            "SELECT xmin::text AS value FROM {table} ORDER BY {table}::text"
        ))
    };
    for (table, column) in tables {
        assert!(!before[0].is_empty(), "{table}");
        let all = written(table);
        ask_for_rebuild(&app, "%");
        app.wait_projected();
        assert_eq!(written(table), all, "{table}");
        // One row is wrong, another one is missing, and one should not be there.
        let wrong = match column {
            "name" => "'wrong'",
            "severity" => "'fatal'",
            _ => "77",
        };
        app.db.execute(&format!(
            "UPDATE {table} SET {column} = {wrong} WHERE ctid = (SELECT min(ctid) FROM {table})"
        ));
    }
    let bogus = [
        ("nodes", "peer_id", "'bogus'"),
        ("node_hours", "peer_id", "'bogus'"),
        ("blocks", "hash", r"'\x00'"),
        ("software_hours", "version", "'bogus'"),
        ("events", "id", "1000000"),
    ];
    for (table, column, value) in bogus {
        app.db.execute(&format!(
            "CREATE TEMP TABLE bogus AS SELECT * FROM {table} LIMIT 1; UPDATE bogus SET {column} = {value}; INSERT INTO {table} SELECT * FROM bogus; \
             DELETE FROM {table} WHERE ctid = (SELECT max(ctid) FROM {table} WHERE {column} <> {value}) AND {column} <> {value}"
        ));
        assert_ne!(rows(&app.db, table), before[0]);
    }
    ask_for_rebuild(&app, "%");
    app.wait_projected();
    for ((table, _), before) in tables.iter().zip(&before) {
        assert_eq!(rows(&app.db, table), *before, "{table}");
    }
    // So it is with days of events that are gone altogether: they are made where the others are.
    let days = "SELECT c.oid::regclass::text AS value FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events_kept'::regclass";
    let all = app.db.texts(days);
    app.db.execute(&format!("DROP TABLE {}", all.join(",")));
    ask_for_rebuild(&app, "events");
    app.wait_projected();
    assert_eq!(app.db.texts(days), all);
    assert_eq!(rows(&app.db, "events"), before[4]);
}

#[test]
fn sessions_that_are_purged_leave_nothing_that_waits_where_it_is_built() {
    let db = TestDb::new();
    let wait =
        "INSERT INTO session_values (session_id, seen_at) SELECT generate_series(1, 3), now()";
    let waiting = |table: &str| db.texts(&format!("SELECT session_id::text AS value FROM {table}"));
    let beside = "rebuild.session_values";
    db.execute(&format!(
        "{wait}; CREATE TABLE {beside} (LIKE session_values INCLUDING ALL); INSERT INTO {beside} TABLE session_values"
    ));
    projections::forget_sessions(&mut db.connect(), &[SessionId(1), SessionId(3)]).unwrap();
    assert_eq!([waiting("session_values"), waiting(beside)], [["2"], ["2"]]);
}

/// Nodes of the past with one session each, which has ended. Nobody maintains what does not count here.
fn with_nodes(app: &TestApp, count: u32) {
    app.wait_projected();
    app.db.execute(&format!(
        "UPDATE leases SET holder = 'asleep', token = token + 1, expires_at = now() + interval '1 hour' WHERE name LIKE 'projection:%' AND name <> 'projection:nodes'; \
         INSERT INTO peer_connections (id, ip_addr, peer_id, name, genesis_hash, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) \
         SELECT 1000000 + i, '::1', 'peer ' || i || ' {{key}} \\ ''', 'name', '0x1', now() - interval '1 day', i, 'other', now() - interval '1 day', now() - interval '1 day', 'closed' FROM generate_series(1, {count}) AS i; ANALYZE peer_connections"
    ));
    app.wait_projection("nodes");
}

#[test]
fn rows_are_replaced_in_transactions_of_ten_thousand() {
    let app = TestApp::start();
    with_nodes(&app, 21_000);
    let before = app.db.texts(NODES);
    assert_eq!(before.len(), 21_000);
    app.db.execute(
        "UPDATE nodes SET name = 'wrong'; INSERT INTO nodes SELECT 'bogus ' || i, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since \
         FROM nodes, generate_series(1, 15000) AS i WHERE session_id = 1000001",
    );
    ask_for_rebuild(&app, "nodes");
    app.wait_projection("nodes");
    assert_eq!(app.db.texts(NODES), before);
    let transactions = app
        .db
        .texts("SELECT count(*)::text AS value FROM nodes GROUP BY xmin");
    assert!(transactions.len() > 2, "{transactions:?}");
    let largest = transactions
        .iter()
        .map(|rows| rows.parse::<u32>().unwrap())
        .max();
    assert!(largest <= Some(10_000), "{transactions:?}");
}

#[test]
fn a_server_that_is_killed_while_it_replaces_rows_leaves_the_rest_to_another() {
    let first = TestApp::start();
    let mut node = first.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    first.wait_stored(3);
    drop(node);
    with_nodes(&first, 15_000);
    let second = TestApp::builder()
        .env("DATABASE_URL", first.db.url())
        .start();
    let before = first.db.texts(NODES);
    first
        .db
        .execute("UPDATE nodes SET best_height = 1, name = 'wrong'");
    ask_for_rebuild(&first, "nodes");
    // Its first transaction can commit, the second one meets a row that somebody holds.
    let mut locker = first.db.connect();
    diesel::connection::SimpleConnection::batch_execute(
        &mut locker,
        "BEGIN; SELECT FROM nodes ORDER BY peer_id DESC LIMIT 1 FOR UPDATE",
    )
    .unwrap();
    wait_until("a row is waited for", || {
        first.db.count(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                 WHERE NOT granted AND locktype = 'transactionid' AND datname = current_database()",
        ) > 0
    });
    assert_eq!(
        first
            .db
            .count("SELECT count(*) FROM nodes WHERE name = 'wrong'"),
        5_001
    );
    let mut apps = [first, second];
    let holds = |app: &TestApp| {
        app.metric_with("cluster_lease_held", "job_name=\"projection:nodes\"") == 1.0
    };
    let holder = apps.iter().position(holds).unwrap();
    apps[holder].kill();
    drop(locker);
    let [first, _] = &apps;
    first.wait_projection("nodes");
    assert_eq!(first.db.texts(NODES), before);
    assert_eq!(first.db.count(BESIDE), 0);
}

#[test]
fn what_is_before_the_start_of_a_rebuild_stays() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    app.wait_stored(3);
    app.wait_projected();
    app.db.execute(
        "CREATE TEMP TABLE old AS SELECT * FROM node_hours WHERE messages > 0; UPDATE old SET hour = hour - interval '5 hours', best_height = 7; \
         INSERT INTO node_hours SELECT * FROM old; UPDATE node_hours SET best_height = 8 WHERE best_height = 100",
    );
    let from = (chrono::Utc::now() - chrono::TimeDelta::hours(2)).to_rfc3339();
    let output = app.run(&["rebuild", "node_hours", "--from", &from]);
    assert!(output.status.success(), "{output:?}");
    let heights =
        "SELECT best_height::text AS value FROM node_hours WHERE messages > 0 ORDER BY hour";
    assert_eq!(app.db.texts(heights), ["7", "100"]);
}

#[test]
fn what_a_node_reported_in_messages_that_are_purged_is_kept() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    app.wait_stored(3);
    app.wait_projected();
    // It said the number of its peers long ago.
    app.db.execute(
        "UPDATE nodes SET peers = 77, network_at = now() - interval '100 days', network_message = 1; \
         UPDATE telemetry_messages SET logs = '{\"height\": 100}' WHERE logs ? 'peers'",
    );
    ask_for_rebuild(&app, "nodes");
    app.wait_projected();
    let values = || {
        app.db
            .texts("SELECT concat_ws(' ', best_height, peers) AS value FROM nodes")
    };
    assert_eq!(values(), ["100 77"]);
    interval(&mut node, 103);
    app.wait_stored(5);
    app.wait_projected();
    assert_eq!(values(), ["103 3"]);
    let grown = app.db.texts(NODES);
    ask_for_rebuild(&app, "nodes");
    app.wait_projected();
    assert_eq!(app.db.texts(NODES), grown);
}

#[test]
fn a_build_of_another_version_is_begun_anew() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    app.wait_stored(3);
    let builds = [
        // The previous version builds in the tables themselves.
        "build_end = position, built_until = now() - interval '1 hour', beside_end = NULL",
        "build_end = position, built_until = now() - interval '1 hour', beside_end = position",
        // Tables that were built beside are gone, or have other columns.
        "build_end = NULL, built_until = now(), beside_end = position",
    ];
    for build in builds {
        app.wait_projected();
        app.db.execute(&format!(
            "UPDATE projections SET {build}, position = NULL; UPDATE nodes SET best_height = 1"
        ));
        app.wait_projected();
        assert_true(&app);
        assert_eq!(app.db.count(BESIDE), 0);
    }
    let listed: Value = app.get("/nodes").json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}
