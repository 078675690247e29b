//! `/api/v1/series` and `/api/v1/sessions`: the story of a node, compared with plain SQL.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

use crate::support::{FakeNode, TestApp, corpus};

const API: &str = "api-0123456789abcdef";

/// The fields of a point that are numbers.
const FIELDS: [&str; 10] = [
    "height",
    "chain_height",
    "finalized_height",
    "peers",
    "transactions",
    "ready",
    "future",
    "download_bytes_per_s",
    "upload_bytes_per_s",
    "state_cache_bytes",
];

/// A node with a story of ten days, four nodes of its chain, and one of another.
///
/// A message each 90 s, of all kinds in turn, but of the pool only in the first
/// hour of each day. A session of five days; a day away; an hour with 200 spans a
/// minute; two hours of sessions of 3 minutes; one for `/audit`; and today.
const HISTORY: &str = r#"
    INSERT INTO servers VALUES ('other', '1.0.0', now(), now() + interval '1 day');
    CREATE TEMPORARY TABLE t AS SELECT date_trunc('day', now()) AS today;
    CREATE TEMPORARY TABLE sessions (id bigint, peer text, since timestamptz, until timestamptz, genesis text, audit boolean);
    INSERT INTO sessions
    SELECT v.id, v.peer, today - v.since * interval '1 hour', today - v.until * interval '1 hour', v.genesis, v.audit
    FROM t, (VALUES
        (1, 'node', 240, 120, 'main', false), (2, 'node', 96, 95, 'main', false), (60, 'node', 80, 70, 'main', true),
        (70, 'node', 20, 0, 'main', false),
        (101, 'one', 230, 130, 'main', false), (102, 'one', 96, 0, 'main', false), (103, 'two', 240, 0, 'main', false),
        (104, 'three', 96, 90, 'main', true), (105, 'four', 3, 0, 'main', false), (106, 'elsewhere', 240, 0, 'test', false)
    ) AS v (id, peer, since, until, genesis, audit);
    INSERT INTO sessions
    SELECT 10 + i, 'node', today - interval '90 hours' + i * interval '4 minutes', today - interval '90 hours' + i * interval '4 minutes' + interval '3 minutes', 'main', false
    FROM t, generate_series(0, 29) i;
    INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, audit, connection_id, server_id, genesis_hash, last_seen_at, disconnected_at, disconnect_reason)
    SELECT id, '10.0.0.1', peer, since, audit, id, 'other', genesis, until, until, 'closed' FROM sessions;
    CREATE TEMPORARY TABLE said AS
    SELECT row_number() OVER () AS id, since + i * interval '90.3 s' AS created_at, s.id AS session, s.audit, s.id * 7 + i AS n, i
    FROM sessions s, generate_series(0, 100000) i WHERE since + i * interval '90.3 s' < until;
    CREATE TEMPORARY TABLE messages AS
    SELECT id, created_at, session, CASE i % 5 WHEN 0 THEN 1 WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 ELSE 4 END::smallint AS kind, NULL::timestamptz, NULL::text,
           CASE i % 5
               WHEN 0 THEN jsonb_build_object('height', n, 'finalized_height', n - 3, 'txcount', n % 50, 'used_state_cache_size', n * 1000)
               WHEN 1 THEN jsonb_build_object('peers', n % 40, 'bandwidth_download', n * 1.5, 'bandwidth_upload', (n * 2)::text)
               WHEN 2 THEN jsonb_build_object('height', CASE WHEN i % 35 = 2 THEN '"none"' ELSE n::text END::jsonb, 'origin', 'Own')
               WHEN 3 THEN jsonb_build_object('height', (n - 2)::text)
               ELSE jsonb_build_object('ready', n % 90, 'future', n % 7)
           END AS logs, audit
    FROM said WHERE i % 5 < 4 OR extract(hour FROM created_at) < 1;
    INSERT INTO telemetry_messages SELECT id, created_at, session, kind, NULL, NULL, logs FROM messages WHERE NOT audit;
    INSERT INTO telemetry_messages_audit SELECT id, created_at, session, kind, NULL, NULL, logs FROM messages WHERE audit;
    INSERT INTO telemetry_messages
    SELECT 1000000 + i, today - interval '96 hours' + i * interval '300.07 ms', 2, 5, NULL, 'pallet', '{"name": "span", "time": "7"}'
    FROM t, generate_series(0, 11999) i;
    ANALYZE;"#;

