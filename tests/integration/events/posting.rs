//! `POST /events`.

use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};

use super::{EVENTS, NAMES, assert_rebuilt_alike};
use crate::support::{TestApp, wait_until};

const TOKEN: &str = "relayer-token-0123456789";
const UNNAMED: &str = "unnamed-token-0123456789";

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn counts(answer: &Value) -> [i64; 4] {
    ["accepted", "duplicate", "ignored", "malformed"].map(|name| answer[name].as_i64().unwrap())
}

#[test]
fn posted_events_are_counted_kept_once_and_named_after_their_token() {
    let app = TestApp::builder()
        .env("TELEMETRY_TOKENS", format!("relayer:{TOKEN},{UNNAMED}"))
        .start();
    let bearer = |token: &str| format!("Bearer {token}");
    let post = |path: &str, token: &str, kind: &str, body: &str| {
        app.ask(
            "POST",
            path,
            &[("authorization", &bearer(token)), ("content-type", kind)],
            body,
        )
    };
    let body = "{\"_e\":1,\"name\":\"a\",\"_id\":1}\n\n{\"_e\":1,\"name\":\"b\"}\n{\"_e\":1,\"name\":\"b\"}\n{\"_e\":2}\n{\"_e\":1,}\nhello\n{\"_e\":1,\"_id\":1}\n";
    let answer = post("/events", TOKEN, "application/x-ndjson", body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(counts(&answer.json()), [3, 1, 1, 2]);
    let lines = &answer.json()["malformed_lines"];
    assert_eq!(
        lines,
        &json!([{"line": 6, "reason": "is no JSON"}, {"line": 7, "reason": "is no JSON"}])
    );
    app.wait_projected();
    assert_eq!(app.db.texts(NAMES), ["relayer a", "relayer b", "relayer b"]);

    // The same again, to the other route, as an array; and by somebody else.
    let list = r#"[{"_e":1,"name":"a","_id":1},
        {"_e":1,"name":"c","timestamp":1700000000000}]"#;
    assert_eq!(
        counts(&post("/api/v1/events", TOKEN, "application/json", list).json()),
        [1, 1, 0, 0]
    );
    app.wait_projected();
    let kept = post("/api/v1/events/", TOKEN, "application/json", list).json();
    assert_eq!(counts(&kept), [0, 2, 0, 0]);
    assert_eq!(
        counts(&post("/events", UNNAMED, "application/json", list).json()),
        [2, 0, 0, 0]
    );
    app.wait_projected();
    let names = app.db.texts(NAMES);
    assert_eq!(
        names[..4],
        ["relayer a", "relayer b", "relayer b", "relayer c"]
    );
    assert!(
        names[4].starts_with("token-") && names.len() == 6,
        "{names:?}"
    );
    assert_eq!(
        app.db.count("SELECT count(*) FROM nodes"),
        0,
        "no node comes of it"
    );

    for (token, status) in [("wrong-token-0123456789", 401), ("", 401), (TOKEN, 200)] {
        assert_eq!(
            post("/events", token, "application/json", "[]").status,
            status,
            "{token}"
        );
    }
    assert_eq!(app.ask("POST", "/events", &[NDJSON], "{}").status, 401);
    assert_eq!(post("/events", TOKEN, "text/plain", "{}").status, 415);
    assert_eq!(post("/events", TOKEN, "application/json", "[{").status, 400);
    let foreign = [
        ("authorization", bearer(TOKEN)),
        ("origin", "https://evil.example".to_owned()),
    ];
    let foreign: Vec<(&str, &str)> = foreign
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(app.ask("POST", "/events", &foreign, "[]").status, 403);
    assert_eq!(app.get("/events").status, 405);
    assert_rebuilt_alike(&app);
}

