//! All nodes together: each is judged by its own machine, beside the others of its
//! chain. Pure: time is passed in, and changes count when they were kept.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::chain::{Chain, Turn};
use super::flips::{ChainKey, Flips, Kept, KeptChain, NodeFlip, NodeKey, NodeSeen};
use super::machine::{Circumstances, Machine, Time, Verdict};
use super::outages::{GRACE, Outages};
use crate::config::StatusConfig;
use crate::metrics::{NodeState, StatusReason};

#[derive(Debug)]
struct Node {
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
    nodes: HashMap<NodeKey, Node>,
    chains: Vec<Chain>,
    places: HashMap<ChainKey, usize>,
    /// Numbers the looks at the database.
    look: u64,
    /// Names of servers, and until when their nodes have grace in this round.
    servers: Vec<(String, Time)>,
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
        self.nodes.contains_key(key)
    }

    /// A look at the database begins.
    pub fn begin_look(&mut self) {
        self.look += 1;
    }

    /// The nodes that are watched and had no open session when they were seen last.
    pub fn without_session(&self) -> impl Iterator<Item = &NodeKey> {
        let nodes = self.nodes.iter();
        nodes.filter_map(|(key, node)| (!node.has_session).then_some(key))
    }

    /// The nodes that this look has not found so far.
    pub fn not_found(&self) -> Vec<NodeKey> {
        let nodes = self.nodes.iter();
        let left_out = nodes.filter(|(_, node)| node.look != self.look);
        left_out.map(|(key, _)| key.clone()).collect()
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
            machine: Machine::new(state, &node.seen),
            chain,
            server: self.server(node.server),
            revision: kept.map_or(0, |kept| kept.revision),
            has_session: node.seen.ended.is_none(),
            look: self.look,
        };
        self.nodes.insert(node.key, watched);
    }

    /// Takes what was seen of a node that is watched; the look is `late_by` later than it
    /// should be.
    pub fn see(&mut self, node: NodeSeen, late_by: TimeDelta) {
        let server = self.server(node.server);
        let Some(known) = self.nodes.get_mut(&node.key) else {
            return;
        };
        let rules = self.chains.get(known.chain).map(|chain| &chain.rules);
        let rules = rules.unwrap_or(&self.config.rules);
        known.machine.see(&node.seen, rules, late_by);
        known.server = server;
        known.has_session = node.seen.ended.is_none();
        known.look = self.look;
    }

    /// Forgets a node that is no more.
    pub fn forget(&mut self, key: &NodeKey) {
        self.nodes.remove(key);
    }

    /// How many nodes are in each state.
    pub fn count(&self, state: NodeState) -> usize {
        let nodes = self.nodes.values();
        nodes.filter(|node| node.machine.state() == state).count()
    }

    /// The changes that are due; what arrived before `now` is known.
    pub fn judge(&mut self, now: Time, outages: &Outages) -> Flips {
        let grace_of_all = outages.grace_until(None);
        for (server, grace_until) in &mut self.servers {
            *grace_until = outages.grace_until(Some(server));
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
        for (key, node) in &mut self.nodes {
            let (Some(chain), Some(turn)) = (self.chains.get(node.chain), turns.get(node.chain))
            else {
                continue;
            };
            let server = node.server.and_then(|place| self.servers.get(place));
            let grace_until = server.map_or(grace_of_all, |(_, grace_until)| *grace_until);
            let around = Circumstances {
                now,
                grace_until: grace_until.max(chain.grace_until),
                rules: &chain.rules,
                chain: chain.heights.beside(node.machine.heights()),
            };
            let Some((verdict, is_part)) = chain.judge(&mut node.machine, &around, *turn) else {
                if node.revision == 0 {
                    flips.nodes.push(node.first_flip(key));
                }
                continue;
            };
            flips.nodes.push(NodeFlip {
                key: key.clone(),
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
            let Some(node) = self.nodes.get_mut(&flip.key) else {
                continue;
            };
            node.machine.enter(flip.verdict.to);
            node.revision = flip.revision + 1;
            if flip.verdict.to == NodeState::Offline {
                // It is watched again as soon as it has an open session.
                self.nodes.remove(&flip.key);
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
        let known = self.servers.iter().position(|(known, _)| *known == name);
        Some(known.unwrap_or_else(|| {
            self.servers.push((name, Time::MIN_UTC));
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
            let grace_until = server.map_or(grace_of_all, |(_, until)| *until);
            if let Some(chain) = self.chains.get_mut(node.chain) {
                chain.count(&node.machine, now, grace_until);
            }
        }
        for chain in &mut self.chains {
            chain.sum_up(now);
        }
    }
}

impl Node {
    /// It is new, and nothing is wrong with it.
    fn first_flip(&self, key: &NodeKey) -> NodeFlip {
        NodeFlip {
            key: key.clone(),
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
