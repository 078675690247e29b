//! The page of all nodes with 10,000 of them. It prints what it measures;
//! docs/PERFORMANCE.md has the figures of a quiet machine.

use std::time::{Duration, Instant};

use crate::support::{Browser, Network, TestApp};

const NODES: usize = 10_000;

/// How long the nodes talk while long tasks are counted, and how often each
/// reports and imports a block, seconds.
const TALK_S: usize = 30;
const REPORT_S: usize = 5;
const BLOCK_S: usize = 6;

/// What the line of totals begins with when all are there.
const FULL: &str = "[...document.querySelectorAll('*')].some((one) => one.children.length === 0 && /^10.?000 nodes$/.test(one.textContent.trim()))";

#[test]
#[ignore = "takes minutes; make soak runs it, and prints figures"]
fn ten_thousand_nodes_are_shown() {
    let app = TestApp::builder().env("NODE_IDLE_TIMEOUT_S", 3_600).start();
    let mut network = Network::start(&app, &[("Alpha", 6_000), ("Beta", 4_000)]);
    network.set_pace(Duration::ZERO);
    for node in 0..NODES {
        network.report(node);
    }
    network.wait_stored(&app);
    let browser = Browser::start_for_measuring();
    for visit in ["first", "second"] {
        let asked_at = Instant::now();
        browser.open(&app.url("/dashboard/"));
        browser.wait_until(FULL);
        let full = asked_at.elapsed();
        println!(
            "{visit} visit: all {NODES} nodes after {full:.2?}, long tasks {:?} ms",
            browser.long_tasks()
        );
    }
    // As real nodes do: two reports each five seconds, a block each six.
    for second in 0..TALK_S {
        let began_at = Instant::now();
        for node in (second % REPORT_S..NODES).step_by(REPORT_S) {
            network.report(node);
        }
        if second % BLOCK_S == 0 {
            network.grow(0);
            network.grow(1);
        }
        std::thread::sleep(Duration::from_secs(1).saturating_sub(began_at.elapsed()));
    }
    println!(
        "{TALK_S} s of {NODES} nodes that talk as real ones do: long tasks {:?} ms",
        browser.long_tasks()
    );
}
