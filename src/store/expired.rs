//! Deletes, in slices, what is expired and not in a partition of its own.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};

/// Deletes sessions that ended before `cutoff`, except those of `/audit`, at
/// most `rows_max`. Returns how many.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_sessions(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM peer_connections WHERE id = ANY(ARRAY(\
         SELECT id FROM peer_connections WHERE disconnected_at < $1 AND NOT audit \
         ORDER BY disconnected_at LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)
}

/// Forgets batches that were stored before `cutoff`, at most `rows_max`.
/// Returns how many.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_batches(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM ingest_batches WHERE id = ANY(ARRAY(\
         SELECT id FROM ingest_batches WHERE stored_at < $1 LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)
}
