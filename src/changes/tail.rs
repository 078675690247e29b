//! A reader in memory that gets what is stored as soon as it is visible.
//!
//! It remembers the snapshot of its last look: what is visible now and was not
//! then is new, in whatever order transactions commit, and however long others run.
//! Nothing is seen twice or missed while the reader lives.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};

use super::{SessionText, read_sessions};
use crate::database::statement;
use crate::store::{SessionRow, StoredBatch};

/// Batches of one look; what is more is left out and counted. Ten servers that store
/// a hundred batches a second need more than a minute for them.
const BATCHES_MAX: i64 = 100_000;

/// Seconds for which the newest numbers are looked up: twice as far as a cursor
/// reaches back.
const NUMBERS_S: i64 = 2 * 3_600;

/// A snapshot: what was visible at the last look.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Tail {
    /// Transactions from here on began later.
    #[diesel(sql_type = BigInt)]
    xmax: i64,
    /// Earlier ones that still ran.
    #[diesel(sql_type = Array<BigInt>)]
    running: Vec<i64>,
}

/// What other servers stored since the last look.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Batches, in the order of their transactions.
    pub batches: Vec<StoredBatch>,
    /// Sessions that changed, each once.
    pub sessions: Vec<i64>,
    /// Messages of batches that were too many.
    pub left_out: u64,
}

#[derive(QueryableByName)]
struct CountedBatch {
    #[diesel(embed)]
    batch: StoredBatch,
    /// Messages of all batches that were found.
    #[diesel(sql_type = BigInt)]
    messages: i64,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct NewestNumber {
    #[diesel(sql_type = Text)]
    server_id: String,
    #[diesel(sql_type = BigInt)]
    last_id: i64,
}

impl Tail {
    /// The end now.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn at_end(conn: &mut PgConnection) -> QueryResult<Self> {
        statement(
            "SELECT pg_snapshot_xmax(now)::text::bigint AS xmax, \
             ARRAY(SELECT xid::text::bigint FROM pg_snapshot_xip(now) AS xid) AS running \
             FROM pg_current_snapshot() AS now",
        )
        .get_result(conn)
    }

    /// What other servers than `server_id` stored since, and the snapshot after it.
    /// The transaction has to be repeatable read: all is of one snapshot.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn advance(&self, conn: &mut PgConnection, server_id: &str) -> QueryResult<(Self, Fresh)> {
        let now = Self::at_end(conn)?;
        // Transactions are numbered anew after a restore into another cluster.
        if now.xmax < self.xmax {
            return Ok((now, Fresh::default()));
        }
        let found: Vec<CountedBatch> = statement(include_str!("tail_batches.sql"))
            .bind::<BigInt, _>(self.xmax)
            .bind::<Array<BigInt>, _>(&self.running)
            .bind::<Text, _>(server_id)
            .bind::<BigInt, _>(BATCHES_MAX)
            .load(conn)?;
        let all = found.first().map_or(0, |counted| counted.messages);
        let batches: Vec<_> = found.into_iter().map(|counted| counted.batch).collect();
        let taken: i64 = batches.iter().map(|one| one.last_id - one.id + 1).sum();
        let sessions: Vec<Id> = statement(include_str!("tail_sessions.sql"))
            .bind::<BigInt, _>(self.xmax)
            .bind::<Array<BigInt>, _>(&self.running)
            .bind::<Text, _>(server_id)
            .load(conn)?;
        let fresh = Fresh {
            batches,
            sessions: sessions.into_iter().map(|session| session.id).collect(),
            left_out: u64::try_from(all - taken).unwrap_or(0),
        };
        Ok((now, fresh))
    }
}

/// The open sessions of other servers. Index: `peer_connections_open_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn open_sessions(conn: &mut PgConnection, server_id: &str) -> QueryResult<Vec<i64>> {
    let found: Vec<Id> = statement(
        "SELECT id FROM peer_connections WHERE disconnected_at IS NULL AND server_id <> $1",
    )
    .bind::<Text, _>(server_id)
    .load(conn)?;
    Ok(found.into_iter().map(|session| session.id).collect())
}

/// Some sessions as they are now. Index: `peer_connections_pkey`.
///
/// # Errors
/// If the database cannot be read.
pub fn sessions_of(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<Vec<SessionRow>> {
    let found: Vec<SessionText> = statement(
        "SELECT row_to_json(p)::text AS session FROM peer_connections p WHERE id = ANY($1)",
    )
    .bind::<Array<BigInt>, _>(ids)
    .load(conn)?;
    read_sessions(&found)
}

/// The newest number of each server that stored something lately. Index:
/// `ingest_batches_stored_idx`; reads the batches of two hours.
///
/// # Errors
/// If the database cannot be read.
pub fn newest_numbers(conn: &mut PgConnection) -> QueryResult<Vec<(String, i64)>> {
    let found: Vec<NewestNumber> = statement(
        "SELECT server_id, max(last_id) AS last_id FROM ingest_batches \
         WHERE stored_at > now() - make_interval(secs => $1) \
           AND last_id IS NOT NULL AND server_id IS NOT NULL GROUP BY server_id",
    )
    .bind::<BigInt, _>(NUMBERS_S)
    .load(conn)?;
    Ok(found
        .into_iter()
        .map(|one| (one.server_id, one.last_id))
        .collect())
}
