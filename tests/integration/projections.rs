//! Tables that are maintained from the messages: they say what the messages say,
//! however these were stored, and are the same when they are built again.

use serde_json::{Value, json};

use crate::support::{FakeNode, TestApp, corpus, wait_until};

/// The rows of `nodes`, in order, without what moves by itself.
pub(crate) const NODES: &str =
    "SELECT to_jsonb(n)::text AS value FROM nodes n ORDER BY peer_id, genesis_hash";

/// The values of `nodes` from the log, by plain SQL.
const NODES_BY_SQL: &str = "
    WITH said AS (
        SELECT p.peer_id, coalesce(p.genesis_hash, '') AS genesis_hash, p.created_at AS session_at, l.id, l.created_at, l.msg, l.logs,
               CASE WHEN l.msg <> 'notify.finalized' THEN telemetry_integer(l.logs, 'height') END AS best,
               CASE WHEN l.msg = 'notify.finalized' THEN telemetry_integer(l.logs, 'height') ELSE telemetry_integer(l.logs, 'finalized_height') END AS finalized
        FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id
        WHERE p.peer_id IS NOT NULL AND l.msg IN ('system.interval', 'block.import', 'notify.finalized')
    )
    SELECT concat_ws(' ', peer_id, genesis_hash,
        (array_agg(best ORDER BY session_at DESC, best DESC, created_at) FILTER (WHERE best IS NOT NULL))[1],
        (array_agg(created_at ORDER BY session_at DESC, best DESC, created_at) FILTER (WHERE best IS NOT NULL))[1],
        (array_agg(finalized ORDER BY session_at DESC, finalized DESC, created_at) FILTER (WHERE finalized IS NOT NULL))[1],
        (array_agg(telemetry_integer(logs, 'peers') ORDER BY created_at DESC, id DESC) FILTER (WHERE logs ? 'peers'))[1],
        (array_agg(telemetry_integer(logs, 'txcount') ORDER BY created_at DESC, id DESC) FILTER (WHERE logs ? 'txcount'))[1]) AS value
    FROM said GROUP BY peer_id, genesis_hash ORDER BY 1";

/// The same, as the projection has it.
const NODES_BY_PROJECTION: &str = "
    SELECT concat_ws(' ', peer_id, genesis_hash, best_height, best_at, finalized_height, peers, transactions) AS value
    FROM nodes WHERE best_height IS NOT NULL OR finalized_height IS NOT NULL OR network_at IS NOT NULL OR pool_at IS NOT NULL ORDER BY 1";

/// The rows of `node_hours` and of hours whose node is not known, in order.
const HOURS: &str = "
    SELECT to_jsonb(n)::text AS value FROM node_hours n
    UNION ALL SELECT to_jsonb(s)::text FROM session_hours s ORDER BY 1";

/// The hours of nodes from the log, by plain SQL.
const HOURS_BY_SQL: &str = "
    WITH said AS (
        SELECT p.peer_id, coalesce(p.genesis_hash, '') AS genesis_hash, date_trunc('hour', l.created_at, 'UTC') AS hour, l.msg, l.logs, l.created_at, l.id,
               telemetry_integer(l.logs, 'height') - telemetry_integer(l.logs, 'finalized_height') AS lag
        FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id
        WHERE p.peer_id IS NOT NULL
    )
    SELECT concat_ws(' ', peer_id, genesis_hash, hour, count(*), count(*) FILTER (WHERE msg = 'system.interval'),
        min(lag) FILTER (WHERE msg = 'system.interval'), sum(lag) FILTER (WHERE msg = 'system.interval'), max(lag) FILTER (WHERE msg = 'system.interval'),
        sum(telemetry_integer(logs, 'peers')) FILTER (WHERE msg = 'system.interval'),
        max(telemetry_integer(logs, 'peers')) FILTER (WHERE msg = 'system.interval'),
        sum(round(telemetry_number(logs, 'bandwidth_download'))) FILTER (WHERE msg = 'system.interval'),
        (array_agg(telemetry_integer(logs, 'ready') ORDER BY created_at DESC, id DESC) FILTER (WHERE msg = 'txpool.import'))[1]) AS value
    FROM said GROUP BY peer_id, genesis_hash, hour ORDER BY 1";