#[test]
fn compressed_bodies_are_read_and_bounded() {
    let app = TestApp::start();
    let post = |encoding: &str, body: &[u8]| {
        let request = ureq::http::Request::builder()
            .method("POST")
            .uri(app.url("/events"))
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .body(body)
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut answer = agent.run(request).unwrap();
        (
            answer.status().as_u16(),
            answer.body_mut().read_to_string().unwrap(),
        )
    };
    let event = br#"[{"_e":1,"name":"packed"}]"#;
    let gzip = |text: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    };
    for (encoding, body) in [
        ("identity", event.to_vec()),
        ("gzip", gzip(event)),
        ("zstd", zstd::encode_all(&event[..], 1).unwrap()),
    ] {
        let (status, answer) = post(encoding, &body);
        assert_eq!(status, 200, "{encoding}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["accepted"], 1, "{encoding}");
    }
    assert_eq!(post("compress", event).0, 400);
    assert_eq!(post("gzip", event).0, 400);
    // 64 MiB of spaces in 64 kB.
    let bomb = vec![b' '; 64 << 20];
    assert_eq!(post("gzip", &gzip(&bomb)).0, 413);
    assert_eq!(
        post("zstd", &zstd::encode_all(&bomb[..], 1).unwrap()).0,
        413
    );
    app.wait_projected();
    assert_eq!(app.db.texts(NAMES), ["local packed"; 3]);
}

/// While the database is away they wait on disk, also when the server is killed then.
#[test]
fn events_that_are_posted_in_an_outage_are_stored_once() {
    let mut app = TestApp::start();
    let post = |app: &TestApp, number: u32| {
        let event = format!(r#"{{"_e":1,"_id":{number},"name":"n{number}"}}"#);
        app.ask("POST", "/events", &[NDJSON], &event)
    };
    assert_eq!(post(&app, 0).status, 200);
    app.wait_projected();
    app.db.refuse_connections();
    for number in 0..8 {
        let answer = post(&app, number);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            counts(&answer.json())[0],
            1,
            "it may be a duplicate, and is kept"
        );
    }
    app.kill();
    app.db.allow_connections();
    let app = app.start_again();
    wait_until("all are stored", || app.metric("ingest_pending") == 0.0);
    app.wait_projected();
    let expected: Vec<String> = (0..8).map(|number| format!("local n{number}")).collect();
    let mut names = app.db.texts(NAMES);
    names.sort_by_key(|name| name.trim_start_matches("local n").parse::<u32>().unwrap());
    assert_eq!(names, expected);
    assert!(app.db.texts(EVENTS).len() == 8);
    assert_rebuilt_alike(&app);
}

#[test]
fn the_examples_of_services_tell_how_they_do() {
    let app = TestApp::start();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tetcore-analytics"));
    let example = program.with_file_name("examples").join("service");
    let rust = Command::new(example)
        .arg(app.url("").replacen("http", "ws", 1))
        .status();
    assert!(rust.unwrap().success());
    let shell = |command: &[&str]| {
        Command::new("sh")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/service.sh"))
            .args(command)
            .env("SERVER", app.url(""))
            .status()
            .unwrap()
            .code()
    };
    assert_eq!(shell(&["true"]), Some(0));
    assert_eq!(shell(&["sh", "-c", "exit 3"]), Some(3));
    wait_until("all is read", || app.metric("ingest_pending") == 0.0);
    app.wait_projected();
    let jobs = app.get("/api/v1/events/jobs").json();
    let jobs: Vec<Value> = jobs
        .as_array()
        .unwrap()
        .iter()
        .map(|job| {
            json!([
                job["service_id"],
                job["started"],
                job["finished"],
                job["failed"],
                job["errors"]
            ])
        })
        .collect();
    assert_eq!(
        jobs,
        [
            json!(["backup", 2, 1, 1, {"exit 3": 1}]),
            json!(["example", 10, 8, 2, {"timeout": 2}]),
        ]
    );
    let services = app.get("/api/v1/services").json();
    let services: Vec<&str> = services
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["service"].as_str().unwrap())
        .collect();
    assert_eq!(services, ["backup", "example"]);
}
