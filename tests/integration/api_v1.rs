//! `/api/v1`: every question in one vocabulary, beside the older routes, which stay.

use std::collections::BTreeSet;

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, corpus};

const MAIN: &str = "0x61644a25da5ad31754e23bc1eca8c766a61ceaa8c60ddc65f158a30209256e35";

/// `a` with an old and a new session, `b` and `c` that left, at times that a cursor can split,
/// and a chain that has the genesis hash of the other as its name.
fn nodes() -> String {
    format!(
        "INSERT INTO peer_connections
            (id, ip_addr, peer_id, created_at, name, chain, genesis_hash, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
        VALUES
            (-7942670556748316672, '10.0.0.1', 'a', now() - interval '3 days', 'old name', 'dev', NULL, 1, 'other', now() - interval '2 days', now() - interval '2 days', 'closed'),
            (2, '10.0.0.2', 'a', now() - interval '1 day', 'alice', 'main', '{MAIN}', 2, 'other', now(), NULL, NULL),
            (3, '10.0.0.3', 'b', now() - interval '2 days', 'bob', 'dev', NULL, 3, 'other', now() - interval '1 day', now() - interval '1 day', 'silent'),
            (-5, '10.0.0.5', 'c', now() - interval '2 days', 'carol', '{MAIN}', '0x01', 5, 'other', now() - interval '1 day', now() - interval '1 day', 'silent'),
            (6, '10.0.0.6', 'a', now() - interval '3 days', 'older name', 'dev', NULL, 6, 'other', now() - interval '3 days', now() - interval '3 days', 'closed');
        INSERT INTO servers VALUES ('other', '1.0.0', now(), now() + interval '1 day');"
    )
}

fn names(answer: &Value) -> Vec<&str> {
    let nodes = answer.as_array().unwrap().iter();
    nodes.map(|node| node["name"].as_str().unwrap()).collect()
}

/// All pages of a list of nodes, one row each, by the cursor and by the link.
fn pages(app: &TestApp, path: &str, question: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = format!("?{question}");
    loop {
        let answer = app.get(&format!("{path}{next}"));
        assert_eq!(answer.status, 200, "{next}: {}", answer.body);
        found.extend(names(&answer.json()).into_iter().map(str::to_owned));
        let Some(cursor) = answer.headers.get("x-next-cursor") else {
            assert!(!answer.headers.contains_key("link"));
            return found;
        };
        let link = &answer.headers["link"];
        assert!(link.contains(&format!("cursor={cursor}")), "{link}");
        let (link, _rel) = link.split_once('>').unwrap();
        next = link.trim_start_matches('<').to_owned();
    }
}

#[test]
fn nodes_and_sessions_come_in_pages() {
    let app = TestApp::start();
    app.db.execute(&nodes());
    app.wait_projected();
    let all = names(&app.get("/nodes").json())
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert_eq!(all, ["alice", "bob", "carol"]);
    assert_eq!(pages(&app, "/api/v1/nodes", "limit=1"), all);
    assert_eq!(
        pages(&app, "/api/v1/nodes", "online=false&limit=1"),
        all[1..]
    );
    assert_eq!(pages(&app, "/api/v1/nodes", "limit=3"), all);
    let whole = app.get("/api/v1/nodes");
    // What they are is the same; the list says more of them.
    for (listed, node) in whole
        .json()
        .as_array()
        .unwrap()
        .iter()
        .zip(app.get("/nodes").json().as_array().unwrap())
    {
        for (field, value) in node.as_object().unwrap() {
            assert!(
                field == "last_seen_at" || listed[field] == *value,
                "{field}: {listed}"
            );
        }
    }
    assert!(!whole.headers.contains_key("x-next-cursor"));

    // Sessions that began together are told apart by their numbers.
    let sessions = ["alice", "older name", "old name"];
    let path = "/api/v1/sessions";
    assert_eq!(pages(&app, path, "peer_id=a&limit=1"), sessions);
    assert_eq!(pages(&app, path, "peer_id=a&limit=2"), sessions);
    assert_eq!(pages(&app, path, "peer_id=a"), sessions);
    let after_the_last = app.get("/api/v1/sessions?peer_id=a&cursor=0_0");
    assert_eq!(after_the_last.json(), json!([]));
    let unknown = app.get("/api/v1/sessions?peer_id=nobody&cursor=0_0");
    assert_eq!(unknown.status, 404, "{}", unknown.body);

    let one = app.get("/api/v1/nodes/a/").json();
    assert_eq!(one["id"], whole.json()[0]["id"]);
    let unknown = app.get("/api/v1/nodes/nobody");
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["parameter"]),
        (404, &json!("peer_id"))
    );
    // Addresses are for those who may see them, by every way.
    for path in [
        "/api/v1/nodes",
        "/api/v1/nodes/a",
        "/api/v1/sessions?peer_id=a",
    ] {
        assert!(app.get(path).body.contains("10.0.0.2"), "{path}");
        let elsewhere = app.ask("GET", path, &[("via", "1.1 proxy")], "");
        assert_eq!(elsewhere.status, 200, "{path}");
        assert!(!elsewhere.body.contains("10.0.0"), "{path}");
    }
}