/// The same, as the projection has it.
const HOURS_BY_PROJECTION: &str = "
    SELECT concat_ws(' ', peer_id, genesis_hash, hour, messages, intervals, lag_min, CASE WHEN lag_count > 0 THEN lag_sum END, lag_max,
        CASE WHEN peers_count > 0 THEN peers_sum END, peers_max, CASE WHEN download_count > 0 THEN download_sum END, ready) AS value
    FROM node_hours WHERE messages > 0 ORDER BY 1";

pub(crate) fn introduce(node: &mut FakeNode, peer_id: &str) {
    node.send(
        json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": {
            "msg": "system.connected", "name": peer_id, "chain": "Development", "network_id": peer_id,
            "genesis_hash": "0x61644a25da5ad31754e23bc1eca8c766a61ceaa8c60ddc65f158a30209256e35"}})
        .to_string(),
    );
}

pub(crate) fn interval(node: &mut FakeNode, height: u64) {
    let text = |payload: Value| json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": payload});
    node.send(text(json!({"msg": "system.interval", "height": height, "best": format!("0x{height:x}"), "finalized_height": height / 2, "finalized_hash": "0x1", "txcount": height % 7, "used_state_cache_size": 5})).to_string());
    node.send(text(json!({"msg": "system.interval", "peers": height % 5, "bandwidth_download": 10, "bandwidth_upload": 20})).to_string());
}

#[track_caller]
pub(crate) fn assert_true(app: &TestApp) {
    app.wait_projected();
    let expected = app.db.texts(NODES_BY_SQL);
    assert!(!expected.is_empty());
    assert_eq!(app.db.texts(NODES_BY_PROJECTION), expected);
    let expected = app.db.texts(HOURS_BY_SQL);
    assert_eq!(app.db.texts(HOURS_BY_PROJECTION), expected);
}

#[track_caller]
pub(crate) fn assert_rebuilt_alike(app: &TestApp) {
    let grown = (app.db.texts(NODES), app.db.texts(HOURS));
    app.rebuild_projections();
    assert_eq!(app.db.texts(NODES), grown.0);
    assert_eq!(app.db.texts(HOURS), grown.1);
}

#[test]
fn nodes_say_what_the_messages_say_and_are_built_again_alike() {
    let app = TestApp::start();
    let mut sent = 0;
    let mut nodes = Vec::new();
    for file in ["v2", "v1"] {
        let mut node = app.node("/submit");
        for frame in corpus(file) {
            node.send(frame);
            sent += 1;
        }
        nodes.push(node);
    }
    app.wait_stored(sent);
    drop(nodes);
    wait_until("all sessions are closed", || {
        app.db
            .count("SELECT count(*) FROM peer_connections WHERE disconnected_at IS NULL")
            == 0
    });
    assert_true(&app);
    assert_rebuilt_alike(&app);
}

