//! Messages that wait to become a batch, and the rule when they do. Pure: time
//! is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::room::Share;
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
    waiting: VecDeque<(Group, Share)>,
    total: Share,
    batch_rows: usize,
    age_max: Duration,
    /// The largest batch.
    batch_max: Share,
    /// Up to where it is emptied when it is too long.
    short: Share,
}

impl Queue {
    /// Batches that so many writers have at once take at most half of the room:
    /// the other half is here, and can go to disk however slow the writers are.
    pub(super) fn new(config: &IngestConfig, writers: usize) -> Self {
        let (rows_max, bytes_max) = (config.queue_rows_max, config.queue_bytes_max);
        Self {
            waiting: VecDeque::new(),
            total: Share::default(),
            batch_rows: config.batch_rows,
            age_max: config.batch_age_max,
            batch_max: Share {
                rows: (config.batch_rows * GROWTH_MAX).min(rows_max / 2 / writers),
                bytes: (BATCH_BYTES * GROWTH_MAX).min(bytes_max / 2 / writers),
                reserved: false,
            },
            short: Share {
                rows: rows_max / 4,
                bytes: bytes_max / 4,
                reserved: false,
            },
        }
    }

    /// Adds a group at the end.
    pub(super) fn push(&mut self, group: Group, share: Share) {
        self.total.rows += share.rows;
        self.total.bytes += share.bytes;
        self.waiting.push_back((group, share));
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
        let (oldest, _share) = self.waiting.front()?;
        Some(oldest.received_at + self.age_max)
    }

    /// Since when a batch is due, or will be; none if nothing waits.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let (oldest, _share) = self.waiting.front()?;
        if self.is_large() {
            Some(oldest.received_at)
        } else {
            self.due_at()
        }
    }

    /// Takes the groups of one batch: all that wait, within the largest batch.
    pub(super) fn take(&mut self) -> (Vec<Group>, Share) {
        let mut taken = Share::default();
        let mut groups = Vec::new();
        while let Some((_, share)) = self.waiting.front() {
            let too_many_rows = taken.rows + share.rows > self.batch_max.rows;
            let too_many_bytes = taken.bytes + share.bytes > self.batch_max.bytes;
            if !groups.is_empty() && (too_many_rows || too_many_bytes) {
                break;
            }
            if let Some((group, share)) = self.waiting.pop_front() {
                taken.rows += share.rows;
                taken.bytes += share.bytes;
                groups.push(group);
            }
        }
        self.total.rows -= taken.rows;
        self.total.bytes -= taken.bytes;
        (groups, taken)
    }

    /// Whether it takes more than a quarter of the room.
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
        }
    }

    fn rows(rows: usize) -> Share {
        Share {
            rows,
            bytes: rows,
            reserved: false,
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
        let share = Share {
            rows: 1,
            bytes: BATCH_BYTES,
            reserved: false,
        };
        queue.push(group(start), share);
        assert_eq!(queue.due(start), Some(FlushReason::Size));
    }

    #[test]
    fn a_batch_takes_what_waits_up_to_its_largest_size() {
        let start = Instant::now();
        let mut queue = queue(10);
        for _ in 0..5 {
            queue.push(group(start), rows(50));
        }
        let (groups, share) = queue.take();
        assert_eq!((groups.len(), share.rows), (3, 150));
        let (groups, share) = queue.take();
        assert_eq!((groups.len(), share.rows), (2, 100));
        assert!(queue.is_empty());
        queue.push(group(start), rows(1_000));
        assert_eq!(queue.take().1.rows, 1_000, "a group is never split");
    }

    #[test]
    fn what_the_writers_have_leaves_half_of_the_room() {
        let start = Instant::now();
        let mut config = Config::from_lookup(&|_| None).unwrap().ingest;
        config.queue_rows_max = 1_024;
        config.queue_bytes_max = 1 << 20;
        let mut queue = Queue::new(&config, 4);
        for _ in 0..1_000 {
            queue.push(group(start), rows(1));
        }
        assert_eq!(queue.take().1.rows, 128);
        let large = Share {
            rows: 1,
            bytes: 50_000,
            reserved: false,
        };
        let mut queue = Queue::new(&config, 4);
        for _ in 0..10 {
            queue.push(group(start), large);
        }
        assert_eq!(queue.take().1.rows, 2);
    }
}
