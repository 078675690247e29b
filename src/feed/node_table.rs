//! The table of all nodes as it is now: what each is, and what it reported last.
//! Pure: time is passed in. Kept while there are subscriptions, and a while longer.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::blocks::Blocks;
use super::origin::Origin;
use crate::ids::SessionId;
use crate::store::SessionRow;
use crate::telemetry::{Block, Reading};

/// Nodes in the table; far more than the largest network has.
pub(super) const NODES_MAX: usize = 100_000;

/// What a node reported last; what it never reported is `None`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeValues {
    /// Number of its best block.
    pub height: Option<i64>,
    /// Hash of its best block.
    pub best_hash: Option<String>,
    /// Server time at which it had that block.
    pub best_at: Option<DateTime<Utc>>,
    /// How far it was behind the first node of its chain, milliseconds.
    pub propagation_ms: Option<u64>,
    /// Number of its finalized block.
    pub finalized_height: Option<i64>,
    /// Hash of its finalized block.
    pub finalized_hash: Option<String>,
    /// Server time at which that block was final for it.
    pub finalized_at: Option<DateTime<Utc>>,
    /// Peers.
    pub peers: Option<i64>,
    /// Transactions that wait.
    pub transactions: Option<i64>,
    /// Bytes per second.
    pub download_bytes_per_s: Option<f64>,
    /// Bytes per second.
    pub upload_bytes_per_s: Option<f64>,
    /// Bytes.
    pub state_cache_bytes: Option<f64>,
}

/// A node.
#[derive(Debug, Clone)]
pub struct NodeState {
    /// Its latest session.
    pub session: Arc<SessionRow>,
    /// It has an open session.
    pub is_online: bool,
    /// What it reported last.
    pub values: NodeValues,
}

/// Parts of a row, which change together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// What the node is, and its latest session.
    pub facts: bool,
    /// Best block.
    pub best: bool,
    /// Finalized block.
    pub finalized: bool,
    /// Peers and bandwidth.
    pub network: bool,
    /// Transactions and state cache.
    pub pool: bool,
}

impl Parts {
    const ALL: Self = Self {
        facts: true,
        best: true,
        finalized: true,
        network: true,
        pool: true,
    };
}

/// A row changed, or is shown for the first time.
#[derive(Debug, Clone)]
pub struct NodeChanged {
    /// libp2p identity of the node.
    pub peer_id: Arc<str>,
    /// The node as it is now.
    pub node: Arc<NodeState>,
    /// What changed.
    pub parts: Parts,
    /// Unknown values are included as null: they may have been known before.
    pub with_unknown: bool,
}

#[derive(Debug)]
struct Entry {
    node: Arc<NodeState>,
    open: BTreeSet<SessionId>,
    changed: Parts,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct NodeTable {
    nodes: HashMap<Arc<str>, Entry>,
    changed: HashSet<Arc<str>>,
    /// Some of those that changed are new, or have values from the database.
    has_new: bool,
    /// Those that changed before, of which the rows are being taken, and whether there are new ones.
    due: (VecDeque<Arc<str>>, bool),
    blocks: Blocks,
}

impl NodeTable {
    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are nodes, or values from the database, that have not been shown yet.
    pub(super) fn has_new(&self) -> bool {
        self.has_new || self.due.1
    }

    /// Takes over the state of a session.
    pub(super) fn session(&mut self, row: &SessionRow) {
        let Some(peer_id) = row.facts.peer_id.as_deref() else {
            return;
        };
        let is_open = row.disconnected_at.is_none();
        let Some(entry) = self.nodes.get_mut(peer_id) else {
            self.add(peer_id.into(), row);
            return;
        };
        let was_online = !entry.open.is_empty();
        if is_open {
            entry.open.insert(row.id);
        } else {
            entry.open.remove(&row.id);
        }
        let is_online = !entry.open.is_empty();
        let known = &entry.node.session;
        let is_newer = match known.id == row.id {
            // The end of a lost server's session keeps its revision.
            true if known.revision == row.revision => known.disconnected_at.is_none() && !is_open,
            true => known.revision < row.revision,
            false => known.created_at < row.created_at,
        };
        let mut has_changed = was_online != is_online;
        if is_newer {
            has_changed |= known.id != row.id
                || known.facts != row.facts
                || known.hardware != row.hardware
                || known.disconnected_at != row.disconnected_at;
            Arc::make_mut(&mut entry.node).session = Arc::new(row.clone());
        }
        if has_changed {
            Arc::make_mut(&mut entry.node).is_online = is_online;
            entry.changed.facts = true;
            self.changed.insert(peer_id.into());
        }
    }

