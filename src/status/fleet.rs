//! All nodes together: each is judged by its own machine, beside the others of its
//! chain. Pure: time is passed in, and changes count when they were kept.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::chain::{Chain, Turn};
use super::flips::{ChainKey, Flips, Handle, Kept, KeptChain, NodeFlip, NodeKey, NodeSeen};
use super::machine::{Circumstances, Machine, Seen, Time, Verdict};
use super::outages::{GRACE, Outages};
use crate::config::{NodeRules, StatusConfig};
use crate::metrics::{NodeState, StatusReason};

#[derive(Debug)]
struct Node {
    key: NodeKey,
    machine: Machine,
    chain: usize,
    server: Option<usize>,
    /// 0 until its first state is kept.
    revision: i64,
    has_session: bool,
    /// The last look that found it.
    look: u64,
}

/// All nodes that are watched.
#[derive(Debug, Default)]
pub struct Fleet {
    config: StatusConfig,
    nodes: HashMap<Handle, Node>,
    handles: HashMap<NodeKey, Handle>,
    chains: Vec<Chain>,
    places: HashMap<ChainKey, usize>,
    /// Numbers the looks at the database.
    look: u64,
    servers: Vec<Server>,
}

/// A server with sessions of nodes.
#[derive(Debug)]
struct Server {
    name: String,
    /// Until when its nodes have grace in this round.
    grace_until: Time,
    /// How far its clock is ahead in this look.
    clock_offset: TimeDelta,
}

