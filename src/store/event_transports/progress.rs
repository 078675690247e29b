//! The row of a transport in `event_transports`. Index of all statements: `event_transports_pkey`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Timestamptz};

/// Where a transport begins.
#[derive(Debug, Clone, QueryableByName)]
pub struct Begun {
    /// Its cursor.
    #[diesel(sql_type = BigInt)]
    pub cursor_id: i64,
    /// Seconds until the next attempt is due, after one that failed.
    #[diesel(sql_type = Double)]
    pub retry_in_s: f64,
}

/// What becomes of the row of a transport.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its cursor.
    pub cursor_id: i64,
    /// Events that the receiver took.
    pub sent: i64,
    /// Attempts that failed.
    pub failed: i64,
    /// Events that are given up.
    pub dead: i64,
    /// Events that are never sent.
    pub dropped: i64,
    /// What the attempt failed with, or why a part of it was refused; none if neither was.
    pub error: Option<String>,
    /// Time until the next attempt if this one failed, milliseconds.
    pub retry_in_ms: i64,
}

/// What waits for a transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Events.
    pub events: i64,
    /// Bytes that they take.
    pub bytes: i64,
    /// Arrival of the oldest.
    pub oldest_at: Option<DateTime<Utc>>,
}

/// Begins with a transport: one that is new has the events from now on.
///
/// # Errors
/// If the database cannot be written.
pub fn begin(conn: &mut PgConnection, name: &str) -> QueryResult<Begun> {
    diesel::sql_query(include_str!("begin.sql"))
        .bind::<Text, _>(name)
        .get_result(conn)
}

/// Keeps how far a transport is, under its lease.
///
/// # Errors
/// If the database cannot be written.
pub fn keep(conn: &mut PgConnection, name: &str, progress: &Progress) -> QueryResult<()> {
    diesel::sql_query(include_str!("keep.sql"))
        .bind::<Text, _>(name)
        .bind::<BigInt, _>(progress.cursor_id)
        .bind::<BigInt, _>(progress.sent)
        .bind::<BigInt, _>(progress.failed)
        .bind::<BigInt, _>(progress.dead)
        .bind::<BigInt, _>(progress.dropped)
        .bind::<Nullable<Text>, _>(&progress.error)
        .bind::<BigInt, _>(progress.retry_in_ms)
        .execute(conn)?;
    Ok(())
}

/// Moves a transport past events that are never sent, under its lease.
///
/// # Errors
/// If the database cannot be written.
pub fn drop_to(
    conn: &mut PgConnection,
    name: &str,
    cursor_id: i64,
    dropped: i64,
) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE event_transports SET cursor_id = greatest(cursor_id, $2), dropped = dropped + $3, updated_at = now() WHERE name = $1",
    )
    .bind::<Text, _>(name)
    .bind::<BigInt, _>(cursor_id)
    .bind::<BigInt, _>(dropped)
    .execute(conn)?;
    Ok(())
}

/// Adds what came of events that were in the outbox.
///
/// # Errors
/// If the database cannot be written.
pub fn add(conn: &mut PgConnection, name: &str, sent: i64, dead: i64) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE event_transports SET sent = sent + $2, dead = dead + $3, updated_at = now() WHERE name = $1",
    )
    .bind::<Text, _>(name)
    .bind::<BigInt, _>(sent)
    .bind::<BigInt, _>(dead)
    .execute(conn)?;
    Ok(())
}

/// Keeps what waits for a transport, for people.
///
/// # Errors
/// If the database cannot be written.
pub fn show(conn: &mut PgConnection, name: &str, pending: &Pending) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE event_transports SET pending = $2, pending_bytes = $3, oldest_pending_at = $4, updated_at = now() WHERE name = $1",
    )
    .bind::<Text, _>(name)
    .bind::<BigInt, _>(pending.events)
    .bind::<BigInt, _>(pending.bytes)
    .bind::<Nullable<Timestamptz>, _>(pending.oldest_at)
    .execute(conn)?;
    Ok(())
}
