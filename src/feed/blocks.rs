//! Which block was first heard of when, on each chain: what a node that has it
//! later is behind.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Blocks remembered for each chain: a few minutes, also with forks.
const BLOCKS_MAX: usize = 128;

/// Chains; nodes choose their names.
const CHAINS_MAX: usize = 1_000;

/// Longest hash in bytes; those of today have 66.
const HASH_BYTES_MAX: usize = 130;

/// The newest blocks of each chain.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    chains: HashMap<String, VecDeque<(String, Instant)>>,
}

impl Blocks {
    /// A node has a block; how far it is behind the first that had it. None if
    /// the block is too old to be known, or there are too many chains.
    pub(super) fn heard(&mut self, chain: &str, hash: &str, at: Instant) -> Option<Duration> {
        if hash.len() > HASH_BYTES_MAX {
            return None;
        }
        if !self.chains.contains_key(chain) && self.chains.len() >= CHAINS_MAX {
            return None;
        }
        let blocks = self.chains.entry(chain.to_owned()).or_default();
        if let Some((_, first)) = blocks.iter().rev().find(|(known, _)| known == hash) {
            return Some(at.saturating_duration_since(*first));
        }
        if blocks.len() >= BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back((hash.to_owned(), at));
        Some(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_nodes_are_behind_the_first_of_their_chain() {
        let mut blocks = Blocks::default();
        let start = Instant::now();
        let later = start + Duration::from_millis(70);
        assert_eq!(blocks.heard("a", "0x1", start), Some(Duration::ZERO));
        assert_eq!(
            blocks.heard("a", "0x1", later),
            Some(Duration::from_millis(70))
        );
        assert_eq!(blocks.heard("b", "0x1", later), Some(Duration::ZERO));
        assert_eq!(blocks.heard("a", &"x".repeat(200), later), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut blocks = Blocks::default();
        let start = Instant::now();
        for number in 0..=BLOCKS_MAX {
            blocks.heard("a", &number.to_string(), start);
        }
        assert_eq!(blocks.chains["a"].len(), BLOCKS_MAX);
        for number in 1..CHAINS_MAX {
            blocks.heard(&number.to_string(), "0x1", start);
        }
        assert_eq!(blocks.heard("one too many", "0x1", start), None);
    }
}
