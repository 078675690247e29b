//! Where a batch goes next: to a writer, to disk, or nowhere yet. Pure: the
//! batcher tells it what has happened and at what time, and does what it says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::Queue;
use super::room::Share;
use crate::config::Config;
use crate::metrics::FlushReason;
use crate::store::{Batch, Group, SpoolNumber};

/// Waits between tries while the database is away: from the first to the last,
/// doubling. It is asked often, for what waits on disk is not yet readable.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// While all writers are busy with the same batches for so long, the database
/// counts as too slow, and batches go to disk. The largest usual batch takes a
/// third of it, a checkpoint seldom more.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Longer than the database may work on a batch: writers that are silent for so
/// long wait for an answer that was lost on its way.
const ABANDON_AFTER: Duration = Duration::from_secs(90);

/// Wait after the disk had no room, or could not be read.
const SPOOL_RETRY: Duration = Duration::from_secs(1);

/// Where a batch that is with a writer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From a socket.
    Memory,
    /// From disk.
    Spool(SpoolNumber),
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send a batch to a writer; without a reason it is one that is sent again.
    Write {
        batch: Arc<Batch>,
        share: Share,
        flushed: Option<FlushReason>,
    },
    /// Put a batch on disk.
    Spill { batch: Arc<Batch>, share: Share },
    /// Take the oldest batch from disk, and write it.
    TakeOldest,
}

/// The state of everything that is on its way.
#[derive(Debug)]
pub(super) struct Flow {
    queue: Queue,
    /// Batches that could not be stored, the oldest first.
    again: VecDeque<(Arc<Batch>, Share)>,
    /// When each batch was sent that is with a writer.
    sent_at: VecDeque<Instant>,
    writers: usize,
    outage: Option<Outage>,
    ready: bool,
    spooled: usize,
    /// A batch from disk is being read, written, or forgotten.
    unspooling: bool,
    spilling: bool,
    spool_blocked_until: Option<Instant>,
    /// The oldest batch on disk could not be read.
    unspool_blocked_until: Option<Instant>,
    draining: Option<DrainTo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DrainTo {
    Database,
    Disk,
}

/// The database is away.
#[derive(Debug)]
struct Outage {
    since: Instant,
    next_try: Instant,
    wait: Duration,
}

impl Flow {
    /// Nothing under way, and so many batches on disk. Nothing is written until
    /// the database is said to be ready.
    pub(super) fn new(config: &Config, spooled: usize) -> Self {
        Self {
            queue: Queue::new(&config.ingest),
            again: VecDeque::new(),
            sent_at: VecDeque::new(),
            writers: config.store.writers,
            outage: None,
            ready: false,
            spooled,
            unspooling: false,
            spilling: false,
            spool_blocked_until: None,
            unspool_blocked_until: None,
            draining: None,
        }
    }

    /// A socket has read something.
    pub(super) fn push(&mut self, group: Group, share: Share) {
        self.queue.push(group, share);
    }

    /// The database can be written to from now on.
    pub(super) fn database_ready(&mut self) {
        self.ready = true;
    }

    /// Empties the memory from now on; `copies` are batches with writers that
    /// should be on disk as well.
    pub(super) fn drain(&mut self, to_disk: bool, copies: Vec<Arc<Batch>>) {
        self.draining = Some(if to_disk {
            DrainTo::Disk
        } else {
            DrainTo::Database
        });
        // Their share of the room stays with the writer.
        self.again
            .extend(copies.into_iter().map(|batch| (batch, Share::default())));
    }

    /// The next thing to do, if there is one now.
    pub(super) fn next_step(&mut self, now: Instant) -> Option<Step> {
        if self.may_write(now) {
            // On disk are the oldest, and one of them may ask as well.
            let is_readable = self.unspool_blocked_until.is_none_or(|until| until <= now);
            let ask_by_spool = self.outage.is_some() && self.spooled > 0 && is_readable;
            if !ask_by_spool && let Some((batch, share, flushed)) = self.next_batch(now) {
                self.sent_at.push_back(now);
                return Some(Step::Write {
                    batch,
                    share,
                    flushed,
                });
            }
            let may_take = is_readable && !self.unspooling && self.draining.is_none();
            if self.spooled > 0 && may_take {
                self.unspooling = true;
                return Some(Step::TakeOldest);
            }
        }
        if self.should_spill(now)
            && let Some((batch, share, _)) = self.next_batch(now)
        {
            self.spilling = true;
            return Some(Step::Spill { batch, share });
        }
        None
    }

    /// When something becomes due that nobody will tell.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let can_spill_at = self.spool_blocked_until.filter(|_| !self.spilling);
        let retry_at = self
            .outage
            .as_ref()
            .map(|outage| outage.next_try)
            .filter(|_| self.sent_at.is_empty());
        let stuck_at = self.sent_at.front().map(|sent_at| *sent_at + STUCK_AFTER);
        let abandon_at = self.sent_at.front().map(|sent_at| *sent_at + ABANDON_AFTER);
        let due_at = self.queue.due_at();
        let can_take_at = self.unspool_blocked_until;
        let moments = [
            due_at,
            retry_at,
            stuck_at,
            abandon_at,
            can_spill_at,
            can_take_at,
        ];
        // What is past and could not be done waits for something else.
        moments
            .into_iter()
            .flatten()
            .filter(|moment| *moment > now)
            .min()
    }