/// Messages that were just stored are read from memory, as they were sent; a rebuild reads
/// them from the database, which writes numbers and keys in its own way.
#[test]
fn odd_json_means_the_same_from_memory_and_from_the_database() {
    let fields = [
        r#""height":1e3,"best":"0x1""#,
        r#""height":-0,"best":"0x2""#,
        r#""height":100.0,"best":"0x3""#,
        r#""height":7,"height":9,"best":"0x4","best":"0x5""#,
        r#""height":"11","best":"\u0030x6","txcount":1.50E1"#,
        r#""peers":3e0,"bandwidth_download":1.5e3,"bandwidth_upload":-0.0"#,
        r#""height":1e300,"txcount":99999999999999999999"#,
        r#""height":12,"used_state_cache_size":"1e2","peers":{"a":[1e2]}"#,
    ];
    for fields in fields {
        let app = TestApp::start();
        let mut node = app.node("/submit");
        introduce(&mut node, "odd");
        app.wait_stored(1);
        app.wait_projected();
        node.send(format!(r#"{{"id":1,"ts":"2026-11-21T08:02:05Z","payload":{{"msg":"system.interval",{fields}}}}}"#));
        app.wait_stored(2);
        app.wait_projected();
        assert_rebuilt_alike(&app);
    }
}

#[test]
fn values_of_a_node_that_introduces_itself_late_are_not_lost() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    interval(&mut node, 100);
    app.wait_stored(2);
    app.wait_projected();
    assert_eq!(app.db.count("SELECT count(*) FROM nodes"), 0);
    assert_eq!(app.db.count("SELECT best_height FROM session_values"), 100);
    introduce(&mut node, "late");
    app.wait_stored(3);
    app.wait_projected();
    assert_eq!(app.db.count("SELECT best_height FROM nodes"), 100);
    assert_eq!(app.db.count("SELECT count(*) FROM session_values"), 0);
    assert_true(&app);
    assert_rebuilt_alike(&app);
}

#[test]
fn a_node_that_reconnects_keeps_its_values_until_it_reports_new_ones() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    app.wait_stored(3);
    drop(node);
    wait_until("it is offline", || {
        app.db.count("SELECT count(*) FROM nodes WHERE NOT online") == 1
    });
    assert_eq!(
        app.get("/nodes?online=false")
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    app.wait_stored(4);
    app.wait_projected();
    assert_eq!(
        app.db.count("SELECT best_height FROM nodes WHERE online"),
        100
    );
    // Its database was purged: a lower block is the truth.
    interval(&mut node, 7);
    app.wait_stored(6);
    app.wait_projected();
    assert_eq!(
        app.db.count("SELECT best_height FROM nodes WHERE online"),
        7
    );
    assert_true(&app);
}

#[test]
fn an_hour_says_how_long_a_node_was_online_and_how_its_sessions_ended() {
    let app = TestApp::start();
    // Two sessions that overlap, and one that ends in the next hour.
    app.db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) VALUES \
         (1, '::1', 'a', '0x1', '2026-05-01T10:00:00Z', 1, 'other', '2026-05-01T10:20:00Z', '2026-05-01T10:20:00Z', 'closed'), \
         (2, '::1', 'a', '0x1', '2026-05-01T10:10:00Z', 2, 'other', '2026-05-01T10:30:00Z', '2026-05-01T10:30:00Z', 'silent'), \
         (3, '::1', 'a', '0x1', '2026-05-01T10:50:00Z', 3, 'other', '2026-05-01T11:05:00Z', '2026-05-01T11:05:00Z', 'silent')",
    );
    app.wait_projected();
    let hours = "SELECT concat_ws(' ', extract(hour FROM hour AT TIME ZONE 'UTC'), seconds_online, gaps) AS value FROM node_hours ORDER BY 1";
    assert_eq!(
        app.db.texts(hours),
        [
            r#"10 2400 {"closed": 1, "silent": 1}"#,
            r#"11 300 {"silent": 1}"#
        ]
    );
    assert_rebuilt_alike(&app);
}

#[test]
fn a_build_takes_all_hours_of_a_session_that_is_still_open() {
    let app = TestApp::start();
    wait_until("the server is known", || {
        app.db.count("SELECT count(*) FROM servers") == 1
    });
    app.db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, created_at, connection_id, server_id, last_seen_at) \
         VALUES (1, '::1', 'a', '0x1', now() - interval '5 hours', 1, (SELECT id FROM servers), now())",
    );
    app.wait_projected();
    app.db
        .execute("UPDATE peer_connections SET revision = 2, last_seen_at = now()");
    app.wait_projected();
    assert!(
        app.db
            .count("SELECT count(*) FROM node_hours WHERE seconds_online > 0")
            >= 5
    );
    assert_rebuilt_alike(&app);
}

