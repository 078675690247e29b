//! Statistics, health and the description of the interface.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{TestApp, TestDb, wait_until};

#[test]
fn the_server_works_in_any_schema() {
    let db = TestDb::empty();
    db.execute(
        "CREATE SCHEMA telemetry;
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = telemetry', current_database()); END $$",
    );
    let app = TestApp::builder().db(db).start();
    let relations = app.get("/stats/db?limit=100000").json();
    let names: Vec<&str> = relations
        .as_array()
        .unwrap()
        .iter()
        .map(|relation| relation["relation"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"peer_connections"), "{names:?}");
}

pub(crate) fn sizes_of_tables_and_indexes_are_listed(app: &TestApp) {
    let relations = app.get("/stats/db?limit=100000").json();
    let relations = relations.as_array().unwrap();
    let find = |name: &str| {
        relations
            .iter()
            .find(|relation| relation["relation"] == name)
            .unwrap()
    };
    assert_eq!(find("peer_connections")["kind"], "table");
    assert_eq!(find("peer_connections_peer_idx")["kind"], "index");
    let parts = relations
        .iter()
        .filter(|part| part["partition_of"] == "telemetry_messages");
    let sum: i64 = parts
        .map(|part| part["total_bytes"].as_i64().unwrap())
        .sum();
    assert_eq!(find("telemetry_messages")["total_bytes"], sum);
    let largest = app.get("/stats/db/?limit=1").json();
    assert_eq!(largest.as_array().unwrap().len(), 1);
}

pub(crate) fn the_version_is_told(app: &TestApp) {
    let version = app.get("/stats/version").json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["name"], "tetcore-analytics");
}

#[test]
fn a_database_that_is_away_is_named_and_takes_no_server_out_of_service() {
    let app = TestApp::start();
    assert_eq!(app.get("/health/live/").status, 200);
    for path in ["/health", "/health/", "/health/ready"] {
        assert_eq!(app.get(path).json()["status"], "ok");
    }
    app.db.refuse_connections();
    wait_until("it is noticed", || !app.is_well());
    let answer = app.get("/health");
    assert_eq!(answer.status, 200);
    let database = json!({"name": "database", "ok": false, "message": "the database for queries is away or too busy"});
    let late = json!({"name": "database", "ok": false, "message": "the database for queries takes longer than 2 s to answer"});
    let body = answer.json();
    assert_eq!(body["status"], "degraded");
    let checks = body["checks"].as_array().unwrap();
    assert!(
        checks.contains(&database) || checks.contains(&late),
        "{}",
        answer.body
    );
    assert_eq!(app.get("/health/live").status, 200);
    let ready = app.get("/health/ready");
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ok")));
    let query = app.get("/nodes");
    assert_eq!(
        (query.status, &query.json()["error"]["code"]),
        (503, &json!("unavailable"))
    );
    assert!(query.headers.contains_key("retry-after"));
    app.db.allow_connections();
    wait_until("the server is ready again", || app.is_well());
    assert_eq!(app.get("/nodes").status, 200);
}

#[test]
fn a_server_without_its_database_says_so() {
    let app = TestApp::builder()
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .start_listening();
    assert_eq!(app.get("/health/live").status, 200);
    assert_eq!(app.get("/health/ready").status, 200);
    assert_eq!(app.get("/health").json()["status"], "degraded");
    assert_eq!(app.get("/metrics").status, 200);
    assert_eq!(app.get("/").status, 200);
    let answer = app.get("/nodes");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "2");
}

#[test]
fn a_query_that_takes_too_long_is_503_and_shows_no_sql() {
    let app = TestApp::builder().env("STATEMENT_TIMEOUT_S", 1).start();
    app.db.execute(
        "ALTER TABLE host_systems RENAME TO slow_systems; \
         CREATE VIEW host_systems AS SELECT s.* FROM slow_systems s, pg_sleep(3) \
         UNION ALL SELECT 1, pg_sleep(3)::text, '', 1, 1, 1, ''",
    );
    let answer = app.get("/host_systems");
    assert_eq!(answer.status, 503, "{}", answer.body);
    app.db
        .execute("ALTER TABLE nodes RENAME COLUMN chain TO renamed");
    let answer = app.get("/nodes?chain=x");
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(!answer.body.contains("chain"), "{}", answer.body);
    assert!(app.log().contains("a request failed"));
}

pub(crate) fn what_is_not_there_is_refused_in_the_same_form(app: &TestApp) {
    let counted = || {
        [
            ("unmatched", 404),
            ("/nodes", 405),
            ("/reputation/{peer_id}", 404),
        ]
        .map(|(route, status)| {
            let labels = format!("route=\"{route}\",status=\"{status}\"");
            app.metric_with("http_requests_total", &labels)
        })
    };
    let before = counted();
    let missing = app.get("/nothing/here");
    assert_eq!(
        (missing.status, &missing.json()["error"]["code"]),
        (404, &json!("not_found"))
    );
    let method = app.post("/nodes", &json!({}));
    assert_eq!(
        (method.status, &method.json()["error"]["code"]),
        (405, &json!("method_not_allowed"))
    );
    assert_eq!(method.headers["allow"], "GET, HEAD");
    for path in ["/submit", "/audit/"] {
        let page = app.get(path);
        assert_eq!(
            (page.status, &page.json()["error"]["code"]),
            (426, &json!("upgrade_required"))
        );
    }
    assert_eq!(app.get("/reputation/nobody").status, 404);
    assert_eq!(counted(), before.map(|count| count + 1.0));
}

#[test]
fn the_start_page_needs_no_assets() {
    let app = TestApp::builder().env("ASSETS_PATH", "/nowhere").start();
    assert!(app.get("/").body.contains("--telemetry-url"));
}

