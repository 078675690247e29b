//! Nodes and chains, what is kept of them, and the changes that are due.

use super::machine::{Seen, Time, Verdict};
use crate::metrics::NodeState;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeKey {
    /// Its libp2p identity.
    pub peer_id: String,
    /// Its chain; empty for old nodes that do not say it.
    pub genesis_hash: String,
}

/// A chain: its genesis hash, or the name of one whose nodes do not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainKey {
    /// Genesis hash; empty if it is not known.
    pub genesis_hash: String,
    /// Name, if the genesis hash is not known; else empty.
    pub name: String,
}

/// What is short enough to be read of each node each second. A session that says it is another
/// node has another digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The latest session of the node.
    pub session: i64,
    /// Digest of its key.
    pub digest: i64,
}

/// A node at one look.
#[derive(Debug, Clone)]
pub struct NodeSeen {
    /// Which.
    pub key: NodeKey,
    /// The same in short.
    pub handle: Handle,
    /// Name of its chain; empty if it is not known.
    pub chain: String,
    /// The server of its latest session, if it is known.
    pub server: Option<String>,
    /// What is known of it.
    pub seen: Seen,
}

/// A status as it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The state.
    pub state: NodeState,
    /// Grows with each change.
    pub revision: i64,
}

/// The last change of a chain, as it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptChain {
    /// The state since then.
    pub state: NodeState,
    /// Grows with each change.
    pub revision: i64,
    /// Its number.
    pub change: i64,
    /// When it was noticed.
    pub at: Time,
    /// Nodes that it is about; of a loss of telemetry also those that joined since.
    pub nodes: usize,
}

/// A change of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFlip {
    /// Which.
    pub key: NodeKey,
    /// Its state before; none if it is new.
    pub from: Option<NodeState>,
    /// The change.
    pub verdict: Verdict,
    /// Revision before; 0 if it is new.
    pub revision: i64,
    /// It is a part of the last event of this chain, perhaps one of this round.
    pub part_of: Option<ChainKey>,
}

/// A change of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFlip {
    /// Which.
    pub key: ChainKey,
    /// Its name.
    pub name: String,
    /// Revision before; 0 if there was no change yet.
    pub revision: i64,
    /// Its state before.
    pub from: NodeState,
    /// The change.
    pub verdict: Verdict,
    /// Nodes that it is about.
    pub nodes: usize,
}

/// Changes that belong together; all are kept, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flips {
    /// Of chains.
    pub chains: Vec<ChainFlip>,
    /// Of nodes.
    pub nodes: Vec<NodeFlip>,
}

impl Flips {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.nodes.is_empty()
    }
}
