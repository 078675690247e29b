//! Purging of rows of projections, with their sessions or by age.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};

use super::beside;
use super::hours::hour_of;
use crate::ids::SessionId;

/// A table of hours, or of times, and the projection to which it belongs.
#[derive(Debug, Clone, Copy)]
pub struct HourTable {
    name: &'static str,
    /// Column with the hour, or a time in it.
    time: &'static str,
    projection: &'static str,
}

/// All tables of hours.
pub const HOUR_TABLES: [HourTable; 9] = [
    HourTable {
        name: "node_hours",
        time: "hour",
        projection: "node_hours",
    },
    HourTable {
        name: "session_hours",
        time: "hour",
        projection: "node_hours",
    },
    HourTable {
        name: "span_hours",
        time: "hour",
        projection: "span_hours",
    },
    HourTable {
        name: "chain_hours",
        time: "hour",
        projection: "blocks",
    },
    HourTable {
        name: "software_hours",
        time: "hour",
        projection: "software_hours",
    },
    HourTable {
        name: "hardware_hours",
        time: "hour",
        projection: "hardware_hours",
    },
    HourTable {
        name: "authorings",
        time: "at",
        projection: "authorings",
    },
    HourTable {
        name: "job_hours",
        time: "hour",
        projection: "events",
    },
    HourTable {
        name: "blocks",
        time: "first_at",
        projection: "blocks",
    },
];

/// Rows that wait until the nodes of some sessions are known.
const WAITING: [&str; 6] = [
    "authorings WHERE peer_id = '' AND genesis_hash = '' AND session_id = ANY($1)",
    "node_identities WHERE peer_id = '' AND session_id = ANY($1)",
    "session_blocks WHERE session_id = ANY($1)",
    "session_values WHERE session_id = ANY($1)",
    "session_hours WHERE session_id = ANY($1)",
    "span_hours WHERE peer_id = '' AND genesis_hash = '' AND session_id = ANY($1)",
];

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Deletes what waits for the nodes of sessions that are purged, also where it is built.
///
/// Index: `authorings_pkey`, `node_identities_pkey`, `session_blocks_pkey`, `session_values_pkey`, `session_hours_pkey`, `span_hours_pkey`.
///
/// # Errors
/// If the database cannot be written.
pub fn forget_sessions(conn: &mut PgConnection, sessions: &[SessionId]) -> QueryResult<()> {
    if sessions.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = sessions.iter().map(|session| session.0).collect();
    let built = beside::built(conn)?;
    let is_built = |rows: &str| {
        built
            .iter()
            .any(|name| rows.starts_with(&format!("{name} ")))
    };
    let beside = WAITING.iter().filter(|rows| is_built(rows));
    let beside = beside.map(|rows| format!("{}.{rows}", beside::SCHEMA));
    for rows in WAITING.map(str::to_owned).into_iter().chain(beside) {
        diesel::sql_query(format!("DELETE FROM {rows}"))
            .bind::<Array<BigInt>, _>(&numbers)
            .execute(conn)?;
    }
    Ok(())
}

/// Deletes hours that began before `cutoff`, at most `rows_max`, and records that
/// the projection does not reach further back. Returns how many. Index: BRIN on
/// hour, or the table where it is small.
///
/// # Errors
/// If the database cannot be written.
pub fn purge_hours(
    conn: &mut PgConnection,
    table: HourTable,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    let cutoff = hour_of(cutoff);
    let HourTable { name, time, .. } = table;
    let deleted = diesel::sql_query(format!(
        "DELETE FROM {name} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {name} WHERE {time} < $1 LIMIT $2))"
    ))
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)?;
    if deleted > 0 {
        diesel::sql_query(
            "UPDATE projections SET kept_from = greatest(kept_from, $2) WHERE name = $1",
        )
        .bind::<Text, _>(table.projection)
        .bind::<Timestamptz, _>(cutoff)
        .execute(conn)?;
    }
    Ok(deleted)
}

/// Has those projections built anew that have not read a transaction, because its
/// batches are forgotten now. Returns their names.
///
/// # Errors
/// If the database cannot be written.
pub fn rebuild_behind(conn: &mut PgConnection, transaction: i64) -> QueryResult<Vec<String>> {
    let behind: Vec<Name> = diesel::sql_query(
        "UPDATE projections SET position = NULL, build_end = NULL, beside_end = NULL, built_until = NULL, updated_at = now() \
         WHERE coalesce(position, build_end, beside_end) <= $1 RETURNING name",
    )
    .bind::<BigInt, _>(transaction)
    .load(conn)?;
    Ok(behind.into_iter().map(|row| row.name).collect())
}
