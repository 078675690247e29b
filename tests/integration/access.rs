//! Access over HTTP: reading, writing, and the headers for browsers.

use std::io::{Read, Write};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{FakeNode, TestApp, upgrade, wait_until};

const API: &str = "api-0123456789abcdef";
const READ: &str = "read-0123456789abcdef";

/// A client elsewhere, as a proxy on this machine shows it.
const ELSEWHERE: (&str, &str) = ("x-forwarded-for", "192.0.2.1");

fn machine() -> String {
    json!({"description": "d", "os": "o", "cpu_qty": 1, "cpu_clock": 1, "ram_mb": 1, "disk_info": "i"})
        .to_string()
}

/// Enters a machine under test with these headers, and gives the status.
fn enter(app: &TestApp, headers: &[(&str, &str)]) -> u16 {
    let mut headers = headers.to_vec();
    headers.push(("content-type", "application/json"));
    let answer = app.ask("POST", "/host_systems", &headers, &machine());
    if answer.status == 401 {
        let challenge = answer.headers.get("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer"),
            "browsers must not be asked"
        );
        assert_eq!(answer.json()["error"]["code"], "unauthorized");
    }
    answer.status
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn without_tokens_only_this_machine_writes() {
    let app = TestApp::start();
    assert_eq!(enter(&app, &[]), 200);
    for header in [
        ELSEWHERE,
        ("forwarded", "for=127.0.0.1"),
        ("via", "1.1 p"),
        ("host", "evil.example"),
    ] {
        assert_eq!(enter(&app, &[header]), 403, "{header:?}");
    }
    assert_eq!(
        enter(&app, &[ELSEWHERE, ("authorization", &bearer(API))]),
        403
    );
    assert_eq!(app.get("/host_systems").json().as_array().unwrap().len(), 1);
}

#[test]
fn with_tokens_every_writer_needs_one_of_them() {
    let app = TestApp::builder()
        .env("API_TOKENS", format!("{API},second-0123456789"))
        .env("RUST_LOG", "trace")
        .start();
    assert_eq!(enter(&app, &[]), 401);
    assert_eq!(
        enter(
            &app,
            &[("authorization", &bearer("wrong-0123456789abcdef"))]
        ),
        401
    );
    // api:api-0123456789abcdef, as a browser sends it.
    let basic = "Basic YXBpOmFwaS0wMTIzNDU2Nzg5YWJjZGVm";
    assert_eq!(enter(&app, &[("authorization", basic)]), 401);
    assert_eq!(
        enter(&app, &[ELSEWHERE, ("authorization", &bearer(API))]),
        200
    );
    assert_eq!(
        enter(&app, &[("authorization", &bearer("second-0123456789"))]),
        200
    );
    assert_eq!(app.ask("DELETE", "/nodes", &[], "").status, 401);
    assert_eq!(app.get("/host_systems").json().as_array().unwrap().len(), 2);
    let token = [("authorization", bearer(API))];
    app.ask("GET", "/nodes", &[(token[0].0, &token[0].1)], "");
    assert!(!app.log().contains(API) && !app.log().contains("second-0123456789"));
    assert!(!app.log().contains("YXBpOmFwaS0wMTIzNDU2Nzg5YWJjZGVm"));
}

#[test]
fn reading_needs_a_token_if_there_are_any() {
    let app = TestApp::builder()
        .env("READ_TOKENS", READ)
        .env("API_TOKENS", API)
        .start();
    // read:read-0123456789abcdef
    let basic = "Basic cmVhZDpyZWFkLTAxMjM0NTY3ODlhYmNkZWY=";
    for path in [
        "/",
        "/nodes",
        "/reputation/",
        "/stats/version",
        "/metrics",
        "/api/",
        "/api/openapi.json",
        "/nothing",
    ] {
        let refused = app.ask("GET", path, &[], "");
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.json()["error"]["code"], "unauthorized");
        assert_eq!(app.ask("HEAD", path, &[], "").status, 401);
        let wrong = app.ask(
            "GET",
            path,
            &[("authorization", "Bearer wrong-0123456789abcdef")],
            "",
        );
        assert_eq!(wrong.status, 401);
        let found = if path == "/nothing" { 404 } else { 200 };
        for given in [&bearer(READ), &bearer(API), basic] {
            let answer = app.ask("GET", path, &[("authorization", given)], "");
            assert_eq!(answer.status, found, "{path} {given}");
        }
    }
    for path in ["/health/live", "/health/ready/"] {
        assert_eq!(app.ask("GET", path, &[ELSEWHERE], "").status, 200);
    }
    assert_eq!(enter(&app, &[("authorization", &bearer(READ))]), 401);
    assert_eq!(enter(&app, &[("authorization", &bearer(API))]), 200);
    app.node("/submit")
        .send(r#"{"id":1,"payload":{"msg":"m"}}"#);
    app.wait_stored(1);
    assert!(app.metric_with("http_requests_total", "status=\"401\"") > 0.0);
}

