//! PostgreSQL is stopped, killed, restarted, away for long.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::{RunQueryDsl, sql_query};

use super::cluster::Cluster;
use super::{account, assert_all_stored, wait_long};
use crate::support::{Load, Random, TestApp};

/// What the server may take of the memory in the longest outage.
const MEMORY_BYTES_MAX: f64 = 300.0 * 1024.0 * 1024.0;

#[test]
fn postgres_stopped_for_5_seconds() {
    postgres_stopped_for(Duration::from_secs(5));
}

#[test]
#[ignore = "minutes; run by make soak"]
fn postgres_stopped_for_60_seconds() {
    postgres_stopped_for(Duration::from_secs(60));
}

fn postgres_stopped_for(outage: Duration) {
    let mut cluster = Cluster::start();
    let app = TestApp::builder()
        .env("DATABASE_URL", cluster.url())
        .start();
    let load = Load::start(app.port(), 0, 2_000);
    std::thread::sleep(Duration::from_secs(1));
    cluster.stop();
    std::thread::sleep(outage);
    assert!(!app.is_well());
    assert_eq!(app.get("/health/ready").status, 200);
    assert!(app.metric("store_spool_messages") > 0.0);
    cluster.start_again();
    let back_at = Instant::now();
    wait_long(&app, "it is ready", || app.is_well());
    eprintln!(
        "ready {:.1} s after PostgreSQL",
        back_at.elapsed().as_secs_f64()
    );
    std::thread::sleep(Duration::from_secs(1));
    let sent = load.stop();
    let what = format!("PostgreSQL stopped for {} s", outage.as_secs());
    assert_all_stored(&what, &app, sent.numbers.end, |query| cluster.count(query));
}

#[test]
fn postgres_killed_3_times() {
    postgres_killed(3);
}

#[test]
#[ignore = "minutes; run by make soak"]
fn postgres_killed_10_times() {
    postgres_killed(10);
}

/// The PostgreSQL that the server runs itself, and so has to start again.
fn postgres_killed(times: u32) {
    let mut random = Random::new(1);
    let data_dir = tempfile::tempdir().unwrap();
    let cluster_dir = data_dir.path().join("postgres");
    let mut app = TestApp::builder()
        .env("DATABASE_URL", "")
        .data_dir(data_dir)
        .start();
    let load = Load::start(app.port(), 0, 2_000);
    for _ in 0..times {
        std::thread::sleep(Duration::from_millis(random.between(100, 1_000)));
        let killed = postmaster(&cluster_dir).unwrap();
        let status = Command::new("kill")
            .args(["-KILL", &killed.to_string()])
            .status();
        assert!(status.unwrap().success());
        wait_long(&app, "PostgreSQL runs again", || {
            postmaster(&cluster_dir).is_some_and(|postmaster| postmaster != killed)
        });
        let stored = app.metric("ingest_messages_stored_total");
        wait_long(&app, "messages are stored again", || {
            app.metric("ingest_messages_stored_total") > stored
        });
    }
    let sent = load.stop();
    wait_long(&app, "every message is stored", || {
        app.metric("ingest_messages_stored_total") == f64::from(sent.numbers.end)
    });
    assert_eq!(app.metric("ingest_messages_dropped_total"), 0.0);
    let recognised = app.metric("store_batches_recognised_total");
    assert!(app.stop().success(), "{}", app.log());
    let cluster = Cluster::start_in(app.take_data_dir());
    let account = account(sent.numbers.end, 0, |query| cluster.count(query));
    eprintln!("PostgreSQL killed {times} times: {account:?}; {recognised} batches recognised");
    assert_eq!(
        (account.stored, account.distinct),
        (account.sent, account.sent)
    );
}

/// Process id of a running PostgreSQL.
fn postmaster(cluster_dir: &Path) -> Option<u32> {
    let file = fs::read_to_string(cluster_dir.join("postmaster.pid")).ok()?;
    file.lines().next()?.parse().ok()
}

