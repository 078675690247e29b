//! A streaming replica answers queries, and is late.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::json;

use super::cluster::Cluster;
use crate::feed::{count, introduce, numbers, play_and_subscribe, say};
use crate::support::{FeedClient, TestApp, free_port, wait_until};

/// A hot standby.
struct Replica {
    process: Child,
    url: String,
    _dir: tempfile::TempDir,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Replica {
    /// Of a cluster that allows it, with settings of its own.
    fn start(primary: &Cluster, settings: &[&str]) -> Self {
        let mut conn = primary.connect().unwrap();
        let bin: Value =
            diesel::sql_query("SELECT setting AS value FROM pg_config WHERE name = 'BINDIR'")
                .get_result(&mut conn)
                .unwrap();
        let program = |name: &str| {
            let of_server = Path::new(&bin.value).join(name);
            if of_server.exists() {
                of_server
            } else {
                name.into()
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let (uid, gid) = primary.owner();
        chown(dir.path(), Some(uid), Some(gid)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let as_owner = |name: &str| {
            let mut command = Command::new(program(name));
            if fs::metadata("/proc/self").unwrap().uid() == 0 {
                command.uid(uid).gid(gid);
            }
            command.current_dir("/");
            command
        };
        let copied = as_owner("pg_basebackup")
            .args(["--checkpoint=fast", "--write-recovery-conf", "--pgdata"])
            .arg(dir.path())
            .args(["--dbname", &primary.url()])
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
        let port = free_port();
        let mut server = as_owner("postgres");
        server.arg("-D").arg(dir.path());
        for setting in [
            &format!("port={port}"),
            "unix_socket_directories=",
            "logging_collector=off",
        ] {
            server.args(["-c", setting]);
        }
        for setting in settings {
            server.args(["-c", setting]);
        }
        // Shown with the output of a test that fails.
        let process = server.stdin(Stdio::null()).spawn().unwrap();
        let url = primary.url();
        let (start, database) = url.rsplit_once('/').unwrap();
        let (start, _port) = start.rsplit_once(':').unwrap();
        let replica = Self {
            process,
            url: format!("{start}:{port}/{database}"),
            _dir: dir,
        };
        wait_until("the replica answers", || {
            PgConnection::establish(&replica.url).is_ok()
        });
        replica
    }

    fn execute(&self, sql: &str) {
        let mut conn = PgConnection::establish(&self.url).unwrap();
        conn.batch_execute(sql).unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.process.wait();
    }
}

/// A server whose queries go to a replica.
fn start(settings: &[&str]) -> (Cluster, Replica, TestApp) {
    let mut primary = Cluster::start();
    primary.allow_replicas();
    let replica = Replica::start(&primary, settings);
    let app = beside(&primary, &replica);
    (primary, replica, app)
}

fn beside(primary: &Cluster, replica: &Replica) -> TestApp {
    TestApp::builder()
        .env("DATABASE_URL", primary.url())
        .env("READ_DATABASE_URL", &replica.url)
        .start()
}

/// The numbers of the messages on all pages, the newest first.
fn pages(app: &TestApp, mut cursor: Option<String>) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let start = "/nodes/logs?peer_id=peer&msg=count&limit=20";
        let page = match &cursor {
            None => app.get(start),
            Some(cursor) => app.get(&format!("{start}&cursor={cursor}")),
        };
        // The replica does not know the node yet.
        if page.status == 404 {
            return found;
        }
        let rows = page.json();
        let rows = rows.as_array().unwrap();
        found.extend(rows.iter().map(|row| row["logs"]["n"].as_u64().unwrap()));
        cursor = page.headers.get("x-next-cursor").cloned();
        if cursor.is_none() {
            return found;
        }
    }
}

#[test]
fn histories_join_what_is_live_without_a_gap_when_a_replica_is_two_seconds_late() {
    let (primary, replica, app) = start(&["recovery_min_apply_delay=2s"]);
    play_and_subscribe(&app, 6);
    let asked =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tetcore-analytics read'";
    let mut conn = PgConnection::establish(&replica.url).unwrap();
    let asked = format!("SELECT ({asked})::text AS value");
    let asked: Value = diesel::sql_query(asked).get_result(&mut conn).unwrap();
    assert_ne!(asked.value, "0", "queries go to the replica");
    // What was stored just now is in the history at another server too.
    let other = beside(&primary, &replica);
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "late", "chain");
    count(&mut node, 1, 0..50);
    let stored = "SELECT count(*) FROM telemetry_logs l JOIN peer_connections p \
                  ON p.id = l.peer_connection_id WHERE p.peer_id = 'late'";
    wait_until("all is stored", || primary.count(stored) == 51);
    for app in [&app, &other] {
        let mut feed = FeedClient::connect(app);
        feed.ask(&json!({"peer_id": "late", "msg": "count", "interest": "subscribe", "start_time": "2020-01-01T00:00:00Z"}));
        let (items, cursor) = feed.items(50);
        assert_eq!(numbers(&items), (0..50).collect::<Vec<_>>());
        drop(feed);
        let mut feed = FeedClient::connect(app);
        feed.ask(
            &json!({"peer_id": "late", "msg": "count", "interest": "subscribe", "cursor": cursor}),
        );
        feed.expect_no_items(Duration::from_secs(3));
    }
    // A place goes on there as well.
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"peer_id": "late", "msg": "count", "interest": "subscribe", "request_id": 1}));
    feed.next_with("ack");
    count(&mut node, 1, 50..60);
    let (_, cursor) = feed.items(10);
    drop(feed);
    count(&mut node, 1, 60..80);
    wait_until("all is stored", || primary.count(stored) == 81);
    for app in [&app, &other] {
        let mut feed = FeedClient::connect(app);
        feed.ask(
            &json!({"peer_id": "late", "msg": "count", "interest": "subscribe", "cursor": cursor}),
        );
        assert_eq!(numbers(&feed.items(20).0), (60..80).collect::<Vec<_>>());
    }
}

#[test]
fn a_paused_replica_keeps_no_history_from_what_is_live() {
    let (_primary, replica, app) = start(&[]);
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    count(&mut node, 1, 0..100);
    wait_until("the replica has all", || pages(&app, None).len() == 100);
    replica.execute("SELECT pg_wal_replay_pause()");
    count(&mut node, 1, 100..150);
    say(
        &mut node,
        1,
        json!({"msg": "block.import", "height": 9, "best": "0x09", "origin": "Own"}),
    );
    app.wait_stored(152);
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe", "start_time": "2020-01-01T00:00:00Z"}));
    assert_eq!(numbers(&feed.items(150).0), (0..150).collect::<Vec<_>>());
    count(&mut node, 1, 150..160);
    assert_eq!(numbers(&feed.items(10).0), (150..160).collect::<Vec<_>>());
    assert!(app.metric("feed_histories_past_replica_total") > 0.0);
    // The table of all nodes is as it is now.
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe"}));
    wait_until("the table has the newest block", || {
        feed.next_with("nodes")["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["height"] == json!(9))
    });
    // Pages show what the replica has, and go on where they were when it has more.
    assert_eq!(pages(&app, None), (0..100).rev().collect::<Vec<_>>());
    let first = app.get("/nodes/logs?peer_id=peer&msg=count&limit=30");
    assert_eq!(first.json()[0]["logs"]["n"], 99);
    replica.execute("SELECT pg_wal_replay_resume()");
    wait_until("the replica has all", || pages(&app, None).len() == 160);
    let rest = pages(&app, first.headers.get("x-next-cursor").cloned());
    assert_eq!(rest, (0..70).rev().collect::<Vec<_>>());
}