    fn add(&mut self, key: Arc<str>, row: &SessionRow) {
        if self.nodes.len() >= NODES_MAX {
            return;
        }
        let is_open = row.disconnected_at.is_none();
        let node = NodeState {
            session: Arc::new(row.clone()),
            is_online: is_open,
            values: NodeValues::default(),
        };
        let entry = Entry {
            node: Arc::new(node),
            open: is_open.then_some(row.id).into_iter().collect(),
            changed: Parts::ALL,
        };
        self.changed.insert(key.clone());
        self.has_new = true;
        self.nodes.insert(key, entry);
    }

    /// What a node had reported before the table was made.
    pub(super) fn seed(&mut self, row: &SessionRow, before: NodeValues) {
        self.session(row);
        let Some(peer_id) = row.facts.peer_id.as_deref() else {
            return;
        };
        let Some(entry) = self.nodes.get_mut(peer_id) else {
            return;
        };
        let values = &mut Arc::make_mut(&mut entry.node).values;
        // Live values are newer.
        let live = std::mem::take(values);
        *values = NodeValues {
            height: live.height.or(before.height),
            best_hash: live.best_hash.or(before.best_hash),
            best_at: live.best_at.or(before.best_at),
            propagation_ms: live.propagation_ms.or(before.propagation_ms),
            finalized_height: live.finalized_height.or(before.finalized_height),
            finalized_hash: live.finalized_hash.or(before.finalized_hash),
            finalized_at: live.finalized_at.or(before.finalized_at),
            peers: live.peers.or(before.peers),
            transactions: live.transactions.or(before.transactions),
            download_bytes_per_s: live.download_bytes_per_s.or(before.download_bytes_per_s),
            upload_bytes_per_s: live.upload_bytes_per_s.or(before.upload_bytes_per_s),
            state_cache_bytes: live.state_cache_bytes.or(before.state_cache_bytes),
        };
        entry.changed = Parts {
            facts: entry.changed.facts,
            ..Parts::ALL
        };
        self.changed.insert(peer_id.into());
        self.has_new = true;
    }

    /// Whether messages of a kind change the table.
    pub(super) fn wants(kind: &str) -> bool {
        Reading::KINDS.contains(&kind)
    }

    /// Takes over what a node reports in a message that arrived `at` that time.
    pub(super) fn message(
        &mut self,
        origin: &Origin,
        kind: &str,
        fields: &[u8],
        at: DateTime<Utc>,
        received_at: Option<Instant>,
    ) {
        let Some(peer_id) = origin.peer_id.as_deref() else {
            return;
        };
        let Some(entry) = self.nodes.get_mut(peer_id) else {
            return;
        };
        let Some(reading) = Reading::from_fields(kind, fields) else {
            return;
        };
        let chain = origin.genesis_hash.as_deref().or(origin.chain.as_deref());
        let blocks = &mut self.blocks;
        // system.interval comes too seldom to say when a block arrived.
        let received_at = received_at.filter(|_| kind == Reading::IMPORT);
        let behind = |block: &Block<'_>| {
            let hash = block.hash.as_deref()?;
            let behind = blocks.heard(chain.unwrap_or_default(), hash, received_at?)?;
            u64::try_from(behind.as_millis()).ok()
        };
        let changed = entry.node.values.changed_by(&reading);
        if changed == Parts::default() {
            return;
        }
        let values = &mut Arc::make_mut(&mut entry.node).values;
        values.take_over(reading, changed, at, behind);
        entry.changed = entry.changed.and(changed);
        self.changed.insert(peer_id.into());
    }

    /// Whether rows are left that changed before those that were taken last.
    pub(super) fn has_due(&self) -> bool {
        !self.due.0.is_empty()
    }

    /// The rows that changed since the last time, at most so many; the rest come first the
    /// next time.
    pub(super) fn take_changes(&mut self, rows_max: usize) -> Vec<NodeChanged> {
        if self.due.0.is_empty() {
            let changed = std::mem::take(&mut self.changed);
            self.due = (changed.into_iter().collect(), self.has_new);
            self.has_new = false;
        }
        let mut rows = Vec::new();
        while rows.len() < rows_max
            && let Some(peer_id) = self.due.0.pop_front()
        {
            let Some(entry) = self.nodes.get_mut(&peer_id) else {
                continue;
            };
            let parts = std::mem::take(&mut entry.changed);
            // It changed again while it was due, and was taken then.
            if parts == Parts::default() {
                continue;
            }
            rows.push(NodeChanged {
                peer_id,
                node: entry.node.clone(),
                parts,
                with_unknown: true,
            });
        }
        self.due.1 &= self.has_due();
        rows
    }

    /// All nodes of a chain, or all.
    pub(super) fn keys(&self, chain: Option<&str>) -> Vec<Arc<str>> {
        let admitted = |node: &NodeState| chain.is_none_or(|chain| node.is_on(chain));
        let nodes = self.nodes.iter().filter(|(_, entry)| admitted(&entry.node));
        nodes.map(|(key, _)| key.clone()).collect()
    }

