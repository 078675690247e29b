//! One node of the made-up network.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::FIRST_HEIGHT;
use super::words;
use crate::support::{FakeNode, Random};

/// A node, with what it last reported.
pub struct Node {
    pub name: String,
    pub peer_id: String,
    /// Number of its chain.
    pub chain: usize,
    /// From before 2021: it sends the flat format, spans and reputations.
    pub is_old: bool,
    pub is_authority: bool,
    pub height: u64,
    pub finalized_height: u64,
    pub peers: u64,
    pub transactions: u64,
    pub download_bytes_per_s: u64,
    pub upload_bytes_per_s: u64,
    pub state_cache_bytes: u64,
    number: usize,
    startup_time: DateTime<Utc>,
    socket: Option<FakeNode>,
}

impl Node {
    pub(super) fn new(number: usize, chain: usize, is_old: bool, random: &mut Random) -> Self {
        let minutes = i64::try_from(random.between(5, 20_000)).unwrap();
        let mut node = Self {
            name: words::name(number),
            peer_id: words::peer_id(random),
            chain,
            is_old,
            is_authority: number.is_multiple_of(3),
            height: FIRST_HEIGHT,
            finalized_height: FIRST_HEIGHT - super::FINALITY_LAG,
            peers: random.between(12, 50),
            transactions: 0,
            download_bytes_per_s: 0,
            upload_bytes_per_s: 0,
            state_cache_bytes: 0,
            number,
            startup_time: Utc::now() - chrono::TimeDelta::minutes(minutes),
            socket: None,
        };
        node.change(random);
        node
    }

    pub fn is_online(&self) -> bool {
        self.socket.is_some()
    }

    /// Time goes on: peers come and go, the pool fills and empties.
    pub(super) fn change(&mut self, random: &mut Random) {
        self.peers = (self.peers + random.between(0, 2))
            .saturating_sub(1)
            .clamp(1, 60);
        self.transactions = random.between(0, 40);
        self.download_bytes_per_s = 1_500 * self.peers + random.between(0, 20_000);
        self.upload_bytes_per_s = 1_900 * self.peers + random.between(0, 25_000);
        self.state_cache_bytes = random.between(40, 64) << 20;
    }

    pub(super) fn connect(&mut self, port: u16) {
        self.socket = Some(FakeNode::connect(port, "/submit"));
    }

    #[track_caller]
    pub(super) fn disconnect(&mut self) {
        let socket = self.socket.take();
        socket.expect("the node is connected").leave();
    }

    #[track_caller]
    pub(super) fn send(&mut self, time: DateTime<Utc>, msg: &str, mut fields: Value) {
        let ts = time.to_rfc3339_opts(SecondsFormat::Nanos, false);
        fields["msg"] = json!(msg);
        let frame = if self.is_old {
            fields["level"] = json!("INFO");
            fields["ts"] = json!(ts);
            format!("{fields}\n")
        } else {
            json!({"id": 1, "payload": fields, "ts": ts}).to_string()
        };
        let socket = self.socket.as_mut().expect("the node is connected");
        socket.send(frame);
    }

    /// The fields of `system.connected`.
    pub(super) fn facts(&self, chain: &str, genesis_hash: &str) -> Value {
        let mut facts = json!({
            "name": self.name, "network_id": self.peer_id, "chain": chain, "genesis_hash": genesis_hash,
            "authority": self.is_authority, "config": "", "implementation": "Tetcore Node",
            "startup_time": self.startup_time.timestamp_millis().to_string(),
        });
        if self.is_old {
            facts["version"] = json!("2.0.1-x86_64-linux-gnu");
            return facts;
        }
        let machine = self.machine();
        facts["version"] = json!(["1.18.0-4a1f0c2e9d1", "1.17.1-b8a0d5e7c33"][self.number % 2]);
        facts["target_os"] = json!("linux");
        facts["target_arch"] = json!(machine.arch);
        facts["target_env"] = json!("gnu");
        facts["sysinfo"] = json!({
            "cpu": machine.cpu, "core_count": machine.cores, "memory": machine.memory_gib << 30,
            "linux_kernel": "6.1.0-28-amd64", "linux_distro": machine.distro,
            "is_virtual_machine": machine.is_virtual,
        });
        facts
    }

    /// The fields of `sysinfo.hwbench`, which old nodes do not know.
    pub(super) fn scores(&self) -> Option<Value> {
        let machine = self.machine();
        let score = machine.score;
        let scores = json!({
            "cpu_hashrate_score": score, "parallel_cpu_hashrate_score": score * machine.cores * 9 / 10,
            "parallel_cpu_cores": machine.cores, "memory_memcpy_score": score * 14,
            "disk_sequential_write_score": score, "disk_random_write_score": score * 4 / 10,
        });
        (!self.is_old).then_some(scores)
    }

    fn machine(&self) -> &'static words::Machine {
        &words::MACHINES[self.number % words::MACHINES.len()]
    }
}
