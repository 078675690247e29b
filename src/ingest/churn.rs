//! How many sessions one connection may open: a node id has one for as long as it
//! stays the same node, and each further one is a row for good. Time is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sessions of one node id within [`WINDOW`]: one, and a few that replace it.
const SESSIONS_PER_ID_MAX: usize = 4;

/// Time in which they count.
const WINDOW: Duration = Duration::from_secs(60);

/// The sessions that a connection has opened of late.
#[derive(Debug)]
pub(super) struct Churn {
    opened: VecDeque<(Instant, Option<u64>)>,
    opened_max: usize,
}

impl Churn {
    /// None yet; the connection may have `nodes_max` node ids.
    pub(super) fn new(nodes_max: usize) -> Self {
        Self {
            opened: VecDeque::new(),
            opened_max: nodes_max.saturating_mul(SESSIONS_PER_ID_MAX),
        }
    }

    /// Whether a node id may have another session; then it counts.
    pub(super) fn admit(&mut self, node: Option<u64>, now: Instant) -> bool {
        while let Some((at, _)) = self.opened.front()
            && now.saturating_duration_since(*at) >= WINDOW
        {
            self.opened.pop_front();
        }
        let of_id = self.opened.iter().filter(|(_, opened)| *opened == node);
        let is_admitted =
            self.opened.len() < self.opened_max && of_id.count() < SESSIONS_PER_ID_MAX;
        if is_admitted {
            self.opened.push_back((now, node));
        }
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_a_few_sessions_a_minute() {
        let mut churn = Churn::new(2);
        let start = Instant::now();
        for second in 0..4 {
            assert!(churn.admit(Some(1), start + Duration::from_secs(second)));
        }
        assert!(!churn.admit(Some(1), start + Duration::from_secs(59)));
        assert!(churn.admit(Some(2), start + Duration::from_secs(59)));
        assert!(churn.admit(Some(1), start + WINDOW));
        assert!(!churn.admit(Some(1), start + WINDOW));
    }

    #[test]
    fn ids_that_change_all_the_time_share_the_places_of_the_connection() {
        let mut churn = Churn::new(2);
        let start = Instant::now();
        let admitted = (0..100).filter(|id| churn.admit(Some(*id), start)).count();
        assert_eq!(admitted, 8);
    }
}
