//! Where a batch goes next: to a writer, to disk, or nowhere yet. Pure: the
//! batcher tells it what has happened and at what time, and does what it says.
//!
//! A batch that is with a writer is a flight; if it lasts longer than
//! `DB_WRITE_TIMEOUT_S`, its writer is given up.

mod spooled;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory_budget::Reservation;
use super::queue::Queue;
use crate::config::Config;
use crate::metrics::FlushReason;
use crate::store::{Batch, Group, SpoolNumber, SpooledBatch};
use spooled::Spooled;

/// Waits between tries while the database is away: from the first to the last,
/// doubling. It is asked often, for what waits on disk is not yet readable.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// When a message has waited for a free writer for so long, the database counts
/// as too slow, and batches go to disk. The largest usual batch takes a third
/// of it, a checkpoint seldom more.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Wait after the disk was full.
const SPOOL_RETRY: Duration = Duration::from_secs(1);

/// Number of a flight; later ones have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Flight(u64);

/// Where the batches of a flight came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// One, from sockets.
    Memory(Reservation),
    /// From disk, in one transaction.
    Spool(Vec<SpoolNumber>),
}

/// What is with a writer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) batches: Vec<Arc<Batch>>,
    pub(super) origin: Origin,
    at: Instant,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send batches to a writer.
    Write {
        flight: Flight,
        batches: Vec<Arc<Batch>>,
        why: Why,
    },
    /// Put a batch on disk.
    Spill {
        batch: Arc<Batch>,
        reservation: Reservation,
    },
    /// Take the oldest batches from disk, at most so many, and none of those.
    TakeOldest {
        most: usize,
        except: Vec<SpoolNumber>,
    },
}

/// Why a batch is sent to a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is large or old enough.
    Due(FlushReason),
    /// It could not be stored before.
    Again,
    /// It waited on disk.
    FromDisk,
}

/// What it means that a flight has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The database is away.
    Away,
    /// Others are stored meanwhile: these batches from disk have to wait.
    Alone,
}

