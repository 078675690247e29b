//! The table of all nodes as it is now: what each is, and what it said last.
//! Pure: time is passed in. Kept only while somebody looks, and a while longer.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::blocks::Blocks;
use super::item::Origin;
use crate::ids::SessionId;
use crate::store::SessionRow;

/// Nodes in the table; far more than the largest network has.
const NODES_MAX: usize = 100_000;

/// Longest hash in bytes; those of today have 66.
const HASH_BYTES_MAX: usize = 130;

/// What a node said last, field by field; what it never said is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LastHeard {
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

/// Which parts of a row changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Changed {
    facts: bool,
    best: bool,
    finalized: bool,
    network: bool,
    pool: bool,
}

const EVERYTHING: Changed = Changed {
    facts: true,
    best: true,
    finalized: true,
    network: true,
    pool: true,
};

#[derive(Debug)]
struct Node {
    row: SessionRow,
    open: BTreeSet<SessionId>,
    last: LastHeard,
    changed: Changed,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Board {
    nodes: HashMap<Arc<str>, Node>,
    changed: HashSet<Arc<str>>,
    blocks: Blocks,
}

/// Those fields of messages that the table shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    height: Value,
    #[serde(borrow)]
    best: Option<Cow<'a, str>>,
    finalized_height: Value,
    #[serde(borrow)]
    finalized_hash: Option<Cow<'a, str>>,
    txcount: Value,
    used_state_cache_size: Value,
    peers: Value,
    bandwidth_download: Value,
    bandwidth_upload: Value,
}

impl Board {
    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Takes over the state of a session.
    pub(super) fn session(&mut self, row: &SessionRow) {
        let Some(peer_id) = row.facts.peer_id.as_deref() else {
            return;
        };
        let key: Arc<str> = peer_id.into();
        let is_open = row.disconnected_at.is_none();
        let Some(node) = self.nodes.get_mut(&key) else {
            if self.nodes.len() < NODES_MAX {
                let node = Node {
                    row: row.clone(),
                    open: is_open.then_some(row.id).into_iter().collect(),
                    last: LastHeard::default(),
                    changed: EVERYTHING,
                };
                self.changed.insert(key.clone());
                self.nodes.insert(key, node);
            }
            return;
        };
        let was_online = !node.open.is_empty();
        if is_open {
            node.open.insert(row.id);
        } else {
            node.open.remove(&row.id);
        }
        let is_newer = match node.row.id == row.id {
            true => node.row.revision < row.revision,
            false => node.row.created_at < row.created_at,
        };
        let mut has_changed = was_online == node.open.is_empty();
        if is_newer {
            has_changed |= node.row.id != row.id
                || node.row.facts != row.facts
                || node.row.hardware != row.hardware
                || node.row.disconnected_at != row.disconnected_at;
            node.row = row.clone();
        }
        if has_changed {
            node.changed.facts = true;
            self.changed.insert(key);
        }
    }

    /// What a node had said before anybody looked.
    pub(super) fn seed(&mut self, row: &SessionRow, last: LastHeard) {
        self.session(row);
        let Some(key) = row.facts.peer_id.as_deref() else {
            return;
        };
        let Some((key, node)) = self
            .nodes
            .get_key_value(key)
            .map(|(key, _)| key.clone())
            .and_then(|key| {
                let node = self.nodes.get_mut(&key)?;
                Some((key, node))
            })
        else {
            return;
        };
        // Live values are newer.
        let live = std::mem::take(&mut node.last);
        node.last = LastHeard {
            height: live.height.or(last.height),
            best_hash: live.best_hash.or(last.best_hash),
            best_at: live.best_at.or(last.best_at),
            propagation_ms: live.propagation_ms.or(last.propagation_ms),
            finalized_height: live.finalized_height.or(last.finalized_height),
            finalized_hash: live.finalized_hash.or(last.finalized_hash),
            finalized_at: live.finalized_at.or(last.finalized_at),
            peers: live.peers.or(last.peers),
            transactions: live.transactions.or(last.transactions),
            download_bytes_per_s: live.download_bytes_per_s.or(last.download_bytes_per_s),
            upload_bytes_per_s: live.upload_bytes_per_s.or(last.upload_bytes_per_s),
            state_cache_bytes: live.state_cache_bytes.or(last.state_cache_bytes),
        };
        node.changed = Changed {
            facts: node.changed.facts,
            ..EVERYTHING
        };
        self.changed.insert(key);
    }

    /// Whether messages of a kind change the table.
    pub(super) fn wants(kind: &str) -> bool {
        matches!(
            kind,
            "system.interval" | "block.import" | "notify.finalized"
        )
    }