#[test]
fn after_a_restore_into_another_cluster_projections_are_built_anew() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    app.wait_stored(3);
    app.wait_projected();
    // As after a dump and restore: transactions had higher numbers where it comes from.
    app.db.execute(
        "UPDATE projections SET cluster_id = 'another', position = position + 1000000000; \
         UPDATE ingest_batches SET transaction_id = transaction_id + 1000000000; DELETE FROM nodes",
    );
    wait_until("the node is there again", || {
        app.db
            .count("SELECT count(*) FROM nodes WHERE best_height = 100")
            == 1
    });
    wait_until("the log tells", || {
        app.log().contains("restored into another cluster")
    });
    interval(&mut node, 101);
    wait_until("it follows the changes again", || {
        app.db
            .count("SELECT count(*) FROM nodes WHERE best_height = 101")
            == 1
    });
}

#[test]
fn a_projection_is_built_anew_on_demand_beside_the_server() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    app.wait_stored(3);
    app.wait_projected();
    app.db.execute("UPDATE nodes SET best_height = 1");
    let output = app.run(&["rebuild", "nodes"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("nodes is built"),
        "{output:?}"
    );
    assert_eq!(app.db.count("SELECT best_height FROM nodes"), 100);
    let output = app.run(&["rebuild", "nodes", "--from", "2100-01-01T00:00:00Z"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM nodes WHERE best_height = 100"),
        1,
        "no message that is read says anything newer"
    );
    let output = app.run(&["rebuild", "unknown"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("there are: nodes, node_hours"),
        "{said}"
    );
}

#[test]
fn the_lag_grows_while_a_transaction_holds_the_change_stream_back() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    app.wait_stored(1);
    app.wait_projected();
    let lags = || {
        ["nodes", "node_hours"].map(|name| {
            app.metric_with("projection_lag_seconds", &format!("projection=\"{name}\""))
        })
    };
    wait_until("the lag of the build is over", || lags() == [0.0, 0.0]);
    let mut writer = app.db.connect();
    diesel::connection::SimpleConnection::batch_execute(
        &mut writer,
        "BEGIN; SELECT pg_current_xact_id()",
    )
    .unwrap();
    interval(&mut node, 100);
    app.wait_stored(3);
    wait_until("the lag grows", || lags().iter().all(|lag| *lag > 0.0));
    let first = lags();
    wait_until("the lag goes on growing", || {
        lags().iter().zip(first).all(|(lag, first)| *lag > first)
    });
    diesel::connection::SimpleConnection::batch_execute(&mut writer, "COMMIT").unwrap();
    wait_until("nothing is left to read", || lags() == [0.0, 0.0]);
    assert_true(&app);
}

#[test]
fn a_projection_that_stood_still_until_batches_were_forgotten_is_built_anew() {
    let app = TestApp::builder().env("PURGE_INTERVAL_S", 1).start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    app.wait_stored(1);
    app.wait_projected();
    // A server that holds the lease and does nothing.
    let hold = "UPDATE leases SET holder = 'asleep', token = token + 1, expires_at = now() + interval '1 hour' WHERE name = 'projection:nodes'";
    app.db.execute(hold);
    interval(&mut node, 100);
    app.wait_stored(3);
    wait_until("the other projection has read them", || {
        app.db.count(
            "SELECT count(*) FROM projections WHERE name = 'node_hours' \
             AND position > (SELECT max(transaction_id) FROM ingest_batches)",
        ) == 1
    });
    app.db
        .execute("UPDATE ingest_batches SET stored_at = now() - interval '31 days'");
    wait_until("the batches are forgotten", || {
        app.db.count("SELECT count(*) FROM ingest_batches") == 0
    });
    wait_until("the log tells", || {
        app.log()
            .contains("projection nodes: batches that it had not read are forgotten")
    });
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM nodes WHERE best_height = 100"),
        0
    );
    app.db
        .execute("UPDATE leases SET expires_at = now() WHERE name = 'projection:nodes'");
    wait_until("what it missed is there", || {
        app.db
            .count("SELECT count(*) FROM nodes WHERE best_height = 100")
            == 1
    });
    let built = app.log();
    assert!(
        !built.contains("projection node_hours: batches that it had not read"),
        "{built}"
    );
}

