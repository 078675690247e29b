//! What the nodes of a chain run, and on which machines.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz};
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

/// Values of a fact in an answer.
const VALUES_MAX: i64 = 100;

/// Scores of the reference machine, MiB/s: `reference_hardware.json` of
/// frame-benchmarking-cli in polkadot-sdk.
const REFERENCE: [(&str, f64); 5] = [
    ("cpu_hashrate_score", 783.27),
    ("parallel_cpu_hashrate_score", 966.43),
    ("memory_memcpy_score", 11_768.341),
    ("disk_sequential_write_score", 950.0),
    ("disk_random_write_score", 420.0),
];

/// A query of versions that needs no check again.
#[derive(Debug, Clone)]
pub struct VersionsQuery {
    buckets: Buckets,
}

impl TryFrom<OverTimeParams> for VersionsQuery {
    type Error = QueryError;

    fn try_from(asked: OverTimeParams) -> Result<Self, QueryError> {
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        let period = Period::of(range, Utc::now(), SPAN_DEFAULT, TIME_MAX)?;
        let points = params::whole("points", asked.points.as_deref(), 30, 1..=1_000)?;
        let buckets = Buckets::at_most(points, period);
        let is_short = buckets.step() < TimeDelta::hours(1);
        Ok(Self {
            buckets: match is_short {
                true => Buckets::of_length(3_600, period),
                false => buckets,
            },
        })
    }
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

/// The machines of the nodes of a chain that are there, or were within a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hardware {
    /// How many nodes have each value of a fact: `cpu`, `core_count`, `memory_gib`, `linux_kernel`,
    /// `linux_distro`, `target_os`, `target_arch` and `is_virtual_machine`; the 100 with the most nodes.
    pub facts: BTreeMap<String, Vec<Share>>,
    /// How the scores are distributed that nodes measured.
    pub scores: Vec<Score>,
}

/// How many nodes have a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct Share {
    /// The value.
    pub value: String,
    /// Nodes.
    pub nodes: i64,
}

/// How a score is distributed, MiB/s.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Score {
    /// Name of the score, as in `/api/v1/nodes`.
    #[diesel(sql_type = Text)]
    #[schema(example = "memory_memcpy_score")]
    pub score: String,
    /// What the reference machine for validators has.
    #[diesel(sql_type = Double)]
    pub reference: f64,
    /// Nodes that measured it.
    #[diesel(sql_type = BigInt)]
    pub nodes: i64,
    /// Those below the reference machine.
    #[diesel(sql_type = BigInt)]
    pub below: i64,
    /// The least.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub min: Option<i64>,
    /// 10 % are below it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub p10: Option<i64>,
    /// Half are below it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub p50: Option<i64>,
    /// 90 % are below it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub p90: Option<i64>,
    /// The largest.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub max: Option<i64>,
}

#[derive(QueryableByName)]
struct ShareRow {
    #[diesel(sql_type = Text)]
    fact: String,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    nodes: i64,
}

/// The machines of the nodes of a chain.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn hardware(conn: &mut PgConnection, chain: &str) -> Result<Hardware, QueryError> {
    let known = super::find(conn, chain)?;
    let rows: Vec<ShareRow> = diesel::sql_query(include_str!("hardware.sql"))
        .bind::<Text, _>(&known.genesis_hash)
        .bind::<BigInt, _>(VALUES_MAX)
        .load(conn)?;
    let mut facts: BTreeMap<String, Vec<Share>> = BTreeMap::new();
    for row in rows {
        let share = Share {
            value: row.value,
            nodes: row.nodes,
        };
        facts.entry(row.fact).or_default().push(share);
    }
    let scores = diesel::sql_query(include_str!("scores.sql"))
        .bind::<Text, _>(&known.genesis_hash)
        .bind::<Array<Text>, _>(REFERENCE.map(|(score, _)| score).to_vec())
        .bind::<Array<Double>, _>(REFERENCE.map(|(_, reference)| reference).to_vec())
        .load(conn)?;
    Ok(Hardware { facts, scores })
}
