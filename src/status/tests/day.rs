//! A day of a hundred nodes of two chains: what happens to them, and all changes that
//! follow from it. Nodes live second by second, and are looked at each fifth.

use std::ops::Range;

use super::super::{Fleet, NodeKey, NodeSeen, Outages, Seen, ServerSeen};
use super::{at, handle, seconds, words};
use crate::config::StatusConfig;
use crate::metrics::StatusReason;

const DAY: i64 = 86_400;
const NODES: i64 = 100;
const LOOK_INTERVAL: i64 = 5;

/// The server runs, except for a restart.
const RESTART: Range<i64> = 40_000..40_015;

/// The database can be read, except for a while.
const OUTAGE: Range<i64> = 50_000..50_060;

/// Spans in which a node says nothing; its connection ends with them if it is closed.
fn silences(node: i64) -> Vec<(Range<i64>, bool)> {
    let mut spans = match node {
        3 => vec![(3_600..3_640, false)],
        4 => vec![(7_200..7_300, true)],
        5 => vec![(10_000..DAY, true)],
        6 => (0..3)
            .map(|n| (14_000 + 35 * n..14_018 + 35 * n, false))
            .collect(),
        // Most of the second chain.
        60..95 => vec![(60_000..60_600, false)],
        _ => Vec::new(),
    };
    // Half of the fleet reconnects at once.
    if node % 2 == 0 {
        spans.push((80_000..80_025, true));
    }
    // All nodes lose the server, and come back within 29 s.
    spans.push((RESTART.start..RESTART.end + 10 + node % 20, true));
    spans
}

fn chain_of(node: i64) -> (&'static str, i64) {
    if node < 60 { ("0xa", 6) } else { ("0xb", 12) }
}

/// The best block of a chain.
fn height(block_s: i64, second: i64) -> i64 {
    1_000_000 + second.div_euclid(block_s)
}

struct Node {
    number: i64,
    silences: Vec<(Range<i64>, bool)>,
    last_seen: i64,
    best: (i64, i64),
    finalized: i64,
    ended: Option<(i64, StatusReason)>,
    has_changed: bool,
}

impl Node {
    fn new(number: i64) -> Self {
        Self {
            number,
            silences: silences(number),
            last_seen: -5,
            best: (1_000_000, 0),
            finalized: 999_998,
            ended: None,
            has_changed: false,
        }
    }

    fn live(&mut self, second: i64) {
        let silence = self
            .silences
            .iter()
            .find(|(span, _)| span.contains(&second));
        if let Some((span, is_closed)) = silence {
            if *is_closed {
                let reason = match RESTART.contains(&span.start) {
                    true => StatusReason::ServerLost,
                    false => StatusReason::ConnectionLost,
                };
                self.has_changed |= self.ended.is_none();
                self.ended = Some((span.start, reason));
            }
            return;
        }
        if self.ended.take().is_some() {
            self.has_changed = true;
        }
        if (second + self.number) % 5 != 0 {
            return;
        }
        self.last_seen = second;
        self.has_changed = true;
        let (_, block_s) = chain_of(self.number);
        let chain = height(block_s, second);
        let own = match (self.number, second) {
            (7, 20_000..21_000) => height(block_s, 20_000),
            // It begins anew, with 200 blocks a second.
            (9, 30_000..36_000) => chain.min((second - 30_000) * 200),
            // It lies.
            (10, _) => 4_000_000_000 + second,
            _ => chain,
        };
        let finalized = match (self.number, second) {
            (8, 25_000..26_000) => own - 38,
            (9, 30_000..36_000) => own.min(chain - 3),
            _ => own - 3,
        };
        if own != self.best.0 {
            self.best = (own, second);
        }
        self.finalized = finalized;
    }

    fn seen(&self, second: i64) -> NodeSeen {
        let (chain, _) = chain_of(self.number);
        let key = NodeKey {
            peer_id: self.number.to_string(),
            genesis_hash: chain.to_owned(),
        };
        NodeSeen {
            handle: handle(1, &key),
            key,
            chain: String::new(),
            server: Some("server".to_owned()),
            seen: Seen {
                last_seen: at(self.last_seen),
                ended: self.ended.map(|(ended, why)| (at(ended), why)),
                best: Some((self.best.0, at(self.best.1))),
                finalized: Some(self.finalized),
                conflict_since: (self.number == 11 && (70_000..71_000).contains(&second))
                    .then(|| at(69_990)),
            },
        }
    }
}

#[test]
fn a_day_of_a_hundred_nodes() {
    let mut nodes: Vec<Node> = (0..NODES).map(Node::new).collect();
    let mut fleet = Fleet::new(StatusConfig::default());
    let mut outages = Outages::default();
    outages.begin(None, at(0));
    let mut told = Vec::new();
    for second in 0..DAY {
        for node in &mut nodes {
            node.live(second);
        }
        if second % LOOK_INTERVAL != 0 || RESTART.contains(&second) || OUTAGE.contains(&second) {
            continue;
        }
        let server = ServerSeen {
            id: "server".to_owned(),
            started_at: at(if second < RESTART.end { 0 } else { RESTART.end }),
            heartbeat_at: at(second),
            is_stopped: false,
            delayed_at: None,
            clock_offset: seconds(0),
        };
        outages.look(at(second), &[server]);
        for node in &mut nodes {
            if second == 0 {
                fleet.watch(node.seen(second), None);
            } else if std::mem::take(&mut node.has_changed) || second % 1_000 == 0 {
                fleet.see(node.seen(second), seconds(LOOK_INTERVAL - 1));
            }
        }
        let flips = fleet.judge(at(second), &outages);
        if second > 0 {
            told.extend(words(second, &flips));
        }
        let changes: Vec<i64> = flips.chains.iter().map(|_| second).collect();
        fleet.enter(flips, &changes, at(second));
    }
    let parts = told.iter().filter(|line| line.ends_with(" part")).count();
    told.retain(|line| !line.ends_with(" part"));
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(told, EXPECTED);
    // 35 nodes that were lost, and came back.
    assert_eq!(parts, 70);
}

/// Nothing of the restart, of the outage of the database and of those that reconnect.
const EXPECTED: [&str; 25] = [
    "3610 3 online > late silent 3597",
    "3630 3 late > missing silent 3597",
    "3650 3 missing > online recovered 3642",
    "7210 4 online > late connection_lost 7196",
    "7250 4 late > missing connection_lost 7196",
    "7310 4 missing > online recovered 7301",
    "10005 5 online > late connection_lost 9995",
    "10050 5 late > missing connection_lost 9995",
    "10295 5 missing > offline connection_lost 9995",
    "14010 6 online > late silent 13999",
    "14025 6 late > online recovered 14019",
    "14045 6 online > late silent 14034",
    "14060 6 late > online recovered 14054",
    "14080 6 online > late silent 14069",
    "14095 6 late > online recovered 14089",
    "20120 7 online > stalled best_block_stands 19998",
    "21005 7 stalled > online recovered 21005",
    "25035 8 online > lagging finality_behind 25005",
    "26005 8 lagging > online recovered 26005",
    "30005 9 online > syncing catching_up 30005",
    "35035 9 syncing > online recovered 35035",
    "60030 chain online > telemetry_lost 35 59999",
    "60615 chain telemetry_lost > online 35 60615",
    "70000 11 online > conflict two_machines 69990",
    "71000 11 conflict > online recovered 71000",
];