    /// Takes over what a node says in a message that arrived `at` that time.
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
        let Some(node) = self.nodes.get_mut(peer_id) else {
            return;
        };
        let Ok(said) = serde_json::from_slice::<Said<'_>>(fields) else {
            return;
        };
        let changed = &mut node.changed;
        match kind {
            "block.import" | "system.interval" => {
                let height = integer(&said.height);
                if let Some(height) = height
                    && (node.last.height != Some(height)
                        || node.last.best_hash.as_deref() != said.best.as_deref())
                {
                    let chain = origin.genesis_hash.as_deref().or(origin.chain.as_deref());
                    let behind = match (kind, received_at, said.best.as_deref()) {
                        // An interval comes too seldom to tell when a block came.
                        ("block.import", Some(received_at), Some(hash)) => {
                            self.blocks
                                .heard(chain.unwrap_or_default(), hash, received_at)
                        }
                        _ => None,
                    };
                    let behind = behind.and_then(|behind| u64::try_from(behind.as_millis()).ok());
                    node.last.height = Some(height);
                    node.last.best_hash = hash(said.best);
                    node.last.best_at = Some(at);
                    node.last.propagation_ms = behind;
                    changed.best = true;
                }
                if let Some(height) = integer(&said.finalized_height) {
                    finalize(&mut node.last, changed, height, said.finalized_hash, at);
                }
                let last = &mut node.last;
                changed.pool |= take_over(&mut last.transactions, integer(&said.txcount));
                changed.pool |= take_over(
                    &mut last.state_cache_bytes,
                    number(&said.used_state_cache_size),
                );
                changed.network |= take_over(&mut last.peers, integer(&said.peers));
                changed.network |= take_over(
                    &mut last.download_bytes_per_s,
                    number(&said.bandwidth_download),
                );
                changed.network |=
                    take_over(&mut last.upload_bytes_per_s, number(&said.bandwidth_upload));
            }
            "notify.finalized" => {
                if let Some(height) = integer(&said.height) {
                    finalize(&mut node.last, changed, height, said.best, at);
                }
            }
            _ => {}
        }
        if *changed != Changed::default() {
            self.changed.insert(peer_id.into());
        }
    }

    /// The rows that changed since the last time, with the chain of each.
    pub(super) fn take_changes(&mut self) -> Vec<(Origin, Value)> {
        let changed = std::mem::take(&mut self.changed);
        let mut rows = Vec::with_capacity(changed.len());
        for key in changed {
            if let Some(node) = self.nodes.get_mut(&key) {
                let what = std::mem::take(&mut node.changed);
                rows.push((node.origin(), node.to_json(&key, what)));
            }
        }
        rows
    }

    /// All nodes of a chain, or all.
    pub(super) fn keys(&self, chain: Option<&str>) -> Vec<Arc<str>> {
        let admitted = |node: &Node| chain.is_none_or(|chain| node.origin().is_on(chain));
        let nodes = self.nodes.iter().filter(|(_, node)| admitted(node));
        nodes.map(|(key, _)| key.clone()).collect()
    }

    /// The whole row of a node, with or without what is not known.
    pub(super) fn row(&self, key: &str, with_unknown: bool) -> Option<Value> {
        let mut row = self.nodes.get(key)?.to_json(key, EVERYTHING);
        if let Value::Object(fields) = &mut row
            && !with_unknown
        {
            fields.retain(|_, value| !value.is_null());
        }
        Some(row)
    }
}

impl Node {
    fn origin(&self) -> Origin {
        Origin {
            chain: self.row.facts.chain.clone(),
            genesis_hash: self.row.facts.genesis_hash.clone(),
            ..Origin::default()
        }
    }

    fn to_json(&self, peer_id: &str, what: Changed) -> Value {
        let mut fields = Map::new();
        if what.facts {
            for part in [json!(self.row.facts), json!(self.row.hardware)] {
                if let Value::Object(part) = part {
                    fields.extend(part);
                }
            }
            fields.remove("config");
            let is_online = !self.open.is_empty();
            fields.extend(object(json!({
                "session": self.row.id,
                "online": is_online,
                "connected_at": time(Some(self.row.created_at)),
                "disconnected_at": time(self.row.disconnected_at.filter(|_| !is_online)),
                "disconnect_reason": self.row.disconnect_reason.as_deref().filter(|_| !is_online),
            })));
        }
        let last = &self.last;
        if what.best {
            fields.extend(object(json!({
                "height": last.height,
                "best_hash": last.best_hash,
                "best_at": time(last.best_at),
                "propagation_ms": last.propagation_ms,
            })));
        }
        if what.finalized {
            fields.extend(object(json!({
                "finalized_height": last.finalized_height,
                "finalized_hash": last.finalized_hash,
                "finalized_at": time(last.finalized_at),
            })));
        }
        if what.network {
            fields.extend(object(json!({
                "peers": last.peers,
                "download_bytes_per_s": last.download_bytes_per_s,
                "upload_bytes_per_s": last.upload_bytes_per_s,
            })));
        }
        if what.pool {
            fields.extend(object(json!({
                "transactions": last.transactions,
                "state_cache_bytes": last.state_cache_bytes,
            })));
        }
        fields.insert("peer_id".to_owned(), json!(peer_id));
        Value::Object(fields)
    }
}

fn finalize(
    last: &mut LastHeard,
    changed: &mut Changed,
    height: i64,
    hash_said: Option<Cow<'_, str>>,
    at: DateTime<Utc>,
) {
    if last.finalized_height != Some(height) {
        last.finalized_height = Some(height);
        last.finalized_hash = hash(hash_said);
        last.finalized_at = Some(at);
        changed.finalized = true;
    }
}

fn take_over<T: PartialEq>(known: &mut Option<T>, said: Option<T>) -> bool {
    let has_changed = said.is_some() && *known != said;
    if has_changed {
        *known = said;
    }
    has_changed
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn hash(said: Option<Cow<'_, str>>) -> Option<String> {
    said.filter(|hash| hash.len() <= HASH_BYTES_MAX)
        .map(Cow::into_owned)
}

fn time(time: Option<DateTime<Utc>>) -> Option<String> {
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Nodes write numbers as numbers or as texts.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(digits) => digits
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}
