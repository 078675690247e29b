//! What happens to many nodes of a chain at once. Pure: time is passed in.
//!
//! When more than half of the nodes of a chain fall silent within a minute, that is one
//! event of the chain, of which the changes of its nodes are parts. So changes of single
//! nodes are held back while it may turn out to be one.

use chrono::TimeDelta;

use super::flips::{ChainFlip, ChainKey, KeptChain};
use super::machine::{Circumstances, Machine, Time, Verdict, is_silent};
use crate::config::NodeRules;
use crate::metrics::{NodeState, StatusReason};
use crate::projections::{Heights, Reference};

/// Of fewer nodes than this the changes are told one by one.
const LOST_MIN: usize = 3;

/// Nodes that fall silent within this time fell silent together.
const TOGETHER: TimeDelta = TimeDelta::seconds(60);

/// An event of a chain is over after this time, whatever became of its nodes.
const LOST_FOR_MAX: TimeDelta = TimeDelta::days(1);

/// How many nodes of a chain are silent, of those whose absence is not kept yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) nodes: usize,
    /// For more than half of `NODE_HEARTBEAT_S`: they would have sent something by now.
    pub(super) quiet: usize,
    /// For `NODE_HEARTBEAT_S`.
    pub(super) late: usize,
    /// As long as a node that is missing.
    pub(super) missing: usize,
    /// Those that the event took and that are not back.
    pub(super) lost: usize,
    /// Last message of those that are late.
    pub(super) heard_at: Option<Time>,
}

/// A chain.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) key: ChainKey,
    pub(super) rules: NodeRules,
    pub(super) heights: Heights,
    pub(super) tally: Tally,
    pub(super) name: String,
    /// Its last change, if there was one.
    pub(super) kept: Option<KeptChain>,
    /// Nodes that are not back from an event that is over have time until then.
    pub(super) grace_until: Time,
    /// Many of its nodes were quiet at once until shortly before; who is late then is no news.
    pub(super) hushed_until: Time,
}

/// What becomes of the event of a chain in this round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Begins,
    Ends,
    TimesOut,
    /// Nodes talk again, long after it was given up.
    Returns,
}

impl Chain {
    /// Nothing is known of its nodes yet.
    pub(super) fn new(key: ChainKey, name: &str, rules: NodeRules) -> Self {
        Self {
            key,
            rules,
            heights: Heights::default(),
            tally: Tally::default(),
            name: name.to_owned(),
            kept: None,
            grace_until: Time::MIN_UTC,
            hushed_until: Time::MIN_UTC,
        }
    }

    /// Begins to count anew.
    pub(super) fn clear(&mut self) {
        self.tally = Tally::default();
        self.heights.clear();
    }

    /// Counts a node, and takes its heights if it is not silent.
    pub(super) fn count(&mut self, machine: &Machine, now: Time, grace_until: Time) {
        let state = machine.state();
        let tally = &mut self.tally;
        match state {
            NodeState::TelemetryLost => tally.lost += 1,
            NodeState::Missing | NodeState::Offline | NodeState::Down => {}
            _ => {
                let around = Circumstances {
                    now,
                    grace_until: grace_until.max(self.grace_until),
                    rules: &self.rules,
                    chain: Reference::default(),
                };
                let silence = machine.silence(now, around.grace_until);
                let silent = machine.silent_state(&around);
                let is_missing = !matches!(silent, None | Some(NodeState::Late));
                tally.nodes += 1;
                tally.quiet += usize::from(silence * 10 >= self.rules.heartbeat * 6);
                tally.late += usize::from(silent.is_some());
                if silent.is_some() {
                    tally.heard_at = tally.heard_at.max(Some(machine.last_seen()));
                }
                tally.missing += usize::from(is_missing);
            }
        }
        if !is_silent(state) {
            self.heights.add(machine.heights());
        }
    }

    /// All nodes are counted.
    pub(super) fn sum_up(&mut self, now: Time) {
        self.heights.sort();
        // A quarter of them has a common cause: of those that come back soon nothing
        // is told.
        let quiet = self.tally.quiet;
        if quiet >= LOST_MIN && quiet * 4 >= self.tally.nodes {
            self.hushed_until = now + self.rules.heartbeat;
        }
    }

