//! The change stream: what was stored, in the order of transactions.
//!
//! A reader gets the batches and the changed sessions of all transactions from
//! its position up to the oldest one that still runs. Everything below that is
//! finished, so nothing can appear behind a position, in whatever order
//! transactions commit, and however late a batch comes from a spool. A position is
//! one number, durable where its reader keeps it beside what it made of the
//! changes. Index: `ingest_batches_changes_idx`, `peer_connections_changes_idx`;
//! the cost is that of the new rows, however many batches are remembered. [`Tail`]
//! is for readers in memory that must not wait for the oldest transaction.

mod awaited;
mod tail;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

pub use awaited::Awaited;
pub use tail::{Fresh, Tail, newest_numbers, open_sessions, sessions_of};

use crate::database::statement;
use crate::store::{SessionRow, StoredBatch};

/// Transactions below it have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub i64);

/// What is new.
#[derive(Debug)]
pub struct Changes {
    /// Batches, in the order of their transactions.
    pub batches: Vec<StoredBatch>,
    /// The newest state of sessions that changed.
    pub sessions: Vec<SessionRow>,
    /// Where to go on.
    pub next: Position,
    /// Whether there may be more already.
    pub has_more: bool,
}

#[derive(QueryableByName)]
struct Horizon {
    #[diesel(sql_type = BigInt)]
    horizon: i64,
}

#[derive(QueryableByName)]
struct SessionText {
    #[diesel(sql_type = Text)]
    session: String,
}

#[derive(QueryableByName)]
struct ClusterId {
    #[diesel(sql_type = Text)]
    cluster_id: String,
}

/// Batches that are read at once; with more the step ends between transactions.
const BATCHES_MAX: i64 = 1_000;

/// Messages of one step, unless one transaction has more.
const MESSAGES_MAX: i64 = 100_000;

/// The end of the stream now: all transactions below it are finished.
///
/// # Errors
/// If the database cannot be read.
pub fn end(conn: &mut PgConnection) -> QueryResult<Position> {
    let found: Horizon =
        statement("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon")
            .get_result(conn)?;
    Ok(Position(found.horizon))
}

/// The transaction after all that are visible now.
///
/// # Errors
/// If the database cannot be read.
pub fn newest(conn: &mut PgConnection) -> QueryResult<Position> {
    let found: Horizon =
        statement("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS horizon")
            .get_result(conn)?;
    Ok(Position(found.horizon))
}

/// Identifies the database cluster in which positions count: transactions are numbered
/// anew after a dump and restore into another one.
///
/// # Errors
/// If the database cannot be read.
pub fn cluster_id(conn: &mut PgConnection) -> QueryResult<String> {
    let found: ClusterId =
        statement("SELECT system_identifier::text AS cluster_id FROM pg_control_system()")
            .get_result(conn)?;
    Ok(found.cluster_id)
}

/// What was stored from a position on, up to the end or the limits of a step.
///
/// # Errors
/// If the database cannot be read.
pub fn read(conn: &mut PgConnection, from: Position) -> QueryResult<Changes> {
    // Before the batches are read: what is finished now is visible then.
    let end = end(conn)?.max(from);
    let batches = batches(conn, from, end, BATCHES_MAX)?;
    let (batches, next) = match cut(&batches, end) {
        Some(next) if next <= from => (batches_of(conn, from)?, Position(from.0 + 1)),
        Some(next) => {
            let within = batches.into_iter();
            let within = within.filter(|batch| batch.transaction_id < next.0);
            (within.collect(), next)
        }
        None => (batches, end),
    };
    Ok(Changes {
        sessions: sessions(conn, from, next)?,
        batches,
        next,
        has_more: next < end,
    })
}

