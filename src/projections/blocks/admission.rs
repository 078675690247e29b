//! Which reports of blocks are taken: neither a liar nor who is far behind fills tables.
//!
//! What most nodes of a chain say is known for each half minute of arrival, so that a
//! report that comes late from a spool is held against its own time.

use std::collections::{BTreeMap, HashMap};

use crate::projections::heights::{Heights, Reference};

/// A block that is further behind or ahead of what most nodes say is left out, blocks.
const DISTANCE_MAX: i64 = 100;

/// Length of a slot of time, microseconds: six times as long as nodes wait between two
/// messages `system.interval`.
const SLOT_US: i64 = 30_000_000;

/// Slots that are remembered, two hours; in as many of the newest heights of each node are known.
const SLOTS_MAX: usize = 240;
const OPEN_SLOTS: usize = 3;

/// Among fewer nodes nobody knows who lies.
const NODES_MIN: usize = 3;

/// New blocks that one node may name in an hour: two a second.
const FRESH_MAX: u32 = 7_500;

/// Nodes and hours whose new blocks are counted.
const COUNTED_MAX: usize = 200_000;

/// The largest number of a block that looks honest.
const HEIGHT_MAX: i64 = 0xffff_ffff;

/// Best and finalized block of a node.
pub(super) type NodeHeights = (Option<i64>, Option<i64>);

/// Why a report is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    Behind,
    Ahead,
    Excess,
}

/// What the nodes of a chain say in a slot of time.
#[derive(Debug, Default)]
struct Slot {
    nodes: HashMap<u64, NodeHeights>,
    /// The same, sorted; none before it is asked for.
    sorted: Option<Heights>,
    /// Number of nodes, and what they say, when the slot is over.
    closed: Option<(usize, Reference)>,
}

/// The slots of all chains, and how many new blocks each node named.
#[derive(Debug, Default)]
pub(super) struct Admission {
    chains: HashMap<i32, BTreeMap<i64, Slot>>,
    fresh: HashMap<(i32, u64, i64), u32>,
}

impl Admission {
    /// Takes what a node says at a time (Unix microseconds).
    pub(super) fn hear(
        &mut self,
        chain_id: i32,
        node: u64,
        at: i64,
        (best, finalized): NodeHeights,
    ) {
        let slots = self.chains.entry(chain_id).or_default();
        let before = slots.len();
        let slot = slots.entry(at.div_euclid(SLOT_US)).or_default();
        if slot.closed.is_none() {
            let known = slot.nodes.entry(node).or_default();
            *known = (known.0.max(best), known.1.max(finalized));
            slot.sorted = None;
        }
        if slots.len() == before {
            return;
        }
        while slots.len() > SLOTS_MAX && slots.pop_first().is_some() {}
        let past = slots.len().saturating_sub(OPEN_SLOTS);
        let open = slots.values_mut().take(past);
        for slot in open.filter(|slot| slot.closed.is_none()) {
            slot.closed = Some((slot.nodes.len(), slot.sorted().of_chain()));
            slot.nodes = HashMap::new();
            slot.sorted = None;
        }
    }

    /// Whether a report of a block as best, or as finalized, is taken.
    pub(super) fn admits(
        &mut self,
        chain_id: i32,
        node: u64,
        at: i64,
        height: i64,
        is_final: bool,
    ) -> Result<(), LeftOut> {
        if !(0..=HEIGHT_MAX).contains(&height) {
            return Err(LeftOut::Ahead);
        }
        let Some(slots) = self.chains.get_mut(&chain_id) else {
            return Ok(());
        };
        let number = at.div_euclid(SLOT_US);
        let mut around = [number - 1, number]
            .map(|number| slots.get_mut(&number).and_then(|slot| slot.beside(node)));
        let [before, now] = &mut around;
        let Some(now) = now.or(*before) else {
            return Ok(());
        };
        let before = before.unwrap_or(now);
        let from = match is_final {
            true => before.finalized.min(now.finalized),
            false => before.best.min(now.best),
        };
        if now.best.is_some_and(|best| height > best + DISTANCE_MAX) {
            return Err(LeftOut::Ahead);
        }
        match from.is_some_and(|from| height < from - DISTANCE_MAX) {
            true => Err(LeftOut::Behind),
            false => Ok(()),
        }
    }