    /// The whole row of a node, with or without what is not known.
    pub(super) fn row(&self, peer_id: &Arc<str>, with_unknown: bool) -> Option<NodeChanged> {
        let entry = self.nodes.get(peer_id)?;
        Some(NodeChanged {
            peer_id: peer_id.clone(),
            node: entry.node.clone(),
            parts: Parts::ALL,
            with_unknown,
        })
    }
}

impl NodeState {
    /// Whether it is on the chain with this name or genesis hash.
    pub fn is_on(&self, chain: &str) -> bool {
        let facts = &self.session.facts;
        facts.chain.as_deref() == Some(chain) || facts.genesis_hash.as_deref() == Some(chain)
    }
}

impl Parts {
    fn and(self, other: Self) -> Self {
        Self {
            facts: self.facts || other.facts,
            best: self.best || other.best,
            finalized: self.finalized || other.finalized,
            network: self.network || other.network,
            pool: self.pool || other.pool,
        }
    }
}

impl NodeValues {
    fn changed_by(&self, reading: &Reading<'_>) -> Parts {
        let is_best = |block: &Block<'_>| {
            (self.height, self.best_hash.as_deref()) == (Some(block.height), block.hash.as_deref())
        };
        let is_final = |block: &Block<'_>| self.finalized_height == Some(block.height);
        Parts {
            facts: false,
            best: reading.best.as_ref().is_some_and(|block| !is_best(block)),
            finalized: reading
                .finalized
                .as_ref()
                .is_some_and(|block| !is_final(block)),
            network: differs(self.peers, reading.peers)
                || differs(self.download_bytes_per_s, reading.download_bytes_per_s)
                || differs(self.upload_bytes_per_s, reading.upload_bytes_per_s),
            pool: differs(self.transactions, reading.transactions)
                || differs(self.state_cache_bytes, reading.state_cache_bytes),
        }
    }

    fn take_over(
        &mut self,
        reading: Reading<'_>,
        changed: Parts,
        at: DateTime<Utc>,
        behind: impl FnOnce(&Block<'_>) -> Option<u64>,
    ) {
        if let Some(block) = reading.best.filter(|_| changed.best) {
            self.propagation_ms = behind(&block);
            self.height = Some(block.height);
            self.best_hash = block.hash.map(Cow::into_owned);
            self.best_at = Some(at);
        }
        if let Some(block) = reading.finalized.filter(|_| changed.finalized) {
            self.finalized_height = Some(block.height);
            self.finalized_hash = block.hash.map(Cow::into_owned);
            self.finalized_at = Some(at);
        }
        self.peers = reading.peers.or(self.peers);
        self.download_bytes_per_s = reading.download_bytes_per_s.or(self.download_bytes_per_s);
        self.upload_bytes_per_s = reading.upload_bytes_per_s.or(self.upload_bytes_per_s);
        self.transactions = reading.transactions.or(self.transactions);
        self.state_cache_bytes = reading.state_cache_bytes.or(self.state_cache_bytes);
    }
}

fn differs<T: PartialEq>(known: Option<T>, reported: Option<T>) -> bool {
    reported.is_some() && known != reported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConnectionId;
    use crate::telemetry::{HardwareBenchmark, NodeFacts};

    fn session(number: i64, revision: i64) -> SessionRow {
        SessionRow {
            id: SessionId(number),
            ip_addr: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            audit: false,
            node_id: Some(1),
            connection_id: ConnectionId(1),
            server_id: "server".to_owned(),
            facts: NodeFacts {
                peer_id: Some(number.to_string()),
                name: Some(revision.to_string()),
                ..NodeFacts::default()
            },
            hardware: HardwareBenchmark::default(),
            last_seen_at: DateTime::UNIX_EPOCH,
            disconnected_at: None,
            disconnect_reason: None,
            revision,
        }
    }

    #[test]
    fn changes_are_taken_in_parts_each_row_once_and_none_waits_for_ever() {
        let mut table = NodeTable::default();
        for number in 0..10 {
            table.session(&session(number, 1));
        }
        let mut seen = HashSet::new();
        for (revision, rows) in [(2, 4), (3, 4), (4, 2)] {
            // Some change all the time.
            for number in 0..4 {
                table.session(&session(number, revision));
            }
            assert!(table.has_new());
            let taken = table.take_changes(4);
            assert_eq!(taken.len(), rows);
            seen.extend(taken.into_iter().map(|row| row.peer_id));
        }
        assert_eq!(
            seen.len(),
            10,
            "all that are new, whatever changed meanwhile"
        );
        assert!(!table.has_new() && !table.has_due());
        let again = table.take_changes(100);
        assert!(again.iter().all(|row| row.parts.facts && !row.parts.best));
        assert!(table.take_changes(100).is_empty());
    }
}