/// The values of a node by plain SQL: the last value of each field in each bucket,
/// and the highest height of all nodes of its chain.
fn by_sql(
    app: &TestApp,
    peer: &str,
    chain: &str,
    (start, step_s, points): (&str, i64, usize),
) -> Points {
    let of_view = |view: &str, fields: &[(&str, &str)]| {
        let values = fields.iter().map(|(field, value)| {
            format!(
                "SELECT '{field}', {value}::float8, created_at FROM {view} WHERE peer_id = '{peer}' UNION ALL "
            )
        });
        values.collect::<String>()
    };
    let said = [
        of_view(
            "node_intervals",
            &[
                ("height", "height"),
                ("finalized_height", "finalized_height"),
                ("peers", "peers"),
                ("transactions", "transactions"),
                ("download_bytes_per_s", "download_bytes_per_second"),
                ("upload_bytes_per_s", "upload_bytes_per_second"),
                ("state_cache_bytes", "state_cache_bytes"),
            ],
        ),
        of_view("block_imports", &[("height", "height")]),
        of_view("finality", &[("finalized_height", "height")]),
        of_view(
            "transaction_pools",
            &[("ready", "ready"), ("future", "future")],
        ),
    ];
    let heights = "SELECT peer_id, created_at, height FROM node_intervals l WHERE {chain} \
                   UNION ALL SELECT peer_id, created_at, height FROM block_imports l WHERE {chain}";
    let place = format!("floor(extract(epoch FROM created_at - '{start}') / {step_s})");
    let sql = format!(
        "SELECT json_build_array(place, field, value)::text AS value FROM ( \
           (SELECT DISTINCT ON (place, field) place, field, value \
            FROM (SELECT {place} AS place, said.* FROM ({} SELECT NULL, NULL, NULL) said (field, value, created_at)) s \
            WHERE value IS NOT NULL ORDER BY place, field, created_at DESC) \
           UNION ALL \
           SELECT place, 'chain_height', max(height) FROM ( \
             SELECT DISTINCT ON (place, peer_id) place, peer_id, height \
             FROM (SELECT {place} AS place, h.* FROM ({}) h) s \
             WHERE height IS NOT NULL ORDER BY place, peer_id, created_at DESC) last \
           GROUP BY place) found",
        said.concat(),
        heights.replace("{chain}", chain)
    );
    let mut expected = vec![[None; FIELDS.len()]; points];
    for row in app.db.texts(&sql) {
        let row: (f64, String, f64) = serde_json::from_str(&row).unwrap();
        let field = FIELDS.iter().position(|field| **field == row.1).unwrap();
        if row.0 >= 0.0 && (row.0 as usize) < points {
            expected[row.0 as usize][field] = Some(row.2);
        }
    }
    expected
}

/// The values of each point, in the order of [`FIELDS`].
type Points = Vec<[Option<f64>; FIELDS.len()]>;

