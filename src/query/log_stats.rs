//! How many messages of each kind a peer sent.

use std::cmp::Reverse;
use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::params::{self, TimeRange};
use super::time_windows::{self, TimeWindows};
use super::{Limits, QueryError};
use crate::ids::SessionId;
use crate::messages;

/// Parameters.
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

/// A query that needs no check again.
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
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogStat {
    /// Messages.
    pub qty: i64,
    /// Kind.
    #[schema(example = "block.import")]
    pub log_type: String,
}

/// Counts, the most frequent kind first; kinds as frequent as each other by name.
///
/// # Errors
/// [`QueryError::NotFound`] for a peer without sessions and messages; [`QueryError::Unavailable`] if
/// it takes longer than `limits` allow.
pub fn fetch(
    conn: &mut PgConnection,
    query: &LogStatsQuery,
    limits: &Limits,
) -> Result<Vec<LogStat>, QueryError> {
    let deadline = limits.deadline();
    let sessions = time_windows::known_sessions(conn, &query.peer_id)?;
    let mut windows = TimeWindows::widest(&sessions, query.range, limits).with_gaps(conn)?;
    let posted = SessionId::of_posts(&query.peer_id).0;
    let mut totals: HashMap<String, i64> = HashMap::new();
    while let Some(window) = windows.next() {
        deadline.check("counting takes longer than STATEMENT_TIMEOUT_S; ask for less time")?;
        let sessions: Vec<i64> = window.sessions.into_iter().chain([posted]).collect();
        for of_kind in messages::count_by_kind(conn, &sessions, window.span)? {
            *totals.entry(of_kind.msg).or_default() += of_kind.count;
        }
    }
    if sessions.is_empty() && totals.is_empty() {
        return Err(time_windows::NOT_KNOWN);
    }
    let stat = |(log_type, qty)| LogStat { qty, log_type };
    let mut stats: Vec<LogStat> = totals.into_iter().map(stat).collect();
    stats.sort_by(|a, b| (Reverse(a.qty), &a.log_type).cmp(&(Reverse(b.qty), &b.log_type)));
    Ok(stats)
}
