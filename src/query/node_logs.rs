//! The messages of a peer, newest first.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::params::{self, TimeRange};
use super::time_windows::{self, Session, SessionWindow, TimeWindows};
use super::{Limits, Page, PageCursor, QueryError};
use crate::ids::SessionId;
use crate::messages::{self, KindFilter, MessageRow, Newest};

/// Rows of a page.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// A page ends with the message by which its fields reach so many bytes: ten
/// thousand messages of the largest size would fill the memory.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The first window is that many seconds wide for each row of the page: nodes
/// send about a message a second.
const WINDOW_SECONDS_PER_ROW: i64 = 1;

/// Parameters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeLogsParams {
    /// libp2p identity of the node.
    #[param(required = true)]
    peer_id: Option<String>,
    /// Only messages of this kind, for instance `block.import`.
    msg: Option<String>,
    /// Only messages with this field `target` (tracing).
    target: Option<String>,
    /// Only messages whose `logs`, as they stand in an answer, contain this text; the letters A to
    /// Z in any case.
    text: Option<String>,
    /// Only messages from this time on: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC.
    start_time: Option<String>,
    /// Only messages before this time: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC.
    end_time: Option<String>,
    /// Messages in the answer; fewer if their fields have 8 MiB.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
    /// Goes on after an earlier answer: its header `X-Next-Cursor`.
    cursor: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct NodeLogsQuery {
    peer_id: String,
    msg: Option<String>,
    target: Option<String>,
    text: Option<String>,
    hides_addresses: bool,
    range: TimeRange,
    limit: i64,
    cursor: Option<PageCursor>,
}

impl NodeLogsQuery {
    /// The same for clients that may not see IP addresses, and so may not search for them.
    pub fn without_addresses(self) -> Self {
        Self {
            hides_addresses: true,
            ..self
        }
    }
}

impl TryFrom<NodeLogsParams> for NodeLogsQuery {
    type Error = QueryError;

    fn try_from(asked: NodeLogsParams) -> Result<Self, QueryError> {
        Ok(Self {
            peer_id: params::peer_id(asked.peer_id.as_deref())?,
            msg: params::text("msg", asked.msg.as_deref())?,
            target: params::text("target", asked.target.as_deref())?,
            text: params::text("text", asked.text.as_deref())?,
            hides_addresses: false,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: asked.cursor.as_deref().map(PageCursor::parse).transpose()?,
        })
    }
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeLog {
    /// Address from which the node had connected; null without the right to see it.
    pub ip_addr: Option<String>,
    /// libp2p identity of the node.
    pub peer_id: String,
    /// Kind.
    #[schema(example = "block.import")]
    pub msg: String,
    /// When the server received the message, by its clock.
    pub created_at: DateTime<Utc>,
    /// Fields of the event, old and new nodes alike, to the digit as they are stored.
    #[schema(value_type = Object)]
    pub logs: Box<RawValue>,
}

/// Reads a page.
///
/// # Errors
/// [`QueryError::NotFound`] for a peer without sessions and messages; [`QueryError::Unavailable`] if
/// it takes longer than `limits` allow.
pub fn fetch(
    conn: &mut PgConnection,
    query: &NodeLogsQuery,
    limits: &Limits,
) -> Result<Page<NodeLog>, QueryError> {
    let deadline = limits.deadline();
    let sessions = time_windows::known_sessions(conn, &query.peer_id)?;
    let kind = KindFilter::find(conn, query.msg.as_deref())?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut range = query.range;
    if let Some(cursor) = query.cursor {
        range.end = Some(range.end.map_or(cursor.end(), |end| end.min(cursor.end())));
    }
    let width = TimeDelta::seconds(query.limit * WINDOW_SECONDS_PER_ROW);
    let mut windows = TimeWindows::new(&sessions, range, limits, width).with_gaps(conn)?;
    let mut rows: Vec<MessageRow> = Vec::new();
    let mut bytes_left = PAGE_BYTES_MAX;
    // One row more than the page shows whether there is another page.
    while rows.len() <= limit
        && bytes_left > 0
        && let Some(window) = windows.next()
    {
        deadline.check("the messages asked for are spread too thinly for STATEMENT_TIMEOUT_S")?;
        let missing = limit + 1 - rows.len();
        let found = read_window(conn, query, &kind, &window, (missing, bytes_left))?;
        windows.widen(found.len(), missing.saturating_sub(found.len()));
        let bytes = found.iter().map(|row| row.fields().len()).sum();
        bytes_left = bytes_left.saturating_sub(bytes);
        rows.extend(found);
    }
    if sessions.is_empty() && rows.is_empty() && query.cursor.is_none() {
        return Err(time_windows::NOT_KNOWN);
    }
    let has_more = rows.len() > limit || bytes_left == 0;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|row| PageCursor {
        created_at: row.created_at,
        id: row.id,
    });
    let kinds = messages::names(conn, &rows)?;
    Ok(Page {
        rows: name_rows(rows, &kinds, &sessions, &query.peer_id)?,
        next,
    })
}

