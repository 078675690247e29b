//! What a made-up node is, and which messages it sends when.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::chain::{CHAINS, Chain, Format};

/// Of ten nodes so many are of the first chain, the second, the third.
const OF_CHAIN: [usize; 10] = [0, 0, 1, 0, 2, 0, 1, 0, 2, 0];

/// Nodes of a legacy chain in a small fleet know so many peers by reputation.
const REPUTATIONS: u16 = 4;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Connect,
    /// `system.connected`.
    Introduce,
    /// It imports the block of this height.
    Block(i64),
    /// `system.interval` of the chain, and that of the network.
    Status,
    Network,
    Pool,
    /// Reputation of its peers: old nodes only.
    Peers,
    /// It disconnects and is away for so long.
    Leave {
        away_ms: i64,
    },
}

/// A made-up node.
#[derive(Debug)]
pub(super) struct Node {
    chain: &'static Chain,
    index: u16,
    peer_id: String,
    name: String,
    version: &'static str,
    is_validator: bool,
    /// Blocks by which its finality is behind.
    lag: i64,
    /// After how long it disconnects, ms.
    leaves_after: Option<i64>,
}

const NAMES: [&str; 20] = [
    "alder", "birch", "cedar", "elm", "fir", "hazel", "juniper", "larch", "maple", "oak", "pine",
    "rowan", "spruce", "willow", "yew", "aspen", "beech", "cherry", "linden", "poplar",
];

impl Node {
    /// The node of an index, the same each time.
    pub(super) fn new(index: u16) -> Self {
        let place = usize::from(index);
        let kind = OF_CHAIN.iter().cycle().nth(place % OF_CHAIN.len());
        let chain = CHAINS.get(kind.copied().unwrap_or_default());
        let [first, ..] = &CHAINS;
        let chain = chain.unwrap_or(first);
        let name = NAMES.iter().cycle().nth(place).copied();
        let version = chain.versions.iter().cycle();
        let turn = if index % 3 == 2 { 1 + place / 6 } else { 0 };
        Self {
            chain,
            index,
            peer_id: peer_id(index),
            name: format!("{}-{:02}", name.unwrap_or("node"), place / NAMES.len() + 1),
            version: version.skip(turn).copied().next().unwrap_or_default(),
            is_validator: (index * 3) % 10 < chain.validators_of_ten,
            lag: if index == 7 { 38 } else { 0 },
            leaves_after: (index == 5).then_some(120_000),
        }
    }

    /// What follows upon `event`: times (Unix, ms) and what is due then.
    pub(super) fn after(&self, event: Event, now: i64) -> Vec<(i64, Event)> {
        let phase = i64::from(self.index % 50) * 97;
        match event {
            Event::Connect => {
                let next = self.chain.height_at(now) + 1;
                let mut planned = vec![
                    (now, Event::Introduce),
                    (self.imports_at(next), Event::Block(next)),
                    (now + 500 + phase, Event::Status),
                    (now + 900 + phase, Event::Network),
                    (now + 700 + phase, Event::Pool),
                ];
                if self.chain.format == Format::V1 {
                    planned.push((now + 1_200 + phase, Event::Peers));
                }
                let leave = self.leaves_after.map(|after| now + after);
                planned.extend(leave.map(|at| (at, Event::Leave { away_ms: 25_000 })));
                planned
            }
            Event::Block(height) => {
                let next = height + 1;
                vec![(self.imports_at(next), Event::Block(next))]
            }
            Event::Status | Event::Network => vec![(now + 5_000, event)],
            Event::Pool => vec![(now + 2_000, event)],
            Event::Peers => vec![(now + 30_000, event)],
            Event::Introduce | Event::Leave { .. } => Vec::new(),
        }
    }

    /// The messages of an event.
    pub(super) fn messages(&self, event: Event, now: i64) -> Vec<String> {
        let payloads = match event {
            Event::Introduce => self.introduction(now),
            Event::Block(height) => self.block(height),
            Event::Status => vec![self.status(now)],
            Event::Network => vec![json!({
                "msg": "system.interval", "peers": 24 + self.noise(now) % 17,
                "bandwidth_download": 180_000 + self.noise(now + 1) % 240_000,
                "bandwidth_upload": 90_000 + self.noise(now + 2) % 160_000,
            })],
            Event::Pool => vec![json!({
                "msg": "txpool.import", "ready": self.noise(now) % 60, "future": self.noise(now + 1) % 4,
            })],
            Event::Peers => vec![self.peers()],
            Event::Connect | Event::Leave { .. } => Vec::new(),
        };
        let payloads = payloads.into_iter();
        payloads.map(|payload| self.write(payload, now)).collect()
    }

