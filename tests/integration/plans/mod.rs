//! Each statement that reads uses the indexes that its header names.

mod events;
mod nodes;
mod services;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::Value;

use crate::blocks::statements::about_chains;
use crate::support::TestDb;
use events::about_events;
use nodes::about_nodes;
use services::about_services;

/// Enough rows that an index is the better way: 200 peers with 50 sessions each,
/// and messages of ten days, most of which are not of the kinds asked for.
const ROWS: &str = "
    INSERT INTO message_kinds (id, msg) SELECT 100 + i, 'kind.' || i FROM generate_series(0, 39) i;
    UPDATE message_kinds SET id = 200 WHERE msg = 'system.network_state';
    UPDATE message_kinds SET id = 201 WHERE msg = 'tracing.profiling';
    INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, genesis_hash, connection_id, server_id, last_seen_at)
    SELECT i, '10.0.0.1', 'peer ' || i % 200, now() - i * interval '1 minute', 'chain ' || i % 50, i, 's', now() FROM generate_series(1, 10000) i;
    INSERT INTO nodes (peer_id, genesis_hash, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since)
    SELECT 'node ' || i, 'chain', 1 + i % 10000, now() - i * interval '1 minute', 1, now(), now(), i % 100 = 0, now() FROM generate_series(1, 20000) i;
    INSERT INTO node_hours (peer_id, genesis_hash, hour, messages, intervals, lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count, best_at, best_height)
    SELECT 'node ' || n, 'chain', date_trunc('hour', now()) - i * interval '1 hour', 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now(), i FROM generate_series(1, 20) n, generate_series(1, 2000) i;
    INSERT INTO chains (genesis_hash, name) SELECT 'chain ' || i, 'name' FROM generate_series(1, 5) i;
    INSERT INTO block_reporters (peer_id, server_id) SELECT 'node ' || i, 's' FROM generate_series(1, 1000) i;
    INSERT INTO blocks (height, first_at, chain_id, first_reporter_id, author_id, nodes, own, broadcast, other, is_final, hash, delays)
    SELECT i, now() - (10000 - i) * interval '6 seconds', c.id, r.id, r.id, 2, 1, 1, 0, false, decode(md5(i::text) || md5('b'), 'hex'), '{0,1}'
    FROM chains c, generate_series(1, 10000) i, (SELECT min(id) AS id FROM block_reporters) r;
    INSERT INTO chain_hours (chain_id, hour, is_stale, forks) SELECT c.id, date_trunc('hour', now()) - i * interval '1 hour', i < 2, i % 10 FROM chains c, generate_series(0, 2000) i;
    INSERT INTO ingest_batches (id, last_id, first_at, last_at, transaction_id) SELECT i * 10, i * 10 + 9, now(), now(), i FROM generate_series(1, 20000) i;
    INSERT INTO telemetry_messages
    SELECT i, now() - i * interval '9 seconds', 1 + i % 200, CASE WHEN i % 500 = 0 THEN 200 WHEN i % 500 = 1 THEN 201 ELSE 100 + i % 40 END,
           NULL, CASE WHEN i % 100 = 7 THEN 'rare' END, '{\"name\": \"span\"}'
    FROM generate_series(1, 100000) i;
    INSERT INTO telemetry_messages_audit SELECT * FROM telemetry_messages;
    INSERT INTO host_systems (description, os, cpu_qty, cpu_clock, ram_mb, disk_info) SELECT 'd', 'o', 1, 1, 1, 'i' FROM generate_series(1, 5000);
    INSERT INTO benchmarks (ts_start, ts_end) SELECT now() - i * interval '1 hour', now() FROM generate_series(1, 5000) i;
    INSERT INTO benchmark_events (benchmark_id, name, phase, created_at) SELECT 1 + i % 5000, 'n', 'p', now() FROM generate_series(1, 20000) i;
    INSERT INTO node_identities SELECT 'node ' || i, 'chain', 0, '5' || i, now(), now(), 1, true FROM generate_series(1, 20000) i;
    INSERT INTO node_status SELECT peer_id, genesis_hash, CASE WHEN online THEN 'online' ELSE 'offline' END, 'silent', now() - interval '9 days', now() - interval '9 days', 2, 1, now() FROM nodes;
    INSERT INTO status_changes (subject, peer_id, genesis_hash, to_state, reason, since, changed_at, revision, part_of)
    SELECT 'node', 'node ' || i, 'chain', 'late', 'silent', now() - i * interval '1 minute', now() - i * interval '1 minute', 1, CASE WHEN i % 2 = 0 THEN 1 END FROM generate_series(1, 20000) i;
    INSERT INTO services (service, interval_s, jitter_s, first_seen_at, last_seen_at, is_down, metrics) SELECT 'service ' || i, 60, 0, now(), now(), false, '{}' FROM generate_series(1, 10000) i;
    INSERT INTO service_heartbeats SELECT 'service ' || i % 20, now() - i * interval '1 minute', false, '{}' FROM generate_series(1, 20000) i;
    INSERT INTO authorings (peer_id, genesis_hash, session_id, height, prepared_hash, prepared_at, sealed_at, hash)
    SELECT 'node ' || i % 20, 'chain ' || 1 + i % 5, 0, i, decode(md5(i::text) || md5('p'), 'hex'), now() - (20000 - i) * interval '1 minute', now() - (20000 - i) * interval '1 minute', decode(md5(i::text) || md5('b'), 'hex')
    FROM generate_series(1, 20000) i;
    SELECT make_events_day(now() - i * interval '1 day') FROM generate_series(0, 9) i;
    INSERT INTO events (id, event_id, source, peer_id, name, severity, \"time\", received_at, message_id, data, audit)
    SELECT i, md5(i::text), 'source ' || i % 100, NULL, 'name ' || i % 50, 'info', now(), now() - (20000 - i) * interval '30 seconds', i, '{}', i % 2 = 0 FROM generate_series(1, 20000) i;
    INSERT INTO event_identities SELECT decode(event_id, 'hex'), id, received_at, id, audit FROM events;
    ANALYZE;";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

#[derive(QueryableByName)]
struct Part {
    #[diesel(sql_type = Text)]
    part: String,
    #[diesel(sql_type = Text)]
    whole: String,
}

/// All values of a field of a plan, however deep.
fn collect(plan: &Value, field: &str, found: &mut Vec<String>) {
    match plan {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == field => found.push(text.clone()),
                    value => collect(value, field, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, field, found)),
        _ => {}
    }
}

