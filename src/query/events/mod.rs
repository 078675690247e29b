//! Structured events: a page of them, one of them, and those that came since.

mod filter;
mod jobs;
mod stats;

use std::collections::HashSet;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Jsonb, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

pub use filter::{EventFilter, FilterParams};
pub use jobs::{Job, JobsParams, JobsQuery, jobs};
pub use stats::{EventStat, StatsParams, StatsQuery, stats};

use super::params::{self, TimeRange};
use super::{Limits, Page, PageCursor, QueryError};
use crate::database::read_unlocked;
use crate::messages::{Window, windows};

/// Events in an answer.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// Events that are followed at once.
pub const FOLLOWED_MAX: i64 = 1_000;

/// Parameters of the list of events, beside those of the filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsParams {
    /// Only events of this source: a peer id, or the name of a token.
    source: Option<String>,
    /// Only events about this node.
    peer_id: Option<String>,
    /// Only events of this name.
    name: Option<String>,
    /// Only events that are as grave as this, or graver.
    #[param(inline, value_type = Option<EventSeverity>)]
    severity: Option<String>,
    /// Only events whose fields have these values: `field=value`, several with commas between; dots lead into objects, and `\,` is a comma.
    #[param(
        example = "pallet=balances,call.name=transfer",
        pattern = r"^$|^ *([^=, \u0000]|\\,)([^=,\u0000]|\\,)*=([^,\u0000]|\\,)*(, *([^=, \u0000]|\\,)([^=,\u0000]|\\,)*=([^,\u0000]|\\,)*){0,15}$"
    )]
    r#where: Option<String>,
    /// Only events with this text anywhere, A to Z in any case.
    text: Option<String>,
    /// Only events that arrived at this time or later.
    start_time: Option<String>,
    /// Only events that arrived before this time.
    end_time: Option<String>,
    /// Events in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
    /// Goes on after an earlier answer: its header `X-Next-Cursor`.
    cursor: Option<String>,
}

/// How grave an event is: the names of `Severity`, for the description.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EventSeverity {
    /// Each step.
    Trace,
    /// For developers.
    Debug,
    /// As expected.
    Info,
    /// Unexpected, and goes on.
    Warn,
    /// Something failed.
    Error,
    /// It does not go on.
    Fatal,
}

/// A query of events that needs no check again.
#[derive(Debug, Clone)]
pub struct EventsQuery {
    filter: EventFilter,
    range: TimeRange,
    limit: i64,
    cursor: Option<PageCursor>,
}

impl TryFrom<EventsParams> for EventsQuery {
    type Error = QueryError;

    fn try_from(asked: EventsParams) -> Result<Self, QueryError> {
        let filter = EventFilter::new(FilterParams {
            source: asked.source,
            peer_id: asked.peer_id,
            name: asked.name,
            severity: asked.severity,
            r#where: asked.r#where,
            text: asked.text,
        })?;
        Ok(Self {
            filter,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: asked.cursor.as_deref().map(PageCursor::parse).transpose()?,
        })
    }
}

/// A structured event.
#[derive(Debug, Clone, Serialize, QueryableByName, ToSchema)]
pub struct Event {
    /// Number, in the order of extraction.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Stable identity: the same for an event that is sent again.
    #[diesel(sql_type = Text)]
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub event_id: String,
    /// Who said it: peer id of the node, or name of the token with which it was posted.
    #[diesel(sql_type = Text)]
    pub source: String,
    /// libp2p identity of the node; null if it is about none.
    #[diesel(sql_type = Nullable<Text>)]
    pub peer_id: Option<String>,
    /// Identity of its chain; null if it is not known.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
    /// Name of its chain then; null if it is not known.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// Its name; null if it has none.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(example = "job.finished")]
    pub name: Option<String>,
    /// How grave it is.
    #[diesel(sql_type = Text)]
    #[schema(value_type = EventSeverity)]
    pub severity: String,
    /// When it happened, as it says, else as its message says.
    #[diesel(sql_type = Timestamptz)]
    pub time: DateTime<Utc>,
    /// Arrival.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// The whole event.
    #[diesel(sql_type = Jsonb)]
    #[schema(value_type = Object)]
    pub data: EventData,
}

/// The JSON of an event, as it was written.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct EventData(pub Box<RawValue>);

impl FromSql<Jsonb, Pg> for EventData {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // The first byte is the version of the binary form.
        let text = value.as_bytes().get(1..).unwrap_or_default();
        Ok(Self(serde_json::from_slice(text)?))
    }
}