#[test]
fn a_chain_is_found_by_its_name_and_by_its_genesis_hash() {
    let app = TestApp::start();
    app.db.execute(&nodes());
    app.wait_projected();
    let none: [&str; 0] = [];
    for (chain, expected) in [
        ("main", ["alice"].as_slice()),
        ("dev", &["bob"]),
        ("0x01", &["carol"]),
        (MAIN, &["alice", "carol"]),
        // Old nodes have no genesis hash; that is no name for all of them.
        ("", &none),
        ("0x02", &none),
    ] {
        for path in ["/nodes", "/api/v1/nodes"] {
            let nodes = app.get(&format!("{path}?chain={chain}")).json();
            assert_eq!(names(&nodes), expected, "{path} {chain}");
        }
    }
}

/// The same answer by both routes.
fn both(app: &TestApp, path: &str) -> Answer {
    let (old, new) = (app.get(path), app.get(&format!("/api/v1{path}")));
    let body = |answer: &Answer| {
        // Each request has an id of its own, which stands in errors.
        let id = answer.headers["x-request-id"].as_str();
        answer.body.replace(id, "")
    };
    assert_eq!((new.status, body(&new)), (old.status, body(&old)), "{path}");
    new
}

/// An object with other names for its fields.
fn renamed(value: &Value, names: &[(&str, &str)]) -> Value {
    let fields = value.as_object().unwrap().iter().map(|(field, value)| {
        let new = names.iter().find(|(old, _)| old == field);
        (
            new.map_or(field.as_str(), |(_, new)| new).to_owned(),
            value.clone(),
        )
    });
    Value::Object(fields.collect())
}

