//! The status of one node, or of another sender of heartbeats. Pure: time is passed in.
//!
//! A machine takes what was seen of the node, and judges: whether it is silent, and
//! since when; else whether something is wrong with what it says. It changes its
//! state only when it is told that the change was kept.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::NodeRules;
use crate::metrics::{NodeState, StatusReason};
use crate::projections::Reference;

/// A moment, by the clock of the database.
pub type Time = DateTime<Utc>;

/// A node whose connection ended tries again after 10 to 19 s (the client of nodes
/// has it so), and is not missed before.
const RECONNECT: TimeDelta = TimeDelta::seconds(20);

/// Recovery needs two beats; closer together they are one burst.
const BEATS_APART: TimeDelta = TimeDelta::seconds(1);

/// So many blocks behind its chain a node is catching up, if its block moves: ten
/// minutes of blocks of 6 s.
const SYNC_FROM: i64 = 100;

/// It has caught up when it is at most so many blocks behind.
const SYNC_UNTIL: i64 = 10;

/// A chain has moved on by so many blocks; one more may be a fork of the same height.
const MOVED_BLOCKS: i64 = 2;

/// What is known of a node at one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Arrival of its last message.
    pub last_seen: Time,
    /// When and why its last session ended; none while one is open.
    pub ended: Option<(Time, StatusReason)>,
    /// Its best block, and when it reported it first.
    pub best: Option<(i64, Time)>,
    /// Its finalized block.
    pub finalized: Option<i64>,
    /// Since when two machines use its peer id at once.
    pub conflict_since: Option<Time>,
}

impl Seen {
    /// The same by the clock of the database; that of its server is ahead by `offset`.
    pub fn ahead(self, offset: TimeDelta) -> Self {
        Self {
            last_seen: self.last_seen - offset,
            ended: self.ended.map(|(at, why)| (at - offset, why)),
            best: self.best.map(|(height, at)| (height, at - offset)),
            ..self
        }
    }
}

/// A change of status that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The new state.
    pub to: NodeState,
    /// Why.
    pub reason: StatusReason,
    /// Since when it is so: a silent node since its last message.
    pub since: Time,
}

/// When a node is judged, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// What arrived before is known.
    pub now: Time,
    /// Silence and standstill before count for nothing: it was an outage of our own,
    /// or the node had no time yet to come back from one.
    pub grace_until: Time,
    /// Its thresholds.
    pub rules: &'a NodeRules,
    /// The other nodes of its chain.
    pub chain: Reference,
}

/// The best block of a node.
#[derive(Debug, Clone, Copy)]
struct Best {
    height: i64,
    moved_at: Time,
    /// Its chain when it moved; none until it is judged.
    chain_then: Option<i64>,
    /// Since when its chain has moved on without it.
    left_since: Option<Time>,
    has_moved: bool,
}

impl Best {
    fn new((height, moved_at): (i64, Time)) -> Self {
        Self {
            height,
            moved_at,
            chain_then: None,
            left_since: None,
            has_moved: true,
        }
    }
}

/// The machine of one node.
#[derive(Debug, Clone)]
pub struct Machine {
    state: NodeState,
    last_seen: Time,
    ended: Option<(Time, StatusReason)>,
    /// The first of the beats in time since a silence.
    in_time_since: Option<Time>,
    best: Option<Best>,
    finalized: Option<i64>,
    /// Since when its finalized block is too far behind.
    behind_since: Option<Time>,
    /// Since when it is far behind its chain, and catches up.
    syncing_since: Option<Time>,
    /// The block at which it is stalled.
    stalled_at: Option<i64>,
    conflict_since: Option<Time>,
}

