//! The projection `span_hours` has what the messages have, and answers about whole
//! hours come from it.

use serde_json::{Value, json};

use crate::support::{FakeNode, Random, TestApp, corpus, wait_until};

/// The rows in order.
const ROWS: &str = "SELECT to_jsonb(s)::text AS value FROM span_hours s ORDER BY 1";

/// The same from the log, by plain SQL: the buckets of a row are an array of pairs.
const BY_SQL: &str = "
    WITH said AS (
        SELECT coalesce(peer_id, '') AS peer_id, coalesce(genesis_hash, '') AS genesis_hash,
               CASE WHEN peer_id IS NULL THEN peer_connection_id ELSE 0 END AS session_id, date_trunc('hour', created_at, 'UTC') AS hour,
               coalesce(target, '') AS target, coalesce(name, '') AS name, round(nanoseconds)::bigint AS ns
        FROM profiling_spans WHERE nanoseconds IS NOT NULL
    ), spread AS (
        SELECT peer_id, genesis_hash, session_id, hour, target, name, width_bucket(ns, telemetry_span_bounds()) AS bucket,
               count(*) AS n, sum(ns) AS total, min(ns) AS min, max(ns) AS max
        FROM said GROUP BY 1, 2, 3, 4, 5, 6, 7
    )
    SELECT concat_ws(' ', peer_id, genesis_hash, session_id, hour, target, name, sum(n), sum(total), min(min), max(max),
                     array_agg(bucket ORDER BY bucket), array_agg(n ORDER BY bucket)) AS value
    FROM spread GROUP BY peer_id, genesis_hash, session_id, hour, target, name ORDER BY 1";

/// The same, as the projection has it.
const BY_PROJECTION: &str = "
    SELECT concat_ws(' ', peer_id, genesis_hash, session_id, hour, target, name, count, total_ns, min_ns, max_ns, buckets, counts) AS value
    FROM span_hours ORDER BY 1";

pub(crate) fn span(target: &str, name: &str, time: impl Into<Value>) -> String {
    json!({"msg": "tracing.profiling", "level": "INFO", "ts": "2020-11-21T08:02:05+00:00",
        "target": target, "name": name, "time": time.into(), "id": 1, "parent_id": 1, "values": {"block": 7}})
    .to_string()
}

fn introduce(node: &mut FakeNode, peer_id: &str) {
    let connected = json!({"msg": "system.connected", "level": "INFO", "ts": "2020-11-21T08:02:05+00:00",
        "name": peer_id, "network_id": peer_id, "chain": "dev", "genesis_hash": "0x1"});
    node.send_text(&connected.to_string());
}

/// Compares the projection with plain SQL over the log.
#[track_caller]
pub(crate) fn assert_true(app: &TestApp) {
    app.wait_projected();
    let expected = app.db.texts(BY_SQL);
    assert!(!expected.is_empty());
    assert_eq!(app.db.texts(BY_PROJECTION), expected);
}

#[track_caller]
pub(crate) fn assert_rebuilt_alike(app: &TestApp) {
    let grown = app.db.texts(ROWS);
    app.rebuild_projections();
    assert_eq!(app.db.texts(ROWS), grown);
}

#[test]
fn hours_of_spans_say_what_the_messages_say_and_are_built_again_alike() {
    let app = TestApp::start();
    let mut random = Random::new(3);
    let mut nodes: Vec<FakeNode> = (0..4).map(|_| app.node("/submit")).collect();
    let mut sent = 0;
    // Two sessions of one node, one that introduces itself late, and one never.
    introduce(&mut nodes[0], "alice");
    introduce(&mut nodes[1], "alice");
    for round in 0..3 {
        for number in 0..400 {
            let target = ["pallet_babe", "pallet_balances", ""][number % 3];
            let name = ["on_initialize", "on_finalize"][random.between(0, 1) as usize];
            let bits = random.between(1, 45);
            let time = random.between(0, 1 << bits);
            let time = match number % 50 {
                0 => json!(time as f64 + 0.25),
                1 => json!("soon"),
                2 => json!(-(time as i64)),
                _ => json!(time.to_string()),
            };
            nodes[number % 4].send_text(&span(target, name, time));
        }
        if round == 1 {
            introduce(&mut nodes[2], "late");
        }
        sent += 400;
        app.wait_stored(sent + 2);
        app.wait_projected();
    }
    let mut old = app.node("/");
    for frame in corpus("v1") {
        old.send_text(std::str::from_utf8(&frame).unwrap());
        sent += 1;
    }
    app.wait_stored(sent + 3);
    app.wait_projected();
    let expected = app.db.texts(BY_SQL);
    assert!(expected.len() >= 15, "{expected:?}");
    assert_eq!(app.db.texts(BY_PROJECTION), expected);
    assert_rebuilt_alike(&app);
}

