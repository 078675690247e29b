//! Retention of structured events, whose days are partitions; the projection makes them.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};

/// How long dropping a day may wait for readers: others wait behind it, so it gives up soon
/// and is tried again.
const LOCK_TIMEOUT_MS: u32 = 500;

/// What is purged row by row, see [`purge`]. Index: `event_identities_time_idx`; the others are small.
pub const PURGED: [&str; 3] = [
    "event_identities WHERE NOT audit AND received_at < $1",
    "waiting_events WHERE received_at < $1",
    "malformed_events WHERE received_at < $1",
];

#[derive(QueryableByName)]
struct Day {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The partitions of days that ended before `cutoff`, the oldest first.
///
/// # Errors
/// If the database cannot be read.
pub fn days_before(conn: &mut PgConnection, cutoff: DateTime<Utc>) -> QueryResult<Vec<String>> {
    let days: Vec<Day> = diesel::sql_query(
        "SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'events_kept'::regclass \
           AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)')::timestamptz <= $1 \
         ORDER BY name",
    )
    .bind::<Timestamptz, _>(cutoff)
    .load(conn)?;
    Ok(days.into_iter().map(|day| day.name).collect())
}

/// Drops one of [`days_before`].
///
/// # Errors
/// If the database cannot be written, or is busy; then try again.
pub fn drop_day(conn: &mut PgConnection, day: &str) -> QueryResult<()> {
    conn.transaction(|conn| {
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; DROP TABLE {day}"
        ))
    })
}

/// Deletes rows that arrived before `cutoff` from one of [`PURGED`], at most `rows_max`. Returns
/// how many.
///
/// # Errors
/// If the database cannot be written.
pub fn purge(
    conn: &mut PgConnection,
    rows: &str,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    let table = rows.split(' ').next().unwrap_or_default();
    diesel::sql_query(format!(
        "DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {rows} LIMIT $2))"
    ))
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)
}
