//! Decides which batch goes where next: to a writer, to the spool, or nowhere
//! yet. A state machine without I/O: the batcher reports events with their time,
//! and performs the steps that come out. `docs/ARCHITECTURE.md` has its diagram.
//!
//! Batches that are with a writer are in flight; a writer that takes longer than
//! `DB_WRITE_TIMEOUT_S` is replaced.

mod spooled;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory_budget::Reservation;
use super::queue::Queue;
use crate::config::Config;
use crate::metrics::FlushReason;
use crate::store::{Batch, Group, IdBlocks, SpoolNumber, SpooledBatch};
use spooled::Spooled;

/// Backoff between probes during an outage, doubling from the first to the last.
/// Short, because what waits in the spool can't be queried yet.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// Once a message has waited for a free writer for this long, the database counts
/// as too slow, and batches go to disk. The largest usual batch takes a third of
/// it; checkpoints rarely delay one for longer.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// Wait after the disk was full.
const SPOOL_RETRY: Duration = Duration::from_secs(1);

/// Names batches in flight; later ones have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InFlightId(u64);

/// Where batches in flight came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// One batch, from sockets.
    Memory(Reservation),
    /// From the spool, in one transaction.
    Spool(Vec<SpoolNumber>),
}

/// Batches that are with a writer.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) batches: Vec<Arc<Batch>>,
    pub(super) source: Source,
    sent_at: Instant,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send batches to a writer.
    Write {
        id: InFlightId,
        batches: Vec<Arc<Batch>>,
        reason: WriteReason,
    },
    /// Append a batch to the spool.
    Spill {
        batch: Arc<Batch>,
        reservation: Reservation,
    },
    /// Read the oldest batches from the spool: at most `limit`, leaving out `except`.
    ReadOldest {
        limit: usize,
        except: Vec<SpoolNumber>,
    },
}

/// Why a batch is sent to a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteReason {
    /// It is large or old enough.
    Due(FlushReason),
    /// It could not be stored before.
    Retry,
    /// It comes from the spool.
    Spool,
}

/// What a failed write means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The database is unavailable.
    Outage,
    /// Other batches are stored: these ones, from the spool, are deferred.
    BatchOnly,
}

/// The state of all batches between sockets and database.
#[derive(Debug)]
pub(super) struct Dispatch {
    /// Numbers for the messages of a batch, which are consecutive.
    ids: Arc<IdBlocks>,
    queue: Queue,
    /// Batches from memory that could not be stored, the oldest first.
    retries: VecDeque<(Arc<Batch>, Reservation)>,
    in_flight: BTreeMap<InFlightId, InFlight>,
    next_id: u64,
    writers: usize,
    write_timeout: Duration,
    outage: Option<Outage>,
    stored_at: Option<Instant>,
    ready: bool,
    /// Sockets wait for the memory budget, so batches go to disk as well.
    has_memory_pressure: bool,
    spooled: Spooled,
    spilling: bool,
    spill_blocked_until: Option<Instant>,
    draining: Option<DrainTo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DrainTo {
    Database,
    Disk,
}

/// The database is unavailable.
#[derive(Debug)]
struct Outage {
    retry_at: Instant,
    backoff: Duration,
    /// The one write that tests whether it is back.
    probe: Option<InFlightId>,
}

impl Dispatch {
    /// Nothing in memory, `spooled` batches in the spool. Nothing is written before
    /// [`Self::database_ready`].
    pub(super) fn new(config: &Config, spooled: usize, ids: Arc<IdBlocks>) -> Self {
        Self {
            ids,
            queue: Queue::new(&config.ingest, config.store.writers),
            retries: VecDeque::new(),
            in_flight: BTreeMap::new(),
            next_id: 0,
            writers: config.store.writers,
            write_timeout: config.store.write_timeout,
            outage: None,
            stored_at: None,
            ready: false,
            has_memory_pressure: false,
            spooled: Spooled::new(spooled),
            spilling: false,
            spill_blocked_until: None,
            draining: None,
        }
    }

    /// A socket has read something.
    pub(super) fn push(&mut self, group: Group, reservation: Reservation) {
        self.queue.push(group, reservation);
    }

    /// A socket has waited for the memory budget for too long.
    pub(super) fn memory_pressure(&mut self) {
        self.has_memory_pressure = true;
    }

    /// The database can be written to from now on.
    pub(super) fn database_ready(&mut self) {
        self.ready = true;
    }

