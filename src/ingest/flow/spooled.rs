//! What waits on disk, as far as the flow has to know: when to take it back,
//! how much at once, and what to leave alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::SPOOL_RETRY;
use crate::store::SpoolNumber;

/// Most batches that are taken together, into one transaction.
const TOGETHER_MAX: usize = 256;

/// Times by which more are taken after a success.
const GROWTH: usize = 4;

/// How long a batch is left alone that failed by itself while others were
/// stored: the fault is its own, and it must not hold up the others.
const PUT_OFF: Duration = Duration::from_secs(10);

/// The batches on disk. At most one taking is under way.
#[derive(Debug)]
pub(super) struct Spooled {
    count: usize,
    state: State,
    has_turn: bool,
    /// How many to take at once: grows with each success, and starts again from
    /// one after a failure, for a slow network may carry one in time, but not many.
    together: usize,
    /// The oldest batch could not be read.
    blocked_until: Option<Instant>,
    /// Batches that are left alone until then.
    put_off: BTreeMap<SpoolNumber, Instant>,
    /// The one that failed at the last try, and whether others were stored since.
    suspect: Option<(SpoolNumber, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// They are being read.
    Taking,
    /// They are with a writer, or are being forgotten.
    Away,
}

impl Spooled {
    /// So many wait since the last run.
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            state: State::Idle,
            has_turn: true,
            together: 1,
            blocked_until: None,
            put_off: BTreeMap::new(),
            suspect: None,
        }
    }

    /// Whether some can be taken now.
    pub(super) fn may_take(&self, now: Instant) -> bool {
        let left_alone = self.put_off.values().filter(|until| **until > now).count();
        self.state == State::Idle
            && self.count > left_alone
            && self.blocked_until.is_none_or(|until| until <= now)
    }

    /// Whether they come before what is in memory.
    pub(super) fn has_turn(&self) -> bool {
        self.has_turn
    }

    /// They come next.
    pub(super) fn give_turn(&mut self) {
        self.has_turn = true;
    }

    /// Whether some are being read.
    pub(super) fn is_taking(&self) -> bool {
        self.state == State::Taking
    }

    /// Begins to take some: how many at most, and which not.
    pub(super) fn take(&mut self, now: Instant) -> (usize, Vec<SpoolNumber>) {
        self.state = State::Taking;
        self.has_turn = false;
        self.put_off.retain(|_, until| *until > now);
        (self.together, self.put_off.keys().copied().collect())
    }

    /// They were read.
    pub(super) fn taken(&mut self) {
        self.state = State::Away;
        self.blocked_until = None;
    }

    /// They could not be read; whether that is news.
    pub(super) fn not_taken(&mut self, now: Instant) -> bool {
        self.state = State::Idle;
        self.blocked_until.replace(now + SPOOL_RETRY).is_none()
    }

    /// There were none.
    pub(super) fn nothing_taken(&mut self) {
        self.state = State::Idle;
        self.count = self.put_off.len();
    }

    /// So many are stored; they will be forgotten.
    pub(super) fn stored(&mut self, count: usize) {
        debug_assert!(self.state == State::Away);
        let more = count.saturating_mul(GROWTH);
        self.together = more.clamp(self.together, TOGETHER_MAX);
    }

    /// Others are stored.
    pub(super) fn others_stored(&mut self) {
        if let Some((_, others)) = &mut self.suspect {
            *others = true;
        }
    }

    /// They are not stored, but others were `meanwhile`; whether the fault is
    /// their own.
    pub(super) fn not_stored(
        &mut self,
        numbers: &[SpoolNumber],
        meanwhile: bool,
        now: Instant,
    ) -> bool {
        self.state = State::Idle;
        self.together = 1;
        let suspect = self.suspect.take();
        let &[number] = numbers else {
            return meanwhile;
        };
        if meanwhile || suspect == Some((number, true)) {
            self.put_off.insert(number, now + PUT_OFF);
            return true;
        }
        self.suspect = Some((number, false));
        false
    }

    /// They are gone from disk; so many are left there.
    pub(super) fn forgotten(&mut self, left: usize) {
        self.state = State::Idle;
        self.count = left;
    }

    /// One more is there.
    pub(super) fn add(&mut self) {
        self.count += 1;
    }

    /// When some can be taken that could not be before.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let put_off = self.put_off.values().copied();
        let moments = put_off.chain(self.blocked_until);
        moments.filter(|moment| *moment > now).min()
    }
}
