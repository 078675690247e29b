//! The status of nodes and chains, its changes, and outages of our own.
//!
//! Each change names the revision that it follows, so of two servers that judge at once
//! only one is heard, and nothing is told twice.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use serde::Serialize;

use crate::database::statement;

/// A change of the status of a chain.
#[derive(Debug, Serialize)]
pub struct ChainChange<'a> {
    /// Genesis hash; empty if it is not known.
    pub genesis_hash: &'a str,
    /// Name of a chain whose genesis hash is not known; else empty.
    pub chain: &'a str,
    /// Its name.
    pub name: &'a str,
    /// State before.
    pub from_state: &'a str,
    /// State from now on.
    pub to_state: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Nodes that it is about.
    pub nodes: i64,
    /// Revision that it follows; 0 if there is none.
    pub revision: i64,
}

/// A change of the status of a node.
#[derive(Debug, Serialize)]
pub struct NodeChange<'a> {
    /// Its libp2p identity.
    pub peer_id: &'a str,
    /// Its chain; empty if it is not known.
    pub genesis_hash: &'a str,
    /// State before; none if it is new.
    pub from_state: Option<&'a str>,
    /// State from now on.
    pub to_state: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Change of the chain of which it is a part.
    pub part_of: Option<i64>,
    /// Revision that it follows; 0 if there is none.
    pub revision: i64,
}

/// A change of a chain that was kept.
#[derive(Debug, QueryableByName)]
pub struct KeptChain {
    /// Genesis hash.
    #[diesel(sql_type = Text)]
    pub genesis_hash: String,
    /// Name, if the genesis hash is not known.
    #[diesel(sql_type = Text)]
    pub chain: String,
    /// Number of the change.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = BigInt)]
    kept: i64,
}

/// Keeps changes of chains; returns those that followed the last ones.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_chains(
    conn: &mut PgConnection,
    changes: &[ChainChange<'_>],
    now: DateTime<Utc>,
) -> QueryResult<Vec<KeptChain>> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    statement(include_str!("keep_chains.sql"))
        .bind::<Text, _>(json(changes)?)
        .bind::<Timestamptz, _>(now)
        .load(conn)
}

/// Keeps changes of nodes; returns how many followed the last ones.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_nodes(
    conn: &mut PgConnection,
    changes: &[NodeChange<'_>],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    if changes.is_empty() {
        return Ok(0);
    }
    let found: Kept = statement(include_str!("keep_nodes.sql"))
        .bind::<Text, _>(json(changes)?)
        .bind::<Timestamptz, _>(now)
        .get_result(conn)?;
    Ok(usize::try_from(found.kept).unwrap_or(0))
}

/// So many more nodes belong to the event of a chain that goes on.
///
/// # Errors
/// If the database cannot be written.
pub fn add_lost(conn: &mut PgConnection, change: i64, nodes: i64) -> QueryResult<()> {
    statement("UPDATE chain_status SET nodes = nodes + $2 WHERE change_id = $1")
        .bind::<BigInt, _>(change)
        .bind::<BigInt, _>(nodes)
        .execute(conn)?;
    Ok(())
}

/// Enters an outage of our own, or its end.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_outage(
    conn: &mut PgConnection,
    server: &str,
    began_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    cause: &str,
) -> QueryResult<()> {
    statement(
        "INSERT INTO status_outages (server_id, began_at, ended_at, cause) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (server_id, began_at) DO UPDATE SET ended_at = excluded.ended_at",
    )
    .bind::<Text, _>(server)
    .bind::<Timestamptz, _>(began_at)
    .bind::<Nullable<Timestamptz>, _>(ended_at)
    .bind::<Text, _>(cause)
    .execute(conn)?;
    Ok(())
}

/// Nodes were judged.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_progress(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
    statement(
        "INSERT INTO status_progress (name, began_at, judged_at) VALUES ('nodes', $1, $1) \
         ON CONFLICT (name) DO UPDATE SET judged_at = excluded.judged_at",
    )
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    Ok(())
}

/// Ends the outages that a server left open which judged before: they go over into the
/// time in which nobody judged.
///
/// # Errors
/// If the database cannot be written.
pub fn end_outages(conn: &mut PgConnection, judged_at: DateTime<Utc>) -> QueryResult<()> {
    statement("UPDATE status_outages SET ended_at = greatest(began_at, $1) WHERE ended_at IS NULL")
        .bind::<Timestamptz, _>(judged_at)
        .execute(conn)?;
    Ok(())
}

/// Deletes changes and outages that ended before `cutoff`, at most `rows_max` of each.
/// Returns how many of the table with more of them. Index: `status_changes_time_idx`.
///
/// # Errors
/// If the database cannot be written.
pub fn purge_changes(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    let changes = statement(
        "DELETE FROM status_changes WHERE id = ANY(ARRAY(\
         SELECT id FROM status_changes WHERE changed_at < $1 ORDER BY changed_at LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)?;
    let outages = statement(
        "DELETE FROM status_outages WHERE ctid = ANY(ARRAY(\
         SELECT ctid FROM status_outages WHERE ended_at < $1 LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)?;
    Ok(changes.max(outages))
}

fn json<T: Serialize>(rows: &[T]) -> QueryResult<String> {
    serde_json::to_string(rows).map_err(|error| Error::SerializationError(Box::new(error)))
}