#[derive(QueryableByName)]
struct Begin {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    begin: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Hash {
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
}

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Span {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_at: Option<DateTime<Utc>>,
}

/// A page of events, the newest first. Goes back window by window, so that no statement
/// locks the days of a year.
///
/// # Errors
/// If the database cannot be read, or a filter fits so few that it takes too long.
pub fn list(
    conn: &mut PgConnection,
    query: &EventsQuery,
    limits: &Limits,
) -> Result<Page<Event>, QueryError> {
    let deadline = limits.deadline();
    let end = query
        .cursor
        .map(PageCursor::end)
        .into_iter()
        .chain(query.range.end);
    let until = end.min().unwrap_or(DateTime::<Utc>::MAX_UTC);
    let begin: Begin = read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("begin.sql")).get_result(conn)
    })?;
    let Some(begin) = begin.begin else {
        return Ok(Page {
            rows: Vec::new(),
            next: None,
        });
    };
    let span = Window {
        from: query.range.start.map_or(begin, |start| start.max(begin)),
        until: until.min(limits.now + chrono::TimeDelta::days(1)),
    };
    let mut rows: Vec<Event> = Vec::new();
    for window in windows(span, limits.window_max) {
        deadline.check("few events fit: give a shorter range, a source or a name")?;
        let wanted = query.limit + 1 - i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let found: Vec<Event> = read_unlocked(conn, |conn| {
            query
                .filter
                .bind(include_str!("list.sql"))
                .bind::<Timestamptz, _>(window.from)
                .bind::<Timestamptz, _>(window.until)
                .bind::<Nullable<Timestamptz>, _>(query.cursor.map(|cursor| cursor.created_at))
                .bind::<BigInt, _>(query.cursor.map_or(0, |cursor| cursor.id))
                .bind::<BigInt, _>(wanted)
                .load(conn)
        })?;
        rows.extend(found);
        if rows.len() > usize::try_from(query.limit).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(Page::cut(rows, query.limit, |row| PageCursor {
        created_at: row.created_at,
        id: row.id,
    }))
}

/// One event. Index: `event_identities_id_idx`, `events_id_idx`.
///
/// # Errors
/// [`QueryError::NotFound`] if there is none, or it is purged.
pub fn show(conn: &mut PgConnection, id: i64) -> Result<Event, QueryError> {
    let found = after(conn, id.saturating_sub(1), 1)?.pop();
    found
        .filter(|event| event.id == id)
        .ok_or(QueryError::NotFound { parameter: "id" })
}

/// The events after a number, the first of them first. Their places come from the identities,
/// whose index on the number is one for all days.
///
/// # Errors
/// If the database cannot be read.
pub fn after(conn: &mut PgConnection, id: i64, rows_max: i64) -> Result<Vec<Event>, QueryError> {
    let span: Span = diesel::sql_query(
        "SELECT min(received_at) AS first_at, max(received_at) AS last_at FROM \
         (SELECT received_at FROM event_identities WHERE id > $1 ORDER BY id LIMIT $2) AS next",
    )
    .bind::<BigInt, _>(id)
    .bind::<BigInt, _>(rows_max)
    .get_result(conn)?;
    let (Some(first_at), Some(last_at)) = (span.first_at, span.last_at) else {
        return Ok(Vec::new());
    };
    let found = read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("after.sql"))
            .bind::<BigInt, _>(id)
            .bind::<BigInt, _>(rows_max)
            .bind::<Timestamptz, _>(first_at)
            .bind::<Timestamptz, _>(last_at)
            .load(conn)
    })?;
    Ok(found)
}

/// The number of the newest event; 0 if there is none.
///
/// # Errors
/// If the database cannot be read.
pub fn newest(conn: &mut PgConnection) -> Result<i64, QueryError> {
    let found: Newest =
        diesel::sql_query("SELECT coalesce(max(id), 0) AS id FROM event_identities")
            .get_result(conn)?;
    Ok(found.id)
}

/// The number of the last event that arrived before a time; 0 if there is none.
///
/// # Errors
/// If the database cannot be read.
pub fn before(conn: &mut PgConnection, time: DateTime<Utc>) -> Result<i64, QueryError> {
    let found: Newest = diesel::sql_query(
        "SELECT coalesce(min(id) - 1, (SELECT max(id) FROM event_identities), 0) AS id FROM event_identities WHERE received_at >= $1",
    )
    .bind::<Timestamptz, _>(time)
    .get_result(conn)?;
    Ok(found.id)
}

/// Which of these identities are stored. Index: `event_identities_pkey`.
///
/// # Errors
/// If the database cannot be read.
pub fn known(
    conn: &mut PgConnection,
    identities: &[[u8; 16]],
) -> Result<HashSet<[u8; 16]>, QueryError> {
    let hashes: Vec<&[u8]> = identities.iter().map(<[u8; 16]>::as_slice).collect();
    let found: Vec<Hash> =
        diesel::sql_query("SELECT hash FROM event_identities WHERE hash = ANY($1)")
            .bind::<Array<Binary>, _>(hashes)
            .load(conn)?;
    let found = found.into_iter().filter_map(|row| row.hash.try_into().ok());
    Ok(found.collect())
}

/// A line that looks like an event and is none.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct MalformedEvent {
    /// Arrival.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// libp2p identity of the node that sent it; null if it is not known, or it was posted.
    #[diesel(sql_type = Nullable<Text>)]
    pub peer_id: Option<String>,
    /// What is wrong with it.
    #[diesel(sql_type = Text)]
    #[schema(example = "is no JSON")]
    pub reason: String,
    /// Its beginning, up to 500 characters.
    #[diesel(sql_type = Text)]
    pub line: String,
}

/// Samples of lines that look like an event and are none, the newest first. Index: none, for
/// there are at most 1,000.
///
/// # Errors
/// If the database cannot be read.
pub fn malformed(conn: &mut PgConnection) -> Result<Vec<MalformedEvent>, QueryError> {
    let found = diesel::sql_query(
        "SELECT m.received_at AS created_at, p.peer_id, m.reason, m.line FROM malformed_events m \
         LEFT JOIN peer_connections p ON p.id = m.session_id ORDER BY m.received_at DESC, m.message_id DESC, m.place DESC LIMIT 1000",
    )
    .load(conn)?;
    Ok(found)
}