#[test]
fn of_an_hour_the_first_thousand_names_are_told_apart_whatever_came_first() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "alice");
    let mut sent = 1;
    // The last ones come first, and make room for those that come later.
    for numbers in [600..1_100, 0..600, 300..900] {
        for number in numbers {
            node.send_text(&span("target", &format!("n{number:04}"), number + 1));
            sent += 1;
        }
        app.wait_stored(sent);
        app.wait_projected();
    }
    node.send_text(&span(&"long".repeat(200), "name", 5_000));
    app.wait_stored(sent + 1);
    app.wait_projected();
    let one_hour = "SELECT count(DISTINCT hour) FROM span_hours";
    if app.db.count(one_hour) > 1 {
        // It went over the end of an hour, which has its own limit.
        return;
    }
    let first = "SELECT count(*) FROM span_hours WHERE name < 'n1000' AND name LIKE 'n%'";
    assert_eq!(app.db.count(first), 1_000);
    let others = "SELECT concat_ws(' ', count, total_ns, min_ns, max_ns) AS value FROM span_hours WHERE target = '(other)' AND name = '(other)'";
    let total: u64 = (1_000..1_100).map(|number| number + 1).sum();
    assert_eq!(
        app.db.texts(others),
        [format!("101 {} 1001 5000", total + 5_000)]
    );
    assert_eq!(app.db.count("SELECT count(*) FROM span_hours"), 1_001);
    assert_eq!(
        app.db.count("SELECT sum(count)::bigint FROM span_hours"),
        i64::from(sent)
    );
    assert_rebuilt_alike(&app);
}

/// Spans of two nodes over some seven hours, the last of which is now.
fn with_hours(app: &TestApp) -> Vec<FakeNode> {
    let mut random = Random::new(5);
    let mut nodes: Vec<FakeNode> = (0..2).map(|_| app.node("/submit")).collect();
    introduce(&mut nodes[0], "alice");
    introduce(&mut nodes[1], "bob");
    for number in 0..3_000 {
        let target = ["pallet_babe", "pallet_balances", "frame executive"][number % 3];
        let name = ["on_initialize", "on_finalize"][random.between(0, 1) as usize];
        let bits = random.between(10, 23);
        let time = random.between(1, 1 << bits);
        nodes[number % 5 / 3].send_text(&span(target, name, time.to_string()));
    }
    app.wait_stored(3_002);
    app.wait_projected();
    app.db.execute(
        "UPDATE telemetry_messages SET created_at = created_at - (id % 997) * interval '25 s' WHERE target IS NOT NULL;
         UPDATE peer_connections SET created_at = created_at - interval '8 hours'",
    );
    app.rebuild_projections();
    nodes
}