fn read_window(
    conn: &mut PgConnection,
    query: &NodeLogsQuery,
    kind: &KindFilter,
    window: &SessionWindow,
    (rows, bytes): (usize, usize),
) -> QueryResult<Vec<MessageRow>> {
    // Lines that were posted about the node stand beside what it says itself, and go on without it.
    let posted = SessionId::of_posts(&query.peer_id).0;
    let sessions: Vec<i64> = window.sessions.iter().copied().chain([posted]).collect();
    let page = Newest {
        sessions: &sessions,
        window: window.span,
        before: query.cursor.map(|cursor| (cursor.created_at, cursor.id)),
        kind,
        target: query.target.as_deref(),
        text: query.text.as_deref(),
        hides_addresses: query.hides_addresses,
        rows,
        bytes,
    };
    messages::newest(conn, &page)
}

fn name_rows(
    rows: Vec<MessageRow>,
    kinds: &HashMap<i16, String>,
    sessions: &[Session],
    peer_id: &str,
) -> Result<Vec<NodeLog>, QueryError> {
    let addresses: HashMap<i64, &str> = sessions
        .iter()
        .map(|session| (session.id, session.ip_addr.as_str()))
        .collect();
    let name = |row: MessageRow| {
        let address = addresses.get(&row.peer_connection_id).copied();
        Ok(NodeLog {
            ip_addr: Some(address.unwrap_or_default().to_owned()),
            peer_id: peer_id.to_owned(),
            msg: kinds.get(&row.kind_id).cloned().unwrap_or_default(),
            created_at: row.created_at,
            logs: RawValue::from_string(row.logs.unwrap_or_default())
                .map_err(|error| QueryError::Internal(format!("logs are no JSON: {error}")))?,
        })
    };
    rows.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_parameter_is_named() {
        let good = || NodeLogsParams {
            peer_id: Some("12D3KooW".to_owned()),
            ..NodeLogsParams::default()
        };
        assert_eq!(NodeLogsQuery::try_from(good()).unwrap().limit, 100);
        let bad = || Some("\0".to_owned());
        for (expected, params) in [
            ("peer_id", NodeLogsParams::default()),
            (
                "msg",
                NodeLogsParams {
                    msg: bad(),
                    ..good()
                },
            ),
            (
                "target",
                NodeLogsParams {
                    target: bad(),
                    ..good()
                },
            ),
            (
                "text",
                NodeLogsParams {
                    text: bad(),
                    ..good()
                },
            ),
            (
                "start_time",
                NodeLogsParams {
                    start_time: bad(),
                    ..good()
                },
            ),
            (
                "end_time",
                NodeLogsParams {
                    end_time: bad(),
                    ..good()
                },
            ),
            (
                "limit",
                NodeLogsParams {
                    limit: bad(),
                    ..good()
                },
            ),
            (
                "cursor",
                NodeLogsParams {
                    cursor: bad(),
                    ..good()
                },
            ),
        ] {
            match NodeLogsQuery::try_from(params) {
                Err(QueryError::Invalid { parameter, .. }) => assert_eq!(parameter, expected),
                other => panic!("{expected} was not refused: {other:?}"),
            }
        }
    }
}