#[test]
fn a_browser_is_asked_for_a_password() {
    let app = TestApp::builder().env("READ_TOKENS", READ).start();
    let answer = ureq::get(app.url("/"))
        .config()
        .http_status_as_error(false)
        .build()
        .call()
        .unwrap();
    let challenges: Vec<_> = answer
        .headers()
        .get_all("www-authenticate")
        .iter()
        .collect();
    assert_eq!(challenges.len(), 2);
    assert!(challenges[1].to_str().unwrap().starts_with("Basic realm="));
}

#[test]
fn addresses_of_nodes_are_shown_only_here_and_to_readers_with_a_token() {
    // Those of the node itself, and of a peer within a message.
    let shown = |app: &TestApp, headers: &[(&str, &str)]| {
        let answers = ["/nodes", "/nodes/logs?peer_id=peer-1"].map(|path| {
            let answer = app.ask("GET", path, headers, "");
            assert_eq!(answer.status, 200);
            answer.json()[0].clone()
        });
        let [node, log] = answers;
        [
            node["ip_addr"].clone(),
            log["ip_addr"].clone(),
            log["logs"]["state"]["listenedAddresses"][0].clone(),
        ]
    };
    let start = |name: &str, value: &str| {
        let app = TestApp::builder().env(name, value).start();
        let mut node = app.node("/submit");
        node.send(r#"{"id":1,"payload":{"msg":"system.connected","network_id":"peer-1"}}"#);
        let addresses = json!(["/ip4/192.0.2.7/tcp/30333"]);
        let state =
            json!({"msg": "system.network_state", "state": {"listenedAddresses": addresses}});
        node.send(json!({"id": 1, "payload": state}).to_string());
        app.wait_stored(2);
        wait_until("the node is there", || {
            app.get("/nodes").json()[0].is_object()
        });
        app
    };
    let all = ["127.0.0.1", "127.0.0.1", "/ip4/192.0.2.7/tcp/30333"].map(Value::from);
    let none = [Value::Null, Value::Null, json!("/ip4/-/tcp/30333")];
    let token = bearer(API);
    let with_token = [ELSEWHERE, ("authorization", token.as_str())];

    let app = start("API_TOKENS", API);
    assert_eq!(shown(&app, &[]), all);
    assert_eq!(shown(&app, &[ELSEWHERE]), none);
    assert_eq!(shown(&app, &with_token), all);
    drop(app);
    let app = start("READ_TOKENS", API);
    assert_eq!(shown(&app, &with_token), all);
    drop(app);
    let app = start("EXPOSE_IP_ADDRESSES", "true");
    assert_eq!(shown(&app, &[ELSEWHERE]), all);
}

#[test]
fn every_answer_tells_browsers_what_not_to_do() {
    let app = TestApp::start();
    for path in [
        "/",
        "/api/",
        "/nodes",
        "/metrics",
        "/dashboard/node.html",
        "/health/live",
        "/submit",
        "/nothing",
        "/nodes?x=1",
    ] {
        let answer = app.get(path);
        let header = |name: &str| {
            answer
                .headers
                .get(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';"),
            "{path}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        let is_page = header("content-type").starts_with("text/html");
        assert_eq!(
            policy.contains("script-src 'self'"),
            is_page,
            "{path}: {policy}"
        );
        assert!(!answer.body.contains(" style=\"") && !answer.body.contains(" onclick="));
    }
}

#[test]
fn other_sites_read_only_if_they_are_named() {
    let origin = ("origin", "https://grafana.example");
    let allowed = "access-control-allow-origin";
    let app = TestApp::start();
    assert!(
        !app.ask("GET", "/nodes", &[origin], "")
            .headers
            .contains_key(allowed)
    );
    let preflight = [origin, ("access-control-request-method", "GET")];
    let refused = app.ask("OPTIONS", "/nodes", &preflight, "");
    assert!(refused.status == 403 && refused.body.contains("CORS_ORIGINS"));
    drop(app);

    let app = TestApp::builder()
        .env(
            "CORS_ORIGINS",
            "https://grafana.example,http://other.example:3000",
        )
        .env("READ_TOKENS", READ)
        .start();
    let answer = app.ask(
        "GET",
        "/nodes",
        &[origin, ("authorization", &bearer(READ))],
        "",
    );
    assert_eq!(
        (answer.status, answer.headers[allowed].as_str()),
        (200, origin.1)
    );
    // Refusals are readable too.
    assert_eq!(
        app.ask("GET", "/nodes", &[origin], "").headers[allowed],
        origin.1
    );
    let stranger = ("origin", "https://evil.example");
    assert!(
        !app.ask("GET", "/health/live", &[stranger], "")
            .headers
            .contains_key(allowed)
    );
    let preflight = [
        origin,
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let answer = app.ask("OPTIONS", "/nodes", &preflight, "");
    assert_eq!(
        (answer.status, answer.headers[allowed].as_str()),
        (200, origin.1)
    );
    assert!(answer.headers["access-control-allow-headers"].contains("authorization"));
}

#[test]
fn a_page_of_another_site_reads_and_writes_nothing() {
    let app = TestApp::start();
    app.node("/submit")
        .send(r#"{"id":1,"payload":{"msg":"system.connected","network_id":"peer-1"}}"#);
    app.wait_stored(1);
    let own = format!("http://127.0.0.1:{}", app.port());
    for (origin, expected) in [
        (own.as_str(), 200),
        ("https://evil.example", 403),
        ("http://127.0.0.1:3000", 403),
        ("null", 403),
    ] {
        let origin = ("origin", origin);
        for path in ["/", "/nodes", "/metrics", "/dashboard/", "/health/ready"] {
            let answer = app.ask("GET", path, &[origin], "");
            assert_eq!(answer.status, expected, "{path} {origin:?}");
        }
        assert_eq!(enter(&app, &[origin]), expected, "{origin:?}");
        // A node's door lets no browser in, also not of our own pages.
        for path in ["/submit", "/audit", "/", "/t/any/submit"] {
            let origin = format!("Origin: {}\r\n", origin.1);
            let (_, answer) = FakeNode::try_connect_from("127.0.0.1", app.port(), path, &origin);
            assert!(answer.starts_with("HTTP/1.1 403 "), "{path} {answer}");
        }
        let origin = format!("Origin: {}\r\n", origin.1);
        let (_, answer) = FakeNode::try_connect_from("127.0.0.1", app.port(), "/feed", &origin);
        let is_let_in = answer.starts_with("HTTP/1.1 101 ");
        assert_eq!(is_let_in, expected == 200, "{origin} {answer}");
    }
    let refused = app.ask("GET", "/nodes", &[("origin", "https://evil.example")], "");
    assert!(
        refused.body.contains("add it to CORS_ORIGINS"),
        "{}",
        refused.body
    );
}

#[test]
fn a_site_whose_name_leads_here_reads_and_writes_nothing() {
    let start = |name: &str, value: &str| TestApp::builder().env(name, value).start();
    let evil = ("host", "evil.example:8080");
    let of_evil = ("origin", "http://evil.example:8080");
    let app = start("ALLOWED_HOSTS", "telemetry.example");
    for path in ["/", "/nodes", "/metrics", "/feed", "/health/live"] {
        let refused = app.ask("GET", path, &[evil, of_evil], "");
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.contains("ALLOWED_HOSTS"), "{}", refused.body);
    }
    assert_eq!(enter(&app, &[evil, of_evil]), 403);
    let named = ("host", "telemetry.example");
    assert_eq!(app.ask("GET", "/nodes", &[named], "").status, 200);
    let of_named = ("origin", "http://telemetry.example");
    assert_eq!(app.ask("GET", "/nodes", &[named, of_named], "").status, 200);
    // Nodes may use any name.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    let request =
        upgrade(app.port(), "/submit", "").replace("Host: 127.0.0.1", "Host: evil.example");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    drop(app);
    let app = start("READ_TOKENS", READ);
    let given = [evil, ("authorization", &bearer(READ))];
    assert_eq!(app.ask("GET", "/nodes", &given, "").status, 200);
}

#[test]
fn a_form_writes_nothing() {
    let app = TestApp::start();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        for path in ["/host_systems", "/benchmarks", "/benchmarks/events"] {
            let refused = app.ask("POST", path, &[("content-type", kind)], &machine());
            assert_eq!(refused.status, 415, "{kind} {path}");
        }
    }
    assert_eq!(app.get("/host_systems").json().as_array().unwrap().len(), 0);
}

#[test]
fn tokens_are_never_shown_not_even_wrong_ones() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str], tokens: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"));
        for name in [
            "TELEMETRY_TOKENS",
            "AUDIT_TOKENS",
            "API_TOKENS",
            "READ_TOKENS",
        ] {
            command.env(name, tokens);
        }
        let output = command.args(args).current_dir(dir.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (fine, shown) = run(&["--check-config"], "geheim-0123456789");
    assert!(fine && !shown.contains("geheim"), "{shown}");
    for name in [
        "TELEMETRY_TOKENS",
        "AUDIT_TOKENS",
        "API_TOKENS",
        "READ_TOKENS",
    ] {
        assert!(shown.contains(&format!("{name}=(secret)\n")));
    }
    let (fine, shown) = run(&[], "geheim");
    assert!(!fine && !shown.contains("geheim"), "{shown}");
    assert_eq!(
        shown
            .matches("each token must have 16 to 256 characters")
            .count(),
        4
    );
}