    fn state(&self) -> NodeState {
        self.kept.map_or(NodeState::Online, |kept| kept.state)
    }

    /// The event that goes on.
    pub(super) fn lost(&self) -> Option<KeptChain> {
        self.kept
            .filter(|kept| kept.state == NodeState::TelemetryLost)
    }

    /// Whether more than half of the nodes are so.
    fn are_most(&self, nodes: usize) -> bool {
        nodes >= LOST_MIN && nodes * 2 > self.tally.nodes
    }

    pub(super) fn turn(&self, now: Time) -> Turn {
        match self.lost() {
            None if self.are_most(self.tally.missing) => Turn::Begins,
            None if self.state() == NodeState::Offline && self.tally.nodes > self.tally.late => {
                Turn::Returns
            }
            None => Turn::None,
            Some(lost) if self.tally.lost * 2 < lost.nodes => Turn::Ends,
            Some(lost) if now - lost.at >= LOST_FOR_MAX => Turn::TimesOut,
            Some(_) => Turn::None,
        }
    }

    pub(super) fn flip(&self, turn: Turn, now: Time) -> Option<ChainFlip> {
        let (to, reason, nodes) = match turn {
            Turn::None => return None,
            Turn::Begins => (
                NodeState::TelemetryLost,
                StatusReason::TelemetryLost,
                self.tally.late,
            ),
            Turn::Ends => (
                NodeState::Online,
                StatusReason::Recovered,
                self.lost()?.nodes - self.tally.lost,
            ),
            Turn::TimesOut => (
                NodeState::Offline,
                StatusReason::TelemetryLost,
                self.tally.lost,
            ),
            Turn::Returns => (
                NodeState::Online,
                StatusReason::Recovered,
                self.tally.nodes - self.tally.late,
            ),
        };
        Some(ChainFlip {
            key: self.key.clone(),
            name: self.name.clone(),
            revision: self.kept.map_or(0, |kept| kept.revision),
            from: self.state(),
            verdict: Verdict {
                to,
                reason,
                since: match turn {
                    Turn::Begins => self.tally.heard_at.unwrap_or(now),
                    _ => now,
                },
            },
            nodes,
        })
    }

    /// The change of one of its nodes that is due, and whether it is a part of an event.
    pub(super) fn judge(
        &self,
        machine: &mut Machine,
        around: &Circumstances<'_>,
        turn: Turn,
    ) -> Option<(Verdict, bool)> {
        let from = machine.state();
        let silent = machine.silent_state(around);
        let is_lost = from == NodeState::TelemetryLost;
        if matches!(from, NodeState::Missing | NodeState::Offline) {
            return machine.judge(around).map(|verdict| (verdict, false));
        }
        if turn == Turn::TimesOut && is_lost {
            return Some((machine.silent(NodeState::Offline), true));
        }
        let goes_on = self.lost().is_some() && turn == Turn::None;
        let is_gone = match turn {
            Turn::Begins => silent.is_some(),
            _ => goes_on && !matches!(silent, None | Some(NodeState::Late)),
        };
        if is_gone && !is_lost {
            let verdict = Verdict {
                reason: StatusReason::TelemetryLost,
                ..machine.silent(NodeState::TelemetryLost)
            };
            return Some((verdict, true));
        }
        let verdict = machine.judge(around)?;
        let is_back = is_lost && !is_silent(verdict.to);
        if is_lost && !is_back && (goes_on || turn == Turn::Ends) {
            return None;
        }
        let silence = machine.silence(around.now, around.grace_until);
        (is_back || !self.holds_back(verdict.to, silence, around.now)).then_some((verdict, is_back))
    }

    /// Whether the absence of a node may turn out to be a part of an event.
    fn holds_back(&self, to: NodeState, silence: TimeDelta, now: Time) -> bool {
        match to {
            NodeState::Late => now < self.hushed_until,
            NodeState::Missing | NodeState::Offline => {
                self.are_most(self.tally.late) && silence < self.rules.missing() + TOGETHER
            }
            _ => false,
        }
    }
}
