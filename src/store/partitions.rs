//! Partitions of the messages: a table for each span of time, made ahead and
//! dropped whole.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};

/// A partition of the messages.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Partition {
    /// Name of the table.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Holds messages from `/audit`.
    #[diesel(sql_type = Bool)]
    pub audit: bool,
    /// First moment of its span.
    #[diesel(sql_type = Timestamptz)]
    pub start: DateTime<Utc>,
    /// End of its span, the first moment that is not in it.
    #[diesel(sql_type = Timestamptz)]
    pub end: DateTime<Utc>,
}

/// A span of time: from its start up to, and not including, its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionBounds {
    /// First moment.
    pub start: DateTime<Utc>,
    /// First moment after it.
    pub end: DateTime<Utc>,
}

/// How long making or dropping a partition may wait for others: writers wait
/// behind it, so it gives up soon and is tried again.
const LOCK_TIMEOUT_MS: u32 = 500;

/// All partitions with a span, the oldest first.
///
/// # Errors
/// If the database cannot be read.
pub fn list(conn: &mut PgConnection) -> QueryResult<Vec<Partition>> {
    diesel::sql_query(include_str!("list_partitions.sql")).load(conn)
}

/// Makes a partition, and moves into it what was caught outside of all spans.
///
/// # Errors
/// If the database cannot be written, or is busy; then try again.
pub fn create(conn: &mut PgConnection, audit: bool, span: PartitionBounds) -> QueryResult<()> {
    let parent = parent(audit);
    let name = format!("{parent}_p{}", span.start.format("%Y%m%d%H"));
    let start = span.start.to_rfc3339();
    let end = span.end.to_rfc3339();
    // Only our own names and times stand in this text.
    conn.transaction(|conn| {
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
             CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE);
             WITH moved AS (
                 DELETE FROM {parent}_default WHERE created_at >= '{start}' AND created_at < '{end}' RETURNING *
             )
             INSERT INTO {name} SELECT * FROM moved;
             ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');"
        ))
    })
}

/// Drops a partition with all its messages.
///
/// # Errors
/// If the database cannot be written, or is busy; then try again.
pub fn drop(conn: &mut PgConnection, partition: &Partition) -> QueryResult<()> {
    conn.transaction(|conn| {
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; DROP TABLE {}",
            partition.name
        ))
    })
}

/// Keeps the time index of the newest partitions current: PostgreSQL leaves
/// out of a BRIN index what came since its last summary.
///
/// # Errors
/// If the database cannot be written.
pub fn summarize_newest(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::sql_query(include_str!("summarize_newest.sql"))
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    Ok(())
}

/// Deletes messages outside of all spans that are older than `cutoff`, at most
/// `rows_max`. Returns how many.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_strays(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM telemetry_messages_default WHERE ctid = ANY(ARRAY(\
         SELECT ctid FROM telemetry_messages_default WHERE created_at < $1 LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)
}

fn parent(audit: bool) -> &'static str {
    if audit {
        "telemetry_messages_audit"
    } else {
        "telemetry_messages"
    }
}
