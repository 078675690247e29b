//! Messages that wait to become a batch, and the rule when they do. Pure: time
//! is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::memory_budget::Reservation;
use crate::config::IngestConfig;
use crate::metrics::FlushReason;
use crate::store::Group;

/// A batch grows up to so many times `DB_BATCH_SIZE` while all writers are
/// busy: at 16 the cost of the transaction vanishes beside that of the rows.
const GROWTH_MAX: usize = 16;

/// Bytes that make a batch leave, whatever its rows: what 1,024 rows of the
/// largest usual messages (1 kB) have.
const BATCH_BYTES: usize = 1 << 20;

/// Groups in the order of their arrival.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<(Group, Reservation)>,
    total: Reservation,
    batch_rows: usize,
    age_max: Duration,
    /// The largest batch.
    batch_max: Reservation,
    /// Up to where it is emptied when it is too long.
    short: Reservation,
}

impl Queue {
    /// Batches that so many writers have at once take at most half of the memory budget:
    /// the other half is here, and can go to disk however slow the writers are.
    pub(super) fn new(config: &IngestConfig, writers: usize) -> Self {
        let (rows_max, bytes_max) = (config.queue_rows_max, config.queue_bytes_max);
        Self {
            waiting: VecDeque::new(),
            total: Reservation::default(),
            batch_rows: config.batch_rows,
            age_max: config.batch_age_max,
            batch_max: Reservation {
                rows: (config.batch_rows * GROWTH_MAX).min(rows_max / 2 / writers),
                bytes: (BATCH_BYTES * GROWTH_MAX).min(bytes_max / 2 / writers),
                is_priority: false,
            },
            short: Reservation {
                rows: rows_max / 4,
                bytes: bytes_max / 4,
                is_priority: false,
            },
        }
    }

    /// Adds a group at the end.
    pub(super) fn push(&mut self, group: Group, reservation: Reservation) {
        self.total.rows += reservation.rows;
        self.total.bytes += reservation.bytes;
        self.waiting.push_back((group, reservation));
    }

    /// Whether a batch should leave now, and why.
    pub(super) fn due(&self, now: Instant) -> Option<FlushReason> {
        if self.is_large() {
            return Some(FlushReason::Size);
        }
        self.due_at()
            .is_some_and(|due_at| due_at <= now)
            .then_some(FlushReason::Age)
    }

