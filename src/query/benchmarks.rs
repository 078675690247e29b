//! Benchmark runs, their phases, and the spans that nodes sent meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use serde::Serialize;
use utoipa::ToSchema;

use super::params::ListQuery;
use super::{Limits, QueryError, time_windows};
use crate::messages::{self, Window};
use crate::store::benchmarks::{Benchmark, BenchmarkEvent};

/// Messages with spans.
const PROFILING: &str = "tracing.profiling";

/// A target of spans.
#[derive(Debug, Serialize, ToSchema)]
pub struct Target {
    /// Target of the spans.
    #[schema(example = "pallet_babe")]
    pub target: String,
    /// Spans of that target.
    pub qty: i64,
    /// Names of the spans.
    pub names: BTreeSet<String>,
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
/// test if the run names it (`setup.substrate.peerId`).
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown run; [`QueryError::Unavailable`] if it
/// takes longer than `limits` allow.
pub fn fetch_targets(
    conn: &mut PgConnection,
    id: i64,
    limits: &Limits,
) -> Result<Vec<Target>, QueryError> {
    let deadline = limits.deadline();
    let run = span(conn, id)?;
    let kinds = messages::numbers(conn, &[PROFILING])?;
    let Some(kind) = kinds.into_keys().next() else {
        return Ok(Vec::new());
    };
    let span = Window {
        from: run.start,
        // The last moment of a run is part of it.
        until: run.end + TimeDelta::microseconds(1),
    };
    let sessions = match &run.peer_id {
        None => None,
        Some(peer_id) => Some(sessions(conn, peer_id)?),
    };
    let mut targets: BTreeMap<String, Target> = BTreeMap::new();
    let span = time_windows::reach(conn, span, limits)?;
    for window in messages::windows(span, limits.window_max) {
        deadline.check("the run is too long for STATEMENT_TIMEOUT_S")?;
        for found in messages::count_by_target(conn, (kind, window), sessions.as_deref())? {
            let entry = targets.entry(found.target.clone());
            let target = entry.or_insert_with(|| Target {
                target: found.target,
                qty: 0,
                names: BTreeSet::new(),
            });
            target.qty += found.count;
            target.names.extend(found.names.into_iter().flatten());
        }
    }
    Ok(targets.into_values().collect())
}

/// The sessions of the node under test, which need not have connected.
fn sessions(conn: &mut PgConnection, peer_id: &str) -> Result<Vec<i64>, QueryError> {
    match time_windows::sessions(conn, peer_id) {
        Ok(sessions) => Ok(sessions.into_iter().map(|session| session.id).collect()),
        Err(QueryError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn span(conn: &mut PgConnection, id: i64) -> Result<RunSpan, QueryError> {
    let span = diesel::sql_query(include_str!("benchmark_span.sql"))
        .bind::<BigInt, _>(id)
        .get_result(conn)
        .optional()?;
    span.ok_or(QueryError::NotFound { parameter: "id" })
}
