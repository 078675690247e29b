//! What a server received and did not keep, by hour.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};

/// Adds messages that a server did not keep in the hour of `now`, by reason.
///
/// # Errors
/// If the database cannot be written.
pub fn add_losses(
    conn: &mut PgConnection,
    server_id: &str,
    now: DateTime<Utc>,
    losses: &[(&'static str, i64)],
) -> QueryResult<()> {
    let (reasons, messages): (Vec<&str>, Vec<i64>) = losses.iter().copied().unzip();
    diesel::sql_query(
        "INSERT INTO server_losses AS l (server_id, hour, reason, messages) \
         SELECT $1, date_trunc('hour', $2, 'UTC'), r, m FROM unnest($3::text[], $4::bigint[]) AS t (r, m) \
         ON CONFLICT (hour, server_id, reason) DO UPDATE SET messages = l.messages + excluded.messages",
    )
    .bind::<Text, _>(server_id)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<Text>, _>(reasons)
    .bind::<Array<BigInt>, _>(messages)
    .execute(conn)?;
    Ok(())
}

/// Deletes those of hours before `cutoff`, at most `rows_max`; returns how many. Index: `server_losses_pkey`.
///
/// # Errors
/// If the database cannot be written.
pub fn purge_losses(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM server_losses WHERE ctid = ANY(ARRAY(SELECT ctid FROM server_losses WHERE hour < $1 LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)
}