/// The indexes that a header names; with a filter it is the one for that filter.
fn named<'a>(name: &str, sql: &'a str) -> Vec<&'a str> {
    match name {
        "node_logs by kind" => return vec!["telemetry_messages_kind_idx"],
        "node_logs by target" => return vec!["telemetry_messages_target_idx"],
        "changes of status" => return vec!["status_changes_whole_idx"],
        "nodes of a chain" => return vec!["nodes_chain_idx", "nodes_genesis_idx"],
        "events of a source" => return vec!["events_source_idx"],
        "events of a name" => return vec!["events_name_idx"],
        "a page of events" | "events measured" => return vec!["events_pkey"],
        _ => {}
    }
    let line = sql
        .lines()
        .find_map(|line| line.strip_prefix("-- Index: "))
        .unwrap();
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.ends_with("_idx") || word.ends_with("_pkey"))
        .collect()
}

/// A statement with its name, the types of its parameters, and values for them.
pub type Statement = (&'static str, &'static str, String, String);

const RANGE: &str = "now() - interval '10 minutes', now()";
const TIMES: &str = "timestamptz, timestamptz";

pub fn statements() -> Vec<Statement> {
    [
        about_messages(),
        about_charts(),
        about_changes(),
        about_chains(),
        about_nodes(),
        about_services(),
        about_events(),
        about_the_rest(),
    ]
    .concat()
}

