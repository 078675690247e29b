//! Parameters as text become values that need no check again. Each refusal says what is
//! allowed.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use super::QueryError;
use crate::telemetry;

/// Longest text of a parameter, characters; peer ids have 52, names up to 512 bytes.
pub const TEXT_CHARS_MAX: usize = 1_024;

/// A time in RFC 3339, or naive and then in UTC.
///
/// # Errors
/// If it is neither, or outside of the years 1 to 9999.
pub fn time(
    parameter: &'static str,
    value: Option<&str>,
) -> Result<Option<DateTime<Utc>>, QueryError> {
    value.map(|text| parse_time(parameter, text)).transpose()
}

/// As [`time`], for a time that is there.
///
/// # Errors
/// As [`time`].
pub fn parse_time(parameter: &'static str, text: &str) -> Result<DateTime<Utc>, QueryError> {
    let refuse = || {
        QueryError::invalid(
            parameter,
            "must be a time as 2019-01-01T00:00:00Z, 2019-01-01T02:00:00+02:00 or \
             2019-01-01T00:00:00[.ffffff] (read as UTC), in the years 1 to 9999",
        )
    };
    // In a URL a bare + stands for a space.
    let sign_lost = text.rfind(' ').filter(|&at| at > "2019-01-01T".len());
    let text = match sign_lost.and_then(|at| text.split_at_checked(at)) {
        Some((time, offset)) => format!("{time}+{}", offset.trim_start()),
        None => text.to_owned(),
    };
    telemetry::parse_time(&text)
        .filter(|time| (1..=9_999).contains(&time.year()))
        .ok_or_else(refuse)
}

/// A whole number within `range`, or `default`.
///
/// # Errors
/// If it is none, or outside.
pub fn whole(
    parameter: &'static str,
    value: Option<&str>,
    default: i64,
    range: RangeInclusive<i64>,
) -> Result<i64, QueryError> {
    let Some(text) = value else {
        return Ok(default);
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        QueryError::invalid(
            parameter,
            format!("must be a whole number from {least} to {most}"),
        )
    })
}

/// The number of a row.
///
/// # Errors
/// If it is no number.
pub fn row_id(parameter: &'static str, value: &str) -> Result<i64, QueryError> {
    whole(parameter, Some(value), 0, 1..=i64::MAX)
}

/// `true` or `false`.
///
/// # Errors
/// If it is neither.
pub fn flag(parameter: &'static str, value: Option<&str>) -> Result<Option<bool>, QueryError> {
    match value {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(QueryError::invalid(parameter, "must be true or false")),
    }
}

/// A text that the database can compare with.
///
/// # Errors
/// If it is too long or holds U+0000.
pub fn text(parameter: &'static str, value: Option<&str>) -> Result<Option<String>, QueryError> {
    match value {
        Some(text) if text.chars().count() > TEXT_CHARS_MAX || text.contains('\0') => {
            Err(QueryError::invalid(
                parameter,
                format!("must have at most {TEXT_CHARS_MAX} characters and no U+0000"),
            ))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// The identity of a peer.
///
/// # Errors
/// If there is none, or it is no [`text`].
pub fn peer_id(value: Option<&str>) -> Result<String, QueryError> {
    text("peer_id", value)?
        .filter(|peer_id| !peer_id.is_empty())
        .ok_or_else(|| QueryError::invalid("peer_id", "is required: the libp2p identity of a node"))
}

/// As [`peer_id`], where it need not be given.
///
/// # Errors
/// As [`peer_id`].
pub fn peer_id_if_any(value: Option<&str>) -> Result<Option<String>, QueryError> {
    value.map(|text| peer_id(Some(text))).transpose()
}

/// Rows of a plain list.
const LIST_LIMIT: RangeInclusive<i64> = 1..=100_000;
const LIST_LIMIT_DEFAULT: i64 = 1_000;

/// Parameters of a plain list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Rows in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100_000, default = 1_000)]
    limit: Option<String>,
}

/// A query of a plain list; needs no check again.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery {
    /// Rows in the answer.
    pub limit: i64,
}

impl TryFrom<ListParams> for ListQuery {
    type Error = QueryError;

    fn try_from(asked: ListParams) -> Result<Self, QueryError> {
        let limit = asked.limit.as_deref();
        Ok(Self {
            limit: whole("limit", limit, LIST_LIMIT_DEFAULT, LIST_LIMIT)?,
        })
    }
}

/// A span of time that may be open at either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// First moment.
    pub start: Option<DateTime<Utc>>,
    /// First moment after it.
    pub end: Option<DateTime<Utc>>,
}