    /// Empties the memory from now on. With `to_disk` that includes what is in flight:
    /// if it is stored after all, its number is recognised later.
    pub(super) fn drain(&mut self, to_disk: bool) {
        if !to_disk {
            self.draining = Some(DrainTo::Database);
            return;
        }
        self.draining = Some(DrainTo::Disk);
        for sent in self.in_flight.values_mut() {
            if let Source::Memory(reservation) = &mut sent.source {
                let reservation = std::mem::take(reservation);
                let copies = sent.batches.iter().cloned();
                self.retries
                    .extend(copies.map(|batch| (batch, reservation)));
            }
        }
    }

    /// The next step, if there is one now.
    pub(super) fn next_step(&mut self, now: Instant) -> Option<Step> {
        if self.may_write(now) {
            let may_read = self.draining.is_none() && self.spooled.may_read(now);
            // Memory and spool alternate, so that both make progress, and so that no
            // single bad batch is the only probe of an outage.
            if may_read && self.spooled.has_turn() {
                return Some(self.read_oldest(now));
            }
            let is_probe = self.outage.is_some();
            if let Some((batch, reservation, reason)) = self.next_batch(is_probe, now) {
                self.spooled.give_turn();
                return Some(self.send(vec![batch], Source::Memory(reservation), reason, now));
            }
            if may_read {
                return Some(self.read_oldest(now));
            }
        }
        // Far enough that the budget lasts for a while.
        self.has_memory_pressure &= self.queue.is_long();
        if self.should_spill(now)
            && let Some((batch, reservation, _)) = self.next_batch(false, now)
        {
            self.spilling = true;
            return Some(Step::Spill { batch, reservation });
        }
        None
    }

    /// When something becomes due by time alone.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let can_spill_at = self.spill_blocked_until.filter(|_| !self.spilling);
        let retry_at = self.outage.as_ref().map(|outage| outage.retry_at);
        let overdue_at = self
            .in_flight
            .values()
            .next()
            .map(|sent| self.deadline(sent));
        let moments = [
            self.queue.due_at(),
            self.stalled_at(),
            retry_at,
            overdue_at,
            can_spill_at,
            self.spooled.wake_at(now),
        ];
        // What is due and was not done waits for another event.
        moments
            .into_iter()
            .flatten()
            .filter(|moment| *moment > now)
            .min()
    }

    /// The oldest batches in flight, if they are past their deadline.
    pub(super) fn overdue(&self, now: Instant) -> Option<InFlightId> {
        let (id, sent) = self.in_flight.first_key_value()?;
        (self.deadline(sent) <= now).then_some(*id)
    }

    /// Batches in flight are stored; which. None if their writer was replaced: they
    /// are sent again.
    pub(super) fn stored(&mut self, id: InFlightId, now: Instant) -> Option<InFlight> {
        let sent = self.in_flight.remove(&id)?;
        match &sent.source {
            Source::Memory(_) => self.spooled.others_stored(),
            Source::Spool(numbers) => self.spooled.stored(numbers.len()),
        }
        self.stored_at = Some(now);
        self.outage = None;
        Some(sent)
    }

    /// Batches in flight are not stored. None if their writer was replaced before.
    pub(super) fn not_stored(&mut self, id: InFlightId, now: Instant) -> Option<Failure> {
        let sent = self.in_flight.remove(&id)?;
        let meanwhile = self.stored_at.is_some_and(|at| at > sent.sent_at);
        match sent.source {
            // A copy of it goes to disk.
            Source::Memory(_) if self.draining == Some(DrainTo::Disk) => {}
            Source::Memory(reservation) => {
                let batches = sent.batches.into_iter().rev();
                for batch in batches {
                    self.retries.push_front((batch, reservation));
                }
            }
            // They are still in the spool.
            Source::Spool(numbers) => {
                if self.spooled.not_stored(&numbers, meanwhile, now) {
                    return Some(Failure::BatchOnly);
                }
            }
        }
        match &mut self.outage {
            Some(outage) if outage.probe == Some(id) => {
                outage.probe = None;
                outage.backoff = (outage.backoff * 2).min(RETRY_LAST);
                outage.retry_at = now + outage.backoff;
            }
            Some(_) => {}
            None => {
                self.outage = Some(Outage {
                    retry_at: now + RETRY_FIRST,
                    backoff: RETRY_FIRST,
                    probe: None,
                });
            }
        }
        Some(Failure::Outage)
    }

    /// A batch is on disk.
    pub(super) fn spilled(&mut self) {
        self.spilling = false;
        self.spooled.add();
        self.spill_blocked_until = None;
    }

    /// A batch could not be spooled; true for the first failure in a row.
    pub(super) fn not_spilled(
        &mut self,
        batch: Arc<Batch>,
        reservation: Reservation,
        now: Instant,
    ) -> bool {
        self.spilling = false;
        self.retries.push_front((batch, reservation));
        self.spill_blocked_until
            .replace(now + SPOOL_RETRY)
            .is_none()
    }

