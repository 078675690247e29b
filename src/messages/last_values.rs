//! The last messages of kinds within spans of sessions, many at once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};

use super::Window;
use crate::database::read_unlocked;

/// A lookup of the last message of a kind within a span of a session.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// Session.
    pub session: i64,
    /// Span.
    pub window: Window,
    /// Number of the kind.
    pub kind: i16,
    /// Number of another kind that will do.
    pub other_kind: i16,
    /// Field that has to be a whole number.
    pub field: &'static str,
}

/// What a lookup found.
#[derive(Debug, QueryableByName)]
pub struct LastMessage {
    /// Place of the lookup among those that were asked, from 1 on.
    #[diesel(sql_type = BigInt)]
    pub lookup: i64,
    /// Arrival.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Number of its kind.
    #[diesel(sql_type = SmallInt)]
    pub kind_id: i16,
    /// Fields as JSON. If there are none, the lookup gave up here.
    #[diesel(sql_type = Nullable<Text>)]
    pub logs: Option<String>,
}

/// Answers lookups, each of which sees at most `rows` messages before it gives up.
/// Their spans together are one [`Window`].
///
/// # Errors
/// If the database cannot be read.
pub fn last_messages(
    conn: &mut PgConnection,
    lookups: &[Lookup],
    rows: i64,
) -> QueryResult<Vec<LastMessage>> {
    let all = lookups.iter();
    let from = all.clone().map(|lookup| lookup.window.from).min();
    let until = all.clone().map(|lookup| lookup.window.until).max();
    read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("last_values.sql"))
            .bind::<Array<BigInt>, _>(all.clone().map(|l| l.session).collect::<Vec<_>>())
            .bind::<Array<Timestamptz>, _>(all.clone().map(|l| l.window.from).collect::<Vec<_>>())
            .bind::<Array<Timestamptz>, _>(all.clone().map(|l| l.window.until).collect::<Vec<_>>())
            .bind::<Array<SmallInt>, _>(all.clone().map(|l| l.kind).collect::<Vec<_>>())
            .bind::<Array<SmallInt>, _>(all.clone().map(|l| l.other_kind).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(all.map(|l| l.field).collect::<Vec<_>>())
            .bind::<Nullable<Timestamptz>, _>(from)
            .bind::<Nullable<Timestamptz>, _>(until)
            .bind::<BigInt, _>(rows)
            .load(conn)
    })
}

/// A lookup of when messages of a rare kind arrived last, in each of some buckets.
#[derive(Debug)]
pub struct Rare {
    /// Number of the kind.
    pub kind: i16,
    /// Field that has to be a whole number.
    pub field: &'static str,
    /// Sessions.
    pub sessions: Vec<i64>,
    /// The buckets.
    pub window: Window,
    /// Length of each, seconds.
    pub step_s: i64,
}

/// When a message was the last one in a bucket.
#[derive(Debug, QueryableByName)]
pub struct LastTime {
    /// Place of the bucket, from 0 on.
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    /// Session.
    #[diesel(sql_type = BigInt)]
    pub session: i64,
    /// Arrival.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

/// Finds the last arrival in each bucket that has any, in no order.
///
/// # Errors
/// If the database cannot be read.
pub fn last_times(conn: &mut PgConnection, asked: &Rare) -> QueryResult<Vec<LastTime>> {
    read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("last_times.sql"))
            .bind::<SmallInt, _>(asked.kind)
            .bind::<Text, _>(asked.field)
            .bind::<Array<BigInt>, _>(&asked.sessions)
            .bind::<Timestamptz, _>(asked.window.from)
            .bind::<Timestamptz, _>(asked.window.until)
            .bind::<BigInt, _>(asked.step_s)
            .load(conn)
    })
}
