//! When each block of a chain was first reported: how far a node that reports it
//! later is behind (propagation).

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Blocks remembered for each chain: a few minutes, also with forks.
const BLOCKS_MAX: usize = 128;

/// Chains; nodes choose their names. The least active makes room for another one.
const CHAINS_MAX: usize = 1_000;

/// A chain without a block for so long is not active.
const QUIET: Duration = Duration::from_secs(600);

/// Longest hash in bytes; those of today have 66.
const HASH_BYTES_MAX: usize = 130;

/// The newest blocks of each chain.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    chains: HashMap<String, Chain>,
}

#[derive(Debug)]
struct Chain {
    blocks: VecDeque<(String, Instant)>,
    heard_at: Instant,
    /// Blocks that several nodes reported.
    shared: u64,
}

impl Blocks {
    /// A node has a block; how far it is behind the first that had it. None if
    /// the block is too old to be known.
    pub(super) fn heard(&mut self, chain: &str, hash: &str, at: Instant) -> Option<Duration> {
        if hash.len() > HASH_BYTES_MAX {
            return None;
        }
        if !self.chains.contains_key(chain) {
            self.make_room(at);
        }
        let chain = self.chains.entry(chain.to_owned()).or_insert(Chain {
            blocks: VecDeque::new(),
            heard_at: at,
            shared: 0,
        });
        chain.heard_at = at;
        if let Some((_, first)) = chain.blocks.iter().rev().find(|(known, _)| known == hash) {
            chain.shared += 1;
            return Some(at.saturating_duration_since(*first));
        }
        if chain.blocks.len() >= BLOCKS_MAX {
            chain.blocks.pop_front();
        }
        chain.blocks.push_back((hash.to_owned(), at));
        Some(Duration::ZERO)
    }

    /// Removes the least active chain if there are too many. Invented names have blocks
    /// of one node each, so they make room for each other.
    fn make_room(&mut self, now: Instant) {
        if self.chains.len() < CHAINS_MAX {
            return;
        }
        let activity = |chain: &Chain| {
            let is_active = now.saturating_duration_since(chain.heard_at) < QUIET;
            (is_active, chain.shared, chain.heard_at)
        };
        let least = self.chains.iter().min_by_key(|(_, chain)| activity(chain));
        if let Some(name) = least.map(|(name, _)| name.clone()) {
            self.chains.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_as_late_as_it_comes_after_the_first_of_their_chain() {
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
        assert_eq!(blocks.chains["a"].blocks.len(), BLOCKS_MAX);
        for number in 0..2 * CHAINS_MAX {
            blocks.heard(&number.to_string(), "0x1", start);
        }
        assert_eq!(blocks.chains.len(), CHAINS_MAX);
    }

    #[test]
    fn invented_chains_take_nothing_from_real_ones() {
        let mut blocks = Blocks::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        for real in ["a", "b"] {
            blocks.heard(real, "0x1", start);
            blocks.heard(real, "0x1", start);
        }
        for number in 0..5 * CHAINS_MAX {
            blocks.heard(&format!("invented {number}"), "0x1", start + second);
        }
        for real in ["a", "b"] {
            assert_eq!(blocks.heard(real, "0x1", start + second), Some(second));
        }
        // Those that have ended make room first.
        let later = start + 2 * QUIET;
        blocks.heard("b", "0x2", later);
        for number in 0..5 * CHAINS_MAX {
            blocks.heard(&format!("invented {number}"), "0x1", later);
        }
        assert!(!blocks.chains.contains_key("a") && blocks.chains.contains_key("b"));
    }
}