    /// Batches were read from the spool, and go to a writer.
    pub(super) fn spool_read(&mut self, oldest: Vec<SpooledBatch>, now: Instant) -> Step {
        self.spooled.read();
        let (numbers, batches) = oldest
            .into_iter()
            .map(|spooled| (spooled.number, Arc::new(spooled.batch)))
            .unzip();
        self.send(batches, Source::Spool(numbers), WriteReason::Spool, now)
    }

    /// The spool can't be read now; true for the first failure in a row.
    pub(super) fn read_failed(&mut self, now: Instant) -> bool {
        self.spooled.read_failed(now)
    }

    /// The spool has no batch that may be read.
    pub(super) fn nothing_to_read(&mut self) {
        self.spooled.nothing_to_read();
    }

    /// Stored batches are deleted from the spool; `left` remain there.
    pub(super) fn deleted(&mut self, left: usize) {
        self.spooled
            .deleted(left.saturating_add(usize::from(self.spilling)));
    }

    /// Whether a drain was requested and the memory is empty.
    pub(super) fn is_drained(&self) -> bool {
        let empty = self.queue.is_empty() && self.retries.is_empty() && !self.spilling;
        match self.draining {
            None => false,
            Some(DrainTo::Database) => empty && !self.in_flight.values().any(InFlight::is_live),
            Some(DrainTo::Disk) => empty,
        }
    }

    /// Batches wait, and nothing was stored for [`STALLED_AFTER`].
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        let stalled_since =
            self.stored_at
                .or(self.in_flight.values().next().map(|sent| sent.sent_at));
        self.is_slow(now)
            && stalled_since.is_some_and(|since| now.duration_since(since) >= STALLED_AFTER)
    }

    /// Messages have waited for a writer for [`STALLED_AFTER`].
    fn is_slow(&self, now: Instant) -> bool {
        self.stalled_at()
            .is_some_and(|stalled_at| stalled_at <= now)
    }

    fn stalled_at(&self) -> Option<Instant> {
        self.queue.waits_since().map(|since| since + STALLED_AFTER)
    }

    fn may_write(&self, now: Instant) -> bool {
        // What is being read from the spool will need a writer.
        let busy = self.in_flight.len() + usize::from(self.spooled.is_reading());
        if !self.ready || self.draining == Some(DrainTo::Disk) || busy >= self.writers {
            return false;
        }
        match &self.outage {
            Some(outage) => {
                let is_probed = outage.probe.is_some() || self.spooled.is_reading();
                !is_probed && outage.retry_at <= now
            }
            None => true,
        }
    }

    fn should_spill(&self, now: Instant) -> bool {
        let is_blocked = self.spill_blocked_until.is_some_and(|until| now < until);
        if self.spilling || is_blocked {
            return false;
        }
        let is_unavailable = !self.ready || self.outage.is_some();
        is_unavailable
            || self.is_slow(now)
            || self.has_memory_pressure
            || self.draining == Some(DrainTo::Disk)
    }

    /// The next batch from memory, if one is due; a probe leaves however small it is.
    fn next_batch(
        &mut self,
        is_probe: bool,
        now: Instant,
    ) -> Option<(Arc<Batch>, Reservation, WriteReason)> {
        if let Some((batch, reservation)) = self.retries.pop_front() {
            return Some((batch, reservation, WriteReason::Retry));
        }
        if self.queue.is_empty() {
            return None;
        }
        let early = match self.draining {
            Some(_) => Some(FlushReason::Shutdown),
            None => is_probe.then_some(FlushReason::Age),
        };
        let due = self.queue.due(now).or(early)?;
        let (groups, reservation) = self.queue.take();
        Some((
            Arc::new(Batch::numbered(groups, &self.ids)),
            reservation,
            WriteReason::Due(due),
        ))
    }

    fn read_oldest(&mut self, now: Instant) -> Step {
        let (limit, except) = self.spooled.begin_read(now);
        Step::ReadOldest { limit, except }
    }

    fn send(
        &mut self,
        batches: Vec<Arc<Batch>>,
        source: Source,
        reason: WriteReason,
        now: Instant,
    ) -> Step {
        let id = InFlightId(self.next_id);
        self.next_id += 1;
        let sent = InFlight {
            batches: batches.clone(),
            source,
            sent_at: now,
        };
        self.in_flight.insert(id, sent);
        if let Some(outage) = &mut self.outage {
            outage.probe = Some(id);
        }
        Step::Write {
            id,
            batches,
            reason,
        }
    }

    fn deadline(&self, sent: &InFlight) -> Instant {
        sent.sent_at + self.write_timeout
    }
}

impl InFlight {
    /// Whether it came from sockets, not from the spool.
    fn is_live(&self) -> bool {
        matches!(self.source, Source::Memory(_))
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
