//! On which machines the nodes of a chain run, now and over time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::software::whole_hours;
use crate::query::QueryError;
use crate::query::buckets::Buckets;

/// Values of a fact in an answer.
const VALUES_MAX: i64 = 100;

/// What is known of machines.
const FACTS: [&str; 8] = [
    "cpu",
    "core_count",
    "memory_gib",
    "linux_kernel",
    "linux_distro",
    "target_os",
    "target_arch",
    "is_virtual_machine",
];

/// Scores of the reference machine, MiB/s: `reference_hardware.json` of
/// frame-benchmarking-cli in polkadot-sdk.
const REFERENCE: [(&str, f64); 5] = [
    ("cpu_hashrate_score", 783.27),
    ("parallel_cpu_hashrate_score", 966.43),
    ("memory_memcpy_score", 11_768.341),
    ("disk_sequential_write_score", 950.0),
    ("disk_random_write_score", 420.0),
];

/// Parameters of machines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HardwareParams {
    /// Also how many nodes had each value of this fact over time; without it the times and `points` say nothing.
    #[param(
        pattern = "^(cpu|core_count|memory_gib|linux_kernel|linux_distro|target_os|target_arch|is_virtual_machine)$",
        example = "linux_kernel"
    )]
    fact: Option<String>,
    /// From this time on; 30 days before `end_time` unless given, a century before it at most.
    start_time: Option<String>,
    /// Before this time; now unless given.
    end_time: Option<String>,
    /// Points over time at most; one more if `start_time` is not the start of a bucket.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 30)]
    points: Option<String>,
}

/// A query of machines that needs no check again.
#[derive(Debug, Clone)]
pub struct HardwareQuery {
    over_time: Option<(&'static str, Buckets)>,
}

impl TryFrom<HardwareParams> for HardwareQuery {
    type Error = QueryError;

    fn try_from(asked: HardwareParams) -> Result<Self, QueryError> {
        let fact = |text: &str| {
            let known = FACTS.into_iter().find(|fact| *fact == text);
            let names = || format!("must be one of {}", FACTS.join(", "));
            known.ok_or_else(|| QueryError::invalid("fact", names()))
        };
        let fact = asked.fact.as_deref().map(fact).transpose()?;
        let buckets = whole_hours(
            asked.start_time.as_deref(),
            asked.end_time.as_deref(),
            asked.points.as_deref(),
        )?;
        Ok(Self {
            over_time: fact.map(|fact| (fact, buckets)),
        })
    }
}

/// The machines of the nodes of a chain that are there, or were within a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hardware {
    /// How many nodes have each value of a fact: `cpu`, `core_count`, `memory_gib`, `linux_kernel`,
    /// `linux_distro`, `target_os`, `target_arch` and `is_virtual_machine`; the 100 with the most nodes.
    pub facts: BTreeMap<String, Vec<Share>>,
    /// How the scores are distributed that nodes measured.
    pub scores: Vec<Score>,
    /// The values of `fact` over time; null if none was asked for.
    pub over_time: Option<FactOverTime>,
}

/// How many nodes of a chain had which values of a fact over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactOverTime {
    /// The fact.
    #[schema(example = "linux_kernel")]
    pub fact: &'static str,
    /// Start of the first point.
    pub start_time: DateTime<Utc>,
    /// End of the last point, which is not part of it.
    pub end_time: DateTime<Utc>,
    /// Length of a point, seconds: hours that can be read off a clock, or whole days.
    #[schema(example = 86_400)]
    pub step_s: i64,
    /// The values of each point, the oldest first, then those with the most nodes.
    pub points: Vec<FactPoint>,
}

/// How many nodes of a chain had a value in a span of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactPoint {
    /// Start of the span.
    pub created_at: DateTime<Utc>,
    /// The value; `(other)` for all but the 30 of an hour with the most nodes.
    #[schema(example = "6.8.0-45-generic")]
    pub value: String,
    /// Nodes that had a session with it, the most of them in one hour of the span; one that changed
    /// is counted for each.
    pub nodes: i64,
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

#[derive(QueryableByName)]
struct PointRow {
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    nodes: i64,
}

/// The machines of the nodes of a chain.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn hardware(
    conn: &mut PgConnection,
    chain: &str,
    query: &HardwareQuery,
) -> Result<Hardware, QueryError> {
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
    let over_time = query
        .over_time
        .map(|(fact, buckets)| over_time(conn, &known.genesis_hash, fact, buckets))
        .transpose()?;
    Ok(Hardware {
        facts,
        scores,
        over_time,
    })
}

fn over_time(
    conn: &mut PgConnection,
    genesis_hash: &str,
    fact: &'static str,
    buckets: Buckets,
) -> QueryResult<FactOverTime> {
    let all = buckets.all();
    let rows: Vec<PointRow> = diesel::sql_query(include_str!("hardware_hours.sql"))
        .bind::<Text, _>(genesis_hash)
        .bind::<Timestamptz, _>(all.start)
        .bind::<Double, _>(buckets.step().as_seconds_f64())
        .bind::<Integer, _>(buckets.count())
        .bind::<Text, _>(fact)
        .load(conn)?;
    let points = rows.into_iter().map(|row| FactPoint {
        created_at: buckets.span(row.place).start,
        value: row.value,
        nodes: row.nodes,
    });
    Ok(FactOverTime {
        fact,
        start_time: all.start,
        end_time: all.end,
        step_s: buckets.step().num_seconds(),
        points: points.collect(),
    })
}
