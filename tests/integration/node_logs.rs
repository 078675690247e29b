//! `/nodes/logs` and `/nodes/log_stats`: what a node said, compared with plain SQL.

use serde_json::{Value, json};

use crate::support::{TestApp, cases, run_cases};

/// A peer with a long open session, 40 short ones, one for `/audit` and one of
/// another peer, and 2,000 messages over ten days, several at the same moment.
const HISTORY: &str = "
    INSERT INTO servers VALUES ('other', '1.0.0', now(), now() + interval '1 day');
    INSERT INTO message_kinds (id, msg) SELECT 100 + i, 'kind.' || i FROM generate_series(0, 4) i;
    INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
    SELECT i, '10.0.0.' || i, CASE WHEN i = 50 THEN 'other' ELSE 'peer' END,
           CASE WHEN i = 1 THEN now() - interval '10 days' ELSE now() - i * interval '5 hours' END, i, 'other',
           CASE WHEN i = 1 THEN now() ELSE now() - i * interval '5 hours' + interval '4 hours' END,
           CASE WHEN i > 1 THEN now() - i * interval '5 hours' + interval '4 hours' END,
           CASE WHEN i > 1 THEN 'closed' END
    FROM generate_series(1, 50) i WHERE i <= 40 OR i = 50;
    INSERT INTO telemetry_messages
    SELECT i, date_trunc('minute', now() - (i % 1000) * interval '14 minutes'), 1, 100 + i % 4, NULL,
           CASE WHEN i % 500 = 0 THEN 'pallet' END, jsonb_build_object('number', i)
    FROM generate_series(1, 1000) i;
    INSERT INTO telemetry_messages
    SELECT 10000 + i * 100 + j, now() - i * interval '5 hours' + j * interval '10 minutes', i, 100 + j % 5, NULL, NULL, jsonb_build_object('session', i)
    FROM generate_series(2, 39) i, generate_series(0, 24) j;
    INSERT INTO telemetry_messages_audit
    SELECT 20000 + j, now() - interval '200 hours' + j * interval '10 minutes', 40, 100, NULL, 'kept', '{\"audit\":true}'
    FROM generate_series(0, 24) j;
    INSERT INTO telemetry_messages SELECT 30000, now() - interval '250 hours', 50, 100, NULL, NULL, '{\"of\":\"another peer\"}';
    ANALYZE;";

fn with_history() -> TestApp {
    let app = TestApp::start();
    app.db.execute(HISTORY);
    app
}

/// The `logs` of an answer, as texts.
fn logs(answer: &Value) -> Vec<String> {
    let rows = answer.as_array().unwrap().iter();
    rows.map(|row| row["logs"].to_string()).collect()
}

fn by_sql(app: &TestApp, condition: &str, limit: u32) -> Vec<String> {
    let rows = app.db.texts(&format!(
        "SELECT l.logs::text AS value FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id \
         WHERE p.peer_id = 'peer' AND ({condition}) ORDER BY l.created_at DESC, l.id DESC LIMIT {limit}"
    ));
    let texts = rows
        .iter()
        .map(|row| serde_json::from_str::<Value>(row).unwrap());
    texts.map(|value| value.to_string()).collect()
}

#[test]
fn messages_of_a_long_history_are_those_of_plain_sql() {
    let cases = cases![
        each_filter_and_all_of_them_give_what_plain_sql_gives,
        pages_follow_each_other_without_a_gap_or_a_repeat,
        rows_have_exactly_the_promised_fields,
        counts_by_kind_are_those_of_plain_sql,
        numbers_and_nesting_come_back_as_they_were_stored,
    ];
    run_cases(&with_history(), cases);
}

