//! The live feed, from outside: real sockets, a real database.

mod aggregates;
mod compression;
mod crowd;
mod nodes;
mod other_servers;
mod raw;
mod requests;
mod seam;
mod slow;

use serde_json::{Value, json};

pub use seam::play_and_subscribe;

use crate::support::FakeNode;

/// The `system.connected` of a node.
pub fn introduce(node: &mut FakeNode, id: u64, peer: &str, chain: &str) {
    let payload = json!({
        "msg": "system.connected", "name": format!("name of {peer}"), "chain": chain,
        "genesis_hash": format!("0x{chain}"), "network_id": peer, "implementation": "test",
        "version": "1.0", "authority": true, "startup_time": "1700000000000",
    });
    say(node, id, payload);
}

/// Sends a message.
pub fn say(node: &mut FakeNode, id: u64, payload: Value) {
    let ts = chrono::Utc::now().to_rfc3339();
    node.send(json!({"id": id, "payload": payload, "ts": ts}).to_string());
}

/// Sends the numbers of a range, each as a message.
pub fn count(node: &mut FakeNode, id: u64, numbers: std::ops::Range<u64>) {
    for n in numbers {
        say(node, id, json!({"msg": "count", "n": n}));
    }
}

/// The numbers in some items.
pub fn numbers(items: &[Value]) -> Vec<u64> {
    items
        .iter()
        .map(|item| item["n"].as_u64().unwrap())
        .collect()
}
