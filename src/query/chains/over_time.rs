//! How fast the blocks of a chain spread and become final, over time.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::query::QueryError;
use crate::query::buckets::{Buckets, Period};
use crate::query::params::{self, TimeRange};

/// A century: keeps times within the years that can be written.
pub(super) const TIME_MAX: TimeDelta = TimeDelta::days(36_525);

/// Points of an answer.
const POINTS: RangeInclusive<i64> = 1..=1_000;
const POINTS_DEFAULT: i64 = 100;

/// Without `start_time`.
const SPAN_DEFAULT: TimeDelta = TimeDelta::days(1);

/// Longest span that is read block by block; a longer one has points of whole hours.
const BY_BLOCK_MAX: TimeDelta = TimeDelta::hours(6);

/// Seconds of an hour.
const HOUR_S: i64 = 3_600;

/// A span of time, and rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SpanParams {
    /// From this time on; a day before `end_time` unless given.
    pub(super) start_time: Option<String>,
    /// Before this time; now unless given.
    pub(super) end_time: Option<String>,
    /// Heights in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    pub(super) limit: Option<String>,
}

/// Parameters of values over time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OverTimeParams {
    /// From this time on; a day (of versions 30 days) before `end_time` unless given, a century before it at most.
    pub(super) start_time: Option<String>,
    /// Before this time; now unless given.
    pub(super) end_time: Option<String>,
    /// Points in the answer at most; one more if `start_time` is not the start of a bucket.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    pub(super) points: Option<String>,
}

/// A query of values over time that needs no check again.
#[derive(Debug, Clone)]
pub struct OverTimeQuery {
    buckets: Buckets,
}

impl TryFrom<OverTimeParams> for OverTimeQuery {
    type Error = QueryError;

    fn try_from(asked: OverTimeParams) -> Result<Self, QueryError> {
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        let period = Period::of(range, Utc::now(), SPAN_DEFAULT, TIME_MAX)?;
        let points = params::whole("points", asked.points.as_deref(), POINTS_DEFAULT, POINTS)?;
        let buckets = Buckets::at_most(points, period);
        let is_long = period.end - period.start > BY_BLOCK_MAX;
        Ok(Self {
            buckets: match is_long && buckets.step().num_seconds() < HOUR_S {
                true => Buckets::of_length(HOUR_S, period),
                false => buckets,
            },
        })
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = BigInt)]
    blocks: i64,
    #[diesel(sql_type = BigInt)]
    forks: i64,
    #[diesel(sql_type = BigInt)]
    nodes: i64,
    #[diesel(sql_type = BigInt)]
    finalized: i64,
    #[diesel(sql_type = Array<BigInt>)]
    delays: Vec<i64>,
    #[diesel(sql_type = Array<BigInt>)]
    finality: Vec<i64>,
}

/// Quantiles of times, seconds; null if there are none. They are at most 25 % off,
/// usually less than 5 %.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Delays {
    /// Half of them are shorter.
    pub p50_s: Option<f64>,
    /// 90 % of them are shorter.
    pub p90_s: Option<f64>,
    /// 95 % of them are shorter.
    pub p95_s: Option<f64>,
    /// 99 % of them are shorter.
    pub p99_s: Option<f64>,
}

impl Delays {
    fn of(counts: &[i64]) -> Self {
        Self {
            p50_s: quantile(counts, 0.5),
            p90_s: quantile(counts, 0.9),
            p95_s: quantile(counts, 0.95),
            p99_s: quantile(counts, 0.99),
        }
    }
}

/// A quantile of a histogram of delays, as `block_delay_quantile` in SQL has it, seconds.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "counts and bounds stay far below 2^52"
)]
fn quantile(counts: &[i64], quantile: f64) -> Option<f64> {
    let rank = quantile * counts.iter().sum::<i64>() as f64;
    let mut before = 0.0;
    for (bucket, count) in (0..).zip(counts) {
        let count = *count as f64;
        if count > 0.0 && before + count >= rank {
            let (low, high) = (bound_s(bucket), bound_s(bucket + 1));
            return Some(low + (high - low) * (rank - before).max(0.0) / count);
        }
        before += count;
    }
    None
}

/// The lower bound of a bucket of delays, as `block_delay_bounds` in SQL has it, seconds.
pub(super) fn bound_s(bucket: u32) -> f64 {
    match bucket.checked_sub(1) {
        None => 0.0,
        Some(place) => f64::from(4 + place % 4) * f64::from(place / 4 + 1).exp2() / 1_000.0,
    }
}

/// How fast blocks spread, over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Propagation {
    /// Start of the first point.
    pub start_time: DateTime<Utc>,
    /// End of the last point, which is not part of it.
    pub end_time: DateTime<Utc>,
    /// Length of a point, seconds: one that can be read off a clock, or whole days.
    #[schema(example = 3_600)]
    pub step_s: i64,
    /// Of all blocks together: how long after the first node the others had them.
    pub total: Delays,
    /// A point for each span with blocks, the oldest first.
    pub points: Vec<PropagationPoint>,
}

