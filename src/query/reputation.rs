//! What peers think of each other, from `system.network_state`, which nodes up
//! to early 2021 and custom ones send each 30 s.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::QueryError;
use super::params::{self, TimeRange};

/// Reports in an answer.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// Age of a report, seconds: an hour by default, a century at most.
const MAX_AGE: RangeInclusive<i64> = 1..=3_153_600_000;
const MAX_AGE_DEFAULT: i64 = 3_600;

/// What may be asked of all reports.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReputationsParams {
    /// Only reports of these last seconds.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 3_153_600_000_i64, default = 3_600)]
    max_age_s: Option<String>,
    /// Reporting peers in the answer, those with the newest reports.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
}

/// What may be asked about one peer.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReputationParams {
    /// Only reports of these last seconds before `end_time`; without effect if `start_time` is given.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 3_153_600_000_i64, default = 3_600)]
    max_age_s: Option<String>,
    /// Reporting peers in the answer, those with the newest reports.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
    /// Only reports from this time on: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC.
    start_time: Option<String>,
    /// Only reports before this time: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC.
    end_time: Option<String>,
}

/// Which reports, and how many.
#[derive(Debug, Clone)]
pub struct ReportsQuery {
    max_age: TimeDelta,
    limit: i64,
    range: TimeRange,
}

impl ReportsQuery {
    fn parse(
        max_age_s: Option<&str>,
        limit: Option<&str>,
        range: TimeRange,
    ) -> Result<Self, QueryError> {
        let max_age_s = params::whole("max_age_s", max_age_s, MAX_AGE_DEFAULT, MAX_AGE)?;
        Ok(Self {
            max_age: TimeDelta::seconds(max_age_s),
            limit: params::whole("limit", limit, LIMIT_DEFAULT, LIMIT)?,
            range,
        })
    }

    /// From and up to when; the database gets both as constants, so that it
    /// opens the partitions in between only.
    fn bounds(&self, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let end = self.range.end.unwrap_or(now);
        (self.range.start.unwrap_or(end - self.max_age), end)
    }
}

impl TryFrom<ReputationsParams> for ReportsQuery {
    type Error = QueryError;

    fn try_from(asked: ReputationsParams) -> Result<Self, QueryError> {
        let (max_age_s, limit) = (asked.max_age_s.as_deref(), asked.limit.as_deref());
        Self::parse(max_age_s, limit, TimeRange::default())
    }
}

impl TryFrom<ReputationParams> for ReportsQuery {
    type Error = QueryError;

    fn try_from(asked: ReputationParams) -> Result<Self, QueryError> {
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        Self::parse(asked.max_age_s.as_deref(), asked.limit.as_deref(), range)
    }
}

/// Which of the peers of a report are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of them.
    All,
    /// Those that ever connected to this server themselves.
    Logged,
}

/// The newest report of a peer. The three lists are in step.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Report {
    /// Who reports.
    #[diesel(sql_type = Text)]
    pub reporting_peer: String,
    /// About whom.
    #[diesel(sql_type = Array<Text>)]
    pub remote_peer: Vec<String>,
    /// The reputation of each; null where it is no number.
    #[diesel(sql_type = Array<Nullable<BigInt>>)]
    pub reputation: Vec<Option<i64>>,
    /// Whether each is connected to the reporting peer; null where it is not told.
    #[diesel(sql_type = Array<Nullable<Bool>>)]
    pub connected: Vec<Option<bool>>,
    /// Time of the report.
    #[diesel(sql_type = Timestamptz)]
    pub ts: DateTime<Utc>,
}

/// What the newest report of a peer says of the peer that was asked for.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Opinion {
    /// Who reports.
    #[diesel(sql_type = Text)]
    pub reporting_peer: String,
    /// The reputation; null if it is no number.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub reputation: Option<i64>,
    /// Whether the two are connected; null if it is not told.
    #[diesel(sql_type = Nullable<Bool>)]
    pub connected: Option<bool>,
    /// Time of the report.
    #[diesel(sql_type = Timestamptz)]
    pub ts: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Bool)]
    known: bool,
}

/// The newest report of each reporting peer.
///
/// # Errors
/// If the database cannot be read.
pub fn fetch_all(
    conn: &mut PgConnection,
    query: &ReportsQuery,
    shown: Shown,
    now: DateTime<Utc>,
) -> Result<Vec<Report>, QueryError> {
    let (start, end) = query.bounds(now);
    let reports = diesel::sql_query(include_str!("reputation_newest.sql"))
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<Bool, _>(shown == Shown::Logged)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(reports)
}

/// What others think of one peer now: the newest report of each counts, so a
/// peer that no longer mentions it has no opinion.
///
/// # Errors
/// [`QueryError::NotFound`] if nobody mentions the peer and it never connected.
pub fn fetch_of(
    conn: &mut PgConnection,
    peer_id: &str,
    query: &ReportsQuery,
    now: DateTime<Utc>,
) -> Result<Vec<Opinion>, QueryError> {
    let (start, end) = query.bounds(now);
    let opinions: Vec<Opinion> = diesel::sql_query(include_str!("reputation_of.sql"))
        .bind::<Text, _>(peer_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    if opinions.is_empty() {
        let peer: Known = diesel::sql_query(include_str!("is_known_peer.sql"))
            .bind::<Text, _>(peer_id)
            .get_result(conn)?;
        if !peer.known {
            return Err(QueryError::NotFound {
                parameter: "peer_id",
            });
        }
    }
    Ok(opinions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_counts_from_the_end_of_the_range() {
        let now: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
        let bounds = |max_age_s: &str, start: Option<&str>, end: Option<&str>| {
            let range = TimeRange::parse(start, end).unwrap();
            let query = ReportsQuery::parse(Some(max_age_s), None, range).unwrap();
            query.bounds(now)
        };
        assert_eq!(
            bounds("60", None, None),
            (now - TimeDelta::seconds(60), now)
        );
        let end = now - TimeDelta::days(1);
        let (from, to) = bounds("60", None, Some("2026-05-31T00:00:00"));
        assert_eq!((from, to), (end - TimeDelta::seconds(60), end));
        let (from, _) = bounds("60", Some("2026-05-01T00:00:00"), None);
        assert_eq!(from, now - TimeDelta::days(31));
    }

    #[test]
    fn each_bad_parameter_is_named() {
        let bad = || Some("\0".to_owned());
        let none = ReputationParams::default;
        for (expected, params) in [
            (
                "max_age_s",
                ReputationParams {
                    max_age_s: bad(),
                    ..none()
                },
            ),
            (
                "limit",
                ReputationParams {
                    limit: bad(),
                    ..none()
                },
            ),
            (
                "start_time",
                ReputationParams {
                    start_time: bad(),
                    ..none()
                },
            ),
            (
                "end_time",
                ReputationParams {
                    end_time: bad(),
                    ..none()
                },
            ),
        ] {
            match ReportsQuery::try_from(params) {
                Err(QueryError::Invalid { parameter, .. }) => assert_eq!(parameter, expected),
                other => panic!("{expected} was not refused: {other:?}"),
            }
        }
    }
}