/// The state of everything that is on its way.
#[derive(Debug)]
pub(super) struct Flow {
    queue: Queue,
    /// Batches that could not be stored, the oldest first.
    again: VecDeque<(Arc<Batch>, Reservation)>,
    flights: BTreeMap<Flight, Sent>,
    next_flight: u64,
    writers: usize,
    write_timeout: Duration,
    outage: Option<Outage>,
    stored_at: Option<Instant>,
    ready: bool,
    /// Sockets wait for the memory budget, so batches go to disk as well.
    overflows: bool,
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

/// The database is away.
#[derive(Debug)]
struct Outage {
    next_try: Instant,
    wait: Duration,
    /// The one flight that asks whether it is back.
    asking: Option<Flight>,
}

impl Flow {
    /// Nothing under way, and so many batches on disk. Nothing is written until
    /// the database is said to be ready.
    pub(super) fn new(config: &Config, spooled: usize) -> Self {
        Self {
            queue: Queue::new(&config.ingest, config.store.writers),
            again: VecDeque::new(),
            flights: BTreeMap::new(),
            next_flight: 0,
            writers: config.store.writers,
            write_timeout: config.store.write_timeout,
            outage: None,
            stored_at: None,
            ready: false,
            overflows: false,
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
    pub(super) fn overflow(&mut self) {
        self.overflows = true;
    }

    /// The database can be written to from now on.
    pub(super) fn database_ready(&mut self) {
        self.ready = true;
    }

    /// Empties the memory from now on. To disk goes also what is with a writer
    /// just now: if it is stored after all, that will be recognised.
    pub(super) fn drain(&mut self, to_disk: bool) {
        if !to_disk {
            self.draining = Some(DrainTo::Database);
            return;
        }
        self.draining = Some(DrainTo::Disk);
        let live = self.flights.values().filter(|sent| sent.is_live());
        let copies = live.flat_map(|sent| sent.batches.clone());
        // The writer keeps their reservation.
        self.again
            .extend(copies.map(|batch| (batch, Reservation::default())));
    }

    /// The next thing to do, if there is one now.
    pub(super) fn next_step(&mut self, now: Instant) -> Option<Step> {
        if self.may_write(now) {
            let may_take = self.draining.is_none() && self.spooled.may_take(now);
            // They take turns, so that new messages flow, and the disk empties;
            // and so that no batch alone says that the database is away.
            if may_take && self.spooled.has_turn() {
                return Some(self.take_oldest(now));
            }
            let asks = self.outage.is_some();
            if let Some((batch, reservation, why)) = self.next_batch(asks, now) {
                self.spooled.give_turn();
                return Some(self.fly(vec![batch], Origin::Memory(reservation), why, now));
            }
            if may_take {
                return Some(self.take_oldest(now));
            }
        }
        // Far enough that the budget lasts for a while.
        self.overflows &= self.queue.is_long();
        if self.should_spill(now)
            && let Some((batch, reservation, _)) = self.next_batch(false, now)
        {
            self.spilling = true;
            return Some(Step::Spill { batch, reservation });
        }
        None
    }

    /// When something becomes due that nobody will tell.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let can_spill_at = self.spill_blocked_until.filter(|_| !self.spilling);
        let retry_at = self.outage.as_ref().map(|outage| outage.next_try);
        let overdue_at = self.flights.values().next().map(|sent| self.end_of(sent));
        let moments = [
            self.queue.due_at(),
            self.stuck_at(),
            retry_at,
            overdue_at,
            can_spill_at,
            self.spooled.wake_at(now),
        ];
        // What is past and could not be done waits for something else.
        moments
            .into_iter()
            .flatten()
            .filter(|moment| *moment > now)
            .min()
    }

    /// The oldest flight, if its writer will not answer any more.
    pub(super) fn overdue(&self, now: Instant) -> Option<Flight> {
        let (flight, sent) = self.flights.first_key_value()?;
        (self.end_of(sent) <= now).then_some(*flight)
    }

    /// A flight is stored: what it was. None if its writer was given up: it is on
    /// its way once more.
    pub(super) fn stored(&mut self, flight: Flight, now: Instant) -> Option<Sent> {
        let sent = self.flights.remove(&flight)?;
        match &sent.origin {
            Origin::Memory(_) => self.spooled.others_stored(),
            Origin::Spool(numbers) => self.spooled.stored(numbers.len()),
        }
        self.stored_at = Some(now);
        self.outage = None;
        Some(sent)
    }

    /// A flight is not stored. None if its writer was given up before.
    pub(super) fn not_stored(&mut self, flight: Flight, now: Instant) -> Option<Failed> {
        let sent = self.flights.remove(&flight)?;
        let meanwhile = self.stored_at.is_some_and(|at| at > sent.at);
        match sent.origin {
            Origin::Memory(reservation) => {
                let batches = sent.batches.into_iter().rev();
                for batch in batches {
                    self.again.push_front((batch, reservation));
                }
            }
            // They are still on disk.
            Origin::Spool(numbers) => {
                if self.spooled.not_stored(&numbers, meanwhile, now) {
                    return Some(Failed::Alone);
                }
            }
        }
        match &mut self.outage {
            Some(outage) if outage.asking == Some(flight) => {
                outage.asking = None;
                outage.wait = (outage.wait * 2).min(RETRY_LAST);
                outage.next_try = now + outage.wait;
            }
            Some(_) => {}
            None => {
                self.outage = Some(Outage {
                    next_try: now + RETRY_FIRST,
                    wait: RETRY_FIRST,
                    asking: None,
                });
            }
        }
        Some(Failed::Away)
    }

    /// A batch is on disk.
    pub(super) fn spilled(&mut self) {
        self.spilling = false;
        self.spooled.add();
        self.spill_blocked_until = None;
    }

    /// A batch could not be put on disk; whether that is news.
    pub(super) fn not_spilled(
        &mut self,
        batch: Arc<Batch>,
        reservation: Reservation,
        now: Instant,
    ) -> bool {
        self.spilling = false;
        self.again.push_front((batch, reservation));
        self.spill_blocked_until
            .replace(now + SPOOL_RETRY)
            .is_none()
    }

    /// Batches were taken from disk, and go to a writer.
    pub(super) fn taken(&mut self, taken: Vec<SpooledBatch>, now: Instant) -> Step {
        self.spooled.taken();
        let (numbers, batches) = taken
            .into_iter()
            .map(|spooled| (spooled.number, Arc::new(spooled.batch)))
            .unzip();
        self.fly(batches, Origin::Spool(numbers), Why::FromDisk, now)
    }

    /// The oldest batch on disk cannot be read now; whether that is news.
    pub(super) fn not_taken(&mut self, now: Instant) -> bool {
        self.spooled.not_taken(now)
    }

    /// There was no batch on disk that may be taken.
    pub(super) fn nothing_taken(&mut self) {
        self.spooled.nothing_taken();
    }

    /// Batches are gone from disk; so many are left there.
    pub(super) fn forgotten(&mut self, left: usize) {
        self.spooled
            .forgotten(left.saturating_add(usize::from(self.spilling)));
    }

    /// Whether draining is asked for and done: the memory is empty.
    pub(super) fn is_drained(&self) -> bool {
        let empty = self.queue.is_empty() && self.again.is_empty() && !self.spilling;
        match self.draining {
            None => false,
            Some(DrainTo::Database) => empty && !self.flights.values().any(Sent::is_live),
            Some(DrainTo::Disk) => empty,
        }
    }

    /// Batches wait, and nothing was stored for a while.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let silent_since = self
            .stored_at
            .or(self.flights.values().next().map(|sent| sent.at));
        self.is_slow(now)
            && silent_since.is_some_and(|since| now.duration_since(since) >= STUCK_AFTER)
    }

