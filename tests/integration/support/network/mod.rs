//! A made-up network: fake nodes on chains that grow by calls of a test, the
//! same in every run, over real websockets.
//!
//! Nodes are numbered through all chains, and so are chains. All start at block
//! [`FIRST_HEIGHT`]. Each fourth node of a chain is an old one: it sends the
//! flat format, and only such nodes send profiling spans and the reputations of
//! their peers.
//!
//! ```ignore
//! let mut network = Network::start(&app, &[("Alpha", 5), ("Beta", 3)]);
//! network.import(3, 105);            // node 3 has block 105 as its best
//! network.finalize(3, 103);
//! network.report(3);                 // system.interval: peers, bandwidth, pool …
//! network.grow(0);                   // the next block, on all nodes of chain 0
//! network.step();                    // six seconds of all chains at once
//! network.disconnect(3);             // and reconnect(3); reconnect_all(&app) after a restart
//! network.profile(3, "pallet_babe", "on_initialize", 235_760);
//! network.rate(3, &[(1, -42, true)]); // node 3 reports -42 for node 1, and is connected to it
//! network.send(3, "txpool.import", json!({"ready": 7, "future": 0}));
//! network.play_past(hours, seconds); // history, dated as such by wait_stored; needs Network::SETTINGS
//! network.wait_stored(&app);         // all that was sent is in the database
//! assert_eq!(browser.text("td.height"), network.node(3).height.to_string());
//! ```
//!
//! In a test that lasts longer than `NODE_IDLE_TIMEOUT_S` nodes have to send.

mod node;
mod words;

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{FakeNode, Random, TestApp, corpus};
pub use node::Node;

/// Where every chain starts.
pub const FIRST_HEIGHT: u64 = 100;

/// How far finality is behind.
const FINALITY_LAG: u64 = 2;

/// Time between blocks.
const BLOCK_TIME: TimeDelta = TimeDelta::seconds(6);

/// Fake nodes on chains.
pub struct Network {
    port: u16,
    random: Random,
    chains: Vec<Chain>,
    nodes: Vec<Node>,
    /// The time that nodes claim, if it is not that of this machine.
    time: Option<DateTime<Utc>>,
    /// Whether they ever claimed another time.
    has_past: bool,
    /// Time that a block takes from one node to the next.
    pace: Duration,
    /// Messages sent since the server was started.
    sent: u32,
    /// Connections on which the corpora were played.
    corpora: Vec<FakeNode>,
}

/// A chain of the network.
pub struct Chain {
    pub name: String,
    pub genesis_hash: String,
    pub height: u64,
    /// Numbers of its nodes.
    pub nodes: Range<usize>,
}

impl Network {
    /// Settings of a server that takes hours of a past within a second.
    pub const SETTINGS: [(&str, u32); 1] = [("NODE_FRAMES_PER_S_MAX", 0)];

    /// Connects so many nodes on chains with these names; each introduces itself.
    #[track_caller]
    pub fn start(app: &TestApp, chains: &[(&str, usize)]) -> Self {
        // Each node is an open file.
        rlimit::increase_nofile_limit(u64::MAX).unwrap();
        let mut network = Self {
            port: app.port(),
            random: Random::new(4),
            chains: Vec::new(),
            nodes: Vec::new(),
            time: None,
            has_past: false,
            pace: Duration::ZERO,
            sent: 0,
            corpora: Vec::new(),
        };
        for (chain, &(name, count)) in chains.iter().enumerate() {
            let first = network.nodes.len();
            network.chains.push(Chain {
                name: name.to_owned(),
                genesis_hash: words::hash(chain, 0),
                height: FIRST_HEIGHT,
                nodes: first..first + count,
            });
            for number in network.chains[chain].nodes.clone() {
                let is_old = (number - first) % 4 == 3;
                let node = Node::new(number, chain, is_old, &mut network.random);
                network.nodes.push(node);
                network.reconnect(number);
            }
        }
        network
    }

    pub fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn chain(&self, chain: usize) -> &Chain {
        &self.chains[chain]
    }

    /// The hash of a block.
    pub fn hash(&self, chain: usize, height: u64) -> String {
        words::hash(chain, height)
    }

