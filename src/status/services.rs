//! Services that are no nodes: the same machine, with the interval and jitter of each. Pure.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::machine::{Circumstances, Machine, Seen, Time, Verdict};
use crate::config::NodeRules;
use crate::metrics::{NodeState, StatusReason};
use crate::projections::Reference;

/// A service is offline after so many intervals, or after `NODE_OFFLINE_S` if that is longer.
const OFFLINE_INTERVALS: i32 = 10;

/// A service at one look.
#[derive(Debug, Clone)]
pub(super) struct ServiceSeen {
    pub(super) service: String,
    pub(super) interval: TimeDelta,
    pub(super) jitter: TimeDelta,
    pub(super) last_seen: Time,
    /// It announced that it is out of service on purpose.
    pub(super) is_down: bool,
    /// As it is kept; none if it is new.
    pub(super) state: Option<NodeState>,
    pub(super) revision: i64,
}

/// A change of a service that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceFlip {
    pub(super) service: String,
    pub(super) from: Option<NodeState>,
    pub(super) verdict: Verdict,
    pub(super) revision: i64,
}

/// The services, as they were seen so far.
#[derive(Debug, Default)]
pub(super) struct Services {
    machines: HashMap<String, Machine>,
}

impl Services {
    /// The changes that are due, of services as they are now.
    pub(super) fn judge(
        &mut self,
        seen: Vec<ServiceSeen>,
        now: Time,
        grace_until: Time,
        rules: &NodeRules,
    ) -> Vec<ServiceFlip> {
        let mut machines = std::mem::take(&mut self.machines);
        let mut flips = Vec::new();
        for service in seen {
            let state = service.state.unwrap_or(NodeState::Online);
            let looks = Seen {
                last_seen: service.last_seen,
                ended: None,
                best: None,
                finalized: None,
                conflict_since: None,
            };
            let rules = rules_of(&service, rules);
            let known = machines.remove(&service.service);
            // What is kept counts, also if another server kept it.
            let known = known.filter(|machine| machine.state() == state);
            let mut machine = known.unwrap_or_else(|| Machine::new(state, &looks));
            machine.see(&looks, &rules, TimeDelta::seconds(1));
            let around = Circumstances {
                now,
                grace_until,
                rules: &rules,
                chain: Reference::default(),
            };
            let verdict = match (service.is_down, service.state) {
                (true, Some(NodeState::Down)) => None,
                (true, _) => Some(announced(NodeState::Down, service.last_seen)),
                (false, None) => Some(Verdict {
                    reason: StatusReason::FirstSeen,
                    ..announced(NodeState::Online, service.last_seen)
                }),
                (false, Some(NodeState::Down)) => {
                    Some(announced(NodeState::Online, service.last_seen))
                }
                (false, Some(_)) => machine.judge(&around),
            };
            if let Some(verdict) = verdict {
                flips.push(ServiceFlip {
                    service: service.service.clone(),
                    from: service.state,
                    verdict,
                    revision: service.revision,
                });
            }
            self.machines.insert(service.service, machine);
        }
        flips
    }

    /// Changes were kept.
    pub(super) fn enter(&mut self, flips: &[ServiceFlip]) {
        for flip in flips {
            if let Some(machine) = self.machines.get_mut(&flip.service) {
                machine.enter(flip.verdict.to);
            }
        }
    }
}

fn announced(to: NodeState, since: Time) -> Verdict {
    Verdict {
        to,
        reason: StatusReason::Announced,
        since,
    }
}

fn rules_of(service: &ServiceSeen, rules: &NodeRules) -> NodeRules {
    let heartbeat = service.interval + service.jitter;
    let missing = heartbeat * rules.missed_beats;
    NodeRules {
        heartbeat,
        offline: rules
            .offline
            .max(heartbeat * OFFLINE_INTERVALS)
            .max(missing),
        ..*rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StatusConfig;

    struct Story {
        services: Services,
        kept: (Option<NodeState>, i64),
        last_seen: Time,
        is_down: bool,
        told: Vec<String>,
    }

    impl Story {
        fn start() -> Self {
            Self {
                services: Services::default(),
                kept: (None, 0),
                last_seen: at(0),
                is_down: false,
                told: Vec::new(),
            }
        }

        /// Looks each second from one to another; it beats at those of `beats`.
        fn play(&mut self, seconds: std::ops::Range<i64>, beats: impl Fn(i64) -> bool) {
            for second in seconds {
                if beats(second) {
                    self.last_seen = at(second);
                }
                let seen = ServiceSeen {
                    service: "a".to_owned(),
                    interval: TimeDelta::seconds(60),
                    jitter: TimeDelta::seconds(10),
                    last_seen: self.last_seen,
                    is_down: self.is_down,
                    state: self.kept.0,
                    revision: self.kept.1,
                };
                let rules = StatusConfig::default().rules;
                let flips = self
                    .services
                    .judge(vec![seen], at(second), at(-100), &rules);
                for flip in &flips {
                    assert_eq!(flip.revision, self.kept.1);
                    let since = (flip.verdict.since - at(0)).num_seconds();
                    let (to, why) = (flip.verdict.to.label(), flip.verdict.reason.label());
                    self.told.push(format!("{second} {to} {why} {since}"));
                    self.kept = (Some(flip.verdict.to), self.kept.1 + 1);
                }
                self.services.enter(&flips);
            }
        }
    }

    fn at(second: i64) -> Time {
        Time::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_service_has_its_own_interval_and_jitter_and_can_be_down_on_purpose() {
        let mut story = Story::start();
        // Always a little late, but within its jitter.
        story.play(0..300, |second| second % 69 == 0);
        assert_eq!(story.told, ["0 online first_seen 0"]);
        story.play(300..2_000, |_| false);
        assert_eq!(
            story.told[1..],
            [
                "346 late silent 276",
                "486 missing silent 276",
                "976 offline silent 276"
            ]
        );
        story.play(2_000..2_200, |second| second % 60 == 0);
        assert_eq!(story.told[4..], ["2100 online recovered 2040"]);
        story.is_down = true;
        story.play(2_200..2_201, |_| true);
        story.play(2_201..20_000, |_| false);
        assert_eq!(story.told[5..], ["2200 down announced 2200"]);
        story.is_down = false;
        story.play(20_000..20_010, |second| second == 20_000);
        assert_eq!(story.told[6..], ["20000 online announced 20000"]);
    }

    #[test]
    fn a_new_judge_goes_on_with_what_is_kept() {
        let mut story = Story::start();
        story.play(0..500, |second| second == 0);
        let told = story.told.clone();
        story.services = Services::default();
        story.play(500..600, |_| false);
        assert_eq!(story.told, told, "no change is told twice");
    }
}
