//! What is expired, and which partitions are needed. Pure: time is passed in.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::RetentionConfig;
use crate::store::partitions::{Partition, PartitionBounds, gaps};

/// How far ahead of now partitions reach, in widths: a server whose database
/// is busy for a whole width still finds a partition for its messages.
const WIDTHS_AHEAD: i32 = 2;

/// How long ended sessions outlive their messages: more than the refresh of
/// `last_seen_at` can be late when a server is killed.
const SESSION_MARGIN: TimeDelta = TimeDelta::hours(1);

/// How long a stored batch is remembered: longer than any outage after which
/// it would be sent again.
pub(super) const BATCH_MEMORY: TimeDelta = TimeDelta::days(30);

/// The rules of one server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    expiry: TimeDelta,
    rollup_expiry: TimeDelta,
    event_expiry: TimeDelta,
    width: TimeDelta,
}

impl Policy {
    pub(super) fn new(config: &RetentionConfig) -> Self {
        let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        Self {
            expiry: delta(config.expiry),
            rollup_expiry: delta(config.rollup_expiry),
            event_expiry: delta(config.event_expiry),
            width: delta(config.partition_width),
        }
    }

    /// Messages before this moment are expired; none if that is before all time.
    pub(super) fn cutoff(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        now.checked_sub_signed(self.expiry)
    }

    /// Hours of projections that begin before this moment are expired.
    pub(super) fn rollup_cutoff(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        now.checked_sub_signed(self.rollup_expiry)
    }

    /// Events that arrived before this moment are expired.
    pub(super) fn event_cutoff(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        now.checked_sub_signed(self.event_expiry)
    }

    /// Partitions of which everything is expired.
    pub(super) fn expired<'a>(
        &self,
        partitions: &'a [Partition],
        now: DateTime<Utc>,
    ) -> Vec<&'a Partition> {
        let Some(cutoff) = self.cutoff(now) else {
            return Vec::new();
        };
        let expiring = partitions.iter().filter(|partition| !partition.audit);
        expiring
            .filter(|partition| partition.end <= cutoff)
            .collect()
    }

    /// Sessions that ended before this moment have no messages any more.
    pub(super) fn session_cutoff(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cutoff(now)?
            .checked_sub_signed(self.width + SESSION_MARGIN)
    }

    /// Spans that are missing between now and [`WIDTHS_AHEAD`]. `partitions` are
    /// those of one kind.
    pub(super) fn missing(
        &self,
        partitions: &[&Partition],
        now: DateTime<Utc>,
    ) -> Vec<PartitionBounds> {
        let horizon = now + self.width * WIDTHS_AHEAD;
        gaps(partitions, self.cell(now).start, horizon, |at| {
            self.cell(at)
        })
    }

    /// The span that holds a moment, among those that partitions are made for.
    pub(super) fn cell(&self, at: DateTime<Utc>) -> PartitionBounds {
        let start = self.floor(at);
        PartitionBounds {
            start,
            end: start + self.width,
        }
    }

    /// The beginning of the span that holds a moment.
    fn floor(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        let width = self.width.num_seconds().max(1);
        let seconds = time.timestamp().div_euclid(width) * width;
        DateTime::from_timestamp(seconds, 0).unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3_600)
    }

    fn config(expiry: Duration, width_h: u64) -> RetentionConfig {
        RetentionConfig {
            expiry,
            rollup_expiry: expiry,
            event_expiry: expiry,
            partition_width: hours(width_h),
            interval: Duration::ZERO,
        }
    }

    fn policy(width_h: u64) -> Policy {
        Policy::new(&config(hours(72), width_h))
    }

    fn partition(start: &str, end: &str, audit: bool) -> Partition {
        Partition {
            name: format!("p{start}"),
            audit,
            start: at(start),
            end: at(end),
        }
    }

    #[test]
    fn a_partition_expires_when_all_of_it_is_too_old_and_audit_never() {
        let old = partition("2026-11-17T00:00:00Z", "2026-11-18T00:00:00Z", false);
        let audit = partition("2026-11-17T00:00:00Z", "2026-11-18T00:00:00Z", true);
        let partitions = [old.clone(), audit];
        let policy = policy(24);
        assert!(
            policy
                .expired(&partitions, at("2026-11-20T23:59:59Z"))
                .is_empty()
        );
        assert_eq!(
            policy.expired(&partitions, at("2026-11-21T00:00:00Z")),
            [&old]
        );
    }

    #[test]
    fn an_expiry_longer_than_all_time_expires_nothing() {
        let eternal = Policy::new(&config(Duration::MAX, 24));
        let old = [partition(
            "2000-01-01T00:00:00Z",
            "2000-01-02T00:00:00Z",
            false,
        )];
        assert!(eternal.expired(&old, at("2026-11-21T00:00:00Z")).is_empty());
        assert_eq!(eternal.session_cutoff(at("2026-11-21T00:00:00Z")), None);
        assert_eq!(eternal.rollup_cutoff(at("2026-11-21T00:00:00Z")), None);
        assert_eq!(eternal.event_cutoff(at("2026-11-21T00:00:00Z")), None);
    }

    #[test]
    fn partitions_are_made_for_now_and_ahead() {
        let spans = policy(24).missing(&[], at("2026-11-21T00:05:00Z"));
        let starts: Vec<_> = spans.iter().map(|span| span.start).collect();
        let days = ["2026-11-21", "2026-11-22", "2026-11-23"];
        assert_eq!(starts, days.map(|day| at(&format!("{day}T00:00:00Z"))));
        assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn only_what_is_missing_is_made_also_after_a_change_of_width() {
        let day = partition("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", false);
        let later = partition("2026-11-22T02:30:00Z", "2026-11-22T03:00:00Z", false);
        let spans = policy(1).missing(&[&day, &later], at("2026-11-22T00:30:00Z"));
        let shown: Vec<_> = spans.iter().map(|span| (span.start, span.end)).collect();
        assert_eq!(
            shown,
            [
                (at("2026-11-22T00:00:00Z"), at("2026-11-22T01:00:00Z")),
                (at("2026-11-22T01:00:00Z"), at("2026-11-22T02:00:00Z")),
                (at("2026-11-22T02:00:00Z"), at("2026-11-22T02:30:00Z")),
            ]
        );
    }

    #[test]
    fn sessions_outlive_their_messages() {
        let now = at("2026-11-21T00:00:00Z");
        let policy = policy(24);
        assert!(policy.session_cutoff(now).unwrap() < policy.cutoff(now).unwrap());
    }
}