fn each_filter_and_all_of_them_give_what_plain_sql_gives(app: &TestApp) {
    let day = |days: u32| {
        let day = format!(
            "SELECT to_char(now() - interval '{days} days', 'YYYY-MM-DD\"T\"00:00:00') AS value"
        );
        app.db.texts(&day).remove(0)
    };
    let (from, to) = (day(6), day(3));
    let range = format!("l.created_at >= '{from}Z' AND l.created_at < '{to}Z'");
    for (question, condition) in [
        (String::new(), "true".to_owned()),
        ("msg=kind.4".to_owned(), "l.msg = 'kind.4'".to_owned()),
        ("msg=kind.1".to_owned(), "l.msg = 'kind.1'".to_owned()),
        ("msg=never".to_owned(), "false".to_owned()),
        ("target=pallet".to_owned(), "l.target = 'pallet'".to_owned()),
        (
            "target=kept&msg=kind.0".to_owned(),
            "l.target = 'kept' AND l.msg = 'kind.0'".to_owned(),
        ),
        (
            "text=PALLET".to_owned(),
            "l.logs::text ILIKE '%pallet%'".to_owned(),
        ),
        (
            "text=%22number%22:%2077".to_owned(),
            "l.logs::text ILIKE '%\"number\": 77%'".to_owned(),
        ),
        (
            "text=1%25&msg=kind.1".to_owned(),
            "l.logs::text ILIKE '%1\\%%' AND l.msg = 'kind.1'".to_owned(),
        ),
        (
            format!("text=session&msg=kind.3&start_time={from}&end_time={to}"),
            format!("{range} AND l.logs::text ILIKE '%session%' AND l.msg = 'kind.3'"),
        ),
        (
            format!("start_time={from}"),
            format!("l.created_at >= '{from}Z'"),
        ),
        (format!("end_time={to}"), format!("l.created_at < '{to}Z'")),
        (
            format!("start_time={from}Z&end_time={to}%2B00:00"),
            range.clone(),
        ),
        (
            format!("start_time={from}&end_time={to}&msg=kind.2"),
            format!("{range} AND l.msg = 'kind.2'"),
        ),
    ] {
        for limit in [1, 100, 10_000] {
            let answer = app.get(&format!(
                "/nodes/logs?peer_id=peer&limit={limit}&{question}"
            ));
            assert_eq!(answer.status, 200, "{}", answer.body);
            let expected = by_sql(app, &condition, limit);
            assert_eq!(logs(&answer.json()), expected, "{question} limit={limit}");
        }
    }
}