impl Machine {
    /// A node in a state that was kept, or that is new and online, as it was seen now.
    pub fn new(state: NodeState, seen: &Seen) -> Self {
        Self {
            state,
            last_seen: seen.last_seen,
            ended: seen.ended,
            in_time_since: None,
            best: seen.best.map(Best::new),
            finalized: seen.finalized,
            behind_since: None,
            syncing_since: None,
            stalled_at: seen
                .best
                .filter(|_| state == NodeState::Stalled)
                .map(|(height, _)| height),
            conflict_since: seen.conflict_since,
        }
    }

    /// Its state.
    pub fn state(&self) -> NodeState {
        self.state
    }

    /// Arrival of its last message.
    pub fn last_seen(&self) -> Time {
        self.last_seen
    }

    /// Best and finalized block.
    pub fn heights(&self) -> (Option<i64>, Option<i64>) {
        (self.best.map(|best| best.height), self.finalized)
    }

    /// Takes what was seen of it. Beats that are `late_by` longer apart than they should
    /// be are in time: looks are not closer together.
    pub fn see(&mut self, seen: &Seen, rules: &NodeRules, late_by: TimeDelta) {
        if seen.last_seen > self.last_seen {
            let is_in_time = seen.last_seen - self.last_seen <= rules.heartbeat + late_by;
            if is_silent(self.state) && !(is_in_time && self.in_time_since.is_some()) {
                self.in_time_since = Some(seen.last_seen);
            }
            self.last_seen = seen.last_seen;
        }
        self.ended = seen.ended;
        self.conflict_since = seen.conflict_since;
        self.finalized = seen.finalized;
        let known = self.best.map(|best| best.height);
        // A new session reports the same block again.
        if let Some(best) = seen.best
            && known != Some(best.0)
        {
            self.best = Some(Best::new(best));
        }
    }

    /// For how long nothing was heard of it, apart from the time of grace.
    pub fn silence(&self, now: Time, grace_until: Time) -> TimeDelta {
        now - self.last_seen.max(grace_until)
    }

    /// How silent it is: late, missing or offline; none if it is in time.
    pub fn silent_state(&self, around: &Circumstances<'_>) -> Option<NodeState> {
        let silence = self.silence(around.now, around.grace_until);
        let rules = around.rules;
        if silence >= rules.offline {
            return Some(NodeState::Offline);
        }
        let is_coming_back = self
            .ended
            .is_some_and(|(at, _)| around.now - at < RECONNECT + rules.missing());
        if silence >= rules.missing() && !is_coming_back {
            return Some(NodeState::Missing);
        }
        (silence >= rules.heartbeat).then_some(NodeState::Late)
    }

    /// The change that is due now, if one is.
    pub fn judge(&mut self, around: &Circumstances<'_>) -> Option<Verdict> {
        let silent = self.silent_state(around);
        let verdict = if is_silent(self.state) {
            match (self.recovered_since(around), silent) {
                (Some(since), _) => self.health(around, since),
                (None, Some(silent)) if rank(silent) > rank(self.state) => self.silent(silent),
                (None, _) => return None,
            }
        } else {
            match silent {
                Some(silent) => self.silent(silent),
                // The second of two that left has ended no conflict by that.
                None if self.state == NodeState::Conflict && self.ended.is_some() => return None,
                None => self.health(around, around.now),
            }
        };
        (verdict.to != self.state).then_some(verdict)
    }

    /// A change was kept.
    pub fn enter(&mut self, to: NodeState) {
        self.state = to;
        self.in_time_since = None;
        let best = self.best.filter(|_| to == NodeState::Stalled);
        self.stalled_at = best.map(|best| best.height);
    }

    /// The verdict that it is silent.
    pub fn silent(&self, to: NodeState) -> Verdict {
        Verdict {
            to,
            reason: self.ended.map_or(StatusReason::Silent, |(_, why)| why),
            since: self.last_seen,
        }
    }

    /// Since when it sends beats in time again: two of them, and the last is no older
    /// than the next is due.
    fn recovered_since(&self, around: &Circumstances<'_>) -> Option<Time> {
        let first = self.in_time_since?;
        let is_twice = self.last_seen - first >= BEATS_APART;
        let is_now = around.now - self.last_seen < around.rules.heartbeat;
        (is_twice && is_now).then_some(first)
    }

