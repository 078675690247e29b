//! Spans of arrival that one statement may read.

use chrono::{DateTime, TimeDelta, Utc};

/// Partitions of each table that one statement may lock: with their indexes about
/// 200 locks, so that two dozen statements at once stay below the 6,400 that
/// PostgreSQL has room for by default.
const PARTITIONS_MAX: i32 = 30;

/// A span of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First moment.
    pub from: DateTime<Utc>,
    /// First moment after it.
    pub until: DateTime<Utc>,
}

impl Window {
    /// The longest one, for partitions of this width.
    pub fn length_max(partition_width: TimeDelta) -> TimeDelta {
        partition_width * PARTITIONS_MAX
    }
}

/// Cuts a span into windows of at most `length_max`, the newest first.
pub fn windows(span: Window, length_max: TimeDelta) -> impl Iterator<Item = Window> {
    let mut until = span.until;
    std::iter::from_fn(move || {
        if until <= span.from {
            return None;
        }
        let from = until.checked_sub_signed(length_max);
        let from = from.map_or(span.from, |from| from.max(span.from));
        let window = Window { from, until };
        until = from;
        Some(window)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_span_without_a_gap_and_the_newest_comes_first() {
        let at = |day: i64| DateTime::from_timestamp(day * 86_400, 0).unwrap();
        let span = Window {
            from: at(1),
            until: at(76),
        };
        let length_max = Window::length_max(TimeDelta::days(1));
        let found: Vec<Window> = windows(span, length_max).collect();
        let expected = [(46, 76), (16, 46), (1, 16)].map(|(from, until): (i64, i64)| Window {
            from: at(from),
            until: at(until),
        });
        assert_eq!(found, expected);
        let empty = Window {
            from: at(3),
            until: at(3),
        };
        assert_eq!(windows(empty, length_max).next(), None);
    }
}