impl Fleet {
    /// No nodes yet.
    pub fn new(config: StatusConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Nodes that are watched.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is watched.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether a node is watched.
    pub fn knows(&self, key: &NodeKey) -> bool {
        self.handles.contains_key(key)
    }

    /// A look at the database begins.
    pub fn begin_look(&mut self, outages: &Outages) {
        self.look += 1;
        for server in &mut self.servers {
            server.clock_offset = outages.clock_offset(Some(&server.name));
        }
    }

    /// The nodes that are watched and had no open session when they were seen last.
    pub fn without_session(&self) -> impl Iterator<Item = &NodeKey> {
        let nodes = self.nodes.values();
        nodes.filter_map(|node| (!node.has_session).then_some(&node.key))
    }

    /// The nodes that this look has not found so far.
    pub fn not_found(&self) -> Vec<NodeKey> {
        let nodes = self.nodes.values();
        let left_out = nodes.filter(|node| node.look != self.look);
        left_out.map(|node| node.key.clone()).collect()
    }

    /// Takes the last change of a chain as it was kept.
    pub fn restore_chain(&mut self, key: ChainKey, kept: KeptChain) {
        let place = self.chain(key, "");
        if let Some(chain) = self.chains.get_mut(place) {
            chain.kept = Some(kept);
        }
    }

    /// Watches a node from now on, in the state that was kept, if one was.
    pub fn watch(&mut self, node: NodeSeen, kept: Option<Kept>) {
        let key = match node.key.genesis_hash.is_empty() {
            true => ChainKey {
                genesis_hash: String::new(),
                name: node.chain.clone(),
            },
            false => ChainKey {
                genesis_hash: node.key.genesis_hash.clone(),
                name: String::new(),
            },
        };
        let chain = self.chain(key, &node.chain);
        let state = kept.map_or(NodeState::Online, |kept| kept.state);
        let watched = Node {
            key: node.key,
            machine: Machine::new(state, &node.seen),
            chain,
            server: self.server(node.server),
            revision: kept.map_or(0, |kept| kept.revision),
            has_session: node.seen.ended.is_none(),
            look: self.look,
        };
        self.put(node.handle, watched);
    }

    /// Keeps a node under its key and its handle, and what was under either before no more.
    fn put(&mut self, handle: Handle, node: Node) {
        self.take(&node.key);
        if let Some(other) = self.nodes.remove(&handle) {
            self.handles.remove(&other.key);
        }
        self.handles.insert(node.key.clone(), handle);
        self.nodes.insert(handle, node);
    }

    /// Takes what was seen of a node that is watched; the look is `late_by` later than it
    /// should be.
    pub fn see(&mut self, node: NodeSeen, late_by: TimeDelta) {
        let server = self.server(node.server);
        let Some(mut known) = self.take(&node.key) else {
            return;
        };
        let rules = rules(&self.chains, known.chain, &self.config);
        known.machine.see(&node.seen, rules, late_by);
        known.server = server;
        known.has_session = node.seen.ended.is_none();
        known.look = self.look;
        self.put(node.handle, known);
    }

    /// Takes what was seen of a node in the session in which it was seen before, and which is
    /// still open: its times are those of its server. Whether there is such a node.
    pub fn see_again(&mut self, handle: Handle, mut seen: Seen, late_by: TimeDelta) -> bool {
        let Some(known) = self.nodes.get_mut(&handle) else {
            return false;
        };
        let server = known.server.and_then(|place| self.servers.get(place));
        let offset = server.map_or(TimeDelta::zero(), |server| server.clock_offset);
        if !offset.is_zero() {
            seen = seen.ahead(offset);
        }
        let rules = rules(&self.chains, known.chain, &self.config);
        known.machine.see(&seen, rules, late_by);
        known.has_session = true;
        known.look = self.look;
        true
    }

    fn take(&mut self, key: &NodeKey) -> Option<Node> {
        self.nodes.remove(&self.handles.remove(key)?)
    }

    /// Forgets a node that is no more.
    pub fn forget(&mut self, key: &NodeKey) {
        self.take(key);
    }

    /// How many nodes are in each state; none in those that are left out.
    pub fn counts(&self) -> HashMap<NodeState, usize> {
        let mut counts = HashMap::new();
        for node in self.nodes.values() {
            *counts.entry(node.machine.state()).or_default() += 1;
        }
        counts
    }

    /// The changes that are due; what arrived before `now` is known.
    pub fn judge(&mut self, now: Time, outages: &Outages) -> Flips {
        let grace_of_all = outages.grace_until(None);
        for server in &mut self.servers {
            server.grace_until = outages.grace_until(Some(&server.name));
        }
        self.tally(now, grace_of_all);
        let mut flips = Flips::default();
        let mut turns = Vec::with_capacity(self.chains.len());
        for chain in &mut self.chains {
            let turn = chain.turn(now);
            flips.chains.extend(chain.flip(turn, now));
            if turn == Turn::Ends {
                chain.grace_until = now + GRACE;
            }
            turns.push(turn);
        }
        for node in self.nodes.values_mut() {
            let (Some(chain), Some(turn)) = (self.chains.get(node.chain), turns.get(node.chain))
            else {
                continue;
            };
            let server = node.server.and_then(|place| self.servers.get(place));
            let grace_until = server.map_or(grace_of_all, |server| server.grace_until);
            let around = Circumstances {
                now,
                grace_until: grace_until.max(chain.grace_until),
                rules: &chain.rules,
                chain: chain.heights.beside(node.machine.heights()),
            };
            let Some((verdict, is_part)) = chain.judge(&mut node.machine, &around, *turn) else {
                if node.revision == 0 {
                    flips.nodes.push(node.first_flip());
                }
                continue;
            };
            flips.nodes.push(NodeFlip {
                key: node.key.clone(),
                from: (node.revision > 0).then(|| node.machine.state()),
                verdict,
                revision: node.revision,
                part_of: is_part.then(|| chain.key.clone()),
            });
        }
        flips
    }

    /// Changes were kept; `changes` are the numbers of those of chains, in their order.
    pub fn enter(&mut self, flips: Flips, changes: &[i64], now: Time) {
        for (flip, change) in flips.chains.iter().zip(changes) {
            let place = self.chain(flip.key.clone(), "");
            if let Some(chain) = self.chains.get_mut(place) {
                chain.kept = Some(KeptChain {
                    state: flip.verdict.to,
                    revision: flip.revision + 1,
                    change: *change,
                    at: now,
                    nodes: flip.nodes,
                });
            }
        }
        for (change, nodes) in self.joining(&flips) {
            let mut kept = self
                .chains
                .iter_mut()
                .filter_map(|chain| chain.kept.as_mut());
            if let Some(kept) = kept.find(|kept| kept.change == change) {
                kept.nodes += nodes;
            }
        }
        for flip in flips.nodes {
            let handle = self.handles.get(&flip.key);
            let Some(node) = handle.and_then(|handle| self.nodes.get_mut(handle)) else {
                continue;
            };
            node.machine.enter(flip.verdict.to);
            node.revision = flip.revision + 1;
            if flip.verdict.to == NodeState::Offline {
                // It is watched again as soon as it has an open session.
                self.forget(&flip.key);
            }
        }
    }

    /// How many nodes join an event that went on before, by the number of its change.
    pub fn joining(&self, flips: &Flips) -> HashMap<i64, usize> {
        let mut joining = HashMap::new();
        let is_new = |key: &ChainKey| flips.chains.iter().any(|flip| flip.key == *key);
        for flip in &flips.nodes {
            if let Some(key) = &flip.part_of
                && flip.verdict.to == NodeState::TelemetryLost
                && !is_new(key)
                && let Some(kept) = self.last_change(key)
            {
                *joining.entry(kept.change).or_default() += 1;
            }
        }
        joining
    }

    /// The last change of a chain.
    pub fn last_change(&self, key: &ChainKey) -> Option<KeptChain> {
        let place = self.places.get(key)?;
        self.chains.get(*place)?.kept
    }

    fn server(&mut self, name: Option<String>) -> Option<usize> {
        let name = name?;
        let known = self.servers.iter().position(|known| known.name == name);
        Some(known.unwrap_or_else(|| {
            self.servers.push(Server {
                name,
                grace_until: Time::MIN_UTC,
                clock_offset: TimeDelta::zero(),
            });
            self.servers.len() - 1
        }))
    }

    fn chain(&mut self, key: ChainKey, name: &str) -> usize {
        let rules = self.config.of_chain(&key.genesis_hash, name);
        if let Some(place) = self.places.get(&key) {
            if let Some(chain) = self.chains.get_mut(*place)
                && !name.is_empty()
                && chain.name != name
            {
                (chain.rules, chain.name) = (rules, name.to_owned());
            }
            return *place;
        }
        let place = self.chains.len();
        self.places.insert(key.clone(), place);
        self.chains.push(Chain::new(key, name, rules));
        place
    }

    /// Counts the silent nodes of each chain, and takes the heights of the others.
    fn tally(&mut self, now: Time, grace_of_all: Time) {
        self.chains.iter_mut().for_each(Chain::clear);
        for node in self.nodes.values() {
            let server = node.server.and_then(|place| self.servers.get(place));
            let grace_until = server.map_or(grace_of_all, |server| server.grace_until);
            if let Some(chain) = self.chains.get_mut(node.chain) {
                chain.count(&node.machine, now, grace_until);
            }
        }
        for chain in &mut self.chains {
            chain.sum_up(now);
        }
    }
}

/// The thresholds of the chain at a place.
fn rules<'a>(chains: &'a [Chain], place: usize, config: &'a StatusConfig) -> &'a NodeRules {
    chains
        .get(place)
        .map_or(&config.rules, |chain| &chain.rules)
}

impl Node {
    /// It is new, and nothing is wrong with it.
    fn first_flip(&self) -> NodeFlip {
        NodeFlip {
            key: self.key.clone(),
            from: None,
            verdict: Verdict {
                to: self.machine.state(),
                reason: StatusReason::FirstSeen,
                since: self.machine.last_seen(),
            },
            revision: 0,
            part_of: None,
        }
    }
}
