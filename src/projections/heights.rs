//! A chain, as most of its nodes see it. Pure.
//!
//! Heights are what nodes claim, so a chain is where a fair part of its nodes is: of
//! the heights of all others, sorted from the top, the one after a quarter of them, and
//! never the topmost unless there is only one. So one node that claims a height of its
//! own moves nothing for its neighbours, and neither do many that sync far behind.
//! `chain_height` in SQL says the same of a chain as a whole.

/// The largest height that looks honest: block numbers have 32 bits in all chains known.
const HEIGHT_MAX: i64 = 0xffff_ffff;

/// Best and finalized block of a chain, as the other nodes of it see them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reference {
    /// Best block.
    pub best: Option<i64>,
    /// Finalized block.
    pub finalized: Option<i64>,
}

/// The heights that the nodes of a chain report.
#[derive(Debug, Clone, Default)]
pub struct Heights {
    best: Vec<i64>,
    finalized: Vec<i64>,
}

impl Heights {
    /// None is in.
    pub fn clear(&mut self) {
        self.best.clear();
        self.finalized.clear();
    }

    /// Adds those of a node.
    pub fn add(&mut self, (best, finalized): (Option<i64>, Option<i64>)) {
        self.best.extend(best.filter(is_honest));
        self.finalized.extend(finalized.filter(is_honest));
    }

    /// All nodes are in.
    pub fn sort(&mut self) {
        for heights in [&mut self.best, &mut self.finalized] {
            heights.sort_unstable_by(|one, other| other.cmp(one));
        }
    }

    /// The chain as all its nodes see it.
    pub fn of_chain(&self) -> Reference {
        self.beside((None, None))
    }

    /// The chain as the others see it; `own` are heights of a node that is in.
    pub fn beside(&self, (best, finalized): (Option<i64>, Option<i64>)) -> Reference {
        Reference {
            best: beside(&self.best, best.filter(is_honest)),
            finalized: beside(&self.finalized, finalized.filter(is_honest)),
        }
    }
}

fn is_honest(height: &i64) -> bool {
    (0..=HEIGHT_MAX).contains(height)
}

fn beside(sorted: &[i64], own: Option<i64>) -> Option<i64> {
    let others = sorted.len() - usize::from(own.is_some()).min(sorted.len());
    let place = match others {
        0 => return None,
        1 => 0,
        others => (others / 4).max(1),
    };
    // Without its own height the others move up by one.
    let is_above = own.is_some_and(|own| sorted.get(place).is_none_or(|height| own >= *height));
    sorted.get(place + usize::from(is_above)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(heights: &[i64], own: usize) -> Option<i64> {
        let mut all = Heights::default();
        for height in heights {
            all.add((Some(*height), None));
        }
        all.sort();
        all.beside((Some(heights[own]), None)).best
    }

    #[test]
    fn a_chain_is_where_a_fair_part_of_the_others_is() {
        for (heights, own, expected) in [
            (&[7][..], 0, None),
            (&[7, 9], 0, Some(9)),
            (&[7, 9], 1, Some(7)),
            (&[7, 7], 1, Some(7)),
            // Of two others the lower one: either may lie.
            (&[7, 9, 5], 0, Some(5)),
            (&[7, 9, 5], 1, Some(5)),
            (&[7, 9, 5], 2, Some(7)),
            // One liar.
            (&[100, 100, 99, 4_000_000_000], 2, Some(100)),
            (&[100, 100, 99, 9_007_199_254_740_992, -5], 2, Some(100)),
            (&[100, 100, 99, 4_000_000_000], 3, Some(100)),
            // Three of four sync far behind.
            (&[100, 100, 3, 2, 1, 1, 1, 1], 7, Some(100)),
        ] {
            assert_eq!(best(heights, own), expected, "{heights:?} {own}");
        }
    }

    #[test]
    fn a_node_that_is_not_in_is_beside_all() {
        let mut all = Heights::default();
        assert_eq!(all.beside((None, None)), Reference::default());
        all.add((Some(3), Some(2)));
        all.sort();
        assert_eq!(all.beside((None, Some(2))).best, Some(3));
        assert_eq!(all.beside((None, Some(2))).finalized, None);
    }
}