    /// Whether a node may name one more new block.
    pub(super) fn admits_fresh(
        &mut self,
        chain_id: i32,
        node: u64,
        at: i64,
    ) -> Result<(), LeftOut> {
        if self.fresh.len() > COUNTED_MAX {
            self.fresh.clear();
        }
        let hour = at.div_euclid(3_600_000_000);
        let count = self.fresh.entry((chain_id, node, hour)).or_default();
        if *count >= FRESH_MAX {
            return Err(LeftOut::Excess);
        }
        *count += 1;
        Ok(())
    }
}

impl Slot {
    fn sorted(&mut self) -> &Heights {
        let nodes = &self.nodes;
        self.sorted.get_or_insert_with(|| {
            let mut heights = Heights::default();
            nodes.values().for_each(|said| heights.add(*said));
            heights.sort();
            heights
        })
    }

    /// What the others say, if they are enough.
    fn beside(&mut self, node: u64) -> Option<Reference> {
        if let Some((nodes, reference)) = self.closed {
            return (nodes >= NODES_MIN).then_some(reference);
        }
        if self.nodes.len() < NODES_MIN {
            return None;
        }
        let own = self.nodes.get(&node).copied().unwrap_or_default();
        Some(self.sorted().beside(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn heard(heights: &[i64]) -> Admission {
        let mut admission = Admission::default();
        for (node, height) in (0..).zip(heights) {
            admission.hear(1, node, 0, (Some(*height), Some(height - 3)));
        }
        admission
    }

    #[test]
    fn what_is_far_from_what_most_nodes_say_is_left_out() {
        let mut admission = heard(&[1_000, 1_000, 999, 4_000_000_000, 20]);
        for (node, height, expected) in [
            (0, 1_001, Ok(())),
            (0, 900, Ok(())),
            (0, 899, Err(LeftOut::Behind)),
            (3, 4_000_000_000, Err(LeftOut::Ahead)),
            (3, 1_100, Ok(())),
            (3, 1_101, Err(LeftOut::Ahead)),
            (4, 21, Err(LeftOut::Behind)),
            (9, 1 << 53, Err(LeftOut::Ahead)),
            (9, -1, Err(LeftOut::Ahead)),
        ] {
            assert_eq!(
                admission.admits(1, node, 5, height, false),
                expected,
                "{node} {height}"
            );
        }
        assert_eq!(admission.admits(1, 0, 5, 890, true), Err(LeftOut::Behind));
        assert_eq!(admission.admits(2, 0, 5, 7, false), Ok(()), "another chain");
    }

    #[test]
    fn among_two_nodes_nobody_knows_who_lies() {
        let mut admission = heard(&[1_000, 4_000_000_000]);
        assert_eq!(admission.admits(1, 0, 5, 1_001, false), Ok(()));
        assert_eq!(
            admission.admits(1, 1, 5, 1 << 33, false),
            Err(LeftOut::Ahead)
        );
    }

    #[test]
    fn a_late_report_is_held_against_its_own_time() {
        let mut admission = heard(&[1_000; 4]);
        for minute in 1..200 {
            for node in 0..4 {
                admission.hear(1, node, minute * MINUTE, (Some(1_000 + minute * 10), None));
            }
        }
        let newest = 199 * MINUTE;
        assert_eq!(admission.admits(1, 0, newest, 2_990, false), Ok(()));
        assert_eq!(
            admission.admits(1, 0, newest, 2_000, false),
            Err(LeftOut::Behind)
        );
        assert_eq!(
            admission.admits(1, 0, newest - 99 * MINUTE, 2_000, false),
            Ok(())
        );
        assert_eq!(admission.admits(1, 0, 0, 2_000, false), Err(LeftOut::Ahead));
        let never = -MINUTE * 10;
        assert_eq!(
            admission.admits(1, 0, never, 2_000, false),
            Ok(()),
            "nobody spoke"
        );
        assert!(admission.chains[&1].len() <= SLOTS_MAX);
    }

    #[test]
    fn new_blocks_of_a_node_are_bounded_for_each_hour() {
        let mut admission = Admission::default();
        let taken = (0..10_000).filter(|at| admission.admits_fresh(1, 7, *at).is_ok());
        assert_eq!(taken.count(), 7_500);
        assert_eq!(admission.admits_fresh(1, 8, 0), Ok(()));
        assert_eq!(admission.admits_fresh(1, 7, 60 * MINUTE), Ok(()));
    }
}
