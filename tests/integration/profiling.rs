//! `/api/v1/profiling`: how long spans took, compared with plain SQL.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{FakeNode, Random, TestApp, cases, corpus, run_cases};

/// A span as old nodes send it.
fn span(at: DateTime<Utc>, target: &str, name: &str, nanoseconds: u64) -> String {
    json!({"msg": "tracing.profiling", "level": "INFO", "ts": at.to_rfc3339_opts(SecondsFormat::Nanos, false),
        "target": target, "name": name, "time": nanoseconds.to_string(), "id": 1, "parent_id": 1, "values": {"block": 7}})
    .to_string()
}

fn connect(app: &TestApp, peer_id: &str) -> FakeNode {
    let mut node = app.node("/submit");
    let connected = json!({"msg": "system.connected", "level": "INFO", "ts": "2020-11-21T08:02:05+00:00",
        "name": peer_id, "network_id": peer_id, "chain": "dev"});
    node.send_text(&connected.to_string());
    node
}

/// Two nodes with 600 spans of the last five minutes, and one that plays the
/// captured frames of an old node: three spans, and much else. Not all are
/// usable: two spans have no time.
fn with_spans(app: &TestApp) -> Vec<FakeNode> {
    let mut random = Random::new(7);
    let now = Utc::now();
    let mut nodes: Vec<FakeNode> = ["alice", "bob"].map(|peer| connect(app, peer)).into();
    for number in 0..600 {
        let at = now - TimeDelta::milliseconds(random.between(0, 300_000) as i64);
        let target = ["pallet_babe", "pallet_balances", "frame executive"][number % 3];
        let name = ["on_initialize", "on_finalize"][random.between(0, 1) as usize];
        let time = random.between(1, 5_000_000);
        nodes[number % 5 / 3].send_text(&span(at, target, name, time));
    }
    nodes[0].send_text(&span(now, "odd", "timeless", 1).replace("\"1\"", "\"soon\""));
    nodes[0].send_text(&span(now, "odd", "timeless", 1).replace("\"time\"", "\"times\""));
    let frames = corpus("v1");
    let mut old = app.node("/");
    for frame in &frames {
        old.send_text(std::str::from_utf8(frame).unwrap());
    }
    nodes.push(old);
    app.wait_stored(604 + u32::try_from(frames.len()).unwrap());
    app.db.date_by_nodes();
    nodes
}

