//! Whether the database is away, as this server sees it: without a database there are no alerts in
//! it, and no outbox. Pure: time is passed in.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::rule::{self, DATABASE_AWAY};
use crate::config::{RuleOverrides, Severity};
use crate::store::alerts::AlertRow;

/// It answers each second; what is shorter is a slow answer.
const AWAY_AFTER: TimeDelta = TimeDelta::seconds(5);

/// Looks further apart are a pause of this process: it knows nothing of the time between.
const BREAK_MAX: TimeDelta = TimeDelta::seconds(15);

/// An outage of the database that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Its last answer before.
    pub began_at: DateTime<Utc>,
    /// When it had been away for as long as the rule says.
    pub fired_at: DateTime<Utc>,
    /// Its first answer after; none while it is away.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What this server knows of its database.
#[derive(Debug)]
pub struct DatabaseWatch {
    is_on: bool,
    hold: TimeDelta,
    severity: Severity,
    told: Option<Outage>,
    /// The last look, and the first one since the last pause.
    looks: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl DatabaseWatch {
    /// With the rule as it is in force.
    pub fn new(overrides: &RuleOverrides) -> Self {
        let own = overrides.of(DATABASE_AWAY);
        let rule = rule::find(DATABASE_AWAY);
        let hold = own.hold.or(rule.map(|rule| rule.hold)).unwrap_or_default();
        let hold = TimeDelta::from_std(hold).unwrap_or(TimeDelta::MAX);
        Self {
            is_on: own.is_on.unwrap_or(true),
            hold: hold.max(AWAY_AFTER),
            severity: own
                .severity
                .or(rule.map(|rule| rule.severity))
                .unwrap_or_default(),
            told: None,
            looks: None,
        }
    }

    /// How grave it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// A look; `answered_ago` is how long ago the database answered last, and none if it never did, for
    /// then this server is not up. Gives an outage when it is to be told, and again when it is over.
    pub fn look(&mut self, now: DateTime<Utc>, answered_ago: Option<Duration>) -> Option<Outage> {
        let away_for = TimeDelta::from_std(answered_ago?).unwrap_or(TimeDelta::MAX);
        // As the database keeps them, so that all receivers get the same.
        let answered_at = now.checked_sub_signed(away_for).unwrap_or(now);
        let (now, answered_at) = (now.trunc_subsecs(6), answered_at.trunc_subsecs(6));
        let first = match self.looks {
            Some((last, first)) if now - last <= BREAK_MAX => first,
            _ => now,
        };
        self.looks = Some((now, first));
        match self.told {
            None if self.is_on && away_for >= self.hold && now - first >= self.hold => {
                self.told = Some(Outage {
                    began_at: answered_at,
                    fired_at: now,
                    ended_at: None,
                });
                self.told
            }
            Some(outage) if away_for < AWAY_AFTER => {
                self.told = None;
                Some(Outage {
                    ended_at: Some(answered_at.max(outage.fired_at)),
                    ..outage
                })
            }
            None | Some(_) => None,
        }
    }
}

/// The alert of an outage, as it is kept and sent. It has no number before it is kept.
pub fn alert(outage: &Outage, severity: Severity, server_id: &str, name: &str) -> AlertRow {
    AlertRow {
        id: 0,
        rule: DATABASE_AWAY.to_owned(),
        key: server_id.to_owned(),
        severity: severity.label().to_owned(),
        subject: "server".to_owned(),
        peer_id: None,
        genesis_hash: None,
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        chain: None,
        server_id: Some(server_id.to_owned()),
        summary: "cannot reach its database".to_owned(),
        began_at: outage.began_at,
        fired_at: outage.fired_at,
        absent_since: None,
        resolved_at: outage.ended_at,
        flaps: 0,
        delivered: true,
        silenced: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    /// What is told of an outage from second 10 until `end`, of looks each second.
    fn told(rules: &str, end: i64) -> Vec<(i64, Outage)> {
        let mut watch = DatabaseWatch::new(&rules.parse().unwrap());
        let mut told = Vec::new();
        for second in 0..200 {
            let answered = if second < end { second.min(10) } else { second };
            let ago = Duration::from_secs(u64::try_from(second - answered).unwrap());
            told.extend(
                watch
                    .look(at(second), Some(ago))
                    .map(|outage| (second, outage)),
            );
        }
        told
    }

    #[test]
    fn an_outage_is_told_when_it_has_lasted_and_when_it_is_over() {
        let begun = Outage {
            began_at: at(10),
            fired_at: at(40),
            ended_at: None,
        };
        let over = Outage {
            ended_at: Some(at(70)),
            ..begun
        };
        assert_eq!(told("", 70), [(40, begun), (70, over)]);
        assert_eq!(told("", 40), [], "it was short");
        assert_eq!(told("[database_away]\nenabled = false\n", 70), []);
        let quick = told("[database_away]\nfor_s = 0\n", 70);
        assert_eq!(quick.first().map(|(second, _)| *second), Some(15));
    }

    #[test]
    fn a_pause_of_this_process_is_no_outage() {
        let mut watch = DatabaseWatch::new(&RuleOverrides::default());
        let second = Duration::from_secs(1);
        assert_eq!(watch.look(at(0), Some(second)), None);
        assert_eq!(watch.look(at(60), Some(second * 60)), None);
        assert_eq!(watch.look(at(61), Some(second)), None);
        // The database went away in it.
        for later in 62..91 {
            let ago = second * u32::try_from(later - 61).unwrap();
            assert_eq!(watch.look(at(later), Some(ago)), None, "{later}");
        }
        assert!(watch.look(at(91), Some(second * 30)).is_some());
    }

    #[test]
    fn a_database_that_never_answered_is_not_away() {
        let mut watch = DatabaseWatch::new(&RuleOverrides::default());
        assert_eq!(watch.look(at(1_000), None), None);
    }
}
