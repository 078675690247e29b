//! Deletes, in slices, what is expired and not in a partition of its own.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz};

use crate::ids::SessionId;

#[derive(QueryableByName)]
struct DeletedSession {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Batches that are not remembered any more.
#[derive(Debug, QueryableByName)]
pub struct DeletedBatches {
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub batches: i64,
    /// The newest transaction that stored one of them.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub newest_transaction: Option<i64>,
}

/// Deletes sessions that ended before `cutoff`, except those of `/audit`, at
/// most `rows_max`. Returns their numbers.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_sessions(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<Vec<SessionId>> {
    let deleted: Vec<DeletedSession> = diesel::sql_query(
        "DELETE FROM peer_connections WHERE id = ANY(ARRAY(\
         SELECT id FROM peer_connections WHERE disconnected_at < $1 AND NOT audit \
         ORDER BY disconnected_at LIMIT $2)) RETURNING id",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .load(conn)?;
    Ok(deleted.iter().map(|row| SessionId(row.id)).collect())
}

/// Forgets batches that were stored before `cutoff`, at most `rows_max`.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_batches(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<DeletedBatches> {
    diesel::sql_query(
        "WITH deleted AS (DELETE FROM ingest_batches WHERE id = ANY(ARRAY(\
         SELECT id FROM ingest_batches WHERE stored_at < $1 LIMIT $2)) RETURNING transaction_id) \
         SELECT count(*) AS batches, max(transaction_id) AS newest_transaction FROM deleted",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .get_result(conn)
}