#[test]
fn answers_are_those_of_the_older_routes_in_one_vocabulary() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    let frames = corpus("v1");
    for frame in &frames {
        node.send_text(std::str::from_utf8(frame).unwrap());
    }
    app.wait_stored(u32::try_from(frames.len()).unwrap());
    app.wait_projected();
    let peer = app.get("/nodes").json()[0]["peer_id"]
        .as_str()
        .unwrap()
        .to_owned();

    let renames = |path: &str, names: &[(&str, &str)]| {
        let old = app.get(path).json();
        let new = app.get(&format!("/api/v1{path}")).json();
        let old = old.as_array().unwrap();
        assert!(!old.is_empty(), "{path} is tried with something");
        let expected: Vec<Value> = old.iter().map(|row| renamed(row, names)).collect();
        assert_eq!(new, json!(expected), "{path}");
    };
    renames(
        &format!("/nodes/log_stats?peer_id={peer}"),
        &[("log_type", "msg"), ("qty", "count")],
    );
    let reports = [("ts", "created_at")];
    renames("/reputation", &reports);
    renames("/reputation/logged", &reports);
    let known = app.get("/reputation").json()[0]["remote_peer"][0].clone();
    renames(
        &format!("/reputation/{}", known.as_str().unwrap()),
        &reports,
    );

    // What is entered by one route is read by the other.
    let machine = json!({"description": "rack 4", "os": "Debian 12", "cpu_count": 16, "cpu_clock_mhz": 3_400.0,
        "memory_mib": 65_536, "disk_info": "NVMe"});
    let machine = app.post("/api/v1/host_systems", &machine).json();
    assert_eq!(machine["cpu_clock_mhz"], 3_400);
    renames(
        "/host_systems",
        &[
            ("cpu_qty", "cpu_count"),
            ("cpu_clock", "cpu_clock_mhz"),
            ("ram_mb", "memory_mib"),
        ],
    );
    let time = |hours| {
        let time = Utc::now() + TimeDelta::hours(hours);
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    };
    let (start, end) = (time(-1), time(1));
    let run = json!({"start_time": start, "end_time": end, "host_system_id": machine["id"],
        "setup": {"substrate": {"peerId": peer}}});
    let entered = app.post("/api/v1/benchmarks", &run);
    assert_eq!(entered.status, 200, "{}", entered.body);
    let entered = entered.json();
    assert_eq!(
        (&entered["start_time"], &entered["end_time"]),
        (&json!(start), &json!(end))
    );
    renames(
        "/benchmarks",
        &[("ts_start", "start_time"), ("ts_end", "end_time")],
    );
    let path = format!("/benchmarks/{}", entered["id"]);
    renames(&format!("{path}/targets"), &[("qty", "count")]);

    // Here the words are the same.
    let phase = json!({"benchmark_id": entered["id"], "name": "import", "phase": "start"});
    assert_eq!(app.post("/api/v1/benchmarks/events/", &phase).status, 200);
    assert_eq!(
        both(&app, &format!("{path}/events")).json()[0]["name"],
        "import"
    );
    let logs = both(&app, &format!("/nodes/logs?peer_id={peer}&limit=2"));
    assert!(logs.headers.contains_key("x-next-cursor"));
    for path in [
        "/stats/version",
        "/health/live",
        "/health/ready",
        "/nodes/logs",
        "/reputation/nobody",
    ] {
        both(&app, path);
    }
    for path in ["/stats/db?limit=1", "/health", "/metrics"] {
        assert_eq!(app.get(&format!("/api/v1{path}")).status, 200, "{path}");
    }
    assert!(
        app.get("/api/v1/metrics")
            .body
            .contains("route=\"/api/v1/nodes/log_stats\"")
    );
    assert_eq!(
        app.ask("DELETE", &format!("/api/v1{path}"), &[], "").status,
        204
    );
    assert_eq!(app.get("/benchmarks").json(), json!([]));
}

#[test]
fn what_is_wrong_is_named_in_the_new_words() {
    let app = TestApp::start();
    let run = json!({"start_time": "2026-11-20T00:00:00", "end_time": "2026-11-21T00:00:00"});
    let with = |field: &str, value: Value| {
        let mut run = run.clone();
        run[field] = value;
        run
    };
    for (path, body, status, parameter) in [
        (
            "/benchmarks",
            with("host_system_id", json!(77)),
            404,
            "host_system_id",
        ),
        (
            "/benchmarks",
            with("end_time", json!("2026-11-19T00:00:00")),
            400,
            "end_time",
        ),
        (
            "/benchmarks",
            with("ts_start", json!("2026-11-19T00:00:00")),
            400,
            "ts_start",
        ),
        ("/benchmarks", json!({"setup": {}}), 400, "start_time"),
        (
            "/host_systems",
            json!({"description": "d", "os": "o", "cpu_qty": 1}),
            400,
            "cpu_count",
        ),
    ] {
        let answer = app.post(&format!("/api/v1{path}"), &body);
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["parameter"]),
            (status, &json!(parameter)),
            "{path} {body}"
        );
    }
    for route in [
        "/api/v1/status",
        "/api/v1/services",
        "/api/v1/nodes/nobody",
        "/api/v1/chains/nothing",
        "/api/v1/chains/nothing/locations",
        "/api/v1/alerts/rules",
        "/api/v1/alerts/silences",
        "/api/v1/alerts/targets",
        "/api/v1/events/1",
        "/api/v1/events/malformed",
        "/api/v1/events/transports",
        "/api/v1/benchmarks/1/targets",
        "/api/v1/refusals",
        "/api/v1/wrong_paths",
    ] {
        let answer = app.get(&format!("{route}?chain=x"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["parameter"]),
            (400, &json!("chain")),
            "{route}"
        );
        assert!(answer.body.contains("this route has no parameters"));
    }
    for (question, parameter) in [
        ("limit=10001", "limit"),
        ("cursor=x", "cursor"),
        ("online=1", "online"),
        ("peer_id=a", "peer_id"),
    ] {
        let answer = app.get(&format!("/api/v1/nodes?{question}"));
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["parameter"]),
            (400, &json!(parameter)),
            "{question}"
        );
    }
}

