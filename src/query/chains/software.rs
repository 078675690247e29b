//! What the nodes of a chain run.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Integer, Text, Timestamptz};
use serde::Serialize;
use utoipa::ToSchema;

use super::over_time::{OverTimeParams, TIME_MAX};
use crate::query::QueryError;
use crate::query::buckets::{Buckets, Period};
use crate::query::params::{self, TimeRange};

/// Without `start_time`.
const SPAN_DEFAULT: TimeDelta = TimeDelta::days(30);

/// Rows of an answer: anybody can invent versions.
const ROWS_MAX: i64 = 20_000;

/// A query of versions that needs no check again.
#[derive(Debug, Clone)]
pub struct VersionsQuery {
    buckets: Buckets,
}

impl TryFrom<OverTimeParams> for VersionsQuery {
    type Error = QueryError;

    fn try_from(asked: OverTimeParams) -> Result<Self, QueryError> {
        let buckets = whole_hours(
            asked.start_time.as_deref(),
            asked.end_time.as_deref(),
            asked.points.as_deref(),
        )?;
        Ok(Self { buckets })
    }
}

/// Points of what is counted by hours: 30 days in 30 points unless asked otherwise.
pub(super) fn whole_hours(
    start_time: Option<&str>,
    end_time: Option<&str>,
    points: Option<&str>,
) -> Result<Buckets, QueryError> {
    let range = TimeRange::parse(start_time, end_time)?;
    let period = Period::of(range, Utc::now(), SPAN_DEFAULT, TIME_MAX)?;
    let points = params::whole("points", points, 30, 1..=1_000)?;
    let buckets = Buckets::at_most(points, period);
    let is_short = buckets.step() < TimeDelta::hours(1);
    Ok(match is_short {
        true => Buckets::of_length(3_600, period),
        false => buckets,
    })
}

/// What the nodes of a chain ran, over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Versions {
    /// Start of the first point.
    pub start_time: DateTime<Utc>,
    /// End of the last point, which is not part of it.
    pub end_time: DateTime<Utc>,
    /// Length of a point, seconds: hours that can be read off a clock, or whole days.
    #[schema(example = 86_400)]
    pub step_s: i64,
    /// The versions of each point, the oldest first, then those with the most nodes; at most 20,000.
    pub points: Vec<Version>,
}

/// How many nodes of a chain ran a version in a span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChainVersion)]
pub struct Version {
    /// Start of the span.
    pub created_at: DateTime<Utc>,
    /// Name of the software; empty if they did not say it.
    pub implementation: String,
    /// Its version; empty if they did not say it.
    pub version: String,
    /// Nodes that had a session with it, the most of them in one hour of the span; one that changed
    /// is counted for each.
    pub nodes: i64,
    /// Those of them whose connection a node of another chain shares: a parachain node and the
    /// relay chain node within it.
    pub embedded: i64,
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = Text)]
    implementation: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    nodes: i64,
    #[diesel(sql_type = BigInt)]
    embedded: i64,
}

/// What the nodes of a chain ran.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn versions(
    conn: &mut PgConnection,
    chain: &str,
    query: &VersionsQuery,
) -> Result<Versions, QueryError> {
    let known = super::find(conn, chain)?;
    let all = query.buckets.all();
    let rows: Vec<VersionRow> = diesel::sql_query(include_str!("versions.sql"))
        .bind::<Text, _>(&known.genesis_hash)
        .bind::<Timestamptz, _>(all.start)
        .bind::<Double, _>(query.buckets.step().as_seconds_f64())
        .bind::<Integer, _>(query.buckets.count())
        .bind::<BigInt, _>(ROWS_MAX)
        .load(conn)?;
    let points = rows.into_iter().map(|row| Version {
        created_at: query.buckets.span(row.place).start,
        implementation: row.implementation,
        version: row.version,
        nodes: row.nodes,
        embedded: row.embedded,
    });
    Ok(Versions {
        start_time: all.start,
        end_time: all.end,
        step_s: query.buckets.step().num_seconds(),
        points: points.collect(),
    })
}