    /// When it has a block: its own at once, those of others as they come through
    /// the network, most within half a second.
    fn imports_at(&self, height: i64) -> i64 {
        let delay = if self.is_author(height) {
            0
        } else {
            let usual = 90 + self.noise(height) % 320;
            let is_late = self.noise(height + 1) % 16 == 0;
            usual + if is_late { 1_100 } else { 0 }
        };
        self.chain.made_at(height) + delay
    }

    fn is_author(&self, height: i64) -> bool {
        // One author for each block: of a larger fleet the first ten make them.
        self.is_validator && height.rem_euclid(10) == i64::from(self.index)
    }

    fn introduction(&self, now: i64) -> Vec<Value> {
        let chain = self.chain;
        let mut connected = json!({
            "msg": "system.connected", "name": self.name, "network_id": self.peer_id,
            "chain": chain.name, "genesis_hash": chain.hash(0), "config": "",
            "implementation": chain.implementation, "version": self.version,
            "authority": self.is_validator, "startup_time": (now - 86_400_000).to_string(),
        });
        if chain.format == Format::V1 {
            return vec![connected];
        }
        let (cpu, cores) = match self.index % 3 {
            0 => ("AMD EPYC 7B13", 8),
            1 => ("AMD Ryzen 9 7950X3D 16-Core Processor", 16),
            _ => ("Intel(R) Xeon(R) E-2388G CPU @ 3.20GHz", 8),
        };
        if let Some(fields) = connected.as_object_mut() {
            fields.insert("target_arch".to_owned(), json!("x86_64"));
            fields.insert("target_env".to_owned(), json!("gnu"));
            fields.insert("target_os".to_owned(), json!("linux"));
            let system = json!({
                "cpu": cpu, "core_count": cores, "memory": 67_448_651_776_i64,
                "is_virtual_machine": self.index.is_multiple_of(3),
                "linux_distro": "Debian GNU/Linux 12 (bookworm)", "linux_kernel": "6.1.0-28-amd64",
            });
            fields.insert("sysinfo".to_owned(), system);
        }
        let benchmark = json!({
            "msg": "sysinfo.hwbench", "cpu_hashrate_score": 900 + self.noise(0) % 500,
            "memory_memcpy_score": 12_000 + self.noise(1) % 9_000,
            "disk_sequential_write_score": 700 + self.noise(2) % 900,
            "disk_random_write_score": 300 + self.noise(3) % 500,
            "parallel_cpu_cores": cores, "parallel_cpu_hashrate_score": 7_000 + self.noise(4) % 3_000,
        });
        vec![connected, benchmark]
    }

    fn block(&self, height: i64) -> Vec<Value> {
        let chain = self.chain;
        let hash = chain.hash(height);
        let is_own = self.is_author(height);
        let mut said = Vec::new();
        if is_own {
            said.push(json!({
                "msg": "prepared_block_for_proposing", "hash": hash, "number": height.to_string(),
            }));
        }
        let origin = if is_own { "Own" } else { "NetworkBroadcast" };
        said.push(json!({"msg": "block.import", "height": height, "best": hash, "origin": origin}));
        if height % 2 == 0 {
            let finalized = self.finalized(height);
            said.push(json!({
                "msg": "notify.finalized", "best": chain.hash(finalized), "height": finalized.to_string(),
            }));
        }
        if chain.format == Format::V1 {
            said.extend(SPANS.iter().zip(1..).map(|((target, name, usual), id)| {
                let time = usual + self.noise(height + id) % (usual / 2);
                json!({
                    "msg": "tracing.profiling", "id": id, "parent_id": null, "target": target, "name": name,
                    "time": time.to_string(), "values": {"block": height},
                })
            }));
        }
        said
    }

    fn status(&self, now: i64) -> Value {
        let height = self.chain.height_at(now);
        let has_it = self.imports_at(height) <= now;
        let height = if has_it { height } else { height - 1 };
        let finalized = self.finalized(height);
        json!({
            "msg": "system.interval", "height": height, "best": self.chain.hash(height),
            "finalized_height": finalized, "finalized_hash": self.chain.hash(finalized),
            "txcount": self.noise(now) % 60, "used_state_cache_size": 9_018_653 + self.noise(now + 1) % 4_000_000,
        })
    }