/// Where a step has to end before the end of the stream; between transactions.
fn cut(batches: &[StoredBatch], end: Position) -> Option<Position> {
    let mut messages = 0;
    let too_many = batches.iter().find(|batch| {
        messages += batch.last_id - batch.id + 1;
        messages > MESSAGES_MAX
    });
    let is_full = i64::try_from(batches.len()).unwrap_or(i64::MAX) >= BATCHES_MAX;
    let last = too_many.or(batches.last().filter(|_| is_full))?;
    let first = batches.first().map(|batch| batch.transaction_id);
    // A single transaction is never cut: it alone makes the step.
    let next = match first == Some(last.transaction_id) {
        true => last.transaction_id + 1,
        false => last.transaction_id,
    };
    (next < end.0).then_some(Position(next))
}

fn batches(
    conn: &mut PgConnection,
    from: Position,
    end: Position,
    rows: i64,
) -> QueryResult<Vec<StoredBatch>> {
    statement(include_str!("batches.sql"))
        .bind::<BigInt, _>(from.0)
        .bind::<BigInt, _>(end.0)
        .bind::<BigInt, _>(rows)
        .load(conn)
}

/// All batches of one transaction, however many.
fn batches_of(conn: &mut PgConnection, at: Position) -> QueryResult<Vec<StoredBatch>> {
    batches(conn, at, Position(at.0 + 1), i64::MAX)
}

/// The batches from a position on that are visible now, whether or not older
/// transactions still run.
///
/// # Errors
/// If the database cannot be read.
pub fn visible_from(conn: &mut PgConnection, from: Position) -> QueryResult<Vec<StoredBatch>> {
    batches(conn, from, Position(i64::MAX), i64::MAX)
}

/// A page of all sessions, whatever changed them, by number.
///
/// # Errors
/// If the database cannot be read.
pub fn sessions_after(conn: &mut PgConnection, after: i64) -> QueryResult<Vec<SessionRow>> {
    let found: Vec<SessionText> = statement(
        "SELECT row_to_json(p)::text AS session FROM peer_connections p WHERE id > $1 ORDER BY id LIMIT 5000",
    )
    .bind::<BigInt, _>(after)
    .load(conn)?;
    read_sessions(&found)
}

/// After a restore into another cluster: what was stored there counts as long
/// past, whatever the number of its transaction.
///
/// # Errors
/// If the database cannot be written.
pub fn adopt(conn: &mut PgConnection) -> QueryResult<()> {
    let end = end(conn)?;
    statement("UPDATE ingest_batches SET transaction_id = 0 WHERE transaction_id >= $1")
        .bind::<BigInt, _>(end.0)
        .execute(conn)?;
    Ok(())
}

fn sessions(
    conn: &mut PgConnection,
    from: Position,
    next: Position,
) -> QueryResult<Vec<SessionRow>> {
    let found: Vec<SessionText> = statement(include_str!("sessions.sql"))
        .bind::<BigInt, _>(from.0)
        .bind::<BigInt, _>(next.0)
        .load(conn)?;
    read_sessions(&found)
}

fn read_sessions(found: &[SessionText]) -> QueryResult<Vec<SessionRow>> {
    let rows = found.iter().map(|row| serde_json::from_str(&row.session));
    rows.collect::<Result<_, _>>()
        .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn batch(transaction_id: i64, messages: i64) -> StoredBatch {
        StoredBatch {
            id: 0,
            last_id: messages - 1,
            first_at: DateTime::UNIX_EPOCH,
            last_at: DateTime::UNIX_EPOCH,
            transaction_id,
        }
    }

    #[test]
    fn a_step_ends_between_transactions() {
        let end = Position(100);
        assert_eq!(cut(&[], end), None);
        assert_eq!(cut(&[batch(5, 10), batch(6, 10)], end), None);
        let large = [batch(5, 60_000), batch(6, 30_000), batch(6, 30_000)];
        assert_eq!(cut(&large, end), Some(Position(6)));
        let larger = [batch(5, 60_000), batch(5, 60_000), batch(6, 1)];
        assert_eq!(cut(&larger, end), Some(Position(6)));
        assert_eq!(cut(&[batch(99, 200_000)], end), None, "it is the last");
    }
}