#[test]
fn hours_whose_messages_are_purged_outlive_a_rebuild() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "peer");
    interval(&mut node, 100);
    app.wait_stored(3);
    app.wait_projected();
    app.db.execute(
        "CREATE TEMP TABLE old AS SELECT * FROM node_hours WHERE messages > 0; \
         UPDATE old SET hour = hour - interval '100 days', best_height = 7; \
         INSERT INTO node_hours SELECT * FROM old; UPDATE node_hours SET best_height = 8 WHERE best_height = 100",
    );
    app.rebuild_projections();
    let heights =
        "SELECT best_height::text AS value FROM node_hours WHERE messages > 0 ORDER BY hour";
    assert_eq!(app.db.texts(heights), ["7", "100"]);
}

#[test]
fn a_stranger_cannot_stop_a_projection_with_large_numbers() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "liar");
    let large = json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": {"msg": "system.interval",
        "peers": 999_999_999_999_999_i64, "txcount": 999_999_999_999_999_i64, "bandwidth_download": 9e14, "bandwidth_upload": 9e14}});
    for _ in 0..10_000 {
        node.send(large.to_string());
    }
    interval(&mut node, 100);
    app.wait_stored(10_003);
    app.wait_projected();
    assert_eq!(
        app.db.texts(
            "SELECT concat_ws(' ', sum(intervals), sum(transactions_sum), sum(download_sum)) AS value FROM node_hours"
        ),
        ["10002 2 10"]
    );
}

#[test]
fn a_build_skips_years_without_messages() {
    let app = TestApp::start();
    app.db.execute(
        r#"
        INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
        SELECT i, '10.0.0.1', 'peer', at, i, 'other', at, at, 'closed' FROM (VALUES (1, now() - interval '9 years'), (2, now())) v (i, at);
        INSERT INTO telemetry_messages
        SELECT id, created_at, id, 2, NULL, NULL, jsonb_build_object('height', id) FROM peer_connections;"#,
    );
    app.rebuild_projections();
    assert_eq!(
        app.db
            .texts("SELECT best_height::text AS value FROM node_hours ORDER BY hour"),
        ["1", "2"]
    );
}

#[test]
fn an_hour_keeps_the_time_online_of_sessions_that_are_purged() {
    let app = TestApp::start();
    app.db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) VALUES \
         (1, '::1', 'a', '0x1', '2026-05-01T10:00:00Z', 1, 'other', '2026-05-01T10:20:00Z', '2026-05-01T10:20:00Z', 'closed'), \
         (2, '::1', 'a', '0x1', '2026-05-01T10:50:00Z', 2, 'other', '2026-05-01T11:30:00Z', '2026-05-01T11:30:00Z', 'silent')",
    );
    app.wait_projected();
    // The first session expires before the second, whose end is corrected.
    app.db.execute(
        "DELETE FROM peer_connections WHERE id = 1; \
         UPDATE peer_connections SET revision = revision + 1, disconnected_at = '2026-05-01T11:40:00Z', transaction_id = pg_current_xact_id()::text::bigint",
    );
    app.wait_projected();
    let hours = "SELECT concat_ws(' ', extract(hour FROM hour AT TIME ZONE 'UTC'), seconds_online, gaps) AS value FROM node_hours ORDER BY 1";
    assert_eq!(
        app.db.texts(hours),
        [r#"10 1800 {"closed": 1}"#, r#"11 2400 {"silent": 1}"#]
    );
}
