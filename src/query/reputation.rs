//! Reputations that nodes give their peers, from `system.network_state`, which nodes up
//! to early 2021 and custom ones send each 30 s.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::params::{self, TimeRange};
use super::time_windows;
use super::{Limits, QueryError};
use crate::messages::{self, ByPeer, Window};
use crate::telemetry;

/// Reports in an answer.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// Messages with reports, and where in them the peers are.
const NETWORK_STATE: &str = "system.network_state";
const PEERS_PATH: [&str; 3] = ["state", "peerset", "nodes"];

/// Age of a report, seconds: an hour by default, a century at most.
const MAX_AGE: RangeInclusive<i64> = 1..=3_153_600_000;
const MAX_AGE_DEFAULT: i64 = 3_600;

/// Parameters of the reports of all nodes.
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

/// Parameters of the reports about one peer.
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

    /// From and up to when.
    fn span(&self, now: DateTime<Utc>) -> Window {
        let until = self.range.end.unwrap_or(now);
        let from = until.checked_sub_signed(self.max_age).unwrap_or(until);
        Window {
            from: self.range.start.unwrap_or(from),
            until,
        }
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
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    /// The node that reports.
    pub reporting_peer: String,
    /// Its peers.
    pub remote_peer: Vec<String>,
    /// The reputation of each; null where it is no number.
    pub reputation: Vec<Option<i64>>,
    /// Whether each is connected to the reporting node; null where it is not reported.
    pub connected: Vec<Option<bool>>,
    /// Time of the report.
    pub ts: DateTime<Utc>,
}

/// What the newest report of a node says of one peer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Opinion {
    /// The node that reports.
    pub reporting_peer: String,
    /// The reputation; null if it is no number.
    pub reputation: Option<i64>,
    /// Whether the two are connected; null if it is not reported.
    pub connected: Option<bool>,
    /// Time of the report.
    pub ts: DateTime<Utc>,
}

/// The newest report of each reporting peer.
///
/// # Errors
/// If the database cannot be read, or takes longer than `limits` allow.
pub fn fetch_all(
    conn: &mut PgConnection,
    query: &ReportsQuery,
    shown: Shown,
    limits: &Limits,
) -> Result<Vec<Report>, QueryError> {
    let mut reports = Vec::new();
    each_newest(conn, query, (&PEERS_PATH, 100), limits, |newest, conn| {
        let peers: Option<Map<String, Value>> = newest
            .part
            .and_then(|part| serde_json::from_str(&part).ok());
        let mut peers = peers.unwrap_or_default();
        if shown == Shown::Logged {
            let names: Vec<&String> = peers.keys().collect();
            let known = known(conn, &names)?;
            peers.retain(|peer_id, _| known.contains(peer_id));
        }
        reports.push(Report {
            reporting_peer: newest.peer_id,
            reputation: peers.values().map(reputation).collect(),
            connected: peers.values().map(connected).collect(),
            remote_peer: peers.into_iter().map(|(peer_id, _)| peer_id).collect(),
            ts: newest.created_at,
        });
        Ok(reports.len() < limit(query))
    })?;
    Ok(reports)
}

/// What the nodes report of one peer now: the newest report of each counts, so that one
/// that no longer lists the peer is left out.
///
/// # Errors
/// [`QueryError::NotFound`] if no report lists the peer and it never connected;
/// [`QueryError::Unavailable`] if it takes longer than `limits` allow.
pub fn fetch_of(
    conn: &mut PgConnection,
    peer_id: &str,
    query: &ReportsQuery,
    limits: &Limits,
) -> Result<Vec<Opinion>, QueryError> {
    let mut opinions = Vec::new();
    let [state, peerset, nodes] = PEERS_PATH;
    let path = [state, peerset, nodes, peer_id];
    each_newest(conn, query, (&path, 10_000), limits, |newest, _| {
        let part = newest.part.as_deref().map(serde_json::from_str::<Value>);
        if let Some(Ok(opinion)) = part {
            opinions.push(Opinion {
                reporting_peer: newest.peer_id,
                reputation: reputation(&opinion),
                connected: connected(&opinion),
                ts: newest.created_at,
            });
        }
        Ok(opinions.len() < limit(query))
    })?;
    if opinions.is_empty() && known(conn, &[peer_id])?.is_empty() {
        return Err(QueryError::NotFound {
            parameter: "peer_id",
        });
    }
    Ok(opinions)
}

fn limit(query: &ReportsQuery) -> usize {
    usize::try_from(query.limit).unwrap_or(usize::MAX)
}

/// Goes through the newest report of each peer, newest first, while `take` wants
/// more: what is at a path of it, so many at once. A whole report may have half a
/// megabyte.
fn each_newest(
    conn: &mut PgConnection,
    query: &ReportsQuery,
    (path, step_rows): (&[&str], i64),
    limits: &Limits,
    mut take: impl FnMut(ByPeer, &mut PgConnection) -> Result<bool, QueryError>,
) -> Result<(), QueryError> {
    let deadline = limits.deadline();
    let kinds = messages::numbers(conn, &[NETWORK_STATE])?;
    let Some(kind) = kinds.into_keys().next() else {
        return Ok(());
    };
    let mut seen: Vec<String> = Vec::new();
    let span = time_windows::reach(conn, query.span(limits.now), limits)?;
    for window in messages::windows(span, limits.window_max) {
        deadline.check("the reports are too many for STATEMENT_TIMEOUT_S; ask for less time")?;
        loop {
            let found = messages::newest_by_peer(conn, (kind, window), path, &seen, step_rows)?;
            let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
            for newest in found {
                seen.push(newest.peer_id.clone());
                if !take(newest, conn)? {
                    return Ok(());
                }
            }
            if count < step_rows {
                break;
            }
        }
    }
    Ok(())
}

fn reputation(peer: &Value) -> Option<i64> {
    peer.get("reputation").and_then(telemetry::integer)
}

fn connected(peer: &Value) -> Option<bool> {
    peer.get("connected")
        .map(|connected| *connected == Value::Bool(true))
}

/// Those of some peers that ever connected to this server.
fn known<T: AsRef<str>>(conn: &mut PgConnection, peers: &[T]) -> QueryResult<HashSet<String>> {
    let peers: Vec<&str> = peers.iter().map(AsRef::as_ref).collect();
    let known: Vec<Known> = diesel::sql_query(include_str!("known_peers.sql"))
        .bind::<Array<Text>, _>(peers)
        .load(conn)?;
    Ok(known.into_iter().map(|peer| peer.peer_id).collect())
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    peer_id: String,
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
            let span = query.span(now);
            (span.from, span.until)
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