    fn finalized(&self, height: i64) -> i64 {
        height - 2 - self.lag
    }

    /// The reputations of its peers, a part of `system.network_state`.
    fn peers(&self) -> Value {
        let others = (1..=REPUTATIONS).map(|step| {
            let other = peer_id(self.index.wrapping_add(step * 2));
            let reputation = -self.noise(i64::from(step)) % 400;
            (other, json!({"connected": true, "reputation": reputation}))
        });
        let nodes: serde_json::Map<String, Value> = others.collect();
        json!({"msg": "system.network_state", "state": {
            "peerId": self.peer_id, "connectedPeers": {}, "notConnectedPeers": {},
            "externalAddresses": [], "listenedAddresses": [],
            "averageDownloadPerSec": 0, "averageUploadPerSec": 0,
            "peerset": {"message_queue": 0, "nodes": nodes, "reserved_only": false},
        }})
    }

    fn write(&self, payload: Value, now: i64) -> String {
        let time = DateTime::<Utc>::from_timestamp_millis(now).unwrap_or_default();
        let ts = time.to_rfc3339_opts(SecondsFormat::Nanos, false);
        match (self.chain.format, payload) {
            (Format::V1, Value::Object(mut fields)) => {
                fields.insert("level".to_owned(), json!("INFO"));
                fields.insert("ts".to_owned(), json!(ts));
                format!("{}\n", Value::Object(fields))
            }
            (_, payload) => json!({"id": 1, "payload": payload, "ts": ts}).to_string(),
        }
    }

    /// A number below 2^31 that looks random, the same each time for `seed`.
    fn noise(&self, seed: i64) -> i64 {
        let [a, b, c, d, ..] = Sha256::digest(format!("{} {seed}", self.peer_id)).0;
        i64::from(u32::from_be_bytes([a, b, c, d]) >> 1)
    }
}

/// Spans of a block, with their usual length in ns.
const SPANS: [(&str, &str, i64); 3] = [
    ("frame_executive", "execute_block", 4_200_000),
    ("pallet_babe", "on_initialize", 235_000),
    ("pallet_balances", "transfer", 96_000),
];

fn peer_id(index: u16) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    const LENGTH: usize = 44;
    let halves = [0, 1].map(|half| Sha256::digest(format!("demo node {index} {half}")));
    let bytes = halves.iter().flatten().take(LENGTH);
    let letters = bytes.filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
    let id: String = letters.map(|letter| char::from(*letter)).collect();
    format!("12D3KooW{id}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::telemetry::decode;

    const NOW: i64 = 1_795_000_000_000;

    #[test]
    fn a_fleet_of_ten_has_all_chains_and_several_versions() {
        let fleet: Vec<_> = (0..10).map(Node::new).collect();
        let chains: HashSet<_> = fleet.iter().map(|node| node.chain.name).collect();
        let versions: HashSet<_> = fleet.iter().map(|node| node.version).collect();
        let ids: HashSet<_> = fleet.iter().map(|node| &node.peer_id).collect();
        assert_eq!(chains.len(), CHAINS.len());
        assert!(versions.len() > CHAINS.len(), "{versions:?}");
        assert_eq!(ids.len(), fleet.len());
        assert!(fleet.iter().any(|node| node.is_validator));
        assert!(fleet.iter().any(|node| !node.is_validator));
    }

    #[test]
    fn every_message_is_one_of_a_node() {
        let all = [
            Event::Introduce,
            Event::Block(24_300_010),
            Event::Status,
            Event::Network,
            Event::Pool,
            Event::Peers,
        ];
        for node in (0..10).map(Node::new) {
            for message in all.iter().flat_map(|event| node.messages(*event, NOW)) {
                let decoded = decode(message.as_bytes()).unwrap();
                assert!(decoded.ts.is_some(), "{message}");
            }
        }
    }

    #[test]
    fn each_block_comes_after_it_was_made_and_before_the_next() {
        for node in (0..10).map(Node::new) {
            for height in 24_300_010..24_300_110 {
                let delay = node.imports_at(height) - node.chain.made_at(height);
                assert!((0..node.chain.block_ms).contains(&delay), "{delay}");
            }
        }
    }
}
