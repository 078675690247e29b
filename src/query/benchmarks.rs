//! Benchmark runs, their phases, and the spans that nodes sent meanwhile.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use serde::Serialize;
use utoipa::ToSchema;

use super::QueryError;
use super::params::ListQuery;
use crate::store::benchmarks::{Benchmark, BenchmarkEvent};

/// A target of spans.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Target {
    /// Target of the spans.
    #[diesel(sql_type = Text)]
    #[schema(example = "pallet_babe")]
    pub target: String,
    /// Spans of that target.
    #[diesel(sql_type = BigInt)]
    pub qty: i64,
    /// Names of the spans.
    #[diesel(sql_type = Nullable<Array<Nullable<Text>>>)]
    #[schema(value_type = Vec<String>)]
    #[serde(serialize_with = "without_gaps")]
    pub names: Option<Vec<Option<String>>>,
}

fn without_gaps<S: serde::Serializer>(
    names: &Option<Vec<Option<String>>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_seq(names.iter().flatten().flatten())
}

#[derive(QueryableByName)]
struct RunSpan {
    #[diesel(sql_type = Timestamptz)]
    start: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    end: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    peer_id: Option<String>,
}

/// The runs, the latest first.
///
/// # Errors
/// If the database cannot be read.
pub fn fetch(conn: &mut PgConnection, query: &ListQuery) -> Result<Vec<Benchmark>, QueryError> {
    let benchmarks = diesel::sql_query(include_str!("benchmarks.sql"))
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(benchmarks)
}

/// The phases of a run, oldest first.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown run.
pub fn fetch_events(conn: &mut PgConnection, id: i64) -> Result<Vec<BenchmarkEvent>, QueryError> {
    span(conn, id)?;
    let events = diesel::sql_query(include_str!("benchmark_events.sql"))
        .bind::<BigInt, _>(id)
        .load(conn)?;
    Ok(events)
}

/// The targets of the spans that nodes sent during a run; only of the node under
/// test if the run says which it was (`setup.substrate.peerId`).
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown run.
pub fn fetch_targets(conn: &mut PgConnection, id: i64) -> Result<Vec<Target>, QueryError> {
    let span = span(conn, id)?;
    let targets = diesel::sql_query(include_str!("benchmark_targets.sql"))
        .bind::<Timestamptz, _>(span.start)
        .bind::<Timestamptz, _>(span.end)
        .bind::<Nullable<Text>, _>(span.peer_id)
        .load(conn)?;
    Ok(targets)
}

fn span(conn: &mut PgConnection, id: i64) -> Result<RunSpan, QueryError> {
    let span = diesel::sql_query(include_str!("benchmark_span.sql"))
        .bind::<BigInt, _>(id)
        .get_result(conn)
        .optional()?;
    span.ok_or(QueryError::NotFound { parameter: "id" })
}
