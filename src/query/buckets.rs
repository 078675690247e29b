//! Equal spans of time that are aligned to the wall clock: each begins at a
//! multiple of its length since 1970, in UTC, whatever range was asked for.

use chrono::{DateTime, TimeDelta, Utc};

use super::QueryError;
use super::params::TimeRange;
use crate::messages::Window;

/// Lengths that people can read off a clock, seconds; beyond come whole days.
const STEPS_S: [i64; 17] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
];

const DAY_S: i64 = 86_400;

/// A range of time with both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: DateTime<Utc>,
    /// First moment after it.
    pub(super) end: DateTime<Utc>,
}

impl From<Period> for Window {
    fn from(period: Period) -> Self {
        Self {
            from: period.start,
            until: period.end,
        }
    }
}

impl Period {
    /// What was asked for; without an end up to `now`, without a start
    /// `length` long.
    ///
    /// # Errors
    /// If it is empty, or longer than `length_max`.
    pub(super) fn of(
        range: TimeRange,
        now: DateTime<Utc>,
        length: TimeDelta,
        length_max: TimeDelta,
    ) -> Result<Self, QueryError> {
        let end = range.end.unwrap_or(now);
        let start = range.start.unwrap_or(end - length);
        if start >= end {
            let message = "must be before end_time, which is now unless it is given";
            return Err(QueryError::invalid("start_time", message));
        }
        if end - start > length_max {
            let days = length_max.num_days();
            let message = format!("must be at most {days} days before end_time");
            return Err(QueryError::invalid("start_time", message));
        }
        Ok(Self { start, end })
    }
}

/// The buckets that cover a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buckets {
    first: DateTime<Utc>,
    step: TimeDelta,
    count: i32,
}

impl Buckets {
    /// Not more than `most`, or one more where the span begins within one.
    pub(super) fn at_most(most: i64, span: Period) -> Self {
        let length = span.end - span.start;
        // Whole seconds, rounded up.
        let length_s = (length - TimeDelta::nanoseconds(1)).num_seconds() + 1;
        let fits = |step_s: &i64| step_s * most >= length_s;
        let days = || (length_s - 1) / (DAY_S * most) + 1;
        let step_s = STEPS_S.into_iter().find(fits);
        let step_s = step_s.unwrap_or_else(|| DAY_S * days());
        Self::of_length(step_s, span)
    }

    /// Each `step_s` seconds long.
    pub(super) fn of_length(step_s: i64, span: Period) -> Self {
        let floor = |time: DateTime<Utc>| time.timestamp().div_euclid(step_s) * step_s;
        let first_s = floor(span.start);
        let last_s = floor(span.end - TimeDelta::nanoseconds(1));
        Self {
            first: DateTime::from_timestamp(first_s, 0).unwrap_or(span.start),
            step: TimeDelta::seconds(step_s),
            count: i32::try_from((last_s - first_s) / step_s + 1).unwrap_or(i32::MAX),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> i32 {
        self.count
    }

    /// Length of each.
    pub(super) fn step(&self) -> TimeDelta {
        self.step
    }

    /// One of them, counted from 0.
    pub(super) fn span(&self, place: i32) -> Period {
        let start = self.first + self.step * place;
        Period {
            start,
            end: start + self.step,
        }
    }

    /// All of them together.
    pub(super) fn all(&self) -> Period {
        Period {
            start: self.first,
            end: self.first + self.step * self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn span(start: &str, end: &str) -> Period {
        Period {
            start: at(start),
            end: at(end),
        }
    }

    #[test]
    fn buckets_are_aligned_and_cover_the_span() {
        for (most, asked, step_s, expected, count) in [
            // As many as asked for.
            (
                60,
                span("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"),
                60,
                span("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"),
                60,
            ),
            // The next length on the clock, and one more at the edge.
            (
                59,
                span("2026-01-01T10:00:01Z", "2026-01-01T11:00:00.5Z"),
                120,
                span("2026-01-01T10:00:00Z", "2026-01-01T11:02:00Z"),
                31,
            ),
            (
                300,
                span("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
                2 * DAY_S,
                span("2024-12-31T00:00:00Z", "2026-01-02T00:00:00Z"),
                183,
            ),
            (
                1,
                span("2026-01-01T00:00:00Z", "2026-01-02T00:00:00.000001Z"),
                2 * DAY_S,
                span("2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z"),
                1,
            ),
            (
                10,
                span("1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00.000001Z"),
                1,
                span("1969-12-31T23:59:59Z", "1970-01-01T00:00:01Z"),
                2,
            ),
        ] {
            let buckets = Buckets::at_most(most, asked);
            assert_eq!(buckets.step(), TimeDelta::seconds(step_s), "{asked:?}");
            assert_eq!(buckets.count(), count, "{asked:?}");
            if step_s <= DAY_S {
                assert_eq!(buckets.all(), expected);
            }
            assert!(buckets.all().start <= asked.start && buckets.all().end >= asked.end);
            assert!(i64::from(buckets.count()) <= most + 1);
            assert_eq!(buckets.span(0).start, buckets.all().start);
            assert_eq!(buckets.span(count - 1).end, buckets.all().end);
        }
    }

    #[test]
    fn a_span_has_both_ends_and_a_limit() {
        let now = at("2026-01-01T00:00:00Z");
        let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
        let of = |start: Option<&str>, end: Option<&str>| {
            let range = TimeRange::parse(start, end).unwrap();
            Period::of(range, now, hour, day)
        };
        assert_eq!(
            of(None, None).unwrap(),
            span("2025-12-31T23:00:00Z", "2026-01-01T00:00:00Z")
        );
        assert!(of(Some("2025-12-31T00:00:00Z"), None).is_ok());
        for start in ["2025-12-30T23:59:59Z", "2026-01-01T00:00:00Z"] {
            match of(Some(start), None) {
                Err(QueryError::Invalid { parameter, .. }) => assert_eq!(parameter, "start_time"),
                other => panic!("{start} was not refused: {other:?}"),
            }
        }
    }
}