    /// When a batch leaves at the latest; none if nothing waits.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let (oldest, _reservation) = self.waiting.front()?;
        Some(oldest.received_at + self.age_max)
    }

    /// Since when a batch is due, or will be; none if nothing waits.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let (oldest, _reservation) = self.waiting.front()?;
        if self.is_large() {
            Some(oldest.received_at)
        } else {
            self.due_at()
        }
    }

    /// Takes the groups of one batch: all that wait, within the largest batch.
    pub(super) fn take(&mut self) -> (Vec<Group>, Reservation) {
        let mut taken = Reservation::default();
        let mut groups = Vec::new();
        while let Some((_, reservation)) = self.waiting.front() {
            let too_many_rows = taken.rows + reservation.rows > self.batch_max.rows;
            let too_many_bytes = taken.bytes + reservation.bytes > self.batch_max.bytes;
            if !groups.is_empty() && (too_many_rows || too_many_bytes) {
                break;
            }
            if let Some((group, reservation)) = self.waiting.pop_front() {
                taken.rows += reservation.rows;
                taken.bytes += reservation.bytes;
                groups.push(group);
            }
        }
        self.total.rows -= taken.rows;
        self.total.bytes -= taken.bytes;
        (groups, taken)
    }

    /// Whether it takes more than a quarter of the memory budget.
    pub(super) fn is_long(&self) -> bool {
        self.total.rows > self.short.rows || self.total.bytes > self.short.bytes
    }

    /// Whether a batch leaves whatever its age.
    fn is_large(&self) -> bool {
        self.total.rows >= self.batch_rows || self.total.bytes >= BATCH_BYTES
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::store::RowBuffer;

    fn queue(batch_rows: usize) -> Queue {
        let mut config = Config::from_lookup(&|_| None).unwrap().ingest;
        config.batch_rows = batch_rows;
        Queue::new(&config, 2)
    }

    fn group(received_at: Instant) -> Group {
        Group {
            rows: RowBuffer::default(),
            sessions: Vec::new(),
            audit: false,
            received_at,
            kept: None,
        }
    }

    fn rows(rows: usize) -> Reservation {
        Reservation {
            rows,
            bytes: rows,
            is_priority: false,
        }
    }

    #[test]
    fn a_batch_leaves_by_size_or_by_age() {
        let start = Instant::now();
        let mut queue = queue(10);
        assert_eq!((queue.due(start), queue.due_at()), (None, None));
        queue.push(group(start), rows(9));
        assert_eq!(queue.due(start), None);
        assert_eq!(
            queue.due(start + Duration::from_millis(100)),
            Some(FlushReason::Age)
        );
        queue.push(group(start), rows(1));
        assert_eq!(queue.due(start), Some(FlushReason::Size));
    }

    #[test]
    fn a_batch_leaves_by_bytes_too() {
        let start = Instant::now();
        let mut queue = queue(10);
        let reservation = Reservation {
            rows: 1,
            bytes: BATCH_BYTES,
            is_priority: false,
        };
        queue.push(group(start), reservation);
        assert_eq!(queue.due(start), Some(FlushReason::Size));
    }

    #[test]
    fn a_batch_takes_what_waits_up_to_its_largest_size() {
        let start = Instant::now();
        let mut queue = queue(10);
        for _ in 0..5 {
            queue.push(group(start), rows(50));
        }
        let (groups, reservation) = queue.take();
        assert_eq!((groups.len(), reservation.rows), (3, 150));
        assert_eq!(queue.total, rows(100));
        let (groups, reservation) = queue.take();
        assert_eq!((groups.len(), reservation.rows), (2, 100));
        assert!(queue.is_empty());
        queue.push(group(start), rows(1_000));
        assert_eq!(queue.take().1.rows, 1_000, "a group is never split");
    }

    #[test]
    fn what_the_writers_have_leaves_half_of_the_memory_budget() {
        let start = Instant::now();
        let mut config = Config::from_lookup(&|_| None).unwrap().ingest;
        config.queue_rows_max = 1_024;
        config.queue_bytes_max = 1 << 20;
        let mut queue = Queue::new(&config, 4);
        for _ in 0..1_000 {
            queue.push(group(start), rows(1));
        }
        assert_eq!(queue.take().1.rows, 128);
        let large = Reservation {
            rows: 1,
            bytes: 65_536,
            is_priority: false,
        };
        let mut queue = Queue::new(&config, 4);
        for _ in 0..10 {
            queue.push(group(start), large);
        }
        assert_eq!(queue.take().1.rows, 2, "as much as there may be");
    }

    #[test]
    fn it_is_long_above_a_quarter_of_the_memory_budget() {
        let mut config = Config::from_lookup(&|_| None).unwrap().ingest;
        config.queue_rows_max = 400;
        config.queue_bytes_max = 4_000;
        for (rows, bytes, is_long) in [(100, 1_000, false), (101, 0, true), (0, 1_001, true)] {
            let mut queue = Queue::new(&config, 2);
            let reservation = Reservation {
                rows,
                bytes,
                is_priority: false,
            };
            queue.push(group(Instant::now()), reservation);
            assert_eq!(queue.is_long(), is_long, "{rows} rows, {bytes} bytes");
        }
    }

    proptest! {
        /// Groups leave in their order, each once, in batches within the largest size;
        /// only a single group may be larger.
        #[test]
        fn groups_leave_in_order_within_the_largest_batch(
            sizes in prop::collection::vec((1..300_usize, 1..4_usize), 0..100),
        ) {
            let start = Instant::now();
            let mut queue = queue(10);
            let (mut arrived, mut left) = (0, 0);
            let after = |groups: u32| start + Duration::from_millis(groups.into());
            for (rows, takes) in sizes {
                queue.push(group(after(arrived)), self::rows(rows));
                arrived += 1;
                if takes > 1 {
                    continue;
                }
                let (groups, taken) = queue.take();
                prop_assert!(taken.rows <= queue.batch_max.rows || groups.len() == 1);
                for group in groups {
                    prop_assert_eq!(group.received_at, after(left));
                    left += 1;
                }
            }
            while !queue.is_empty() {
                for group in queue.take().0 {
                    prop_assert_eq!(group.received_at, after(left));
                    left += 1;
                }
            }
            prop_assert_eq!((left, queue.total), (arrived, Reservation::default()));
        }
    }
}
