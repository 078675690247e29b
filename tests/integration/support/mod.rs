//! What the tests are made of: [`TestApp`] is a server process, [`TestDb`] a
//! database of its own, [`FakeNode`] a node as it really behaves.

mod chaos_proxy;
mod fake_node;
mod load;
mod random;
mod test_app;
mod test_db;

use std::time::{Duration, Instant};

pub use chaos_proxy::ChaosProxy;
pub use fake_node::{FakeNode, corpus, frame, upgrade};
pub use load::Load;
pub use random::Random;
pub use test_app::TestApp;
pub use test_db::{TestDb, rename_database};

/// How long any condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; `what` is named if it never does.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
