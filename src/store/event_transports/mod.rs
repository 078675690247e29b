//! What transports send, how far each of them is, and what waits for it.
//!
//! A transport is a cursor over `events`, whose numbers have the order of their commits, so that
//! nothing appears behind it. It moves, in a transaction under the lease of the transport, when
//! the receiver has answered. Each statement reads by `events_id_idx` from the cursor on, a
//! bounded number of events; while events are extracted anew, none is read, for then they are
//! not in the order of their numbers.

mod progress;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use progress::{Begun, Pending, Progress, add, begin, drop_to, keep, show};

use crate::config::EventFilter;
use crate::database::read_unlocked;

/// Events that one statement looks at, whether they pass the filter or not.
pub const LOOKED_AT_MAX: i64 = 10_000;

/// An event, as it is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Number; it grows with each event.
    #[serde(skip)]
    pub id: i64,
    /// Bytes that it takes in the database.
    #[serde(skip)]
    pub bytes: i64,
    /// Stable identity: the same however often it is sent.
    pub event_id: String,
    /// Who said it.
    pub source: String,
    /// libp2p identity of the node, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// Identity of its chain, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genesis_hash: Option<String>,
    /// Name of its chain, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One of [`crate::config::EVENT_SEVERITIES`].
    pub severity: String,
    /// When it happened, as it says.
    pub time: DateTime<Utc>,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The event itself, a JSON object.
    pub data: Box<RawValue>,
}

#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = Text)]
    event_id: String,
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Nullable<Text>)]
    peer_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    genesis_hash: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    chain: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Text)]
    severity: String,
    #[diesel(sql_type = Timestamptz)]
    time: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    received_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    data: String,
}

impl TryFrom<EventRow> for Event {
    type Error = diesel::result::Error;

    fn try_from(row: EventRow) -> Result<Self, Self::Error> {
        let not_json = |error: serde_json::Error| Self::Error::DeserializationError(error.into());
        Ok(Self {
            id: row.id,
            bytes: row.bytes,
            event_id: row.event_id,
            source: row.source,
            peer_id: row.peer_id,
            genesis_hash: row.genesis_hash,
            chain: row.chain,
            name: row.name,
            severity: row.severity,
            time: row.time,
            received_at: row.received_at,
            data: RawValue::from_string(row.data).map_err(not_json)?,
        })
    }
}

/// Which events are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Those after this number.
    pub after: i64,
    /// Those up to this number; none for all.
    pub until: Option<i64>,
    /// Those that arrived from this time on; none for all.
    pub from: Option<DateTime<Utc>>,
    /// Those that arrived before this time; none for all.
    pub to: Option<DateTime<Utc>>,
}

impl Span {
    /// All events after a number.
    pub fn after(id: i64) -> Self {
        Self {
            after: id,
            ..Self::default()
        }
    }
}

/// What a transport reads on from its cursor.
#[derive(Debug, Default)]
pub struct Read {
    /// Events that pass the filter, in the order of their numbers.
    pub events: Vec<Event>,
    /// All events up to this number are among them, or do not pass.
    pub upto: i64,
}

/// Events after a number, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Counted {
    /// Those that pass the filter.
    #[diesel(sql_type = BigInt)]
    pub events: i64,
    /// Bytes that they take.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
    /// All events up to this number are counted.
    #[diesel(sql_type = BigInt)]
    pub upto: i64,
    /// How many were looked at.
    #[diesel(sql_type = BigInt)]
    pub looked_at: i64,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Nullable<BigInt>)]
    id: Option<i64>,
}

#[derive(QueryableByName)]
struct Oldest {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    received_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

#[derive(QueryableByName)]
struct FirstDay {
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
}

/// The condition of a filter, whose values are `$1` to `$5`.
const PASSES: &str = "(cardinality($1::text[]) = 0 OR e.severity = ANY($1)) \
     AND (cardinality($2::text[]) = 0 OR e.name LIKE ANY($2)) AND (e.name LIKE ANY($3::text[])) IS NOT TRUE \
     AND (cardinality($4::text[]) = 0 OR e.source LIKE ANY($4)) AND (e.source LIKE ANY($5::text[])) IS NOT TRUE";

/// The condition of a span, whose values are `$6` to `$9`.
const WITHIN: &str = "e.id > $6 AND ($7::bigint IS NULL OR e.id <= $7) \
     AND ($8::timestamptz IS NULL OR e.received_at >= $8) AND ($9::timestamptz IS NULL OR e.received_at < $9)";

/// What an event takes in the database, bytes: its data, and about 256 for all else.
const BYTES: &str = "(pg_column_size(e.data) + 256)::bigint";

/// A statement over `events e`: in its text `{passes}` is the condition of a filter, `{within}` that of a span,
/// and `{bytes}` the size of an event.
fn over<'a>(
    filter: &'a EventFilter,
    span: &'a Span,
    statement: &str,
) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    let statement = statement
        .replace("{passes}", PASSES)
        .replace("{within}", WITHIN)
        .replace("{bytes}", BYTES);
    diesel::sql_query(statement)
        .into_boxed()
        .bind::<Array<Text>, _>(filter.severities.as_slice())
        .bind::<Array<Text>, _>(filter.names.any.as_slice())
        .bind::<Array<Text>, _>(filter.names.none.as_slice())
        .bind::<Array<Text>, _>(filter.sources.any.as_slice())
        .bind::<Array<Text>, _>(filter.sources.none.as_slice())
        .bind::<BigInt, _>(span.after)
        .bind::<Nullable<BigInt>, _>(span.until)
        .bind::<Nullable<Timestamptz>, _>(span.from)
        .bind::<Nullable<Timestamptz>, _>(span.to)
}

