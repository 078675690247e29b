//! The start: settings, and databases that are not there yet.

use std::fs::File;
use std::process::{Command, Output};

use crate::support::{FakeNode, TestApp, TestDb, free_port, wait_until};

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .args(args)
        .envs(env.iter().copied())
        .current_dir(dir.path())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_wrong_setting_stops_the_start_with_every_fault_in_one_message() {
    let output = run(
        &[],
        &[
            ("PORT", "x"),
            ("LOG_EXPIRY_H", "0"),
            ("LISTEN_ADDRESS", "here"),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    for fault in [
        "PORT: 'x' is not a whole number from 0 to 65535",
        "LOG_EXPIRY_H: '0' is not a whole number from 1 to 1000000",
        "LISTEN_ADDRESS: 'here' is not an IPv4 or IPv6 address",
    ] {
        assert!(message.contains(fault), "{fault} is missing in: {message}");
    }
}

#[test]
fn check_config_shows_what_is_in_force_without_secrets() {
    let output = run(
        &["--check-config"],
        &[("DATABASE_URL", "postgres://u:geheim@h/d"), ("PORT", "81")],
    );
    assert!(output.status.success());
    let shown = text(&output.stdout);
    assert!(shown.contains("PORT=81\n") && shown.contains("DATABASE_URL=(secret)\n"));
    assert!(!shown.contains("geheim"));
}

/// Parts of a password, one before and one after a character that takes a URL apart.
const PASSWORD_PARTS: [&str; 2] = ["geheim", "verborgen"];

#[track_caller]
fn assert_no_password(shown: &str) {
    for part in PASSWORD_PARTS {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[test]
fn a_password_that_is_not_escaped_is_a_fault_that_names_the_cure_and_never_the_password() {
    let [first, second] = PASSWORD_PARTS;
    for (name, between) in [
        ("DATABASE_URL", "%"),
        ("DATABASE_URL", "@"),
        ("READ_DATABASE_URL", "/"),
        ("DATABASE_URL", "/1:"),
        ("READ_DATABASE_URL", "?"),
        ("DATABASE_URL", "@["),
        ("DATABASE_URL", " "),
    ] {
        let url = format!("postgres://rolle:{first}{between}{second}@127.0.0.1:1/daten");
        for args in [&["--check-config"][..], &[]] {
            let output = run(args, &[(name, &url), ("PORT", "0"), ("RUST_LOG", "trace")]);
            assert_eq!(output.status.code(), Some(1), "{between}");
            let shown = text(&output.stdout) + &text(&output.stderr);
            assert!(
                shown.contains(&format!("{name}: ")) && shown.contains("%40 for @"),
                "{shown}"
            );
            assert_no_password(&shown);
        }
    }
}

#[test]
fn a_line_of_the_env_file_that_is_wrong_is_named_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = PASSWORD_PARTS;
    let line = format!("DATABASE_URL=postgres://u:{first} {second}'@h/d\n");
    std::fs::write(dir.path().join(".env"), line).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .arg("--check-config")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(
        shown.contains("the line of DATABASE_URL is not NAME=value"),
        "{shown}"
    );
    assert_no_password(&shown);
}

#[test]
fn strangers_learn_no_host_port_role_or_password_of_a_database_that_is_away() {
    let [first, second] = PASSWORD_PARTS;
    let port = free_port();
    let url = format!("postgres://rolle:{first}:{second}%40@127.0.0.1:{port}/daten");
    let mut app = TestApp::builder()
        .env("DATABASE_URL", &url)
        .env("RUST_LOG", "debug,tetcore_analytics=trace")
        .start_listening();
    app.node("/submit")
        .send(r#"{"id":1,"payload":{"msg":"m"}}"#);
    wait_until("the message waits on disk", || {
        app.metric("store_spool_messages") == 1.0
    });
    wait_until("the cause and the cure are named", || {
        let ready = app.get("/health").body;
        for hidden in ["rolle", "127.0.0.1", &port.to_string(), "daten"] {
            assert!(!ready.contains(hidden), "{ready}");
        }
        assert_no_password(&ready);
        ready.contains("nothing listens at the host and port of DATABASE_URL")
    });
    assert_no_password(&(app.log() + &app.said()));
    let nodes = app.get("/nodes").body;
    assert_no_password(&nodes);
    assert!(!nodes.contains("rolle"), "{nodes}");
    app.kill();
}

#[test]
fn a_misspelt_setting_is_named_at_the_start_and_by_check_config() {
    let output = run(
        &["--check-config"],
        &[
            ("TELEMETRY_TOKEN", "geheim-0123456789"),
            ("LOG_EXPIRY", "24"),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let named = text(&output.stderr);
    for meant in ["is TELEMETRY_TOKENS meant?", "is LOG_EXPIRY_H meant?"] {
        assert!(named.contains(meant), "{named}");
    }
    assert!(!named.contains("geheim"));

    let app = TestApp::builder().env("TELEMETRY_TOKEN", "geheim-0123456789");
    let app = app.start();
    assert!(
        app.log().contains(
            "TELEMETRY_TOKEN is no setting and changes nothing; is TELEMETRY_TOKENS meant?"
        )
    );
    assert!(!app.log().contains("geheim"));

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "PORT=80\nCOLOUR=red\nPORT=81\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .arg("--check-config")
        .current_dir(dir.path())
        .output()
        .unwrap();
    let named = text(&output.stderr);
    assert!(named.contains("COLOUR in .env is no setting"), "{named}");
    assert!(named.contains("PORT stands in .env twice"), "{named}");
    assert!(text(&output.stdout).contains("PORT=80\n"));
}

#[test]
fn settings_that_contradict_each_other_stop_the_start() {
    let contradiction = [("LOG_EXPIRY_H", "2"), ("PARTITION_WIDTH_H", "24")];
    for args in [&["--check-config"][..], &[]] {
        let output = run(args, &contradiction);
        assert_eq!(output.status.code(), Some(1));
        let fault = "PARTITION_WIDTH_H: must be at most an eighth of LOG_EXPIRY_H";
        assert!(text(&output.stderr).contains(fault));
    }
    // Not set, it fits, and what is printed is what is in force.
    let output = run(&["--check-config"], &contradiction[..1]);
    assert!(text(&output.stdout).contains("PARTITION_WIDTH_H=1\n"));
}

#[test]
fn help_and_version_are_answered() {
    let help = text(&run(&["--help"], &[]).stdout);
    assert!(help.contains("--check-config") && help.contains("--telemetry-url"));
    let version = text(&run(&["--version"], &[]).stdout);
    assert_eq!(
        version,
        format!("tetcore-analytics {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_spool_of_a_newer_version_stops_the_start_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spool").join("0000000000000001.batch");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let golden = include_bytes!("../../src/store/spool/golden/v2.batch");
    let mut newer = golden.to_vec();
    newer[8] = 3;
    let checksum = crc32fast::hash(&newer[..28]);
    newer[28..32].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&file, &newer).unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let output = run(&[], &[("DATA_DIR", data_dir), ("PORT", "0")]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    let path = file.to_str().unwrap();
    for part in [path, "has version 3", "reads 1 to 2", "or a newer one"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), newer);
}

#[test]
fn settings_are_read_from_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "PORT=4711\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .arg("--check-config")
        .env_remove("PORT")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(text(&output.stdout).contains("PORT=4711\n"));
}

#[test]
fn the_health_check_tells_a_live_server_from_none() {
    let app = TestApp::start();
    let check = |port: u16| {
        run(&["--health-check"], &[("PORT", &port.to_string())])
            .status
            .success()
    };
    assert!(check(app.port()));
    assert!(!check(1));
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let app = TestApp::start();
    let output = run(
        &[],
        &[
            ("PORT", "0"),
            ("DATA_DIR", app.data_dir().to_str().unwrap()),
            ("DATABASE_URL", &app.db.url()),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("another server uses DATA_DIR"));
}

#[test]
fn servers_that_start_at_once_migrate_an_empty_database_together() {
    let db = TestDb::empty();
    let url = db.url();
    let first = TestApp::builder().db(db).start_listening();
    let others: Vec<_> = (0..3)
        .map(|_| {
            TestApp::builder()
                .env("DATABASE_URL", &url)
                .start_listening()
        })
        .collect();
    for app in others.iter().chain([&first]) {
        wait_until("it is ready", || app.is_well());
        app.node("/submit")
            .send(r#"{"id":1,"payload":{"msg":"m"}}"#);
    }
    wait_until("all is stored", || {
        first.db.count("SELECT count(*) FROM telemetry_logs") == 4
    });
    assert_eq!(
        first
            .db
            .count("SELECT count(DISTINCT id) FROM telemetry_logs"),
        4
    );
    assert_eq!(first.db.count("SELECT count(*) FROM servers"), 4);
    assert_eq!(
        first
            .db
            .count("SELECT count(DISTINCT id) FROM peer_connections"),
        4
    );
}

#[test]
fn a_server_lives_and_waits_while_its_database_is_not_there_yet() {
    let db = TestDb::empty();
    let name = db
        .texts("SELECT current_database()::text AS value")
        .remove(0);
    let hidden = format!("{name}_hidden");
    crate::support::rename_database(&name, &hidden);
    let app = TestApp::builder().db(db).start_listening();
    wait_until("it has asked for the database", || {
        app.log().contains("waiting for the database")
    });
    assert_eq!(app.get("/health/live").status, 200);
    // Telemetry is taken meanwhile.
    assert_eq!(app.get("/health/ready").status, 200);
    let health = app.get("/health");
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &"degraded".into())
    );
    assert!(
        health.body.contains("waits for its database"),
        "{}",
        health.body
    );
    assert_eq!(app.get("/metrics").status, 200);
    let nodes = app.get("/nodes");
    assert_eq!(nodes.status, 503);
    assert!(nodes.headers.contains_key("retry-after"));
    crate::support::rename_database(&hidden, &name);
    wait_until("it is ready", || app.is_well());
}

#[test]
fn a_server_whose_output_nobody_takes_goes_on_and_ends_on_sighup() {
    let (db, port) = (TestDb::new(), free_port());
    let dir = tempfile::tempdir().unwrap();
    // The log has no reader, and the disk of standard output is full.
    let (_unread, log) = std::io::pipe().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .env("PORT", port.to_string())
        .env("DATABASE_URL", db.url())
        .env("DATA_DIR", dir.path())
        .env("RUST_LOG", "trace")
        .current_dir(dir.path())
        .stdout(File::create("/dev/full").unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_until("it listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let mut node = FakeNode::connect(port, "/submit");
    for number in 0..2_000 {
        node.send(format!(
            r#"{{"id":1,"payload":{{"msg":"m","n":{number}}}}}"#
        ));
    }
    wait_until("all is stored", || {
        db.count("SELECT count(*) FROM telemetry_logs") == 2_000
    });
    let mut hangup = Command::new("kill");
    hangup.args(["-HUP", &server.id().to_string()]);
    assert!(hangup.status().unwrap().success());
    assert!(server.wait().unwrap().success());
}

#[test]
fn without_a_spool_nothing_says_that_messages_go_to_disk() {
    let app = TestApp::builder().env("SPOOL_MAX_BYTES", 0).start();
    app.db.refuse_connections();
    app.node("/submit")
        .send(r#"{"id":1,"payload":{"msg":"m"}}"#);
    wait_until("it is noticed", || {
        app.log().contains("messages cannot be stored and are lost")
    });
    for said in [app.log(), app.get("/health").body] {
        assert!(
            !said.contains("go to disk") && !said.contains("wait on disk"),
            "{said}"
        );
    }
    app.db.allow_connections();
    app.wait_stored(1);
}