#[test]
fn postgres_restarted_with_other_connection_limits() {
    let mut cluster = Cluster::start();
    let app = TestApp::builder()
        .env("DATABASE_URL", cluster.url())
        .start();
    let load = Load::start(app.port(), 0, 1_000);
    std::thread::sleep(Duration::from_millis(500));
    cluster.stop();
    cluster.customise("max_connections = 8\nsuperuser_reserved_connections = 0\n");
    cluster.start_again();
    // Others take all of them, as soon as they can.
    let mut others = Vec::new();
    wait_long(&app, "no connection is left", || {
        others.extend(cluster.connect());
        !others.is_empty() && cluster.connect().is_err()
    });
    std::thread::sleep(Duration::from_secs(3));
    drop(others);
    wait_long(&app, "the spool is empty", || {
        app.metric("store_spool_batches") == 0.0
    });
    cluster.stop();
    cluster.customise("max_connections = 150\n");
    cluster.start_again();
    std::thread::sleep(Duration::from_secs(1));
    let sent = load.stop();
    assert_all_stored(
        "PostgreSQL restarted with 8, then 150 connections",
        &app,
        sent.numbers.end,
        |query| cluster.count(query),
    );
}

#[test]
fn a_password_that_is_changed_is_named_once_and_messages_wait_on_disk() {
    let cluster = Cluster::start();
    let app = TestApp::builder()
        .env("DATABASE_URL", cluster.url())
        .env("DB_WRITERS", 2)
        .start();
    let load = Load::start(app.port(), 0, 1_000);
    let writers = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '% writer %'";
    wait_long(&app, "both writers are connected", || {
        cluster.count(writers) == 2 && app.metric("ingest_messages_stored_total") > 0.0
    });
    let mut administrator = cluster.connect().unwrap();
    let mut execute = |statement: &str| sql_query(statement).execute(&mut administrator).unwrap();
    execute("ALTER ROLE current_user PASSWORD 'another'");

    // One writer gets no other connection, and the other one still has its own.
    execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name LIKE '% writer %' LIMIT 1",
    );
    let refusal = "go to disk: the database refuses: ";
    wait_long(&app, "it is named", || app.log().contains(refusal));
    let stored = app.metric("ingest_messages_stored_total");
    wait_long(&app, "the other one goes on", || {
        app.metric("ingest_messages_stored_total") > stored + 1_000.0
    });

    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    execute(others);
    wait_long(&app, "it is named to who asks", || {
        let health = app.get("/health");
        health.status == 200 && health.body.contains("the user or password of DATABASE_URL")
    });
    let on_disk = app.metric("store_spool_messages");
    wait_long(&app, "messages wait on disk", || {
        app.metric("store_spool_messages") > on_disk + 3_000.0
    });
    let log = app.log();
    assert_eq!(log.matches(refusal).count(), 1, "{log}");
    execute(&format!(
        "ALTER ROLE current_user PASSWORD '{}'",
        cluster.password()
    ));
    let sent = load.stop();
    assert_all_stored("another password", &app, sent.numbers.end, |query| {
        cluster.count(query)
    });
}

#[test]
fn memory_stays_bounded_while_the_database_is_away_for_10_seconds() {
    memory_stays_bounded(Duration::from_secs(10));
}

#[test]
#[ignore = "minutes; run by make soak"]
fn memory_stays_bounded_while_the_database_is_away_for_10_minutes() {
    memory_stays_bounded(Duration::from_secs(600));
}

fn memory_stays_bounded(outage: Duration) {
    let app = TestApp::start();
    let load = Load::start(app.port(), 0, 5_000);
    std::thread::sleep(Duration::from_secs(1));
    app.db.refuse_connections();
    std::thread::sleep(outage);
    let on_disk = app.metric("store_spool_bytes");
    app.db.allow_connections();
    let sent = load.stop();
    let what = format!("5,000 a second, away for {} s", outage.as_secs());
    assert_all_stored(&what, &app, sent.numbers.end, |query| app.db.count(query));
    let most = app.memory_peak() as f64;
    let mib = 1024.0 * 1024.0;
    eprintln!(
        "{what}: at most {:.0} MiB of memory; {:.0} MiB on disk",
        most / mib,
        on_disk / mib
    );
    assert!(most < MEMORY_BYTES_MAX);
}
