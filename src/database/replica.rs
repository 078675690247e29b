//! How far a replica has come: what was written is there only later.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

/// Which database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// `READ_DATABASE_URL`, if that is set.
    Replica,
    /// `DATABASE_URL`.
    Primary,
}

/// A place in the log of a primary, of which replicas replay one after the other.
#[derive(Debug, Clone, QueryableByName)]
pub struct LogPlace {
    #[diesel(sql_type = Text)]
    place: String,
}

#[derive(QueryableByName)]
struct Replayed {
    #[diesel(sql_type = Bool)]
    is_replayed: bool,
}

/// The place at which everything is written that was committed before.
///
/// # Errors
/// If the database cannot be read, or is a replica.
pub fn written(primary: &mut PgConnection) -> QueryResult<LogPlace> {
    diesel::sql_query("SELECT pg_current_wal_insert_lsn()::text AS place").get_result(primary)
}

/// Whether a replica has everything up to a place; a database that is none has.
///
/// # Errors
/// If the database cannot be read.
pub fn has_replayed(replica: &mut PgConnection, place: &LogPlace) -> QueryResult<bool> {
    let found: Replayed = diesel::sql_query(
        "SELECT NOT pg_is_in_recovery() OR coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false) AS is_replayed",
    )
    .bind::<Text, _>(&place.place)
    .get_result(replica)?;
    Ok(found.is_replayed)
}