fn about_messages() -> Vec<Statement> {
    let logs_types = "bigint[], timestamptz, timestamptz, timestamptz, bigint, smallint[], text, bigint, text, bigint, text, boolean";
    vec![
        (
            "node_logs",
            include_str!("../../../src/messages/newest.sql"),
            logs_types.to_owned(),
            format!("'{{7,207}}', {RANGE}, NULL, NULL, NULL, NULL, 101, NULL, 8388608, NULL, false"),
        ),
        (
            "node_logs after a page",
            include_str!("../../../src/messages/newest.sql"),
            logs_types.to_owned(),
            format!("'{{7,207}}', {RANGE}, now(), 5, NULL, NULL, 101, NULL, 8388608, NULL, false"),
        ),
        (
            "node_logs by kind",
            include_str!("../../../src/messages/newest.sql"),
            logs_types.to_owned(),
            "'{7,207}', now() - interval '10 days', now(), NULL, NULL, '{0,201}', NULL, 101, NULL, 8388608, NULL, false"
                .to_owned(),
        ),
        (
            "node_logs by target",
            include_str!("../../../src/messages/newest.sql"),
            logs_types.to_owned(),
            "'{7,207}', now() - interval '10 days', now(), NULL, NULL, NULL, 'rare', 101, NULL, 8388608, NULL, false"
                .to_owned(),
        ),
    ]
}

fn about_charts() -> Vec<Statement> {
    vec![
        (
            "series_hours",
            include_str!("../../../src/query/series_hours.sql"),
            "text, text, timestamptz, double precision, integer, text[]".to_owned(),
            "'node 1', 'chain', now() - interval '50 days', 86400, 50, '{node 2,node 3}'"
                .to_owned(),
        ),
        (
            "series_chain",
            include_str!("../../../src/query/series_chain.sql"),
            format!("text, text, {TIMES}, bigint, bigint"),
            format!("'chain 7', 'peer 7', {RANGE}, 8, 20000"),
        ),
        (
            "series_last_values",
            LAST_VALUES,
            TAILS_TYPES.to_owned(),
            last_values(201, 100),
        ),
        (
            "series_rare",
            include_str!("../../../src/messages/last_times.sql"),
            format!("smallint, text, bigint[], {TIMES}, bigint"),
            "201, 'time', '{7,207}', now() - interval '10 days', now(), 3600".to_owned(),
        ),
        (
            "profiling",
            include_str!("../../../src/messages/span_times.sql"),
            format!("smallint, {TIMES}, bigint, double precision, bigint[], text, text, bigint"),
            "201, now() - interval '5 days', now(), 60, 0.9, NULL, NULL, NULL, 20001".to_owned(),
        ),
        (
            "profiling of a node",
            include_str!("../../../src/messages/span_times.sql"),
            format!("smallint, {TIMES}, bigint, double precision, bigint[], text, text, bigint"),
            "201, now() - interval '5 days', now(), 60, NULL, '{7,207}', NULL, 'span', 20001"
                .to_owned(),
        ),
        (
            "profiling_ranking",
            include_str!("../../../src/messages/span_ranking.sql"),
            format!("smallint, {TIMES}, bigint[], bigint"),
            "201, now() - interval '5 days', now(), NULL, 50".to_owned(),
        ),
    ]
}

fn about_changes() -> Vec<Statement> {
    vec![
        (
            "nodes of the feed",
            include_str!("../../../src/feed/remote/nodes.sql"),
            "boolean, timestamptz, timestamptz, bigint, bigint".to_owned(),
            "false, now() - interval '1 day', now() - interval '1 hour', 7, 2000".to_owned(),
        ),
        (
            "batches of the change stream",
            include_str!("../../../src/changes/batches.sql"),
            "bigint, bigint, bigint".to_owned(),
            "19000, 19100, 1000".to_owned(),
        ),
        (
            "sessions of the change stream",
            include_str!("../../../src/changes/sessions.sql"),
            "bigint, bigint".to_owned(),
            "1, 2".to_owned(),
        ),
        (
            "batches of other servers",
            include_str!("../../../src/changes/tail_batches.sql"),
            "bigint, bigint[], text, bigint".to_owned(),
            "19900, '{19000,19500}', 'other', 1000".to_owned(),
        ),
        (
            "sessions of other servers",
            include_str!("../../../src/changes/tail_sessions.sql"),
            "bigint, bigint[], text".to_owned(),
            "1, '{2,3}', 'other'".to_owned(),
        ),
        (
            "messages for the feed",
            include_str!("../../../src/messages/selected.sql"),
            "bigint[], bigint[], timestamptz, timestamptz, bigint[], smallint[]".to_owned(),
            format!("'{{1}}', '{{50}}', {RANGE}, '{{7}}', '{{100}}'"),
        ),
        (
            "messages of batches",
            include_str!("../../../src/messages/of_batches.sql"),
            "bigint[], bigint[], timestamptz, timestamptz, smallint[], boolean".to_owned(),
            format!("'{{1}}', '{{50}}', {RANGE}, '{{100}}', true"),
        ),
        (
            "a page of a history",
            include_str!("../../../src/messages/oldest.sql"),
            format!(
                "bigint[], bigint[], {TIMES}, timestamptz, bigint, smallint[], text, bigint, bigint"
            ),
            format!("'{{7,207}}', '{{0,0}}', {RANGE}, NULL, NULL, NULL, NULL, 5000, 4000000"),
        ),
        (
            "messages of a span",
            include_str!("../../../src/messages/of_span.sql"),
            "timestamptz, timestamptz, smallint[], boolean".to_owned(),
            format!("{RANGE}, '{{100}}', true"),
        ),
    ]
}