    /// Waits until everything that was sent is in the database; what was sent from
    /// the past is dated as such, and the projections contain it.
    #[track_caller]
    pub fn wait_stored(&self, app: &TestApp) {
        app.wait_stored(self.sent);
        if self.has_past {
            app.db.date_by_nodes();
        }
        app.wait_projected();
    }

    /// From now on it is this time, up to a day ago; `None` is the true one.
    pub fn set_time(&mut self, time: Option<DateTime<Utc>>) {
        self.time = time;
        self.has_past |= time.is_some();
    }

    /// From now on a block takes so long from one node to the next.
    pub fn set_pace(&mut self, pace: Duration) {
        self.pace = pace;
    }

    /// Sends any message; `fields` are those of the event.
    #[track_caller]
    pub fn send(&mut self, node: usize, msg: &str, fields: Value) {
        let time = self.time.unwrap_or_else(Utc::now);
        self.nodes[node].send(time, msg, fields);
        self.sent += 1;
    }

    /// A node reports a block as its best.
    #[track_caller]
    pub fn import(&mut self, node: usize, height: u64) {
        self.import_from(node, height, "NetworkBroadcast");
    }

    fn import_from(&mut self, node: usize, height: u64, origin: &str) {
        let best = words::hash(self.nodes[node].chain, height);
        self.nodes[node].height = height;
        let fields = json!({"best": best, "height": height, "origin": origin});
        self.send(node, "block.import", fields);
    }

    /// A node reports a block as final.
    #[track_caller]
    pub fn finalize(&mut self, node: usize, height: u64) {
        let best = words::hash(self.nodes[node].chain, height);
        self.nodes[node].finalized_height = height;
        let fields = json!({"best": best, "height": height.to_string()});
        self.send(node, "notify.finalized", fields);
    }

    /// A node reports how it is: both halves of `system.interval`.
    #[track_caller]
    pub fn report(&mut self, node: usize) {
        self.nodes[node].change(&mut self.random);
        let Node {
            chain,
            height,
            finalized_height,
            peers,
            transactions,
            download_bytes_per_s,
            upload_bytes_per_s,
            state_cache_bytes,
            ..
        } = self.nodes[node];
        let half = json!({
            "best": words::hash(chain, height), "height": height, "txcount": transactions,
            "finalized_hash": words::hash(chain, finalized_height), "finalized_height": finalized_height,
            "used_state_cache_size": state_cache_bytes,
        });
        self.send(node, "system.interval", half);
        let half = json!({
            "peers": peers, "bandwidth_download": download_bytes_per_s, "bandwidth_upload": upload_bytes_per_s,
        });
        self.send(node, "system.interval", half);
    }

    /// The next block of a chain: one of its nodes authors it, the others import
    /// it one after the other, and an earlier one becomes final.
    #[track_caller]
    pub fn grow(&mut self, chain: usize) {
        self.chains[chain].height += 1;
        let height = self.chains[chain].height;
        let mut online = self.online(chain);
        if online.is_empty() {
            return;
        }
        let turn = usize::try_from(height).unwrap() % online.len();
        online.rotate_left(turn);
        let author = online[0];
        let block = json!({"hash": words::hash(chain, height), "number": height.to_string()});
        self.send(author, "prepared_block_for_proposing", block);
        for node in online {
            let origin = if node == author {
                "Own"
            } else {
                "NetworkBroadcast"
            };
            self.import_from(node, height, origin);
            self.finalize(node, height - FINALITY_LAG);
            std::thread::sleep(self.pace);
        }
    }

    /// What a block time brings: a block on each chain, and reports of all nodes.
    #[track_caller]
    pub fn step(&mut self) {
        for chain in 0..self.chains.len() {
            self.grow(chain);
            for node in self.online(chain) {
                self.report(node);
                let pool = json!({"ready": self.nodes[node].transactions, "future": self.random.between(0, 3)});
                self.send(node, "txpool.import", pool);
                if self.nodes[node].is_old {
                    self.profile_block(node);
                    self.rate_all(node);
                }
            }
        }
    }

    /// Lives through the past up to now: a step for every block time, or for
    /// every `interval` where that is longer.
    #[track_caller]
    pub fn play_past(&mut self, past: TimeDelta, interval: TimeDelta) {
        let now = Utc::now();
        let mut time = now - past;
        while time < now {
            self.set_time(Some(time));
            self.step();
            time += interval.max(BLOCK_TIME);
        }
        self.set_time(None);
    }

