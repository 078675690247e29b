//! Starting, settings, passwords, ports, and what is refused.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use diesel::prelude::*;
use tetcore_analytics::config::DatabaseUrl;
use tetcore_analytics::database::{connect, migrations};
use tetcore_analytics::postgres::{EmbeddedError, EmbeddedOptions, EmbeddedPostgres};

use super::{DataDir, PATIENCE, answers, ask, finds_the_row, keep_a_row};

#[test]
fn a_second_start_finds_the_data_at_the_same_urls() {
    let data_dir = DataDir::new();
    let first = data_dir.start();
    let urls = (first.url().to_owned(), first.tcp_url().to_owned());
    keep_a_row(first.url());
    first.stop();

    let second = data_dir.start();
    assert_eq!((second.url(), second.tcp_url()), (&*urls.0, &*urls.1));
    assert!(finds_the_row(second.tcp_url()));
}

#[test]
fn the_cluster_is_deterministic_and_tuned() {
    let data_dir = DataDir::new();
    let postgres = data_dir.start();
    for (setting, expected) in [
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("wal_level", "minimal"),
        ("jit", "off"),
        ("listen_addresses", "127.0.0.1"),
    ] {
        let query = format!("SELECT current_setting('{setting}') AS value");
        assert_eq!(ask(postgres.url(), &query), expected, "{setting}");
    }
    let collation =
        "SELECT datcollate AS value FROM pg_database WHERE datname = current_database()";
    assert_eq!(ask(postgres.url(), collation), "C");
}

#[test]
fn the_operators_settings_are_read_last() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    data_dir.customise("work_mem = '17MB'\n");

    let postgres = data_dir.start();
    let query = "SELECT current_setting('work_mem') AS value";
    assert_eq!(ask(postgres.url(), query), "17MB");
}

#[test]
fn over_tcp_nobody_enters_without_the_password() {
    let data_dir = DataDir::new();
    let postgres = data_dir.start();
    let url = postgres.tcp_url();
    let (name_and_password, _) = url.split_once('@').unwrap();
    let (_, password) = name_and_password.rsplit_once(':').unwrap();
    let wrong = url.replace(password, "wrong");
    assert!(answers(url));
    assert!(PgConnection::establish(&wrong).is_err());
    assert!(!format!("{postgres:?}").contains(password));

    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(data_dir.path().join("postgres.password")), 0o600);
    assert_eq!(mode(data_dir.cluster()), 0o700);
    assert_eq!(mode(data_dir.path().join("socket")), 0o700);
}

#[test]
fn a_role_that_reads_is_made_beside_the_running_server() {
    let data_dir = DataDir::new();
    let grant = || {
        let program = env!("CARGO_BIN_EXE_tetcore-analytics");
        let mut command = std::process::Command::new(program);
        command
            .args(["database", "grant-read", "grafana"])
            .env("DATA_DIR", data_dir.path())
            .current_dir(data_dir.path());
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    assert!(grant().contains("no PostgreSQL runs in DATA_DIR: start the server first"));
    let postgres = data_dir.start();
    assert!(grant().contains("start the server once, it migrates it"));
    let url = DatabaseUrl::new(postgres.tcp_url());
    migrations::run(&mut connect(&url, "tests", PATIENCE).unwrap()).unwrap();
    let said = grant();
    for part in [
        "role grafana is made",
        "it has no password yet; set one",
        &format!(
            "data source: postgres://grafana@127.0.0.1:{}/",
            data_dir.port()
        ),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_lost_password_file_is_replaced_by_a_new_password() {
    let data_dir = DataDir::new();
    let first = data_dir.start();
    let old = first.tcp_url().to_owned();
    first.stop();
    fs::remove_file(data_dir.path().join("postgres.password")).unwrap();

    let second = data_dir.start();
    assert_ne!(second.tcp_url(), old);
    assert!(answers(second.tcp_url()));
}

#[test]
fn two_servers_on_one_data_directory_are_refused() {
    let data_dir = DataDir::new();
    let first = data_dir.start();
    let refusal = EmbeddedPostgres::start(&data_dir.options()).unwrap_err();
    assert!(matches!(refusal, EmbeddedError::InUse { .. }), "{refusal}");
    assert!(answers(first.url()));
}

#[test]
fn a_taken_port_is_replaced_at_the_next_start() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    let port = data_dir.port();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();

    let postgres = data_dir.start();
    assert_ne!(data_dir.port(), port);
    assert!(answers(postgres.tcp_url()));
    drop(taken);
}

#[test]
fn data_of_another_major_version_is_refused_with_cause_and_cure() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    fs::write(data_dir.cluster().join("PG_VERSION"), "9\n").unwrap();

    let refusal = EmbeddedPostgres::start(&data_dir.options()).unwrap_err();
    assert!(
        matches!(refusal, EmbeddedError::OtherMajorVersion { made_by: 9, .. }),
        "{refusal}"
    );
    assert!(refusal.to_string().contains("docs/EMBEDDED_POSTGRES.md"));
}

#[test]
fn a_wrong_setting_of_the_operator_is_named() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    data_dir.customise("no_such_setting = 1\n");

    let refusal = EmbeddedPostgres::start(&data_dir.options()).unwrap_err();
    assert!(refusal.to_string().contains("no_such_setting"), "{refusal}");
}

#[test]
fn a_bin_dir_without_postgres_is_refused() {
    let data_dir = DataDir::new();
    let options = EmbeddedOptions {
        bin_dir: Some("/nowhere".into()),
        ..data_dir.options()
    };
    let refusal = EmbeddedPostgres::start(&options).unwrap_err();
    assert!(refusal.to_string().contains("PG_BIN_DIR /nowhere"));
}

#[test]
fn a_long_data_directory_still_has_a_socket() {
    let data_dir = DataDir::new();
    let options = EmbeddedOptions {
        data_dir: data_dir.path().join("long".repeat(30)),
        ..data_dir.options()
    };
    let postgres = EmbeddedPostgres::start(&options).unwrap();
    assert!(postgres.url().contains("%2Ftmp%2Ftetcore-analytics-"));
    assert!(answers(postgres.url()));
    let encoded = postgres.url().split(['@', ':']).nth(2).unwrap();
    let socket_dir = encoded.replace("%2F", "/");
    drop(postgres);
    fs::remove_dir_all(socket_dir).unwrap();
}

#[test]
fn a_new_cluster_takes_the_password_of_the_old_one() {
    let data_dir = DataDir::new();
    let first = data_dir.start();
    let url = first.tcp_url().to_owned();
    first.stop();
    fs::rename(data_dir.cluster(), data_dir.path().join("postgres.old")).unwrap();

    let second = data_dir.start();
    assert_eq!(second.tcp_url(), url);
    assert!(answers(second.tcp_url()));
}
