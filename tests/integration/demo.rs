//! What a newcomer tries first: made-up nodes, and nodes with a mistyped path.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{FakeNode, TestApp, skip, wait_until};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"));
    command.arg("demo").args(arguments).current_dir("/");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn a_fleet_of_made_up_nodes_fills_the_pages() {
    let app = TestApp::start();
    let url = format!("ws://127.0.0.1:{}/submit", app.port());
    let mut fleet = demo(&["--nodes", "10", "--url", &url]).spawn().unwrap();
    let has = |sql: &str| app.db.count(sql) > 0;
    wait_until(
        "blocks, finality and status of three chains are there",
        || {
            has("SELECT (count(DISTINCT chain) = 3)::int FROM peer_connections")
                && has("SELECT count(*) FROM block_imports")
                && has("SELECT count(*) FROM finality")
                && has("SELECT count(*) FROM node_intervals WHERE peers IS NOT NULL")
                && has("SELECT count(*) FROM profiling_spans")
                && has("SELECT count(*) FROM peer_reports")
        },
    );
    fleet.kill().unwrap();
    fleet.wait().unwrap();
    assert_eq!(app.metric("ingest_messages_undecodable_total"), 0.0);
    assert_eq!(app.metric("ingest_messages_rejected_total"), 0.0);
    app.wait_projected();
    let nodes = app.get("/nodes").json();
    assert_eq!(nodes.as_array().unwrap().len(), 10);
}

#[test]
fn a_fleet_ends_by_itself_when_it_is_told_so_and_says_what_is_wrong() {
    let app = TestApp::builder()
        .env("TELEMETRY_TOKENS", "telemetry-token-0123")
        .start();
    let fails = |url: &str| {
        let output = demo(&["--url", url]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let (port, token) = (app.port(), "telemetry-token-0123");
    let refused = fails(&format!("ws://127.0.0.1:{port}/submit"));
    assert!(refused.contains("a node needs a token here"), "{refused}");
    assert!(fails("ws://127.0.0.1:1/submit").contains("make run"));
    assert!(fails("wss://127.0.0.1/submit").contains("wss:// is not supported"));
    let url = format!("ws://127.0.0.1:{port}/t/{token}/submit");
    let ended = demo(&["--nodes", "2", "--seconds", "1", "--url", &url]).status();
    assert!(ended.unwrap().success());
}

#[test]
fn a_node_with_a_mistyped_path_is_named_with_the_right_line() {
    let app = TestApp::builder()
        .env("READ_TOKENS", "read-token-0123456789")
        .start();
    let wrong = ["/telemetry", "/nodes", "/x/0123456789abcdef/submit"];
    for path in wrong {
        let (_, answer) = FakeNode::try_connect(app.port(), path);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    let log = app.log();
    assert!(log.contains("a node requests /telemetry"), "{log}");
    assert!(
        log.contains("--telemetry-url 'ws://HOST:PORT/submit 1'"),
        "{log}"
    );
    assert!(
        !log.contains("a node requests /nodes"),
        "one line in a while"
    );
    let paths = app.get("/api/v1/wrong_paths").json();
    let paths: Vec<&Value> = paths
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["path"])
        .collect();
    assert_eq!(paths, ["/x/…/submit", "/nodes", "/telemetry"]);
    for path in ["/", "/submit", "/submit/", "/audit/"] {
        let (_, answer) = FakeNode::try_connect(app.port(), path);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{path}: {answer}");
    }
}

/// Where cargo is told to put what it builds, the commands of the README find it.
#[test]
fn commands_of_make_run_what_cargo_has_built_wherever_that_is() {
    if Command::new("make").arg("--version").output().is_err() {
        return skip("there is no make");
    }
    let commands = |target: &str, directory: Option<&str>| {
        let mut make = Command::new("make");
        make.args(["--dry-run", target])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_TARGET_DIR")
            // That of a make around the tests.
            .env_remove("MAKEFLAGS");
        if let Some(directory) = directory {
            make.env("CARGO_TARGET_DIR", directory);
        }
        let planned = make.output().unwrap();
        assert!(planned.status.success(), "{planned:?}");
        String::from_utf8(planned.stdout).unwrap()
    };
    for (target, program) in [
        ("run", "release/tetcore-analytics"),
        ("demo", "release/tetcore-analytics demo"),
        ("test", "debug/examples/with_postgres"),
        ("soak", "debug/examples/with_postgres"),
        ("screenshots", "debug/examples/with_postgres"),
    ] {
        let elsewhere = commands(target, Some("/elsewhere"));
        assert!(
            elsewhere.contains(&format!("/elsewhere/{program}")),
            "{elsewhere}"
        );
        assert!(!elsewhere.contains("target/"), "{elsewhere}");
        let here = commands(target, None);
        assert!(here.contains(&format!("target/{program}")), "{here}");
    }
}