    /// A span of the runtime that took so many nanoseconds; of old nodes only.
    #[track_caller]
    pub fn profile(&mut self, node: usize, target: &str, name: &str, time_ns: u64) {
        assert!(self.nodes[node].is_old, "node {node} is too new for spans");
        let fields = json!({
            "target": target, "name": name, "time": time_ns.to_string(), "id": 2_251_799_813_685_249_u64,
            "parent_id": 1, "values": {"block": self.nodes[node].height, "wasm": true},
        });
        self.send(node, "tracing.profiling", fields);
    }

    /// The spans of one block.
    fn profile_block(&mut self, node: usize) {
        for (target, name, usual_ns) in words::SPANS {
            let time_ns = self.random.between(usual_ns * 7 / 10, usual_ns * 16 / 10);
            self.profile(node, target, name, time_ns);
        }
    }

    /// The reputations that a node reports: (node, reputation, whether it is connected
    /// to it); of old nodes only.
    #[track_caller]
    pub fn rate(&mut self, node: usize, peers: &[(usize, i64, bool)]) {
        assert!(
            self.nodes[node].is_old,
            "node {node} is too new for reputations"
        );
        let peers = peers.iter().map(|&(peer, reputation, connected)| {
            let said = json!({"reputation": reputation, "connected": connected});
            (self.nodes[peer].peer_id.clone(), said)
        });
        let peers: serde_json::Map<_, _> = peers.collect();
        let state = json!({
            "peerId": self.nodes[node].peer_id, "listenedAddresses": ["/ip4/127.0.0.1/tcp/30333"],
            "externalAddresses": [], "connectedPeers": {}, "notConnectedPeers": {},
            "averageDownloadPerSec": self.nodes[node].download_bytes_per_s,
            "averageUploadPerSec": self.nodes[node].upload_bytes_per_s,
            "peerset": {"message_queue": 0, "nodes": peers, "reserved_only": false},
        });
        self.send(node, "system.network_state", json!({"state": state}));
    }

    /// A node reports all others of its chain: most with a high reputation, few with a low one.
    fn rate_all(&mut self, node: usize) {
        let peers = self.chains[self.nodes[node].chain].nodes.clone();
        let ratings: Vec<_> = peers
            .filter(|peer| *peer != node)
            .map(|peer| {
                let chance = self.random.between(0, 400);
                let reputation = i64::try_from(chance).unwrap() - 100;
                let is_bad = peer % 7 == 2;
                let reputation = if is_bad {
                    reputation * 20 - 9_000
                } else {
                    reputation
                };
                (peer, reputation, self.nodes[peer].is_online() && !is_bad)
            })
            .collect();
        self.rate(node, &ratings);
    }

    /// The process of a node ends.
    #[track_caller]
    pub fn disconnect(&mut self, node: usize) {
        self.nodes[node].disconnect();
    }

    /// A node connects, and introduces itself as nodes do.
    #[track_caller]
    pub fn reconnect(&mut self, node: usize) {
        self.nodes[node].connect(self.port);
        let chain = &self.chains[self.nodes[node].chain];
        let facts = self.nodes[node].facts(&chain.name, &chain.genesis_hash);
        self.send(node, "system.connected", facts);
        if let Some(scores) = self.nodes[node].scores() {
            self.send(node, "sysinfo.hwbench", scores);
        }
        self.report(node);
    }

    /// All nodes come back after the server was started again.
    #[track_caller]
    pub fn reconnect_all(&mut self, app: &TestApp) {
        self.port = app.port();
        self.sent = 0;
        for node in 0..self.nodes.len() {
            self.reconnect(node);
        }
    }

    /// Plays the captured frames of genuine nodes; they stay online.
    #[track_caller]
    pub fn play_corpora(&mut self) {
        for format in ["v1", "v2"] {
            let mut node = FakeNode::connect(self.port, "/submit");
            for frame in corpus(format) {
                node.send(frame);
                self.sent += 1;
            }
            self.corpora.push(node);
        }
    }

    fn online(&self, chain: usize) -> Vec<usize> {
        let nodes = self.chains[chain].nodes.clone();
        nodes.filter(|node| self.nodes[*node].is_online()).collect()
    }
}
