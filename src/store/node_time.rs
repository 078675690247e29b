//! What a node claims to be the time, kept as the difference from arrival where it fits.

use chrono::{DateTime, TimeDelta, Utc};

/// What a node claimed to be the time of a message, relative to its arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeTime {
    /// It claimed none that can be stored.
    Unknown,
    /// Microseconds from the arrival to the claimed time; negative if that is earlier.
    Delta(i32),
    /// A time more than 35 minutes from the arrival, for which `Delta` is too small.
    Full(DateTime<Utc>),
}

impl NodeTime {
    /// The claimed time of a message that arrived at `created_at`; both count in
    /// whole microseconds, as PostgreSQL does.
    pub fn of(claimed: Option<DateTime<Utc>>, created_at: DateTime<Utc>) -> Self {
        let Some(claimed) = claimed.filter(|time| is_storable(*time)) else {
            return Self::Unknown;
        };
        let delta_us = claimed.timestamp_micros() - created_at.timestamp_micros();
        i32::try_from(delta_us).map_or(Self::Full(claimed), Self::Delta)
    }

    /// The claimed time of a message that arrived at `created_at`, if there is one.
    pub fn at(self, created_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Unknown => None,
            Self::Delta(delta_us) => Some(created_at + TimeDelta::microseconds(delta_us.into())),
            Self::Full(claimed) => Some(claimed),
        }
    }
}

/// PostgreSQL knows the years from 4713 BC to 294276; RFC 3339 ends at 9999.
fn is_storable(time: DateTime<Utc>) -> bool {
    time.timestamp() > -62_167_219_200
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_claims_is_kept_as_the_difference_from_arrival_where_that_fits() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let created_at = at("2026-11-21T12:00:00.123456Z");
        for (claimed, kept) in [
            ("2026-11-21T12:00:00.123456Z", NodeTime::Delta(0)),
            // Nanoseconds are cut, not rounded.
            ("2026-11-21T12:00:00.123456999Z", NodeTime::Delta(0)),
            ("2026-11-21T12:04:00.123456Z", NodeTime::Delta(240_000_000)),
            ("2026-11-21T11:56:00.123456Z", NodeTime::Delta(-240_000_000)),
            ("2026-11-21T12:35:47.607103Z", NodeTime::Delta(i32::MAX)),
            ("2026-11-21T11:24:12.639808Z", NodeTime::Delta(i32::MIN)),
        ] {
            assert_eq!(
                NodeTime::of(Some(at(claimed)), created_at),
                kept,
                "{claimed}"
            );
        }
        for far in [
            "2026-11-21T12:35:47.607104Z",
            "2026-11-21T11:24:12.639807Z",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            let kept = NodeTime::of(Some(at(far)), created_at);
            assert_eq!(kept, NodeTime::Full(at(far)), "{far}");
        }
        for unusable in [None, Some(DateTime::<Utc>::MIN_UTC)] {
            assert_eq!(NodeTime::of(unusable, created_at), NodeTime::Unknown);
        }
    }
}
