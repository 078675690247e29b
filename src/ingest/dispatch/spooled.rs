//! The batches in the spool as dispatch sees them: when to read them back, how
//! many at once, and which to defer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::SPOOL_RETRY;
use crate::store::SpoolNumber;

/// Most batches that are read at once, for one transaction.
const READ_MAX: usize = 256;

/// Factor by which more are read after a success.
const GROWTH: usize = 4;

/// How long a batch is deferred that failed while others were stored: the fault
/// is its own, and it must not hold up the others.
const DEFER_TIME: Duration = Duration::from_secs(10);

/// The batches in the spool. At most one group of them is in progress.
#[derive(Debug)]
pub(super) struct Spooled {
    count: usize,
    state: State,
    has_turn: bool,
    /// How many to read at once. Grows with each success and restarts at one after
    /// a failure: a slow network may carry one within the time limit, but not many.
    read_limit: usize,
    /// The spool could not be read; next try.
    blocked_until: Option<Instant>,
    /// Deferred batches, and until when.
    deferred: BTreeMap<SpoolNumber, Instant>,
    /// The batch of the last failure, and whether others were stored since.
    last_failed: Option<(SpoolNumber, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Being read from disk.
    Reading,
    /// With a writer, or being deleted from disk.
    InFlight,
}

impl Spooled {
    /// `count` batches are left from the last run.
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            state: State::Idle,
            has_turn: true,
            read_limit: 1,
            blocked_until: None,
            deferred: BTreeMap::new(),
            last_failed: None,
        }
    }

    /// Whether a read may begin.
    pub(super) fn may_read(&self, now: Instant) -> bool {
        let deferred = self.deferred.values().filter(|until| **until > now).count();
        self.state == State::Idle
            && self.count > deferred
            && self.blocked_until.is_none_or(|until| until <= now)
    }

    /// Whether the spool comes before what is in memory.
    pub(super) fn has_turn(&self) -> bool {
        self.has_turn
    }

    /// The spool comes next.
    pub(super) fn give_turn(&mut self) {
        self.has_turn = true;
    }

    /// Whether a read is in progress.
    pub(super) fn is_reading(&self) -> bool {
        self.state == State::Reading
    }

    /// Begins a read: how many batches at most, and which to leave out.
    pub(super) fn begin_read(&mut self, now: Instant) -> (usize, Vec<SpoolNumber>) {
        self.state = State::Reading;
        self.has_turn = false;
        self.deferred.retain(|_, until| *until > now);
        (self.read_limit, self.deferred.keys().copied().collect())
    }

    /// The read has succeeded.
    pub(super) fn read(&mut self) {
        self.state = State::InFlight;
        self.blocked_until = None;
    }

    /// The read has failed; true for the first failure in a row.
    pub(super) fn read_failed(&mut self, now: Instant) -> bool {
        self.state = State::Idle;
        self.blocked_until.replace(now + SPOOL_RETRY).is_none()
    }

    /// The read has found no batch.
    pub(super) fn nothing_to_read(&mut self) {
        self.state = State::Idle;
        self.count = self.deferred.len();
    }

    /// `count` batches are stored, and will be deleted from disk.
    pub(super) fn stored(&mut self, count: usize) {
        debug_assert!(self.state == State::InFlight);
        let more = count.saturating_mul(GROWTH);
        self.read_limit = more.clamp(self.read_limit, READ_MAX);
    }

    /// A batch from memory is stored.
    pub(super) fn others_stored(&mut self) {
        if let Some((_, others)) = &mut self.last_failed {
            *others = true;
        }
    }

    /// The batches are not stored, others were if `meanwhile`; true if the fault is
    /// their own.
    pub(super) fn not_stored(
        &mut self,
        numbers: &[SpoolNumber],
        meanwhile: bool,
        now: Instant,
    ) -> bool {
        self.state = State::Idle;
        self.read_limit = 1;
        let last_failed = self.last_failed.take();
        let &[number] = numbers else {
            return meanwhile;
        };
        if meanwhile || last_failed == Some((number, true)) {
            self.deferred.insert(number, now + DEFER_TIME);
            return true;
        }
        self.last_failed = Some((number, false));
        false
    }

    /// Stored batches are deleted from disk; `left` remain there.
    pub(super) fn deleted(&mut self, left: usize) {
        self.state = State::Idle;
        self.count = left;
    }

    /// One more batch is on disk.
    pub(super) fn add(&mut self) {
        self.count += 1;
    }

    /// When a read becomes possible by time alone.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let deferred = self.deferred.values().copied();
        let moments = deferred.chain(self.blocked_until);
        moments.filter(|moment| *moment > now).min()
    }
}
