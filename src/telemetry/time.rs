//! Times as nodes and people write them.

use chrono::{DateTime, NaiveDateTime, Utc};

/// A time in RFC 3339, or as `2019-01-01T00:00:00[.ffffff]`, which is read as UTC.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let naive = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
    zoned.or_else(|_| naive().map(|time| time.and_utc())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_a_zone_and_without() {
        for (text, expected) in [
            (
                "2026-11-21T13:40:24.5+05:30",
                Some("2026-11-21T08:10:24.5Z"),
            ),
            ("2026-11-21T08:10:24.5", Some("2026-11-21T08:10:24.5Z")),
            ("2026-11-21 08:10", None),
            ("soon", None),
        ] {
            let expected = expected.map(|text| text.parse::<DateTime<Utc>>().unwrap());
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }
}
