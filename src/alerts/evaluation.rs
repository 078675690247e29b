//! Which alerts fire and which are resolved: values only, time is passed in.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::Finding;
use crate::config::{RuleOverrides, Severity};

/// A condition that fired so often in the hour before is one alert until it is calm.
const FLAPS: i64 = 2;

/// An alert that flaps is resolved when it was not so for this long.
const CALM: TimeDelta = TimeDelta::minutes(10);

/// What an alert is about, for a rule.
pub(super) type Key = (String, String);

/// An alert that is open.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) id: i64,
    pub(super) flaps: i64,
    pub(super) absent_since: Option<DateTime<Utc>>,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fire {
    pub(super) finding: Finding,
    pub(super) severity: Severity,
    pub(super) began_at: DateTime<Utc>,
}

/// What changes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) fire: Vec<Fire>,
    /// Numbers of alerts that are over.
    pub(super) resolve: Vec<i64>,
    /// Alerts that flap, and are absent from now on.
    pub(super) absent: Vec<i64>,
    /// Alerts that flap, and are back.
    pub(super) back: Vec<i64>,
}

/// Since when conditions hold that have not fired yet.
#[derive(Debug, Default)]
pub(super) struct Evaluation {
    held_since: HashMap<Key, DateTime<Utc>>,
}

