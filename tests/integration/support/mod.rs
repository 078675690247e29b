//! What the tests are made of: [`TestApp`] is a server process, [`TestDb`] a
//! database of its own, [`FakeNode`] a node as it really behaves, [`Network`]
//! many of them on chains that grow, [`Browser`] what people look at pages with.

mod alertmanager;
mod browser;
mod cases;
mod chaos_proxy;
mod fake_node;
mod feed_client;
mod load;
mod mmdb;
mod network;
mod pgbouncer;
mod prometheus;
mod python;
mod random;
mod receiver;
mod skip;
mod test_app;
mod test_db;

use std::time::{Duration, Instant};

pub use alertmanager::Alertmanager;
pub use browser::Browser;
pub(crate) use cases::cases;
pub use cases::run_cases;
pub use chaos_proxy::ChaosProxy;
pub use fake_node::{FIN, FakeNode, TEXT, corpus, frame, upgrade};
pub use feed_client::FeedClient;
pub use load::Load;
pub use mmdb::write_mmdb;
pub use network::Network;
pub use pgbouncer::PgBouncer;
pub use prometheus::{Prometheus, program, run_tool};
pub use python::python;
pub use random::Random;
pub use receiver::{Received, Receiver, Reply};
pub use skip::skip;
pub use test_app::{Answer, TestApp, TestAppBuilder};
pub use test_db::{TestDb, rename_database};

/// How long any condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// How often a condition is looked at.
const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(200);

/// A port without a listener, for a server that comes back where it was.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until `condition` holds; `what` is named if it never does.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started_at = Instant::now();
    while !condition() {
        let waited = started_at.elapsed();
        assert!(waited < PATIENCE, "waited in vain for: {what}");
        pause_after(waited);
    }
}

/// Sleeps before the next look. Looking costs what others need: the longer it takes, the
/// more rarely.
fn pause_after(waited: Duration) {
    std::thread::sleep((waited / 20).clamp(POLL_MIN, POLL_MAX));
}