/// The rows that a statement gives, as JSON.
fn by_sql(app: &TestApp, sql: &str) -> Vec<Value> {
    let rows = format!("SELECT row_to_json(r)::text AS value FROM ({sql}) r");
    let rows = app.db.texts(&rows);
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

/// The same rows; their times may be written differently.
#[track_caller]
fn assert_rows(found: &Value, expected: &[Value], question: &str) {
    let same = |(field, value): (&String, &Value), expected: &Value| match field.as_str() {
        "created_at" => {
            let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
            time(value) == time(expected)
        }
        "target" | "name" => value == expected,
        _ => value.as_f64() == expected.as_f64(),
    };
    let found = found.as_array().unwrap();
    for (found, expected) in found.iter().zip(expected) {
        let fields = found.as_object().unwrap();
        assert_eq!(fields.len(), expected.as_object().unwrap().len());
        assert!(
            fields.iter().all(|field| same(field, &expected[field.0])),
            "{question}: {found} is not {expected}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{question}");
}

fn moments(app: &TestApp) -> (String, String) {
    let times = app.db.texts(
        "SELECT to_char(t, 'YYYY-MM-DD\"T\"HH24:MI:SS.US') AS value FROM (VALUES (now() - interval '200 seconds'), (now() - interval '77 seconds')) v (t)",
    );
    (times[0].clone(), times[1].clone())
}

#[test]
fn spans_are_those_of_plain_sql() {
    let app = TestApp::start();
    let _nodes = with_spans(&app);
    let cases = cases![
        spans_over_time_are_those_of_plain_sql,
        the_costliest_spans_are_those_of_plain_sql,
        an_answer_that_would_be_too_large_is_refused,
    ];
    run_cases(&app, cases);
}

fn spans_over_time_are_those_of_plain_sql(app: &TestApp) {
    let (start, end) = moments(app);
    let aggregates = [
        ("", "avg(ns)"),
        ("mean", "avg(ns)"),
        ("median", "percentile_cont(0.5) WITHIN GROUP (ORDER BY ns)"),
        ("MIN", "min(ns)"),
        ("max", "max(ns)"),
        (
            "percentile90",
            "percentile_cont(0.9) WITHIN GROUP (ORDER BY ns)",
        ),
    ];
    let range = format!("created_at >= '{start}Z' AND created_at < '{end}Z'");
    for (question, interval_s, condition, least) in [
        (String::new(), 60, "true".to_owned(), 30),
        (
            format!("start_time={start}&interval=1"),
            1,
            format!("created_at >= '{start}Z'"),
            200,
        ),
        ("interval=7".to_owned(), 7, "true".to_owned(), 100),
        ("interval=86400".to_owned(), 86_400, "true".to_owned(), 6),
        (
            format!("start_time={start}&end_time={end}&interval=30"),
            30,
            range.clone(),
            20,
        ),
        (
            "peer_id=bob".to_owned(),
            60,
            "peer_id = 'bob'".to_owned(),
            20,
        ),
        (
            "target=pallet_babe&interval=5".to_owned(),
            5,
            "target = 'pallet_babe'".to_owned(),
            50,
        ),
        (
            "target=frame%20executive&name=on_finalize".to_owned(),
            60,
            "target = 'frame executive' AND name = 'on_finalize'".to_owned(),
            5,
        ),
        ("target=never".to_owned(), 60, "false".to_owned(), 0),
        (
            format!(
                "peer_id=alice&name=on_initialize&start_time={start}&end_time={end}&interval=10"
            ),
            10,
            format!("{range} AND peer_id = 'alice' AND name = 'on_initialize'"),
            10,
        ),
    ] {
        for (aggregate, sql) in aggregates {
            let asked = match aggregate {
                "" => question.clone(),
                aggregate => format!("{question}&aggregate={aggregate}"),
            };
            let answer = app.get(&format!("/api/v1/profiling?{asked}"));
            assert_eq!(answer.status, 200, "{}", answer.body);
            let expected = by_sql(
                app,
                &format!(
                    "SELECT to_timestamp(floor(extract(epoch FROM created_at) / {interval_s}) * {interval_s}) AS created_at, \
                       target, name, count(*) AS count, {sql} AS time \
                     FROM (SELECT *, nanoseconds::float8 AS ns FROM profiling_spans) s \
                     WHERE ns IS NOT NULL AND {condition} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
                ),
            );
            assert!(
                expected.len() >= least,
                "{asked} has {} rows",
                expected.len()
            );
            assert_rows(&answer.json(), &expected, &asked);
        }
    }
}

fn the_costliest_spans_are_those_of_plain_sql(app: &TestApp) {
    let (start, end) = moments(app);
    for (question, condition) in [
        (String::new(), "true".to_owned()),
        ("peer_id=bob".to_owned(), "peer_id = 'bob'".to_owned()),
        (
            format!("start_time={start}&end_time={end}&peer_id=alice"),
            format!("created_at >= '{start}Z' AND created_at < '{end}Z' AND peer_id = 'alice'"),
        ),
    ] {
        let expected = by_sql(
            app,
            &format!(
                "SELECT target, name, count(*) AS count, sum(ns) AS total, avg(ns) AS mean, \
                   percentile_cont(0.5) WITHIN GROUP (ORDER BY ns) AS median, \
                   percentile_cont(0.9) WITHIN GROUP (ORDER BY ns) AS percentile90, min(ns) AS min, max(ns) AS max \
                 FROM (SELECT *, nanoseconds::float8 AS ns FROM profiling_spans) s \
                 WHERE ns IS NOT NULL AND {condition} GROUP BY 1, 2 ORDER BY total DESC, 1, 2"
            ),
        );
        assert!(expected.len() >= 6, "{question}");
        for limit in [1, 5, 1_000] {
            let path = format!("/api/v1/profiling/ranking?{question}&limit={limit}");
            let expected = &expected[..limit.min(expected.len())];
            assert_rows(&app.get(&path).json(), expected, &path);
        }
        let path = format!("/api/v1/profiling/ranking/?{question}");
        assert_rows(&app.get(&path).json(), &expected, &path);
    }
}

#[test]
fn a_single_span_is_its_own_mean_and_quantile() {
    let app = TestApp::start();
    assert_eq!(app.get("/api/v1/profiling").json(), json!([]));
    assert_eq!(app.get("/api/v1/profiling/ranking").json(), json!([]));
    let mut node = connect(&app, "alice");
    let at = Utc::now() - TimeDelta::seconds(30);
    node.send_text(&span(at, "pallet_babe", "on_initialize", 235_760));
    app.wait_stored(2);
    for aggregate in ["mean", "median", "min", "max", "percentile90"] {
        let spans = app
            .get(&format!("/api/v1/profiling?aggregate={aggregate}"))
            .json();
        assert_eq!(spans[0]["time"], 235_760.0, "{aggregate}");
        assert_eq!(spans[0]["count"], 1);
        assert_eq!(spans.as_array().unwrap().len(), 1);
    }
    let past = "start_time=2019-01-01T00:00:00&end_time=2019-01-02T00:00:00";
    for path in ["profiling", "profiling/ranking"] {
        for peer in ["", "&peer_id=alice"] {
            let answer = app.get(&format!("/api/v1/{path}?{past}{peer}"));
            assert_eq!(answer.json(), json!([]));
        }
    }
}

fn an_answer_that_would_be_too_large_is_refused(app: &TestApp) {
    app.db.execute(
        "INSERT INTO telemetry_messages
         SELECT i, '2026-01-01T00:00Z'::timestamptz + i * interval '1 ms', 1, 5, NULL, 'target ' || i % 20001, '{\"name\": \"n\", \"time\": 1}'
         FROM generate_series(0, 40001) i",
    );
    let range = "start_time=2026-01-01T00:00:00&end_time=2026-01-01T00:01:00";
    let answer = app.get(&format!("/api/v1/profiling?{range}"));
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(answer.json()["error"]["parameter"], "interval");
    let one = app.get(&format!("/api/v1/profiling?{range}&target=target%207"));
    assert_eq!(one.json()[0]["count"], 2);
    app.db
        .execute("DELETE FROM telemetry_messages WHERE target = 'target 0'");
    let most = app.get(&format!("/api/v1/profiling?{range}")).json();
    assert_eq!(most.as_array().unwrap().len(), 20_000);
}

pub(crate) fn unknown_peers_are_404_and_bad_parameters_400(app: &TestApp) {
    for path in ["/api/v1/profiling", "/api/v1/profiling/ranking"] {
        let answer = app.get(&format!("{path}?peer_id=nobody"));
        assert_eq!(answer.status, 404, "{}", answer.body);
        assert_eq!(answer.json()["error"]["parameter"], "peer_id");
        for (question, parameter) in [
            ("peer_id=", "peer_id"),
            ("start_time=yesterday", "start_time"),
            ("end_time=2019-01-32T00:00:00", "end_time"),
            ("start_time=2999-01-01T00:00:00", "start_time"),
            (
                "start_time=2019-01-01T00:00:00&end_time=2019-02-01T00:00:01",
                "start_time",
            ),
            (
                "start_time=2019-01-02T00:00:00&end_time=2019-01-01T00:00:00",
                "start_time",
            ),
            ("colour=red", "colour"),
        ] {
            let answer = app.get(&format!("{path}?{question}"));
            assert_eq!(answer.status, 400, "{path}?{question}: {}", answer.body);
            assert_eq!(answer.json()["error"]["parameter"], parameter, "{question}");
        }
    }
    for (question, parameter) in [
        ("profiling?interval=0", "interval"),
        ("profiling?interval=86401", "interval"),
        ("profiling?interval=1.5", "interval"),
        ("profiling?aggregate=mode", "aggregate"),
        ("profiling?aggregate=", "aggregate"),
        ("profiling?target=a%00b", "target"),
        ("profiling?name=a%00b", "name"),
        ("profiling?limit=1", "limit"),
        // 2,001 buckets.
        (
            "profiling?interval=1&start_time=2019-01-01T00:00:00&end_time=2019-01-01T00:33:21",
            "interval",
        ),
        ("profiling/ranking?limit=0", "limit"),
        ("profiling/ranking?limit=1001", "limit"),
        ("profiling/ranking?interval=60", "interval"),
    ] {
        // The length of a bucket is judged although there is nothing to put into one.
        let answer = app.get(&format!("/api/v1/{question}"));
        assert_eq!(answer.status, 400, "{question}: {}", answer.body);
        assert_eq!(answer.json()["error"]["parameter"], parameter, "{question}");
    }
    // Every length has a range that goes with it if none is given.
    for interval in [1, 2, 86_400] {
        let answer = app.get(&format!("/api/v1/profiling?interval={interval}"));
        assert_eq!(answer.status, 200, "{interval}: {}", answer.body);
    }
}
