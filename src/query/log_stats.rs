//! How many messages of each kind a peer sent.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::QueryError;
use super::params::{self, TimeRange};
use super::time_windows::{self, TimeWindows};

/// What may be asked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogStatsParams {
    /// libp2p identity of the node.
    #[param(required = true)]
    peer_id: Option<String>,
    /// Only messages from this time on: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC.
    start_time: Option<String>,
    /// Only messages before this time: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC.
    end_time: Option<String>,
}

/// A question that needs no check again.
#[derive(Debug, Clone)]
pub struct LogStatsQuery {
    peer_id: String,
    range: TimeRange,
}

impl TryFrom<LogStatsParams> for LogStatsQuery {
    type Error = QueryError;

    fn try_from(asked: LogStatsParams) -> Result<Self, QueryError> {
        Ok(Self {
            peer_id: params::peer_id(asked.peer_id.as_deref())?,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
        })
    }
}

/// How many messages there are of a kind.
#[derive(Debug, PartialEq, Eq, Serialize, QueryableByName, ToSchema)]
pub struct LogStat {
    /// Messages.
    #[diesel(sql_type = BigInt)]
    pub qty: i64,
    /// Kind.
    #[diesel(sql_type = Text)]
    #[schema(example = "block.import")]
    pub log_type: String,
}

/// Counts, the most frequent kind first; kinds as frequent as each other by name.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer; [`QueryError::Unavailable`] if
/// it takes longer than `time_max` altogether.
pub fn fetch(
    conn: &mut PgConnection,
    query: &LogStatsQuery,
    now: DateTime<Utc>,
    time_max: Duration,
) -> Result<Vec<LogStat>, QueryError> {
    let started_at = Instant::now();
    let sessions = time_windows::sessions(conn, &query.peer_id)?;
    let mut windows = TimeWindows::widest(&sessions, query.range, now);
    let mut totals: HashMap<String, i64> = HashMap::new();
    while let Some(window) = windows.next() {
        if started_at.elapsed() > time_max {
            let cause = "counting takes longer than STATEMENT_TIMEOUT_S; ask for less time";
            return Err(QueryError::Unavailable(cause.to_owned()));
        }
        let counts: Vec<LogStat> = diesel::sql_query(include_str!("log_stats.sql"))
            .bind::<Array<BigInt>, _>(&window.sessions)
            .bind::<Timestamptz, _>(window.start)
            .bind::<Timestamptz, _>(window.end)
            .load(conn)?;
        for count in counts {
            *totals.entry(count.log_type).or_default() += count.qty;
        }
    }
    let stat = |(log_type, qty)| LogStat { qty, log_type };
    let mut stats: Vec<LogStat> = totals.into_iter().map(stat).collect();
    stats.sort_by(|a, b| (Reverse(a.qty), &a.log_type).cmp(&(Reverse(b.qty), &b.log_type)));
    Ok(stats)
}