/// How fast the blocks spread that were first seen in a span.
#[derive(Debug, Serialize, ToSchema)]
pub struct PropagationPoint {
    /// Start of the span.
    pub created_at: DateTime<Utc>,
    /// Blocks.
    pub blocks: i64,
    /// Those of whose height another was seen before.
    pub forks: i64,
    /// Reports of nodes, each of a block.
    pub reports: i64,
    /// How long after the first node the others had them.
    #[serde(flatten)]
    pub delays: Delays,
}

/// How fast blocks become final, over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Finality {
    /// Start of the first point.
    pub start_time: DateTime<Utc>,
    /// End of the last point, which is not part of it.
    pub end_time: DateTime<Utc>,
    /// Length of a point, seconds: one that can be read off a clock, or whole days.
    #[schema(example = 3_600)]
    pub step_s: i64,
    /// Of all blocks together: how long after the first report they were finalized.
    pub total: Delays,
    /// A point for each span with blocks, the oldest first.
    pub points: Vec<FinalityPoint>,
}

/// How fast the blocks became final that were first seen in a span.
#[derive(Debug, Serialize, ToSchema)]
pub struct FinalityPoint {
    /// Start of the span.
    pub created_at: DateTime<Utc>,
    /// Blocks.
    pub blocks: i64,
    /// Those whose height is finalized.
    pub finalized: i64,
    /// How long after the first report they were.
    #[serde(flatten)]
    pub delays: Delays,
}

/// How fast the blocks of a chain spread.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn propagation(
    conn: &mut PgConnection,
    chain: &str,
    query: &OverTimeQuery,
) -> Result<Propagation, QueryError> {
    let rows = rows(conn, chain, query)?;
    let all = query.buckets.all();
    Ok(Propagation {
        start_time: all.start,
        end_time: all.end,
        step_s: query.buckets.step().num_seconds(),
        total: Delays::of(&sum(rows.iter().map(|row| row.delays.as_slice()))),
        points: rows
            .iter()
            .map(|row| PropagationPoint {
                created_at: query.buckets.span(row.place).start,
                blocks: row.blocks,
                forks: row.forks,
                reports: row.nodes,
                delays: Delays::of(&row.delays),
            })
            .collect(),
    })
}

/// How fast the blocks of a chain become final.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn finality(
    conn: &mut PgConnection,
    chain: &str,
    query: &OverTimeQuery,
) -> Result<Finality, QueryError> {
    let rows = rows(conn, chain, query)?;
    let all = query.buckets.all();
    Ok(Finality {
        start_time: all.start,
        end_time: all.end,
        step_s: query.buckets.step().num_seconds(),
        total: Delays::of(&sum(rows.iter().map(|row| row.finality.as_slice()))),
        points: rows
            .iter()
            .map(|row| FinalityPoint {
                created_at: query.buckets.span(row.place).start,
                blocks: row.blocks,
                finalized: row.finalized,
                delays: Delays::of(&row.finality),
            })
            .collect(),
    })
}

fn rows(
    conn: &mut PgConnection,
    chain: &str,
    query: &OverTimeQuery,
) -> Result<Vec<Row>, QueryError> {
    let known = super::find(conn, chain)?;
    let step_s = query.buckets.step().num_seconds();
    let statement = match step_s % HOUR_S {
        0 => include_str!("hours.sql"),
        _ => include_str!("spans.sql"),
    };
    let rows = diesel::sql_query(statement)
        .bind::<Integer, _>(known.id)
        .bind::<Timestamptz, _>(query.buckets.all().start)
        .bind::<Double, _>(query.buckets.step().as_seconds_f64())
        .bind::<Integer, _>(query.buckets.count())
        .load(conn)?;
    Ok(rows)
}

/// Adds histograms.
fn sum<'a>(all: impl Iterator<Item = &'a [i64]>) -> Vec<i64> {
    let mut sums: Vec<i64> = Vec::new();
    for counts in all {
        if sums.len() < counts.len() {
            sums.resize(counts.len(), 0);
        }
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[0, 0], 0.5), None);
        assert_eq!(quantile(&[4], 0.5), Some(0.004));
        // 8 ms to 10 ms, and 10 ms to 12 ms.
        let counts = [0, 1, 1];
        assert_eq!(quantile(&counts, 0.5), Some(0.010));
        assert_eq!(quantile(&counts, 0.75), Some(0.011));
        assert_eq!(quantile(&counts, 1.0), Some(0.012));
        assert_eq!(quantile(&counts, 0.0), Some(0.008));
    }

    #[test]
    fn histograms_add_up() {
        assert_eq!(sum([[1].as_slice(), &[2, 3], &[]].into_iter()), [3, 3]);
    }

    #[test]
    fn a_long_span_has_points_of_whole_hours() {
        let step = |start: &str| {
            let asked = OverTimeParams {
                start_time: Some(start.to_owned()),
                end_time: Some("2026-05-02T00:00:00Z".to_owned()),
                points: None,
            };
            OverTimeQuery::try_from(asked)
                .unwrap()
                .buckets
                .step()
                .num_seconds()
        };
        assert_eq!(step("2026-05-01T23:00:00Z"), 60);
        assert_eq!(step("2026-05-01T00:00:00Z"), 3_600);
        assert_eq!(step("2026-04-02T00:00:00Z"), 10 * 3_600 / 10 * 12);
    }
}