#[track_caller]
fn assert_as_sql(app: &TestApp, peer: &str, chain: &str, question: &str) -> Value {
    let answer = app.get(&format!("/api/v1/series?peer_id={peer}&{question}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let series = answer.json();
    let points = series["points"].as_array().unwrap();
    let start = series["start_time"].as_str().unwrap();
    let step_s = series["step_s"].as_i64().unwrap();
    let expected = by_sql(app, peer, chain, (start, step_s, points.len()));
    let first: DateTime<Utc> = start.parse().unwrap();
    for (place, (point, expected)) in points.iter().zip(expected).enumerate() {
        let created_at = first + TimeDelta::seconds(step_s * place as i64);
        let text = point["created_at"].as_str().unwrap();
        assert_eq!(text.parse(), Ok(created_at));
        let found = FIELDS.map(|field| {
            let value = &point[field];
            assert!(value.is_null() || value.is_number(), "{field} is {value}");
            value.as_f64()
        });
        assert_eq!(found, expected, "{text} of {question}: {FIELDS:?}");
    }
    series
}

/// How many points have a value of a field.
fn filled(series: &Value, field: &str) -> usize {
    let points = series["points"].as_array().unwrap().iter();
    points.filter(|point| !point[field].is_null()).count()
}

fn day(app: &TestApp, days: u32) -> String {
    let day = format!(
        "SELECT to_char(date_trunc('day', now()) - interval '{days} days', 'YYYY-MM-DD\"T\"HH24:MI:SS') AS value"
    );
    app.db.texts(&day).remove(0)
}

#[test]
fn each_value_is_the_last_in_its_bucket_as_plain_sql_finds_it() {
    let app = TestApp::start();
    app.db.execute(HISTORY);
    app.rebuild_projections();
    for (from, to, points) in [
        (11, 0, 300),
        (11, 0, 11),
        (11, 0, 2_000),
        (9, 6, 100),
        (5, 4, 1_440),
        (4, 3, 300),
        (4, 3, 24),
        (1, 0, 300),
        (300, 0, 50),
        (300, 0, 1),
    ] {
        let question = format!(
            "start_time={}&end_time={}&points={points}",
            day(&app, from),
            day(&app, to)
        );
        let series = assert_as_sql(&app, "node", "l.genesis_hash = 'main'", &question);
        let count = series["points"].as_array().unwrap().len();
        assert!(count <= points + 1, "{count} of {question}");
        assert_eq!(filled(&series, "peers") > 0, from != 5, "{question}");
    }
}

#[test]
fn a_chain_is_as_high_as_its_nodes_that_were_there_longest() {
    let app = TestApp::start();
    app.db.execute(
        r#"
        INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, genesis_hash, last_seen_at, disconnected_at, disconnect_reason)
        SELECT i, '10.0.0.1', 'peer ' || i, '2026-01-01T00:00Z', i, 'other', CASE WHEN i = 20 THEN 'test' ELSE 'main' END,
               until, until, 'closed'
        FROM generate_series(0, 20) i, LATERAL (SELECT timestamptz '2026-01-01T00:59Z' - i * interval '1 minute' AS until) u;
        INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, genesis_hash, last_seen_at, disconnected_at, disconnect_reason)
        VALUES (100, '10.0.0.1', 'peer 0', '2026-01-01T03:00Z', 100, 'other', 'test', '2026-01-01T03:59Z', '2026-01-01T03:59Z', 'closed');
        UPDATE peer_connections SET genesis_hash = NULL WHERE id = 19;
        INSERT INTO telemetry_messages SELECT i, '2026-01-01T00:10Z', i, 2, NULL, NULL, jsonb_build_object('height', 1000 + i) FROM generate_series(0, 20) i;
        INSERT INTO telemetry_messages VALUES (100, '2026-01-01T03:10Z', 100, 2, NULL, NULL, '{"height": 7}');"#,
    );
    app.rebuild_projections();
    let heights = |peer: &str, hour: u32| {
        let series = app
            .get(&format!(
                "/api/v1/series?peer_id=peer%20{peer}&points=1&start_time=2026-01-01T{hour:02}:00:00&end_time=2026-01-01T{hour:02}:59:59"
            ))
            .json();
        let point = &series["points"][0];
        (point["height"].as_i64(), point["chain_height"].as_i64())
    };
    // The eight others that stayed longest are those with the lowest numbers.
    assert_eq!(heights("0", 0), (Some(1_000), Some(1_008)));
    assert_eq!(heights("5", 0), (Some(1_005), Some(1_008)));
    assert_eq!(heights("18", 0), (Some(1_018), Some(1_018)));
    // Alone on its chain, or on none.
    assert_eq!(heights("20", 0), (Some(1_020), Some(1_020)));
    assert_eq!(heights("19", 0), (Some(1_019), Some(1_019)));
    // The chain of a later session is not that of the earlier ones.
    assert_eq!(heights("0", 3), (Some(7), Some(7)));
}

#[test]
fn what_came_after_the_last_known_moment_of_a_session_is_found() {
    let app = TestApp::start();
    app.db.execute(
        r#"
        INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
        SELECT i, '10.0.0.1', 'peer', since, i, 'other', since + interval '9 minutes', since + interval '9 minutes', 'closed'
        FROM generate_series(1, 5) i, LATERAL (SELECT timestamptz '2026-01-01T00:00Z' + i * interval '10 minutes' AS since) s;
        INSERT INTO telemetry_messages SELECT i, '2026-01-01T00:09:58Z'::timestamptz + i * interval '10 minutes', i, 1, NULL, NULL, jsonb_build_object('peers', i) FROM generate_series(1, 5) i;"#,
    );
    app.rebuild_projections();
    let question = "start_time=2026-01-01T00:00:00&end_time=2026-01-01T02:00:00&points=720";
    let series = assert_as_sql(&app, "peer", "false", question);
    assert_eq!(series["step_s"], 10);
    assert_eq!(filled(&series, "peers"), 5);
    assert_eq!(series["points"][119]["peers"], 1);
}