/// Words of older routes for what has another name now.
const OLD_WORDS: [&str; 10] = [
    "qty",
    "log_type",
    "ts",
    "ts_start",
    "ts_end",
    "cpu_qty",
    "cpu_clock",
    "ram_mb",
    "time_start",
    "time_end",
];

/// All schemas that a part of the description leads to.
fn schemas<'a>(api: &'a Value, part: &'a Value, found: &mut BTreeSet<&'a str>) {
    match part {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str);
            if let Some(target) = target.filter(|target| found.insert(target)) {
                let pointer = target.trim_start_matches('#');
                schemas(api, api.pointer(pointer).unwrap(), found);
            }
            fields.values().for_each(|part| schemas(api, part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| schemas(api, part, found)),
        _ => {}
    }
}

#[test]
fn the_description_bounds_what_may_be_asked_and_says_where_and_with_which_token() {
    let app = TestApp::start();
    let api = app.get("/api/openapi.json").json();
    assert_eq!(api["servers"][0]["url"], app.url("").trim_end_matches('/'));
    let elsewhere = app.ask("GET", "/api/openapi.json", &[("host", "telemetry:81")], "");
    assert_eq!(elsewhere.json()["servers"][0]["url"], "http://telemetry:81");
    let proxied = app.ask(
        "GET",
        "/api/openapi.json",
        &[
            ("x-forwarded-host", "other"),
            ("x-forwarded-proto", "https"),
        ],
        "",
    );
    assert_eq!(
        proxied.json()["servers"],
        api["servers"],
        "this is no trusted proxy"
    );

    let schemes = api["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes["token"]["scheme"], "bearer");
    assert_eq!(
        api["security"],
        json!([{}, {"token": []}, {"password": []}])
    );

    let mut of_v1 = BTreeSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let place = format!("{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
                let bound = match (name, schema["type"].as_str().unwrap()) {
                    ("token", _) => continue,
                    ("start_time" | "end_time" | "seen_after" | "at", _) => "format",
                    ("aggregate", _) => "enum",
                    ("cursor", _) => "pattern",
                    (_, "string") => "maxLength",
                    (_, "integer") => "minimum",
                    (_, "boolean") => "type",
                    other => panic!("{place}: {other:?}"),
                };
                assert!(
                    schema.get(bound).is_some(),
                    "{place}: {name} has no {bound}"
                );
            }
            let writes = method != "get";
            let security = operation.get("security");
            assert_eq!(
                writes,
                security == Some(&json!([{}, {"token": []}])),
                "{place}"
            );
            if path.starts_with("/api/v1/") {
                schemas(&api, operation, &mut of_v1);
            }
        }
    }
    assert!(of_v1.len() > 10, "{of_v1:?}");
    for target in of_v1 {
        let schema = api.pointer(target.trim_start_matches('#')).unwrap();
        let fields = schema["properties"].as_object().into_iter().flatten();
        for (name, field) in fields {
            assert!(!OLD_WORDS.contains(&name.as_str()), "{target} has {name}");
            if name.ends_with("_at") || ["start_time", "end_time"].contains(&name.as_str()) {
                assert_eq!(field["format"], "date-time", "{target} {name}");
            }
        }
        if target.contains("/New") {
            assert_eq!(schema["additionalProperties"], false, "{target}");
        }
    }
}