impl Evaluation {
    /// Compares what is found with what is open. While `is_outage`, what is read off the nodes
    /// that are online stays as it is: they come back one after the other.
    pub(super) fn judge(
        &mut self,
        findings: Vec<Finding>,
        open: &HashMap<Key, Open>,
        overrides: &RuleOverrides,
        (now, is_outage): (DateTime<Utc>, bool),
    ) -> Changes {
        let mut changes = Changes::default();
        let mut found = HashSet::new();
        for finding in findings {
            let Some(rule) = super::rule::find(&finding.rule) else {
                continue;
            };
            let own = overrides.of(rule.name);
            if !own.is_on.unwrap_or(rule.is_on) {
                continue;
            }
            let key = (finding.rule.clone(), finding.key.clone());
            if let Some(known) = open.get(&key) {
                if known.absent_since.is_some() {
                    changes.back.push(known.id);
                }
                found.insert(key);
                continue;
            }
            let since = *self.held_since.entry(key.clone()).or_insert(now);
            let began_at = finding.since.unwrap_or(since);
            // Kept times outlive this process, so a restart makes no alert late.
            let held_since = finding.held_since.unwrap_or(since);
            let hold = TimeDelta::from_std(own.hold.unwrap_or(rule.hold)).unwrap_or(TimeDelta::MAX);
            let is_held_back = is_outage && rule.is_of_online;
            if found.insert(key) && now - held_since >= hold && !is_held_back {
                let severity = own.severity.unwrap_or(rule.severity);
                let severity = match finding.authority && rule.name.starts_with("node_") {
                    true => severity.next(),
                    false => severity,
                };
                changes.fire.push(Fire {
                    finding,
                    severity,
                    began_at,
                });
            }
        }
        self.held_since.retain(|key, _| found.contains(key));
        for (key, alert) in open {
            let is_of_online = || super::rule::find(&key.0).is_some_and(|rule| rule.is_of_online);
            if found.contains(key) || is_outage && is_of_online() {
                continue;
            }
            let is_calm = alert.absent_since.is_some_and(|since| now - since >= CALM);
            if alert.flaps < FLAPS || is_calm {
                changes.resolve.push(alert.id);
            } else if alert.absent_since.is_none() {
                changes.absent.push(alert.id);
            }
        }
        changes.resolve.sort_unstable();
        changes.absent.sort_unstable();
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    fn finding(rule: &str) -> Finding {
        Finding {
            rule: rule.to_owned(),
            key: "a".to_owned(),
            subject: "node".to_owned(),
            ..Finding::default()
        }
    }

    fn open(rule: &str, flaps: i64, absent_since: Option<i64>) -> HashMap<Key, Open> {
        let alert = Open {
            id: 7,
            flaps,
            absent_since: absent_since.map(at),
        };
        [((rule.to_owned(), "a".to_owned()), alert)].into()
    }

    #[test]
    fn a_condition_fires_once_it_has_held_for_long_enough() {
        let mut evaluation = Evaluation::default();
        let (none, rules) = (HashMap::new(), RuleOverrides::default());
        let mut fires = |second| {
            let found = vec![finding("node_lagging")];
            let changes = evaluation.judge(found, &none, &rules, (at(second), false));
            changes
                .fire
                .first()
                .map(|fire| (fire.began_at, fire.severity))
        };
        assert_eq!((fires(0), fires(59)), (None, None));
        assert_eq!(fires(60), Some((at(0), Severity::Warning)));
        // It was away in between: the time begins anew.
        evaluation.judge(Vec::new(), &none, &rules, (at(61), false));
        let changes = evaluation.judge(
            vec![finding("node_lagging")],
            &none,
            &rules,
            (at(62), false),
        );
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn a_time_that_is_kept_counts_after_a_restart() {
        let (none, rules) = (HashMap::new(), RuleOverrides::default());
        let mut found = finding("node_lagging");
        found.since = Some(at(-70));
        found.held_since = Some(at(-60));
        found.authority = true;
        let changes = Evaluation::default().judge(vec![found], &none, &rules, (at(0), false));
        let fire = changes.fire.first().unwrap();
        assert_eq!(
            (fire.began_at, fire.severity),
            (at(-70), Severity::Critical)
        );
    }

    #[test]
    fn an_open_alert_fires_no_second_time_and_is_resolved_when_it_is_over() {
        let rules = RuleOverrides::default();
        let mut evaluation = Evaluation::default();
        let known = open("node_missing", 0, None);
        let found = vec![finding("node_missing"), finding("node_missing")];
        assert_eq!(
            evaluation.judge(found, &known, &rules, (at(0), false)),
            Changes::default()
        );
        assert_eq!(
            evaluation
                .judge(Vec::new(), &known, &rules, (at(1), false))
                .resolve,
            [7]
        );
    }

    #[test]
    fn one_that_flaps_stays_open_until_it_is_calm() {
        let rules = RuleOverrides::default();
        let judge = |found: bool, absent_since, second| {
            let found = found.then(|| finding("node_missing")).into_iter().collect();
            Evaluation::default().judge(
                found,
                &open("node_missing", 2, absent_since),
                &rules,
                (at(second), false),
            )
        };
        assert_eq!(judge(false, None, 0).absent, [7]);
        assert_eq!(judge(false, Some(0), 599), Changes::default());
        assert_eq!(judge(true, Some(0), 599).back, [7]);
        assert_eq!(judge(false, Some(0), 600).resolve, [7]);
    }

    #[test]
    fn while_nodes_come_back_what_is_read_off_them_stays_as_it_is() {
        let rules = RuleOverrides::default();
        let judge = |rule: &str, found: bool, known: bool, is_outage| {
            let mut found_now = finding(rule);
            found_now.held_since = Some(at(-10_000));
            let found = found.then_some(found_now).into_iter().collect();
            let known = match known {
                true => open(rule, 0, None),
                false => HashMap::new(),
            };
            let changes = Evaluation::default().judge(found, &known, &rules, (at(0), is_outage));
            (changes.fire.len(), changes.resolve.len())
        };
        for rule in ["chain_stalled", "version_below_minimum"] {
            assert_eq!(judge(rule, true, false, true), (0, 0), "{rule}");
            assert_eq!(judge(rule, false, true, true), (0, 0), "{rule}");
            assert_eq!(judge(rule, true, false, false), (1, 0), "{rule}");
            assert_eq!(judge(rule, false, true, false), (0, 1), "{rule}");
        }
        // Its state is judged with the outage in mind.
        assert_eq!(judge("node_missing", true, false, true), (1, 0));
        assert_eq!(judge("node_missing", false, true, true), (0, 1));
    }

    #[test]
    fn a_rule_is_off_or_holds_for_another_time_by_choice() {
        let rules: RuleOverrides = "[node_missing]\nenabled = false\n[node_late]\nenabled = true\nfor_s = 5\nseverity = \"critical\"\n"
            .parse()
            .unwrap();
        let mut evaluation = Evaluation::default();
        let mut judge = |second| {
            let found = vec![finding("node_missing"), finding("node_late")];
            let changes = evaluation.judge(found, &HashMap::new(), &rules, (at(second), false));
            changes
                .fire
                .into_iter()
                .map(|fire| (fire.finding.rule, fire.severity))
                .collect::<Vec<_>>()
        };
        assert_eq!(judge(0), []);
        assert_eq!(judge(5), [("node_late".to_owned(), Severity::Critical)]);
    }
}
