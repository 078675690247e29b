//! How far a projection has come: its row of `projections`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, Text, Timestamptz};

use crate::changes::Position;
use crate::cluster::{Lease, LeaseError};
use crate::database::statement;

#[derive(QueryableByName)]
struct Contains {
    #[diesel(sql_type = Bool)]
    contains: bool,
}

/// Batches that a projection has not read and that are looked at: some minutes of them.
const UNREAD_MAX: i64 = 10_000;

/// A span of arrival.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub struct Covered {
    /// Its start; none if it begins with the first message.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub start: Option<DateTime<Utc>>,
    /// Its end, the first moment that is not in it.
    #[diesel(sql_type = Timestamptz)]
    pub until: DateTime<Utc>,
}

/// How far a projection is behind the log.
#[derive(Debug, QueryableByName)]
pub(super) struct Lag {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    /// 0 if it contains all.
    #[diesel(sql_type = Double)]
    pub(super) seconds: f64,
}

#[derive(QueryableByName)]
struct Moved {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(embed)]
    progress: Progress,
}

/// Position and progress of a projection.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Progress {
    /// Transactions below it are contained; none while it is built.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub position: Option<i64>,
    /// While it is built: where it follows the changes afterwards.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub build_end: Option<i64>,
    /// While it is built: messages that arrived before are contained.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub built_until: Option<DateTime<Utc>>,
    /// Messages that arrived before are left out.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub build_from: Option<DateTime<Utc>>,
    /// Database cluster in which the position counts.
    #[diesel(sql_type = Nullable<Text>)]
    pub cluster_id: Option<String>,
}

impl Progress {
    /// Follows the changes from a position on.
    pub(super) fn at(&self, position: Position, cluster_id: String) -> Self {
        Self {
            position: Some(position.0),
            build_end: None,
            built_until: None,
            build_from: self.build_from,
            cluster_id: Some(cluster_id),
        }
    }

    /// To be built from its beginning.
    pub(super) fn to_be_built(from: Option<DateTime<Utc>>) -> Self {
        Self {
            position: None,
            build_end: None,
            built_until: None,
            build_from: from,
            cluster_id: None,
        }
    }
}

/// How far a projection has come; none if there is no projection of that name.
///
/// # Errors
/// If the database cannot be read.
pub fn progress(conn: &mut PgConnection, name: &str) -> QueryResult<Option<Progress>> {
    statement(
        "SELECT position, CASE WHEN build_end IS NULL THEN beside_end END AS build_end, built_until, build_from, cluster_id FROM projections WHERE name = $1",
    )
    .bind::<Text, _>(name)
    .get_result(conn)
    .optional()
}

/// How far each projection has come, by name.
///
/// # Errors
/// If the database cannot be read.
pub(super) fn all(conn: &mut PgConnection) -> QueryResult<HashMap<String, Progress>> {
    let found: Vec<Named> = statement(
        "SELECT name, position, CASE WHEN build_end IS NULL THEN beside_end END AS build_end, built_until, build_from, cluster_id FROM projections",
    )
    .load(conn)?;
    let named = found.into_iter().map(|one| (one.name, one.progress));
    Ok(named.collect())
}

/// Whether a projection contains all that was stored by transactions before `end`.
///
/// # Errors
/// If the database cannot be read.
pub fn contains(conn: &mut PgConnection, name: &str, end: Position) -> QueryResult<bool> {
    let found: Contains = statement(include_str!("contains.sql"))
        .bind::<Text, _>(name)
        .bind::<BigInt, _>(end.0)
        .get_result(conn)?;
    Ok(found.contains)
}

/// Whether a projection has all hours from a time on: it is built, and those were
/// not purged.
///
/// # Errors
/// If the database cannot be read.
pub fn covers(conn: &mut PgConnection, name: &str, from: DateTime<Utc>) -> QueryResult<bool> {
    let found: Option<Contains> = statement(
        "SELECT position IS NOT NULL AND (kept_from IS NULL OR kept_from <= $2) AS contains FROM projections WHERE name = $1",
    )
    .bind::<Text, _>(name)
    .bind::<Timestamptz, _>(from)
    .get_result(conn)
    .optional()?;
    Ok(found.is_some_and(|found| found.contains))
}