fn about_the_rest() -> Vec<Statement> {
    vec![
        (
            "sessions",
            include_str!("../../../src/query/sessions.sql"),
            "text".to_owned(),
            "'peer 7'".to_owned(),
        ),
        (
            "peer_sessions",
            include_str!("../../../src/query/peer_sessions.sql"),
            "text, bigint, timestamptz, bigint".to_owned(),
            "'peer 7', 100, NULL, NULL".to_owned(),
        ),
        (
            "peer_sessions after a page",
            include_str!("../../../src/query/peer_sessions.sql"),
            "text, bigint, timestamptz, bigint".to_owned(),
            "'peer 7', 100, now() - interval '1 day', 7".to_owned(),
        ),
        (
            "log_stats",
            include_str!("../../../src/messages/counts.sql"),
            format!("bigint[], {TIMES}"),
            format!("'{{7,207}}', {RANGE}"),
        ),
        (
            "newest_by_peer",
            include_str!("../../../src/messages/newest_by_peer.sql"),
            format!("smallint, {TIMES}, text[], text[], bigint"),
            "200, now() - interval '5 days', now(), '{state}', '{peer 7}', 100".to_owned(),
        ),
        (
            "known_peers",
            include_str!("../../../src/query/known_peers.sql"),
            "text[]".to_owned(),
            "'{peer 7,peer 8}'".to_owned(),
        ),
        (
            "host_systems",
            include_str!("../../../src/query/host_systems.sql"),
            "bigint".to_owned(),
            "10".to_owned(),
        ),
        (
            "benchmarks",
            include_str!("../../../src/query/benchmarks.sql"),
            "bigint".to_owned(),
            "10".to_owned(),
        ),
        (
            "benchmark_events",
            include_str!("../../../src/query/benchmark_events.sql"),
            "bigint".to_owned(),
            "7".to_owned(),
        ),
        (
            "benchmark_span",
            include_str!("../../../src/query/benchmark_span.sql"),
            "bigint".to_owned(),
            "7".to_owned(),
        ),
        (
            "targets",
            include_str!("../../../src/messages/targets.sql"),
            format!("smallint, {TIMES}, bigint[]"),
            "201, now() - interval '5 days', now(), NULL".to_owned(),
        ),
    ]
}

const LAST_VALUES: &str = include_str!("../../../src/messages/last_values.sql");
const TAILS_TYPES: &str = "bigint[], timestamptz[], timestamptz[], smallint[], smallint[], text[], timestamptz, timestamptz, bigint";

/// Two lookups, each in all that a session of ten days said.
fn last_values(kind: u32, rows: u32) -> String {
    format!(
        "'{{7,107}}', array_fill(now() - interval '10 days', '{{2}}'), array_fill(now(), '{{2}}'), \
         '{{{kind},{kind}}}', '{{{kind},{kind}}}', '{{time,time}}', now() - interval '10 days', now(), {rows}"
    )
}

