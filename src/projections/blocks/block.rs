//! One block, as the nodes of its chain reported it. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::telemetry::{BlockHash, Origin};

/// Who reports a block later than this after the first one catches up, microseconds;
/// chains make 6 to 100 blocks in it.
const CATCHES_UP_US: i64 = 300_000_000;

/// Delays from 2^16 ms on share the last bucket.
const LAST_BUCKET: usize = 53;

/// Bytes of an arrival as it is kept.
const ARRIVAL_BYTES: usize = 17;

/// A chain (its number), a height and a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BlockKey {
    pub(super) chain_id: i32,
    pub(super) height: i64,
    pub(super) hash: BlockHash,
}

/// The first report of a block: the earliest, then the first peer id in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting {
    pub(super) at: DateTime<Utc>,
    pub(super) reporter: Reporter,
}

/// A node and the server to which it was connected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Reporter {
    pub(super) peer_id: Arc<str>,
    pub(super) server_id: Arc<str>,
}

/// When each node reported a block first.
#[derive(Debug)]
pub(super) struct Block {
    /// By the hash of the peer id: Unix microseconds, and the number of the origin.
    arrivals: HashMap<u64, (i64, u8)>,
    pub(super) first: Option<Sighting>,
    /// Who says that it made it; of several the first peer id in alphabetical order.
    pub(super) author: Option<Reporter>,
    /// Its arrivals are not kept any more: it stays as it is.
    pub(super) is_closed: bool,
    pub(super) touched_at: Instant,
    /// What is not written yet.
    fresh: Vec<u8>,
}

/// What the arrivals add up to, with the names of the columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) nodes: i32,
    pub(super) own: i32,
    pub(super) broadcast: i32,
    pub(super) other: i32,
    pub(super) delays: Vec<i32>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The block changed.
    Yes,
    /// It says nothing new.
    Known,
    /// The node catches up.
    Behind,
    /// The block is closed.
    Late,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            arrivals: HashMap::new(),
            first: None,
            author: None,
            is_closed: false,
            touched_at: Instant::now(),
            fresh: Vec::new(),
        }
    }

    /// Goes on with one that was written, and its arrivals as they are kept.
    pub(super) fn written(
        arrivals: Option<&[u8]>,
        first: Sighting,
        author: Option<Reporter>,
    ) -> Self {
        let mut block = Self {
            first: Some(first),
            author,
            is_closed: arrivals.is_none(),
            ..Self::new()
        };
        for bytes in arrivals.unwrap_or_default().as_chunks::<ARRIVAL_BYTES>().0 {
            let (node, rest) = bytes.split_at(8);
            let (at, origin) = rest.split_at(8);
            let node = u64::from_be_bytes(node.try_into().unwrap_or_default());
            let at = i64::from_be_bytes(at.try_into().unwrap_or_default());
            block.arrive(node, (at, origin.first().copied().unwrap_or_default()));
        }
        block
    }

    /// Takes a report; the order does not matter.
    pub(super) fn take(&mut self, node: u64, origin: Origin, sighting: Sighting) -> Taken {
        if self.is_closed {
            return Taken::Late;
        }
        let at = sighting.at.timestamp_micros();
        let first = self.first.as_ref();
        if first.is_some_and(|first| at - first.at.timestamp_micros() > CATCHES_UP_US) {
            return Taken::Behind;
        }
        let arrival = (at, number(origin));
        let mut taken = match self.arrive(node, arrival) {
            true => Taken::Yes,
            false => Taken::Known,
        };
        if taken == Taken::Yes {
            self.fresh.extend(node.to_be_bytes());
            self.fresh.extend(at.to_be_bytes());
            self.fresh.push(arrival.1);
        }
        if origin == Origin::Own && is_before(&sighting.reporter, self.author.as_ref()) {
            self.author = Some(sighting.reporter.clone());
            taken = Taken::Yes;
        }
        if is_before(&sighting, self.first.as_ref()) {
            self.first = Some(sighting);
            taken = Taken::Yes;
        }
        taken
    }

    fn arrive(&mut self, node: u64, arrival: (i64, u8)) -> bool {
        let known = self.arrivals.entry(node).or_insert((i64::MAX, u8::MAX));
        let is_earlier = arrival < *known;
        *known = arrival.min(*known);
        is_earlier
    }

    /// What the arrivals add up to.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        let first_us = self
            .first
            .as_ref()
            .map_or(0, |first| first.at.timestamp_micros());
        let mut counts = [0_i32; LAST_BUCKET + 1];
        let mut first_is_out = false;
        for (at, origin) in self.arrivals.values() {
            let delay = at - first_us;
            if delay > CATCHES_UP_US {
                continue;
            }
            sums.nodes += 1;
            match *origin {
                OWN => sums.own += 1,
                BROADCAST => sums.broadcast += 1,
                _ => sums.other += 1,
            }
            if delay == 0 && !first_is_out {
                first_is_out = true;
            } else if let Some(count) = counts.get_mut(bucket(delay / 1_000)) {
                *count += 1;
            }
        }
        let used = counts
            .iter()
            .rposition(|count| *count > 0)
            .map_or(0, |last| last + 1);
        sums.delays = counts.into_iter().take(used).collect();
        sums
    }

    /// Takes the arrivals that are to be written.
    pub(super) fn take_fresh(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.fresh)
    }

    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }
}