    /// What is wrong with a node that sends messages; `since` if nothing is.
    fn health(&mut self, around: &Circumstances<'_>, since: Time) -> Verdict {
        self.compare(around);
        let verdict = |to, reason, since| Verdict { to, reason, since };
        if let Some(since) = self.conflict_since {
            return verdict(NodeState::Conflict, StatusReason::TwoMachines, since);
        }
        if let Some(since) = self.syncing_since {
            return verdict(NodeState::Syncing, StatusReason::CatchingUp, since);
        }
        if let Some(since) = self.stands_since(around) {
            return verdict(NodeState::Stalled, StatusReason::BestBlockStands, since);
        }
        if let Some(since) = self.behind_since
            && self.is_behind_for_long(since, around)
        {
            return verdict(NodeState::Lagging, StatusReason::FinalityBehind, since);
        }
        verdict(NodeState::Online, StatusReason::Recovered, since)
    }

    /// Compares its blocks with those of its chain.
    fn compare(&mut self, around: &Circumstances<'_>) {
        if let (Some(best), Some(chain)) = (&mut self.best, around.chain.best) {
            let behind = chain - best.height;
            if behind <= SYNC_UNTIL {
                self.syncing_since = None;
            } else if behind > SYNC_FROM && best.has_moved && self.stalled_at != Some(best.height) {
                self.syncing_since.get_or_insert(around.now);
            }
            best.has_moved = false;
            let gained = chain - *best.chain_then.get_or_insert(chain);
            match gained >= MOVED_BLOCKS && behind > 0 {
                true => _ = best.left_since.get_or_insert(around.now),
                false => best.left_since = None,
            }
        }
        let limit = match self.state {
            // Half of it, so that a node at the limit does not change back and forth.
            NodeState::Lagging => around.rules.finality_lag / 2,
            _ => around.rules.finality_lag,
        };
        let is_behind = match (self.finalized, around.chain.finalized) {
            (Some(own), Some(chain)) => chain - own > limit && self.syncing_since.is_none(),
            _ => false,
        };
        match is_behind {
            true => _ = self.behind_since.get_or_insert(around.now),
            false => self.behind_since = None,
        }
    }

    fn is_behind_for_long(&self, since: Time, around: &Circumstances<'_>) -> bool {
        let counted = around.now - since.max(around.grace_until);
        self.state == NodeState::Lagging || counted >= around.rules.missing()
    }

    /// Since when its best block stands while its chain moves. It has some time to follow
    /// a chain that stood still itself.
    fn stands_since(&self, around: &Circumstances<'_>) -> Option<Time> {
        let best = self.best?;
        if self.state == NodeState::Stalled {
            // Whatever its chain does meanwhile, until its block moves.
            return (self.stalled_at == Some(best.height)).then_some(best.moved_at);
        }
        let left_for = around.now - best.left_since?.max(around.grace_until);
        let stands_for = around.now - best.moved_at.max(around.grace_until);
        let rules = around.rules;
        (stands_for >= rules.stalled && left_for >= rules.missing()).then_some(best.moved_at)
    }
}

/// Whether nothing is heard of a node in that state.
pub(super) fn is_silent(state: NodeState) -> bool {
    rank(state) > 0
}

/// How silent a node is. Where telemetry of its chain was lost, more follows only when
/// that is over.
fn rank(state: NodeState) -> u8 {
    match state {
        NodeState::Online
        | NodeState::Syncing
        | NodeState::Lagging
        | NodeState::Stalled
        | NodeState::Conflict
        | NodeState::Down => 0,
        NodeState::Late | NodeState::TelemetryLost => 1,
        NodeState::Missing => 2,
        NodeState::Offline => 3,
    }
}
