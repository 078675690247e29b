//! The machine as a table, and whole days of many nodes.

mod chains;
mod day;
mod handles;
mod table;

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::TimeDelta;

use super::{Flips, Handle, NodeKey, NodeSeen, Seen, Time};
use crate::metrics::NodeState;

/// A second of the time in which tests play.
fn at(second: i64) -> Time {
    Time::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn second_of(time: Time) -> i64 {
    (time - at(0)).num_seconds()
}

fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

/// A node that sends nothing but signs of life.
fn seen(last_seen: i64) -> Seen {
    Seen {
        last_seen: at(last_seen),
        ended: None,
        best: None,
        finalized: None,
        conflict_since: None,
    }
}

fn node(peer_id: &str, seen: Seen) -> NodeSeen {
    let key = NodeKey {
        peer_id: peer_id.to_owned(),
        genesis_hash: "0x1".to_owned(),
    };
    NodeSeen {
        handle: handle(1, &key),
        key,
        chain: "Chain".to_owned(),
        server: Some("server".to_owned()),
        seen,
    }
}

/// The node in short, in a session.
fn handle(session: i64, key: &NodeKey) -> Handle {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Handle {
        session,
        digest: hasher.finish().cast_signed(),
    }
}

/// Changes in words, those of nodes in the order of their names.
fn words(second: i64, flips: &Flips) -> Vec<String> {
    let label = |state: Option<NodeState>| state.map_or("new", NodeState::label);
    let chains = flips.chains.iter().map(|flip| {
        format!(
            "{second} chain {} > {} {} {}",
            flip.from.label(),
            flip.verdict.to.label(),
            flip.nodes,
            second_of(flip.verdict.since),
        )
    });
    let mut nodes: Vec<String> = flips
        .nodes
        .iter()
        .map(|flip| {
            format!(
                "{second} {} {} > {} {} {}{}",
                flip.key.peer_id,
                label(flip.from),
                flip.verdict.to.label(),
                flip.verdict.reason.label(),
                second_of(flip.verdict.since),
                if flip.part_of.is_some() { " part" } else { "" },
            )
        })
        .collect();
    nodes.sort();
    chains.chain(nodes).collect()
}