#[test]
fn who_may_not_see_addresses_cannot_search_for_them() {
    let app = TestApp::builder()
        .env("API_TOKENS", "api-0123456789abcdef")
        .start();
    let mut node = app.node("/submit");
    node.send(r#"{"id":1,"payload":{"msg":"system.connected","network_id":"peer"}}"#);
    node.send(r#"{"id":1,"payload":{"msg":"m","at":["/ip4/192.0.2.7/tcp/30333","/ip6/2001:DB8::1/tcp/1"],"version":"1.92.0.2"}}"#);
    app.wait_stored(2);
    let elsewhere = [("x-forwarded-for", "192.0.2.1")];
    for (text, here, there) in [
        ("192.0.2.7", 1, 0),
        ("/IP4/19", 1, 0),
        ("2001:db8", 1, 0),
        ("/ip4/-/tcp/30333", 0, 1),
        ("1.92.0.2", 1, 1),
        ("tcp", 1, 1),
        ("udp", 0, 0),
    ] {
        let path = format!("/nodes/logs?peer_id=peer&text={text}");
        for (headers, expected) in [([].as_slice(), here), (&elsewhere, there)] {
            let answer = app.ask("GET", &path, headers, "");
            let found = answer.json().as_array().unwrap().len();
            assert_eq!(found, expected, "{path} {headers:?}");
        }
    }
}

fn pages_follow_each_other_without_a_gap_or_a_repeat(app: &TestApp) {
    let all = by_sql(app, "true", 10_000);
    let mut read = Vec::new();
    let mut question = "?peer_id=peer&limit=97".to_owned();
    loop {
        let answer = app.get(&format!("/nodes/logs{question}"));
        read.extend(logs(&answer.json()));
        let Some(cursor) = answer.headers.get("x-next-cursor") else {
            assert!(!answer.headers.contains_key("link"));
            break;
        };
        let link = answer.headers.get("link").unwrap();
        let next = link.trim_start_matches('<').split('>').next().unwrap();
        assert!(next.contains(cursor), "{link}");
        assert!(link.ends_with("rel=\"next\""), "{link}");
        question = next.to_owned();
    }
    assert_eq!(read, all);
}

#[test]
fn a_page_of_large_messages_ends_early_and_the_next_one_goes_on() {
    let app = with_history();
    app.db.execute(
        "INSERT INTO telemetry_messages \
         SELECT 40000 + i, now() - i * interval '1 hour', 1, 100, NULL, NULL, \
                jsonb_build_object('large', i, 'filling', repeat('x', 3000000)) \
         FROM generate_series(1, 20) i",
    );
    let (mut pages, mut large) = (0, Vec::new());
    let mut cursor = String::new();
    loop {
        let answer = app.get(&format!("/nodes/logs?peer_id=peer&limit=10000{cursor}"));
        assert!(answer.body.len() < 10 << 20, "{}", answer.body.len());
        let rows = answer.json();
        let numbers = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["logs"]["large"]);
        large.extend(numbers.filter_map(Value::as_i64));
        pages += 1;
        match answer.headers.get("x-next-cursor") {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(large, (1..=20).collect::<Vec<_>>());
    assert_eq!(pages, 7);
}

fn rows_have_exactly_the_promised_fields(app: &TestApp) {
    let answer = app.get("/nodes/logs/?peer_id=peer").json();
    assert_eq!(answer.as_array().unwrap().len(), 100);
    let mut fields: Vec<&str> = answer[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["created_at", "ip_addr", "logs", "msg", "peer_id"]);
    assert_eq!(answer[0]["peer_id"], "peer");
}

fn numbers_and_nesting_come_back_as_they_were_stored(app: &TestApp) {
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    app.db.execute(&format!(
        "INSERT INTO telemetry_messages VALUES (40000, now() - interval '250 hours', 50, 101, NULL, NULL, '{{\"n\": 123456789012345678901234567890.5, \"d\": {deep}}}')"
    ));
    let answer = app.get("/nodes/logs?peer_id=other&msg=kind.1");
    assert!(
        answer.body.contains("123456789012345678901234567890.5"),
        "{}",
        answer.body
    );
    assert!(answer.body.contains(&deep), "{}", answer.body);
}

fn counts_by_kind_are_those_of_plain_sql(app: &TestApp) {
    let expected = app.db.texts(
        "SELECT json_build_object('qty', count(*), 'log_type', l.msg)::text AS value \
         FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id \
         WHERE p.peer_id = 'peer' GROUP BY l.msg ORDER BY count(*) DESC, l.msg",
    );
    let expected: Vec<Value> = expected
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let stats = app.get("/nodes/log_stats?peer_id=peer").json();
    assert_eq!(stats, Value::Array(expected));
    let future = app
        .get("/nodes/log_stats?peer_id=peer&start_time=2999-01-01T00:00:00")
        .json();
    assert_eq!(future, json!([]));
}

pub(crate) fn unknown_peers_are_404_and_bad_parameters_400(app: &TestApp) {
    for path in ["/nodes/logs", "/nodes/log_stats"] {
        let answer = app.get(&format!("{path}?peer_id=nobody"));
        assert_eq!(answer.status, 404, "{}", answer.body);
        assert_eq!(answer.json()["error"]["parameter"], "peer_id");
        for (question, parameter) in [
            ("", "peer_id"),
            ("peer_id=", "peer_id"),
            ("peer_id=p&start_time=yesterday", "start_time"),
            ("peer_id=p&end_time=2019-01-32T00:00:00", "end_time"),
            (
                "peer_id=p&start_time=2020-01-01T00:00:00&end_time=2019-01-01T00:00:00",
                "start_time",
            ),
            ("peer_id=p&colour=red", "colour"),
        ] {
            let answer = app.get(&format!("{path}?{question}"));
            assert_eq!(answer.status, 400, "{path}?{question}: {}", answer.body);
            assert_eq!(answer.json()["error"]["parameter"], parameter, "{question}");
        }
    }
    for (question, parameter) in [
        ("limit=10001", "limit"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
    ] {
        let answer = app.get(&format!("/nodes/logs?peer_id=p&{question}"));
        assert_eq!(
            answer.json()["error"]["parameter"],
            parameter,
            "{}",
            answer.body
        );
    }
}