fn rows(app: &TestApp, sql: &str) -> Vec<Value> {
    let rows = app.db.texts(&format!(
        "SELECT row_to_json(r)::text AS value FROM ({sql}) r"
    ));
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

/// The same, with quantiles as precise as it is promised.
#[track_caller]
fn assert_near(found: &Value, expected: &[Value], is_quantile: impl Fn(&str) -> bool, asked: &str) {
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{asked}");
    for (found, expected) in found.iter().zip(expected) {
        for (field, value) in found.as_object().unwrap() {
            let expected = &expected[field];
            let is_same = match (value.as_f64(), expected.as_f64()) {
                (Some(value), Some(expected)) => {
                    let error = if is_quantile(field) { 0.032 } else { 1e-9 };
                    (value - expected).abs() <= error * expected
                }
                _ if field == "created_at" => {
                    let time = |value: &Value| {
                        let text = value.as_str().unwrap();
                        text.parse::<chrono::DateTime<chrono::Utc>>().unwrap()
                    };
                    time(value) == time(expected)
                }
                _ => value == expected,
            };
            assert!(is_same, "{asked}: {field} is {value}, not {expected}");
        }
    }
}

#[test]
fn answers_about_whole_hours_are_those_of_plain_sql_within_the_promised_error() {
    let app = TestApp::start();
    let _nodes = with_hours(&app);
    let times = app.db.texts(
        "SELECT to_char(now() - s * interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') AS value FROM (VALUES (22000), (2000)) v (s)",
    );
    let (start, end) = (&times[0], &times[1]);
    let range = format!("created_at >= '{start}Z' AND created_at < '{end}Z'");
    let spans =
        "FROM (SELECT *, nanoseconds::float8 AS ns FROM profiling_spans) s WHERE ns IS NOT NULL";
    let before = app.db.count("SELECT sum(count)::bigint FROM span_hours");
    assert_eq!(before, 3_000);
    for (asked, condition) in [("", "true"), ("&peer_id=bob", "peer_id = 'bob'")] {
        let expected = rows(
            &app,
            &format!(
                "SELECT target, name, count(*) AS count, sum(ns) AS total, avg(ns) AS mean, \
                   percentile_cont(0.5) WITHIN GROUP (ORDER BY ns) AS median, \
                   percentile_cont(0.9) WITHIN GROUP (ORDER BY ns) AS percentile90, min(ns) AS min, max(ns) AS max \
                 {spans} AND {range} AND {condition} GROUP BY 1, 2 ORDER BY total DESC, 1, 2"
            ),
        );
        assert_eq!(expected.len(), 6);
        let path = format!("/api/v1/profiling/ranking?start_time={start}&end_time={end}{asked}");
        let is_quantile = |field: &str| field == "median" || field == "percentile90";
        assert_near(&app.get(&path).json(), &expected, is_quantile, &path);
        let expected = &expected[..2];
        let path = format!("{path}&limit=2");
        assert_near(&app.get(&path).json(), expected, is_quantile, &path);
    }
    for (aggregate, sql) in [
        ("mean", "avg(ns)"),
        ("min", "min(ns)"),
        ("max", "max(ns)"),
        ("median", "percentile_cont(0.5) WITHIN GROUP (ORDER BY ns)"),
        (
            "percentile90",
            "percentile_cont(0.9) WITHIN GROUP (ORDER BY ns)",
        ),
    ] {
        for (asked, interval, condition) in [
            ("", 3_600, "true"),
            ("&peer_id=alice", 7_200, "peer_id = 'alice'"),
            (
                "&target=frame%20executive&name=on_finalize",
                86_400,
                "target = 'frame executive' AND name = 'on_finalize'",
            ),
        ] {
            let expected = rows(
                &app,
                &format!(
                    "SELECT to_timestamp(floor(extract(epoch FROM created_at) / {interval}) * {interval}) AS created_at, \
                       target, name, count(*) AS count, {sql} AS time \
                     {spans} AND {range} AND {condition} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
                ),
            );
            assert!(!expected.is_empty());
            let path = format!(
                "/api/v1/profiling?start_time={start}&end_time={end}&aggregate={aggregate}&interval={interval}{asked}"
            );
            let is_quantile = |field: &str| field == "time" && aggregate.contains(['d', '9']);
            assert_near(&app.get(&path).json(), &expected, is_quantile, &path);
        }
    }
}

#[test]
fn whole_hours_are_answered_after_their_messages_are_purged() {
    let app = TestApp::start();
    let _nodes = with_hours(&app);
    let path = "/api/v1/profiling/ranking?limit=1000&start_time=";
    let start = (chrono::Utc::now() - chrono::TimeDelta::hours(9)).format("%FT%TZ");
    let count = |answer: Value| -> i64 {
        let rows = answer.as_array().unwrap().iter();
        rows.map(|row| row["count"].as_i64().unwrap()).sum()
    };
    let counted = |app: &TestApp| count(app.get(&format!("{path}{start}")).json());
    assert_eq!(counted(&app), 3_000);
    let purged = "DELETE FROM telemetry_messages WHERE created_at < date_trunc('hour', now(), 'UTC') - interval '1 hour'";
    app.db.execute(purged);
    assert_eq!(counted(&app), 3_000);
    // What was counted together is looked for in the messages that are there.
    app.db.execute(
        "INSERT INTO span_hours SELECT peer_id, genesis_hash, session_id, hour, '(other)', '(other)', count, total_ns, min_ns, max_ns, buckets, counts \
         FROM span_hours ORDER BY hour LIMIT 1",
    );
    let one = format!("{path}{start}")
        .replace("/ranking?limit=1000&", "?interval=3600&name=on_finalize&");
    wait_until("only the messages that are left are counted", || {
        let left = "SELECT count(*) FROM profiling_spans WHERE name = 'on_finalize'";
        count(app.get(&one).json()) == app.db.count(left)
    });
}