impl TimeRange {
    /// From `start_time` and `end_time`.
    ///
    /// # Errors
    /// If one is no time, or they are not in order.
    pub fn parse(start: Option<&str>, end: Option<&str>) -> Result<Self, QueryError> {
        let range = Self {
            start: time("start_time", start)?,
            end: time("end_time", end)?,
        };
        match (range.start, range.end) {
            (Some(start), Some(end)) if start >= end => Err(QueryError::invalid(
                "start_time",
                "must be before end_time, which is not part of the range",
            )),
            _ => Ok(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    fn refused<T: fmt::Debug>(result: Result<T, QueryError>) -> (&'static str, String) {
        match result {
            Err(QueryError::Invalid { parameter, message }) => (parameter, message),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn times_are_rfc_3339_or_naive_utc() {
        for (text, utc) in [
            ("2019-01-01T00:00:00Z", "2019-01-01T00:00:00Z"),
            ("2019-01-01T02:00:00.5+02:00", "2019-01-01T00:00:00.5Z"),
            ("2019-01-01T02:00:00 02:00", "2019-01-01T00:00:00Z"),
            ("2019-01-01T00:00:00", "2019-01-01T00:00:00Z"),
            ("2019-01-01T00:00:00.123456", "2019-01-01T00:00:00.123456Z"),
        ] {
            let expected: DateTime<Utc> = utc.parse().unwrap();
            assert_eq!(parse_time("start_time", text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2019-01-01",
            "2019-13-01T00:00:00",
            "+20019-01-01T00:00:00",
            "0000-01-01T00:00:00",
            "2019-01-01T00:00:00 ",
        ] {
            let (parameter, message) = refused(parse_time("end_time", text));
            assert_eq!(parameter, "end_time", "{text}");
            assert!(message.contains("2019-01-01T00:00:00Z"), "{message}");
        }
    }

    #[test]
    fn numbers_stay_in_their_range() {
        assert_eq!(whole("limit", None, 100, 1..=1_000).unwrap(), 100);
        assert_eq!(whole("limit", Some("1000"), 100, 1..=1_000).unwrap(), 1_000);
        for text in ["0", "1001", "-1", "", "ten", "1e2", "99999999999999999999"] {
            let (parameter, message) = refused(whole("limit", Some(text), 100, 1..=1_000));
            assert_eq!(parameter, "limit");
            assert!(message.ends_with("from 1 to 1000"), "{message}");
        }
    }

    #[test]
    fn flags_and_texts_are_checked() {
        assert_eq!(flag("online", Some("true")).unwrap(), Some(true));
        assert_eq!(refused(flag("online", Some("yes"))).0, "online");
        assert_eq!(text("msg", Some("")).unwrap().as_deref(), Some(""));
        assert_eq!(refused(text("msg", Some("a\0b"))).0, "msg");
        assert!(text("msg", Some(&"é".repeat(1_024))).is_ok());
        assert_eq!(refused(text("msg", Some(&"x".repeat(1_025)))).0, "msg");
        assert_eq!(refused(peer_id(None)).0, "peer_id");
        assert_eq!(refused(peer_id(Some(""))).0, "peer_id");
        assert_eq!(refused(row_id("id", "x")).0, "id");
    }

    #[test]
    fn ranges_are_in_order() {
        let (early, late) = ("2019-01-01T00:00:00", "2019-01-02T00:00:00");
        assert!(TimeRange::parse(Some(early), Some(late)).is_ok());
        assert!(TimeRange::parse(None, None).is_ok());
        let (parameter, _) = refused(TimeRange::parse(Some(late), Some(early)));
        assert_eq!(parameter, "start_time");
        let (parameter, _) = refused(TimeRange::parse(Some(late), Some(late)));
        assert_eq!(parameter, "start_time");
    }
}