#[test]
fn a_lookup_at_the_end_of_a_bucket_reads_no_more_than_it_may() {
    let db = TestDb::new();
    let mut conn = db.connect();
    conn.batch_execute(ROWS).unwrap();
    conn.batch_execute(&format!(
        "SET plan_cache_mode = force_custom_plan; SET random_page_cost = 1.1; PREPARE statement ({TAILS_TYPES}) AS {LAST_VALUES}"
    ))
    .unwrap();
    let lines: Vec<Line> = diesel::sql_query(format!(
        "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE statement ({})",
        last_values(200, 20)
    ))
    .load(&mut conn)
    .unwrap();
    let text: String = lines.into_iter().map(|line| line.plan).collect();
    let plan: Value = serde_json::from_str(&text).unwrap();
    let mut read = Vec::new();
    rows_read(&plan, &mut read);
    // From the table and from that of /audit; the last one is looked at and left.
    assert_eq!(read.len(), 2, "{text}");
    assert!(read.iter().all(|rows| (1..=21).contains(rows)), "{text}");
}

/// Rows that each scan of messages gives, each time that it runs.
fn rows_read(plan: &Value, found: &mut Vec<u64>) {
    let table = plan["Relation Name"].as_str().unwrap_or_default();
    if table.starts_with("telemetry_messages") {
        assert_eq!(plan["Scan Direction"], "Backward", "{plan}");
        found.push(plan["Actual Rows"].as_f64().unwrap() as u64);
    }
    match plan {
        Value::Object(fields) => fields.values().for_each(|value| rows_read(value, found)),
        Value::Array(values) => values.iter().for_each(|value| rows_read(value, found)),
        _ => {}
    }
}

#[test]
fn each_statement_uses_the_indexes_that_its_header_names() {
    let db = TestDb::new();
    let mut conn = db.connect();
    conn.batch_execute(ROWS).unwrap();
    // As connections for queries are set up, and on a disk that reads anywhere at about the same cost.
    conn.batch_execute("SET plan_cache_mode = force_custom_plan; SET random_page_cost = 1.1")
        .unwrap();
    let parts: Vec<Part> = diesel::sql_query(
        "SELECT i.inhrelid::regclass::text AS part, i.inhparent::regclass::text AS whole FROM pg_inherits i",
    )
    .load(&mut conn)
    .unwrap();
    for (name, sql, types, values) in statements() {
        conn.batch_execute(&format!("PREPARE statement ({types}) AS {sql}"))
            .unwrap();
        let lines: Vec<Line> = diesel::sql_query(format!(
            "EXPLAIN (FORMAT JSON) EXECUTE statement ({values})"
        ))
        .load(&mut conn)
        .unwrap();
        conn.batch_execute("DEALLOCATE statement").unwrap();
        let text: String = lines.into_iter().map(|line| line.plan).collect();
        let plan: Value = serde_json::from_str(&text).unwrap();
        let mut used = Vec::new();
        collect(&plan, "Index Name", &mut used);
        let whole = |index: &String| {
            let mut whole = index.clone();
            while let Some(part) = parts.iter().find(|part| part.part == whole) {
                whole.clone_from(&part.whole);
            }
            whole
        };
        let used: Vec<String> = used.iter().map(whole).collect();
        let named = named(name, sql);
        assert!(!named.is_empty(), "{name} names no index");
        for index in named {
            assert!(
                used.iter().any(|used| used == index),
                "{name} does not use {index}:\n{text}"
            );
        }
        let mut scanned = Vec::new();
        scans(&plan, &mut scanned);
        let whole = scanned
            .iter()
            .find(|table| table.starts_with("telemetry_messages") || *table == "blocks");
        assert_eq!(whole, None, "{name} reads a whole table:\n{text}");
    }
}

/// The tables that a plan reads from one end to the other.
fn scans(plan: &Value, found: &mut Vec<String>) {
    if plan["Node Type"] == "Seq Scan" {
        found.push(plan["Relation Name"].as_str().unwrap().to_owned());
    }
    match plan {
        Value::Object(fields) => fields.values().for_each(|value| scans(value, found)),
        Value::Array(values) => values.iter().for_each(|value| scans(value, found)),
        _ => {}
    }
}