/// The arrival of messages of which a projection has all that are stored.
///
/// For answers that come partly from it and partly from the messages. None while it is
/// built, or far behind.
///
/// # Errors
/// If the database cannot be read.
pub fn covered(conn: &mut PgConnection, name: &str) -> QueryResult<Option<Covered>> {
    statement(include_str!("covered.sql"))
        .bind::<Text, _>(name)
        .bind::<BigInt, _>(UNREAD_MAX)
        .get_result(conn)
        .optional()
}

/// How far each projection is behind the log.
///
/// # Errors
/// If the database cannot be read.
pub(super) fn lags(conn: &mut PgConnection) -> QueryResult<Vec<Lag>> {
    statement(include_str!("lags.sql")).load(conn)
}

/// Requests a rebuild of a projection by the server that maintains it, from
/// the messages that arrived since `from`, or all. False if there is none of that
/// name.
///
/// # Errors
/// If the database cannot be written.
pub fn request_rebuild(
    conn: &mut PgConnection,
    name: &str,
    from: Option<DateTime<Utc>>,
) -> QueryResult<bool> {
    let changed = statement(
        "UPDATE projections SET position = NULL, build_end = NULL, beside_end = NULL, built_until = NULL, build_from = $2, updated_at = now() WHERE name = $1",
    )
    .bind::<Text, _>(name)
    .bind::<Nullable<Timestamptz>, _>(from)
    .execute(conn)?;
    Ok(changed > 0)
}

/// Moves a projection on, by compare and set: refused if another server moved it,
/// or has held its lease later.
pub(super) fn advance(
    conn: &mut PgConnection,
    name: &'static str,
    lease: &Lease,
    before: &Progress,
    after: &Progress,
) -> Result<(), LeaseError> {
    let moved = statement(include_str!("advance.sql"))
        .bind::<Text, _>(name)
        .bind::<BigInt, _>(lease.token())
        .bind::<Nullable<BigInt>, _>(before.position)
        .bind::<Nullable<BigInt>, _>(before.build_end)
        .bind::<Nullable<Timestamptz>, _>(before.built_until)
        .bind::<Nullable<Timestamptz>, _>(before.build_from)
        .bind::<Nullable<BigInt>, _>(after.position)
        .bind::<Nullable<BigInt>, _>(after.build_end)
        .bind::<Nullable<Timestamptz>, _>(after.built_until)
        .bind::<Nullable<Text>, _>(&after.cluster_id)
        .execute(conn)?;
    match moved {
        1 => Ok(()),
        _ => Err(LeaseError::Lost(name.into())),
    }
}

/// A projection that found nothing to write in what it read.
#[derive(Debug)]
pub(super) struct ReadOn {
    /// Its name.
    pub(super) name: &'static str,
    /// Fencing token of its lease.
    pub(super) token: i64,
    /// Its position in the database.
    pub(super) position: i64,
    /// How far it has read.
    pub(super) next: i64,
    /// Database cluster in which that counts.
    pub(super) cluster_id: String,
}

/// Moves projections on, as [`advance`] does one.
pub(super) fn read_on(conn: &mut PgConnection, moves: &[ReadOn]) -> Result<(), LeaseError> {
    let moved: Vec<Moved> = with_columns!(include_str!("read_on.sql"), moves, |one|
        one.name => Text,
        one.token => BigInt,
        one.position => BigInt,
        one.next => BigInt,
        one.cluster_id.as_str() => Text,
    )
    .load(conn)?;
    let has_moved = |one: &&ReadOn| moved.iter().any(|moved| moved.name == one.name);
    match moves.iter().find(|one| !has_moved(one)) {
        None => Ok(()),
        Some(lost) => Err(LeaseError::Lost(lost.name.into())),
    }
}
