//! The status of nodes: what a running server makes of what they send, and of what
//! they do not.

mod answers;
mod feed;
mod list;
mod nodes;
mod outages;
mod services;
mod uptime;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::projections::{interval, introduce};
use crate::support::{FakeNode, TestApp, TestAppBuilder, TestDb, wait_until};

/// A server with short thresholds: late after 2 s, missing after 4, offline after 8.
fn start() -> TestApp {
    let app = builder().start();
    wait_judged(&app.db);
    app
}

/// Waits until nodes are judged for the first time.
#[track_caller]
pub(crate) fn wait_judged(db: &TestDb) {
    wait_until("nodes are judged", || {
        db.count("SELECT count(*) FROM status_progress") == 1
    });
}

/// Waits until nodes were judged for some time from now on.
#[track_caller]
pub(crate) fn wait_judged_on(db: &TestDb) {
    let judged = "SELECT extract(epoch FROM judged_at)::bigint FROM status_progress";
    let until = db.count(judged) + 12;
    wait_until("nodes are judged again and again", || {
        db.count(judged) >= until
    });
}

pub(crate) fn builder() -> TestAppBuilder {
    TestApp::builder()
        .env("NODE_HEARTBEAT_S", 2)
        .env("NODE_MISSED_BEATS", 2)
        .env("NODE_OFFLINE_S", 8)
        .env("NODE_STALLED_S", 5)
        .env("NODE_IDLE_TIMEOUT_S", 600)
}

/// A node that sends a message five times a second, on a thread of its own.
pub(crate) struct Beating {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<FakeNode>,
}

impl Beating {
    /// Introduces itself, and begins.
    pub(crate) fn start(app: &TestApp, peer_id: &str) -> Self {
        let mut node = app.node("/submit");
        introduce(&mut node, peer_id);
        Self::go_on(node)
    }

    pub(crate) fn go_on(node: FakeNode) -> Self {
        Self::follow(node, || 100)
    }

    /// With the best block of the moment.
    pub(crate) fn follow(mut node: FakeNode, height: impl Fn() -> u64 + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    interval(&mut node, height());
                    std::thread::sleep(Duration::from_millis(200));
                }
                node
            }
        });
        Self { stop, thread }
    }

    /// Falls silent; its connection stays open.
    pub(crate) fn stop(self) -> FakeNode {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The state of a node, as it is kept; empty if there is none.
pub(crate) fn state(db: &TestDb, peer_id: &str) -> String {
    let query = format!("SELECT state AS value FROM node_status WHERE peer_id = '{peer_id}'");
    db.texts(&query).pop().unwrap_or_default()
}

#[track_caller]
pub(crate) fn wait_state(db: &TestDb, peer_id: &str, expected: &str) {
    wait_until(&format!("{peer_id} is {expected}"), || {
        state(db, peer_id) == expected
    });
}

/// The changes of a node, in words.
fn changes(db: &TestDb, peer_id: &str) -> Vec<String> {
    db.texts(&format!(
        "SELECT concat(coalesce(from_state, 'new'), ' > ', to_state, ' ', reason, CASE WHEN part_of IS NOT NULL THEN ' part' END) AS value \
         FROM status_changes WHERE peer_id = '{peer_id}' ORDER BY id"
    ))
}
