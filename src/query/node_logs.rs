//! The messages of a peer, newest first.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::QueryError;
use super::params::{self, PageCursor, TimeRange};
use super::time_windows::{self, Session, TimeWindows, Window};
use crate::store::{UNLISTED, UNLISTED_NAME};

/// Rows of a page.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// A page ends with the message by which its fields reach so many bytes: ten
/// thousand messages of the largest size would fill the memory.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The first window is that many seconds wide for each row of the page: nodes
/// send about a message a second.
const WINDOW_SECONDS_PER_ROW: i64 = 1;

/// What may be asked.
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

/// A question that needs no check again.
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
    /// The same for who may not see IP addresses, and so may not search for them.
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
    /// Address from which the node had connected; null for those who may not see it.
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

/// A slice of the messages.
#[derive(Debug)]
pub struct NodeLogsPage {
    /// The messages, newest first.
    pub logs: Vec<NodeLog>,
    /// Where the next page begins; none if there are no older messages.
    pub next: Option<PageCursor>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    peer_connection_id: i64,
    #[diesel(sql_type = Text)]
    msg: String,
    #[diesel(sql_type = Text)]
    logs: String,
}

/// Reads a page.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer; [`QueryError::Unavailable`] if
/// it takes longer than `time_max` altogether.
pub fn fetch(
    conn: &mut PgConnection,
    query: &NodeLogsQuery,
    now: DateTime<Utc>,
    time_max: Duration,
) -> Result<NodeLogsPage, QueryError> {
    let started_at = Instant::now();
    let sessions = time_windows::sessions(conn, &query.peer_id)?;
    let kind = Kind::find(conn, query.msg.as_deref())?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut range = query.range;
    if let Some(cursor) = query.cursor {
        range.end = Some(range.end.map_or(cursor.end(), |end| end.min(cursor.end())));
    }
    let width = TimeDelta::seconds(query.limit * WINDOW_SECONDS_PER_ROW);
    let mut windows = TimeWindows::new(&sessions, range, now, width);
    let mut rows: Vec<Row> = Vec::new();
    let mut bytes_left = PAGE_BYTES_MAX;
    // One row more than the page tells whether there is another page.
    while rows.len() <= limit
        && bytes_left > 0
        && let Some(window) = windows.next()
    {
        if started_at.elapsed() > time_max {
            let cause = "the messages asked for are spread too thinly for STATEMENT_TIMEOUT_S";
            return Err(QueryError::Unavailable(cause.to_owned()));
        }
        let missing = limit + 1 - rows.len();
        let found = read_window(conn, query, &kind, &window, (missing, bytes_left))?;
        windows.widen(found.len(), missing.saturating_sub(found.len()));
        let bytes = found.iter().map(|row| row.logs.len()).sum();
        bytes_left = bytes_left.saturating_sub(bytes);
        rows.extend(found);
    }
    let has_more = rows.len() > limit || bytes_left == 0;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|row| PageCursor {
        created_at: row.created_at,
        id: row.id,
    });
    Ok(NodeLogsPage {
        logs: name_rows(rows, &sessions, &query.peer_id)?,
        next,
    })
}

/// A kind as the database knows it.
#[derive(Debug, Default)]
struct Kind {
    id: Option<i16>,
    /// Its name, if it has no number of its own.
    unlisted: Option<String>,
}

impl Kind {
    /// Looks a kind up. By its number the planner knows how rare it is.
    fn find(conn: &mut PgConnection, msg: Option<&str>) -> QueryResult<Self> {
        #[derive(QueryableByName)]
        struct Found {
            #[diesel(sql_type = SmallInt)]
            id: i16,
        }
        let Some(msg) = msg else {
            return Ok(Self::default());
        };
        let found: Option<Found> = diesel::sql_query("SELECT id FROM message_kinds WHERE msg = $1")
            .bind::<Text, _>(msg)
            .get_result(conn)
            .optional()?;
        let id = found.map_or(UNLISTED, |found| found.id);
        // A query for the entry itself means all kinds that share it.
        let is_name = id == UNLISTED && msg != UNLISTED_NAME;
        Ok(Self {
            id: Some(id),
            unlisted: is_name.then(|| msg.to_owned()),
        })
    }
}

fn read_window(
    conn: &mut PgConnection,
    query: &NodeLogsQuery,
    kind: &Kind,
    window: &Window,
    (rows, bytes): (usize, usize),
) -> QueryResult<Vec<Row>> {
    diesel::sql_query(include_str!("node_logs.sql"))
        .bind::<Array<BigInt>, _>(&window.sessions)
        .bind::<Timestamptz, _>(window.start)
        .bind::<Timestamptz, _>(window.end)
        .bind::<Nullable<Timestamptz>, _>(query.cursor.map(|cursor| cursor.created_at))
        .bind::<Nullable<BigInt>, _>(query.cursor.map(|cursor| cursor.id))
        .bind::<Nullable<SmallInt>, _>(kind.id)
        .bind::<Nullable<Text>, _>(&query.target)
        .bind::<BigInt, _>(i64::try_from(rows).unwrap_or(i64::MAX))
        .bind::<Nullable<Text>, _>(&kind.unlisted)
        .bind::<BigInt, _>(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind::<Nullable<Text>, _>(&query.text)
        .bind::<Bool, _>(query.hides_addresses)
        .load(conn)
}

fn name_rows(
    rows: Vec<Row>,
    sessions: &[Session],
    peer_id: &str,
) -> Result<Vec<NodeLog>, QueryError> {
    let addresses: HashMap<i64, &str> = sessions
        .iter()
        .map(|session| (session.id, session.ip_addr.as_str()))
        .collect();
    let name = |row: Row| {
        let address = addresses.get(&row.peer_connection_id).copied();
        Ok(NodeLog {
            ip_addr: Some(address.unwrap_or_default().to_owned()),
            peer_id: peer_id.to_owned(),
            msg: row.msg,
            created_at: row.created_at,
            logs: RawValue::from_string(row.logs)
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