#[test]
fn a_node_that_connects_anew_all_the_time_is_found_in_all_its_sessions() {
    let app = TestApp::start();
    app.db.execute(
        r#"
        INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
        SELECT i, '10.0.0.1', 'peer', since, i, 'other', since + interval '1 minute', since + interval '1 minute', 'closed'
        FROM generate_series(0, 29) i, LATERAL (SELECT timestamptz '2026-01-01T00:00Z' + i * interval '2 minutes' AS since) s;
        INSERT INTO telemetry_messages
        SELECT i, '2026-01-01T00:00:30Z'::timestamptz + i * interval '2 minutes', i, CASE i % 7 WHEN 0 THEN 4 ELSE 1 END, NULL, NULL, jsonb_build_object(CASE i % 7 WHEN 0 THEN 'ready' ELSE 'peers' END, i)
        FROM generate_series(0, 29) i;"#,
    );
    app.rebuild_projections();
    for points in [1, 2, 6, 60, 360] {
        let question =
            format!("start_time=2026-01-01T00:00:00&end_time=2026-01-01T01:00:00&points={points}");
        let series = assert_as_sql(&app, "peer", "false", &question);
        assert_eq!(filled(&series, "ready"), points.min(5), "{points}");
    }
}

/// The captured frames of three nodes of one chain, as if they had ended just now.
fn play_corpus(app: &TestApp) -> Vec<FakeNode> {
    let time_of = |frame: &[u8]| -> (String, DateTime<Utc>) {
        let frame: Value = serde_json::from_slice(frame).unwrap();
        let ts = frame["ts"].as_str().unwrap().to_owned();
        let time = ts.parse().unwrap();
        (ts, time)
    };
    let frames = corpus("v2");
    let (_, last) = time_of(frames.last().unwrap());
    let shift = Utc::now() - last;
    let mut nodes: Vec<FakeNode> = (0..3).map(|_| app.node("/submit")).collect();
    let mut turns: HashMap<String, usize> = HashMap::new();
    for frame in &frames {
        let (ts, time) = time_of(frame);
        let text = String::from_utf8(frame.clone()).unwrap();
        let moved = (time + shift).to_rfc3339_opts(SecondsFormat::Nanos, false);
        let message: Value = serde_json::from_str(&text).unwrap();
        let kind = message["payload"]["msg"].as_str().unwrap().to_owned();
        // The three send in turn.
        let turn = turns.entry(kind).or_default();
        nodes[*turn % 3].send(text.replace(&ts, &moved));
        *turn += 1;
    }
    app.wait_stored(u32::try_from(frames.len()).unwrap());
    app.db.date_by_nodes();
    nodes
}

#[test]
fn what_nodes_really_send_becomes_a_series() {
    let app = TestApp::start();
    let _nodes = play_corpus(&app);
    let peers = app
        .db
        .texts("SELECT peer_id AS value FROM peer_connections");
    assert_eq!(peers.len(), 3);
    for peer in &peers {
        for (length, points) in [("1 minute", 60), ("1 minute", 7), ("1 day", 2_000)] {
            let start = app.db.texts(&format!(
                "SELECT to_char(now() - interval '{length}', 'YYYY-MM-DD\"T\"HH24:MI:SS') AS value"
            ));
            let question = format!("start_time={}&points={points}", start[0]);
            let chain = "l.genesis_hash IS NOT NULL";
            let series = assert_as_sql(&app, peer, chain, &question);
            for field in FIELDS {
                assert!(filled(&series, field) > 0, "{field} of {question}");
            }
        }
    }
    // Without a range it is the last hour.
    let series = assert_as_sql(&app, &peers[0], "true", "");
    assert_eq!(series["step_s"], 15);
    assert!((240..=241).contains(&series["points"].as_array().unwrap().len()));
}