/// Whether all events are there, in the order of their numbers: not while they are extracted anew.
///
/// # Errors
/// If the database cannot be read.
pub fn are_extracted(conn: &mut PgConnection) -> QueryResult<bool> {
    let found: Found = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM projections WHERE name = 'events' AND position IS NOT NULL) AS found",
    )
    .get_result(conn)?;
    Ok(found.found)
}

/// Reads events of a span that pass a filter: at most so many, and of so many bytes of
/// text, but for one that has more.
///
/// # Errors
/// If the database cannot be read.
pub fn read(
    conn: &mut PgConnection,
    span: &Span,
    filter: &EventFilter,
    (events_max, bytes_max): (usize, usize),
) -> QueryResult<Read> {
    let rows_max = i64::try_from(events_max).unwrap_or(i64::MAX);
    read_unlocked(conn, |conn| {
        let end: Id = over(filter, span, include_str!("end.sql"))
            .bind::<BigInt, _>(LOOKED_AT_MAX)
            .get_result(conn)?;
        let Some(end) = end.id else {
            return Ok(Read {
                events: Vec::new(),
                upto: span.after,
            });
        };
        let span = Span {
            until: Some(end),
            ..*span
        };
        let rows: Vec<EventRow> = over(filter, &span, include_str!("read.sql"))
            .bind::<BigInt, _>(rows_max.saturating_add(1))
            .bind::<BigInt, _>(i64::try_from(bytes_max).unwrap_or(i64::MAX))
            .load(conn)?;
        let events: Result<Vec<Event>, _> = rows.into_iter().map(Event::try_from).collect();
        Ok(cut(events?, events_max, bytes_max, end))
    })
}

/// What goes into one batch of the events that were read, with one more than may go if there are so many.
fn cut(mut events: Vec<Event>, events_max: usize, bytes_max: usize, end: i64) -> Read {
    let mut bytes = 0_usize;
    let fits = events.iter().take(events_max).take_while(|event| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(event.data.get().len());
        is_first || bytes <= bytes_max
    });
    let count = fits.count();
    let is_cut = count < events.len();
    events.truncate(count);
    let upto = match (is_cut, events.last()) {
        (true, Some(last)) => last.id,
        _ => end,
    };
    Read { events, upto }
}

/// Counts events of a span, of which it looks at 10,000.
///
/// # Errors
/// If the database cannot be read.
pub fn count(conn: &mut PgConnection, span: &Span, filter: &EventFilter) -> QueryResult<Counted> {
    read_unlocked(conn, |conn| {
        over(filter, span, include_str!("count.sql"))
            .bind::<BigInt, _>(LOOKED_AT_MAX)
            .get_result(conn)
    })
}

/// The oldest events after a number, until they have so many bytes, of which it looks at 10,000.
///
/// # Errors
/// If the database cannot be read.
pub fn oldest_of(
    conn: &mut PgConnection,
    after: i64,
    bytes: i64,
    filter: &EventFilter,
) -> QueryResult<Counted> {
    read_unlocked(conn, |conn| {
        over(filter, &Span::after(after), include_str!("oldest_of.sql"))
            .bind::<BigInt, _>(LOOKED_AT_MAX)
            .bind::<BigInt, _>(bytes)
            .get_result(conn)
    })
}

/// Arrival of the first event after a number that passes; none if there is none among 10,000.
///
/// # Errors
/// If the database cannot be read.
pub fn first_arrival(
    conn: &mut PgConnection,
    after: i64,
    filter: &EventFilter,
) -> QueryResult<Option<DateTime<Utc>>> {
    let oldest: Oldest = read_unlocked(conn, |conn| {
        over(
            filter,
            &Span::after(after),
            include_str!("first_arrival.sql"),
        )
        .bind::<BigInt, _>(LOOKED_AT_MAX)
        .get_result(conn)
    })?;
    Ok(oldest.received_at)
}

/// The partition of the oldest day of events: another one than before, and some have expired.
///
/// # Errors
/// If the database cannot be read.
pub fn first_day(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    let first: FirstDay = diesel::sql_query(
        "SELECT min(c.relname)::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'events_kept'::regclass",
    )
    .get_result(conn)?;
    Ok(first.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: i64, data: &str) -> Event {
        Event {
            id,
            bytes: 300,
            event_id: id.to_string(),
            source: "a".to_owned(),
            peer_id: None,
            genesis_hash: None,
            chain: None,
            name: None,
            severity: "info".to_owned(),
            time: DateTime::UNIX_EPOCH,
            received_at: DateTime::UNIX_EPOCH,
            data: RawValue::from_string(data.to_owned()).unwrap(),
        }
    }

    #[test]
    fn a_batch_ends_with_its_events_or_its_bytes_and_one_that_is_large_goes_alone() {
        let long = format!("\"{}\"", "x".repeat(98));
        let of = |texts: &[&str]| {
            let ids = 1..;
            let events = ids.zip(texts).map(|(id, text)| event(id, text));
            events.collect::<Vec<_>>()
        };
        let cut = |texts: &[&str], events_max, bytes_max| {
            let read = cut(of(texts), events_max, bytes_max, 99);
            (read.events.len(), read.upto)
        };
        assert_eq!(cut(&["{}", "{}"], 3, 100), (2, 99), "all that there are");
        assert_eq!(cut(&["{}", "{}", "{}"], 2, 100), (2, 2));
        assert_eq!(cut(&["{}", &long, "{}"], 9, 100), (1, 1));
        assert_eq!(cut(&[&long, "{}"], 9, 50), (1, 1), "alone");
        assert_eq!(cut(&[], 9, 50), (0, 99));
    }
}