    /// Messages have waited for a writer for too long.
    fn is_slow(&self, now: Instant) -> bool {
        self.stuck_at().is_some_and(|stuck_at| stuck_at <= now)
    }

    fn stuck_at(&self) -> Option<Instant> {
        self.queue.waits_since().map(|since| since + STUCK_AFTER)
    }

    fn may_write(&self, now: Instant) -> bool {
        // What is being taken from disk will need a writer.
        let busy = self.flights.len() + usize::from(self.spooled.is_taking());
        if !self.ready || self.draining == Some(DrainTo::Disk) || busy >= self.writers {
            return false;
        }
        match &self.outage {
            Some(outage) => {
                let is_asked = outage.asking.is_some() || self.spooled.is_taking();
                !is_asked && outage.next_try <= now
            }
            None => true,
        }
    }

    fn should_spill(&self, now: Instant) -> bool {
        let is_blocked = self.spill_blocked_until.is_some_and(|until| now < until);
        if self.spilling || is_blocked {
            return false;
        }
        let is_away = !self.ready || self.outage.is_some();
        is_away || self.is_slow(now) || self.overflows || self.draining == Some(DrainTo::Disk)
    }

    /// The next batch from memory, if one should leave; one that asks whether
    /// the database is back leaves however small it is.
    fn next_batch(&mut self, asks: bool, now: Instant) -> Option<(Arc<Batch>, Reservation, Why)> {
        if let Some((batch, reservation)) = self.again.pop_front() {
            return Some((batch, reservation, Why::Again));
        }
        if self.queue.is_empty() {
            return None;
        }
        let early = match self.draining {
            Some(_) => Some(FlushReason::Shutdown),
            None => asks.then_some(FlushReason::Age),
        };
        let due = self.queue.due(now).or(early)?;
        let (groups, reservation) = self.queue.take();
        Some((Arc::new(Batch::new(groups)), reservation, Why::Due(due)))
    }

    fn take_oldest(&mut self, now: Instant) -> Step {
        let (most, except) = self.spooled.take(now);
        Step::TakeOldest { most, except }
    }

    fn fly(&mut self, batches: Vec<Arc<Batch>>, origin: Origin, why: Why, now: Instant) -> Step {
        let flight = Flight(self.next_flight);
        self.next_flight += 1;
        let sent = Sent {
            batches: batches.clone(),
            origin,
            at: now,
        };
        self.flights.insert(flight, sent);
        if let Some(outage) = &mut self.outage {
            outage.asking = Some(flight);
        }
        Step::Write {
            flight,
            batches,
            why,
        }
    }

    fn end_of(&self, sent: &Sent) -> Instant {
        sent.at + self.write_timeout
    }
}

impl Sent {
    /// Whether it came straight from sockets.
    fn is_live(&self) -> bool {
        matches!(self.origin, Origin::Memory(_))
    }
}

#[cfg(test)]
mod tests;