    /// A batch is stored; how long the database was away, if it was.
    pub(super) fn stored(&mut self, origin: Origin, now: Instant) -> Option<Duration> {
        self.sent_at.pop_front();
        // A batch from disk is under way until it is forgotten.
        debug_assert!(origin == Origin::Memory || self.unspooling);
        self.outage
            .take()
            .map(|outage| now.duration_since(outage.since))
    }

    /// A batch is not stored; whether that is news.
    pub(super) fn not_stored(
        &mut self,
        batch: Arc<Batch>,
        share: Share,
        origin: Origin,
        now: Instant,
    ) -> bool {
        self.sent_at.pop_front();
        match origin {
            Origin::Memory => self.again.push_front((batch, share)),
            // It is still on disk.
            Origin::Spool(_) => self.unspooling = false,
        }
        let (since, wait) = match &self.outage {
            Some(outage) => (outage.since, (outage.wait * 2).min(RETRY_LAST)),
            None => (now, RETRY_FIRST),
        };
        let is_news = self.outage.is_none();
        self.outage = Some(Outage {
            since,
            next_try: now + wait,
            wait,
        });
        is_news
    }

    /// A batch is on disk.
    pub(super) fn spilled(&mut self) {
        self.spilling = false;
        self.spooled += 1;
        self.spool_blocked_until = None;
    }

    /// A batch could not be put on disk; whether that is news.
    pub(super) fn not_spilled(&mut self, batch: Arc<Batch>, share: Share, now: Instant) -> bool {
        self.spilling = false;
        self.again.push_front((batch, share));
        self.spool_blocked_until
            .replace(now + SPOOL_RETRY)
            .is_none()
    }

    /// A batch from disk goes to a writer.
    pub(super) fn taken(&mut self, now: Instant) {
        self.unspool_blocked_until = None;
        self.sent_at.push_back(now);
    }

    /// The oldest batch on disk cannot be read now; whether that is news.
    pub(super) fn not_taken(&mut self, now: Instant) -> bool {
        self.unspooling = false;
        self.unspool_blocked_until
            .replace(now + SPOOL_RETRY)
            .is_none()
    }

    /// There was no batch on disk.
    pub(super) fn nothing_taken(&mut self) {
        self.unspooling = false;
        self.spooled = 0;
    }

    /// A batch is gone from disk; so many are left there.
    pub(super) fn forgotten(&mut self, left: usize) {
        self.unspooling = false;
        self.spooled = left + usize::from(self.spilling);
    }

    /// Whether draining is asked for and done: the memory is empty.
    pub(super) fn is_drained(&self) -> bool {
        let empty = self.queue.is_empty() && self.again.is_empty() && !self.spilling;
        match self.draining {
            None => false,
            Some(DrainTo::Database) => empty && self.sent_at.is_empty(),
            Some(DrainTo::Disk) => empty,
        }
    }

    /// All writers have been busy with the same batches for a while.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.all_writers_wait(now, STUCK_AFTER)
    }

    /// No writer will answer any more.
    pub(super) fn should_abandon(&self, now: Instant) -> bool {
        self.all_writers_wait(now, ABANDON_AFTER)
    }

    fn all_writers_wait(&self, now: Instant, time: Duration) -> bool {
        // While the database is away one batch asks alone.
        let most = if self.outage.is_some() {
            1
        } else {
            self.writers
        };
        let oldest = self.sent_at.front();
        self.sent_at.len() >= most
            && oldest.is_some_and(|sent_at| now.duration_since(*sent_at) >= time)
    }

    fn may_write(&self, now: Instant) -> bool {
        if !self.ready || self.draining == Some(DrainTo::Disk) {
            return false;
        }
        match &self.outage {
            // One batch asks whether the database is back.
            Some(outage) => self.sent_at.is_empty() && outage.next_try <= now,
            None => self.sent_at.len() < self.writers,
        }
    }

    fn should_spill(&self, now: Instant) -> bool {
        let is_blocked = self.spool_blocked_until.is_some_and(|until| now < until);
        if self.spilling || is_blocked {
            return false;
        }
        let is_away = !self.ready || self.outage.is_some();
        is_away || self.is_stuck(now) || self.draining == Some(DrainTo::Disk)
    }

    /// The next batch from memory, if one should leave.
    fn next_batch(&mut self, now: Instant) -> Option<(Arc<Batch>, Share, Option<FlushReason>)> {
        if let Some((batch, share)) = self.again.pop_front() {
            return Some((batch, share, None));
        }
        let due = self.queue.due(now).or_else(|| {
            let drain = self.draining.is_some() && !self.queue.is_empty();
            drain.then_some(FlushReason::Shutdown)
        })?;
        let (groups, share) = self.queue.take();
        Some((Arc::new(Batch::new(groups)), share, Some(due)))
    }
}

#[cfg(test)]
mod tests;