const OWN: u8 = 1;
const BROADCAST: u8 = 2;
const OTHER: u8 = 3;

/// A number for a peer id, by which reports of a node are told from those of others.
pub(super) fn node_number(peer_id: &str) -> u64 {
    let digest = Sha256::digest(peer_id.as_bytes());
    let bytes = digest.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(bytes)
}

/// The number of an origin as it is kept; none of sync is.
pub(super) fn number(origin: Origin) -> u8 {
    match origin {
        Origin::Own => OWN,
        Origin::Broadcast => BROADCAST,
        Origin::Other | Origin::Sync => OTHER,
    }
}

/// The origin with a number.
pub(super) fn origin(number: i16) -> Origin {
    match u8::try_from(number) {
        Ok(OWN) => Origin::Own,
        Ok(BROADCAST) => Origin::Broadcast,
        _ => Origin::Other,
    }
}

fn is_before<T: Ord>(one: &T, other: Option<&T>) -> bool {
    other.is_none_or(|other| one < other)
}

/// The bucket of a delay in whole milliseconds: those below 8 share one, from there on
/// four share each doubling. `block_delay_bounds()` in SQL has the same bounds.
fn bucket(delay_ms: i64) -> usize {
    let delay = u64::try_from(delay_ms).unwrap_or(0);
    let place = match delay.checked_ilog2() {
        None | Some(0..3) => 0,
        Some(doublings) => {
            let within = (delay >> (doublings - 2)) & 3;
            u64::from(4 * (doublings - 3)) + within + 1
        }
    };
    usize::try_from(place).map_or(LAST_BUCKET, |place| place.min(LAST_BUCKET))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(peer: &str, at_ms: i64) -> Sighting {
        Sighting {
            at: DateTime::from_timestamp_millis(1_700_000_000_000 + at_ms).unwrap(),
            reporter: Reporter {
                peer_id: peer.into(),
                server_id: "s".into(),
            },
        }
    }

    #[test]
    fn delays_fall_into_four_buckets_a_doubling() {
        let bound = |place: i64| (4 + (place - 1) % 4) << ((place - 1) / 4 + 1);
        for place in 1..=53 {
            let expected = usize::try_from(place).unwrap();
            assert_eq!(bucket(bound(place)), expected);
            assert_eq!(bucket(bound(place) - 1), expected - 1);
        }
        assert_eq!([i64::MIN, -1, 0].map(bucket), [0; 3]);
        assert_eq!([bound(53), i64::MAX].map(bucket), [53; 2]);
        assert_eq!((bound(1), bound(53)), (8, 1 << 16));
    }

    #[test]
    fn in_whatever_order_nodes_report_the_block_is_the_same() {
        let reports = [
            (7, Origin::Broadcast, sighting("b", 10)),
            (7, Origin::Other, sighting("b", 400)),
            (3, Origin::Own, sighting("a", 10)),
            (9, Origin::Other, sighting("c", 15)),
            (5, Origin::Broadcast, sighting("d", 290_000)),
            // It catches up.
            (6, Origin::Broadcast, sighting("e", 300_011)),
        ];
        let expected = Sums {
            nodes: 4,
            own: 1,
            broadcast: 2,
            other: 1,
            delays: {
                let mut delays = vec![0; 54];
                (delays[0], delays[53]) = (2, 1);
                delays
            },
        };
        for turn in 0..reports.len() {
            let mut block = Block::new();
            let mut kept = Vec::new();
            for (node, origin, sighting) in reports.iter().cycle().skip(turn).take(reports.len()) {
                block.take(*node, *origin, sighting.clone());
                kept.extend(block.take_fresh());
            }
            assert_eq!(block.sums(), expected);
            assert_eq!(block.first, Some(sighting("a", 10)));
            assert_eq!(block.author, Some(sighting("a", 10).reporter));
            let read = Block::written(Some(&kept), sighting("a", 10), None);
            assert_eq!(read.sums(), expected);
        }
        let mut closed = Block::written(None, sighting("a", 10), None);
        assert_eq!(closed.take(7, Origin::Own, sighting("b", 1)), Taken::Late);
    }
}
