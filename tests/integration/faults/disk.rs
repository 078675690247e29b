//! A disk is full, or cannot be read: that of the spool, that of the database.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use super::cluster::Cluster;
use super::{assert_accounted, assert_all_stored, wait_long};
use crate::support::{Load, TestApp, skip};

/// A small file system in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None if this user may not mount.
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = mount(&format!("size={megabytes}m"), dir.path());
        if mounted.status.success() {
            return Some(Self(dir));
        }
        let why = String::from_utf8_lossy(&mounted.stderr);
        skip(&format!("a small disk cannot be mounted: {why}"));
        None
    }

    fn resize(&self, megabytes: u32) {
        let resized = mount(&format!("remount,size={megabytes}m"), self.0.path());
        assert!(resized.status.success(), "{resized:?}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.0.path().display());
        }
    }
}

fn mount(options: &str, place: &Path) -> Output {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "none"]);
    command.arg(place).output().unwrap()
}

#[test]
fn a_full_disk_under_the_spool_sheds_counts_and_recovers() {
    let Some(disk) = SmallDisk::mount(1) else {
        return;
    };
    let app = TestApp::builder()
        .env("SPOOL_DIR", disk.0.path().join("spool").display())
        .env("QUEUE_ROWS_MAX", 16_384)
        .env("HOLD_BACK_MS", 100)
        .start();
    let load = Load::start(app.port(), 0, 6_000);
    app.db.refuse_connections();
    wait_long(&app, "the disk is full and messages are shed", || {
        app.metric_with("ingest_messages_dropped_total", "queue_full") > 0.0
    });
    assert!(app.metric("store_spool_failures_total") > 0.0);
    assert_eq!(app.get("/health/live").status, 200);
    // Introductions are lost last of all.
    let mut late = app.node("/submit");
    late.send(r#"{"id":1,"payload":{"msg":"system.connected","name":"late","network_id":"late"}}"#);
    // The disk has space again, and the database is still unavailable.
    let on_full_disk = app.metric("store_spool_messages");
    disk.resize(64);
    wait_long(&app, "batches go to disk again", || {
        app.metric("store_spool_messages") > on_full_disk + 5_000.0
    });
    let dropped = app.metric("ingest_messages_dropped_total");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(app.metric("ingest_messages_dropped_total"), dropped);
    app.db.allow_connections();
    let sent = load.stop();
    let lost = assert_accounted("full disk", &app, sent.numbers.end, |query| {
        app.db.count(query)
    });
    assert!(lost > 0);
    let late = "SELECT count(*) FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id \
                WHERE l.msg = 'system.connected' AND p.peer_id = 'late'";
    assert_eq!(app.db.count(late), 1);
}

#[test]
fn a_full_disk_under_the_database_sends_batches_to_the_spool() {
    let Some(disk) = SmallDisk::mount(6) else {
        return;
    };
    let cluster = Cluster::start();
    cluster.put_tables_in(&disk.0.path().join("tables"));
    let app = TestApp::builder()
        .env("DATABASE_URL", cluster.url())
        .start();
    let load = Load::start(app.port(), 0, 3_000);
    wait_long(
        &app,
        "the disk is full and messages go to the other one",
        || app.metric("store_spool_messages") > 5_000.0,
    );
    assert!(app.metric("ingest_messages_stored_total") > 0.0);
    let health = app.get("/health");
    assert_eq!(health.status, 200);
    assert!(health.body.contains("53100"), "{}", health.body);
    disk.resize(256);
    let sent = load.stop();
    assert_all_stored(
        "full disk of the database",
        &app,
        sent.numbers.end,
        |query| cluster.count(query),
    );
    assert_eq!(app.metric("ingest_messages_rejected_total"), 0.0);
}

#[test]
fn a_spool_that_cannot_be_read_for_a_while_stops_nothing_and_is_tried_again() {
    let app = TestApp::start();
    app.db.refuse_connections();
    let load = Load::start(app.port(), 0, 1_000);
    wait_long(&app, "messages are on disk", || {
        app.metric("store_spool_messages") > 500.0
    });
    // Its files are gone for a while; new ones can be put there.
    let spool = app.data_dir().join("spool");
    let hidden = app.data_dir().join("hidden");
    std::fs::rename(&spool, &hidden).unwrap();
    std::fs::create_dir(&spool).unwrap();
    let failures = app.metric("store_spool_failures_total");
    app.db.allow_connections();
    let stored = app.metric("ingest_messages_stored_total");
    wait_long(&app, "new messages are stored", || {
        app.metric("ingest_messages_stored_total") > stored + 500.0
    });
    assert!(app.metric("store_spool_failures_total") > failures);
    for file in std::fs::read_dir(&hidden).unwrap() {
        let file = file.unwrap();
        std::fs::rename(file.path(), spool.join(file.file_name())).unwrap();
    }
    let sent = load.stop();
    let lost = assert_accounted("unreadable spool", &app, sent.numbers.end, |query| {
        app.db.count(query)
    });
    assert_eq!(lost, 0);
}