pub(crate) fn the_pages_need_nothing_from_elsewhere(app: &TestApp) {
    for path in [
        "/",
        "/api",
        "/api/",
        "/dashboard/",
        "/dashboard/node",
        "/dashboard/profiling",
        "/dashboard/reputation",
        "/dashboard/benchmarks",
        "/dashboard/server",
    ] {
        let page = app.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert!(page.headers["content-security-policy"].contains("default-src 'none'"));
        for outside in [
            "src=\"http",
            "src=\"//",
            "@import",
            "url(http",
            "rel=\"stylesheet\" href=\"http",
            "rel=\"stylesheet\" href=\"//",
        ] {
            assert!(!page.body.contains(outside), "{path} has {outside}");
        }
    }
    assert!(app.get("/").body.contains("--telemetry-url"));
}

pub(crate) fn dashboards_come_from_the_directory_of_assets_and_from_nowhere_else(app: &TestApp) {
    let script = app.get("/dashboard/lib/feed.js");
    assert_eq!(script.status, 200);
    assert!(script.headers["content-type"].contains("javascript"));
    assert_eq!(script.headers["cache-control"], "no-cache");
    for path in [
        "/dashboard/no-such-page",
        "/dashboard/lib/no-such-module.js",
        "/dashboard/../Cargo.toml",
        "/dashboard/..%2fCargo.toml",
        "/dashboard/%2e%2e/Cargo.toml",
        "/dashboard//etc/passwd",
        "/dashboard/.hidden",
        "/dashboard/lib",
    ] {
        assert_eq!(app.get(path).status, 404, "{path}");
    }
    // Addresses in pages are relative, so a page has one address only.
    let from = app.get("/dashboard");
    let page = app.get("/dashboard/node/");
    for answer in [from, page] {
        assert_eq!(answer.status, 200, "it leads to a page");
        assert!(answer.body.contains("<title>"));
    }
}

pub(crate) fn what_is_known_of_the_interface_is_not_sent_again(app: &TestApp) {
    for path in ["/api/openapi.json", "/api/llms.txt"] {
        let full = app.get(path);
        let tag = full.headers["etag"].as_str();
        let ask = |known: &str| app.ask("GET", path, &[("if-none-match", known)], "");
        for known in [tag, &format!("\"other\", {tag}"), "*"] {
            let answer = ask(known);
            assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{known}");
            assert_eq!(answer.headers["etag"], tag);
        }
        assert_eq!(ask("\"other\"").body, full.body);
    }
}

pub(crate) fn the_description_has_every_route_and_each_answers(app: &TestApp) {
    let api = app.get("/api/openapi.json").json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    let described: BTreeSet<String> = api["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(|path| {
            if path == "/" {
                path.clone()
            } else {
                path.trim_end_matches('/').to_owned()
            }
        })
        .collect();
    let tables = concat!(
        include_str!("../../src/http/routes.rs"),
        include_str!("../../src/http/v1/mod.rs")
    );
    let routed: BTreeSet<String> = tables
        .split("only(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert_eq!(described, routed);
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let described = operation["responses"].as_object().unwrap();
            let asked = path.replace("{peer_id}", "nobody").replace("{id}", "1");
            let answer = match method.as_str() {
                "get" => app.get(&asked),
                "post" => app.post(&asked, &json!({})),
                "delete" => app.ask("DELETE", &asked, &[], ""),
                other => panic!("{other} of {path} is not tried"),
            };
            let status = answer.status.to_string();
            assert!(
                described.contains_key(&status),
                "{method} {path} answers {status}"
            );
        }
    }
}

pub(crate) fn the_description_is_consistent(app: &TestApp) {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(target) if name == "$ref" => found.push(target),
                        value => references(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let api = app.get("/api/openapi.json").json();
    let operations = api["paths"].as_object().unwrap().values();
    let names: Vec<&Value> = operations
        .flat_map(|methods| methods.as_object().unwrap().values())
        .map(|operation| &operation["operationId"])
        .collect();
    let different: BTreeSet<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names.len(), different.len(), "{names:?}");
    let mut found = Vec::new();
    references(&api, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.trim_start_matches('#');
        assert!(api.pointer(pointer).is_some(), "{target} is nowhere");
    }
}

pub(crate) fn the_page_for_language_models_has_every_operation(app: &TestApp) {
    let answer = app.get("/api/llms.txt");
    assert_eq!(
        answer.headers["content-type"],
        "text/markdown; charset=utf-8"
    );
    assert!(
        answer.body.starts_with("# tetcore-analytics 1."),
        "{}",
        answer.body
    );
    let lines: BTreeSet<&str> = answer
        .body
        .lines()
        .filter(|line| line.starts_with("- `"))
        .collect();
    let api = app.get("/api/openapi.json").json();
    let mut operations = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let begin = format!("- `{} {path}", method.to_uppercase());
            let of_path = |line: &&&str| {
                let rest = line.strip_prefix(&begin);
                rest.is_some_and(|rest| rest.starts_with(['?', '`']))
            };
            let line = lines
                .iter()
                .find(of_path)
                .unwrap_or_else(|| panic!("{method} {path} is missing"));
            let summary = operation["summary"].as_str().unwrap().replace('\n', " ");
            assert!(line.ends_with(&format!(": {summary}")), "{line}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                assert!(line.contains(parameter["name"].as_str().unwrap()), "{line}");
            }
            operations += 1;
        }
    }
    assert_eq!(operations, lines.len());
    // It is linked to by its own address, from wherever it is read.
    for place in ["](openapi.json)", "/blob/main/docs/README.md)"] {
        assert!(answer.body.contains(place), "{place}");
    }
    assert!(app.get("/api").body.contains("llms.txt"));
}
