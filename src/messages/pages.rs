//! Pages of the messages of some sessions, and how many there are.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz};

use super::{KindFilter, MessageRow, Window};
use crate::database::read_unlocked;

/// Where a page ended: arrival and number of its last message.
pub type Position = (DateTime<Utc>, i64);

/// A page that goes back in time.
#[derive(Debug)]
pub struct Newest<'a> {
    /// Sessions whose messages are wanted.
    pub sessions: &'a [i64],
    /// When they arrived.
    pub window: Window,
    /// Only messages before this one.
    pub before: Option<Position>,
    /// Only messages of a kind.
    pub kind: &'a KindFilter,
    /// Only messages with this field `target`.
    pub target: Option<&'a str>,
    /// Only messages whose fields as JSON contain this text, A to Z in any case.
    pub text: Option<&'a str>,
    /// Whether that may not be part of an IP address.
    pub hides_addresses: bool,
    /// Messages at most.
    pub rows: usize,
    /// Bytes of JSON: the message that reaches them is the last.
    pub bytes: usize,
}

/// Reads a page, newest first.
///
/// # Errors
/// If the database cannot be read.
pub fn newest(conn: &mut PgConnection, page: &Newest<'_>) -> QueryResult<Vec<MessageRow>> {
    read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("newest.sql"))
            .bind::<Array<BigInt>, _>(page.sessions)
            .bind::<Timestamptz, _>(page.window.from)
            .bind::<Timestamptz, _>(page.window.until)
            .bind::<Nullable<Timestamptz>, _>(page.before.map(|(created_at, _)| created_at))
            .bind::<Nullable<BigInt>, _>(page.before.map(|(_, id)| id))
            .bind::<Nullable<Array<SmallInt>>, _>(&page.kind.ids)
            .bind::<Nullable<Text>, _>(page.target)
            .bind::<BigInt, _>(i64::try_from(page.rows).unwrap_or(i64::MAX))
            .bind::<Nullable<Text>, _>(&page.kind.unlisted)
            .bind::<BigInt, _>(i64::try_from(page.bytes).unwrap_or(i64::MAX))
            .bind::<Nullable<Text>, _>(page.text)
            .bind::<Bool, _>(page.hides_addresses)
            .load(conn)
    })
}

/// A page that goes on in time.
#[derive(Debug)]
pub struct Oldest<'a> {
    /// Sessions whose messages are wanted.
    pub sessions: &'a [i64],
    /// For each of them the number after which its messages begin.
    pub after_ids: &'a [i64],
    /// When they arrived.
    pub window: Window,
    /// Only messages after this one.
    pub after: Option<Position>,
    /// Only messages of a kind.
    pub kind: &'a KindFilter,
    /// Messages at most.
    pub rows: i64,
    /// Bytes of fields: the message that reaches them is the last.
    pub bytes: usize,
}

/// Reads a page, oldest first.
///
/// # Errors
/// If the database cannot be read.
pub fn oldest(conn: &mut PgConnection, page: &Oldest<'_>) -> QueryResult<Vec<MessageRow>> {
    diesel::sql_query(include_str!("oldest.sql"))
        .bind::<Array<BigInt>, _>(page.sessions)
        .bind::<Array<BigInt>, _>(page.after_ids)
        .bind::<Timestamptz, _>(page.window.from)
        .bind::<Timestamptz, _>(page.window.until)
        .bind::<Nullable<Timestamptz>, _>(page.after.map(|(created_at, _)| created_at))
        .bind::<Nullable<BigInt>, _>(page.after.map(|(_, id)| id))
        .bind::<Nullable<Array<SmallInt>>, _>(&page.kind.ids)
        .bind::<Nullable<Text>, _>(&page.kind.unlisted)
        .bind::<BigInt, _>(page.rows)
        .bind::<BigInt, _>(i64::try_from(page.bytes).unwrap_or(i64::MAX))
        .load(conn)
}

/// Messages of a kind.
#[derive(Debug, QueryableByName)]
pub struct KindCount {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub msg: String,
    /// How many there are.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// Counts the messages of some sessions within a window, by kind, in no order.
///
/// # Errors
/// If the database cannot be read.
pub fn count_by_kind(
    conn: &mut PgConnection,
    sessions: &[i64],
    window: Window,
) -> QueryResult<Vec<KindCount>> {
    read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("counts.sql"))
            .bind::<Array<BigInt>, _>(sessions)
            .bind::<Timestamptz, _>(window.from)
            .bind::<Timestamptz, _>(window.until)
            .load(conn)
    })
}