#[test]
fn a_node_that_said_nothing_has_empty_points() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(r#"{"id":1,"payload":{"msg":"system.connected","network_id":"silent"}}"#);
    app.wait_stored(1);
    let series = app.get("/api/v1/series/?peer_id=silent&points=1").json();
    let fields = series.as_object().unwrap().keys();
    let mut fields: Vec<&str> = fields.map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["end_time", "points", "start_time", "step_s"]);
    assert!((1..=2).contains(&series["points"].as_array().unwrap().len()));
    assert_eq!(series["points"][0]["created_at"], series["start_time"]);
    assert!(FIELDS.iter().all(|field| filled(&series, field) == 0));
    node.send(r#"{"id":1,"payload":{"msg":"system.interval","peers":"7"}}"#);
    app.wait_stored(2);
    let series = app.get("/api/v1/series?peer_id=silent").json();
    assert_eq!(filled(&series, "peers"), 1);
    assert_eq!(filled(&series, "height"), 0);
}

#[test]
fn sessions_are_listed_newest_first_with_the_fields_of_nodes() {
    let app = TestApp::builder().env("API_TOKENS", API).start();
    app.db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, name, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
         SELECT i, '10.0.0.1', 'peer', now() - i * interval '1 hour', 'name ' || i, i, 'other', now(), now(), 'idle' FROM generate_series(1, 150) i",
    );
    app.wait_projected();
    let sessions = app.get("/api/v1/sessions?peer_id=peer").json();
    let ids = |sessions: &Value| -> Vec<i64> {
        let sessions = sessions.as_array().unwrap().iter();
        sessions
            .map(|session| session["id"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(ids(&sessions), Vec::from_iter(1..=100));
    assert_eq!(sessions[0], app.get("/nodes").json()[0]);
    assert_eq!(sessions[9]["name"], "name 10");
    assert_eq!(sessions[9]["disconnect_reason"], "idle");
    assert_eq!(sessions[0]["ip_addr"], "10.0.0.1");
    let all = app.get("/api/v1/sessions/?peer_id=peer&limit=1000").json();
    assert_eq!(ids(&all).len(), 150);
    let elsewhere = [("x-forwarded-for", "192.0.2.1")];
    let answer = app.ask(
        "GET",
        "/api/v1/sessions?peer_id=peer&limit=1",
        &elsewhere,
        "",
    );
    assert_eq!(ids(&answer.json()), [1]);
    assert_eq!(answer.json()[0]["ip_addr"], Value::Null);
}

pub(crate) fn unknown_peers_are_404_and_bad_parameters_400(app: &TestApp) {
    app.db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
         VALUES (1, '10.0.0.1', 'peer', now(), 1, 'other', now(), now(), 'idle')",
    );
    for path in ["/api/v1/series", "/api/v1/sessions"] {
        let answer = app.get(&format!("{path}?peer_id=nobody"));
        assert_eq!(answer.status, 404, "{}", answer.body);
        assert_eq!(answer.json()["error"]["parameter"], "peer_id");
    }
    for (question, parameter) in [
        ("series", "peer_id"),
        ("series?peer_id=", "peer_id"),
        ("series?peer_id=peer&colour=red", "colour"),
        ("series?peer_id=peer&points=0", "points"),
        ("series?peer_id=peer&points=2001", "points"),
        ("series?peer_id=peer&points=many", "points"),
        ("series?peer_id=peer&start_time=yesterday", "start_time"),
        (
            "series?peer_id=peer&end_time=2019-01-32T00:00:00",
            "end_time",
        ),
        (
            "series?peer_id=peer&start_time=2999-01-01T00:00:00",
            "start_time",
        ),
        (
            "series?peer_id=peer&start_time=1900-01-01T00:00:00",
            "start_time",
        ),
        (
            "series?peer_id=peer&start_time=2020-01-01T00:00:00&end_time=2020-01-01T00:00:00",
            "start_time",
        ),
        ("sessions", "peer_id"),
        ("sessions?peer_id=peer&limit=0", "limit"),
        ("sessions?peer_id=peer&limit=1001", "limit"),
        ("sessions?peer_id=peer&points=1", "points"),
    ] {
        let answer = app.get(&format!("/api/v1/{question}"));
        assert_eq!(answer.status, 400, "{question}: {}", answer.body);
        assert_eq!(answer.json()["error"]["parameter"], parameter, "{question}");
    }
    for extreme in [
        "start_time=0001-01-01T00:00:00&end_time=0002-01-01T00:00:00",
        "start_time=9999-01-01T00:00:00&end_time=9999-12-31T23:59:59&points=2000",
        "start_time=1950-01-01T00:00:00&points=1",
    ] {
        let answer = app.get(&format!("/api/v1/series?peer_id=peer&{extreme}"));
        assert_eq!(answer.status, 200, "{extreme}: {}", answer.body);
    }
}
