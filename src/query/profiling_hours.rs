//! Spans of ranges with whole hours: these are in the projection `span_hours`, so that
//! a month of a busy node costs what an hour does.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, SmallInt, Text, Timestamptz};

use super::buckets::Period;
use crate::messages;
use crate::projections::{self, Histogram};

/// Which spans, and what of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) kind: i16,
    pub(super) span: Period,
    /// Sessions of `peer_id`; none for all.
    pub(super) sessions: Option<&'a [i64]>,
    pub(super) peer_id: Option<&'a str>,
    pub(super) target: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    /// Seconds of a bucket, whole hours; none for one bucket.
    pub(super) interval_s: Option<i64>,
    pub(super) needs_quantiles: bool,
    pub(super) is_ranking: bool,
    pub(super) rows_max: i64,
}

/// The spans of one target and name in a bucket; times in nanoseconds.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) created_at: DateTime<Utc>,
    pub(super) target: Option<String>,
    pub(super) name: Option<String>,
    pub(super) count: i64,
    pub(super) total: f64,
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    histogram: Histogram,
}

/// A sum, or without `created_at` a part of the histogram of one.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    created_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    target: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Double)]
    total: f64,
    #[diesel(sql_type = Double)]
    mean: f64,
    #[diesel(sql_type = Double)]
    min: f64,
    #[diesel(sql_type = Double)]
    max: f64,
    #[diesel(sql_type = Array<SmallInt>)]
    buckets: Vec<i16>,
    #[diesel(sql_type = Array<BigInt>)]
    counts: Vec<i64>,
}

impl Sum {
    /// A quantile (0 to 1), at most [`projections::RELATIVE_ERROR`] off.
    pub(super) fn quantile(&self, quantile: f64) -> f64 {
        self.histogram.quantile(quantile, self.min, self.max)
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// The spans, if whole hours of them are in the projection; else the messages have to
/// be read.
pub(super) fn fetch(conn: &mut PgConnection, asked: &Asked<'_>) -> QueryResult<Option<Vec<Sum>>> {
    let Some(hours) = whole_hours(conn, asked.span)? else {
        return Ok(None);
    };
    if hides_some(conn, asked, hours)? {
        return Ok(None);
    }
    let statement = messages::with_spans_beside(
        (asked.kind, asked.span.into()),
        hours.into(),
        asked.sessions,
        include_str!("profiling_hours.sql"),
    );
    let statement = statement
        .bind::<Nullable<BigInt>, _>(asked.interval_s)
        .bind::<Nullable<Text>, _>(asked.peer_id)
        .bind::<Nullable<Text>, _>(asked.target)
        .bind::<Nullable<Text>, _>(asked.name)
        .bind::<Bool, _>(asked.needs_quantiles)
        .bind::<Bool, _>(asked.is_ranking)
        .bind::<BigInt, _>(asked.rows_max);
    // One row at a time: there are many histograms, and few sums.
    add_up(statement.load_iter::<Row, PgRowByRowLoadingMode>(conn)?).map(Some)
}

/// The sums with their histograms, in the order of their places.
fn add_up(rows: impl Iterator<Item = QueryResult<Row>>) -> QueryResult<Vec<Sum>> {
    let mut sums = BTreeMap::new();
    let mut histograms: HashMap<i64, Histogram> = HashMap::new();
    for row in rows {
        let row = row?;
        let Some(created_at) = row.created_at else {
            let histogram = histograms.entry(row.place).or_default();
            histogram.add_columns(&row.buckets, &row.counts);
            continue;
        };
        let sum = Sum {
            created_at,
            target: row.target,
            name: row.name,
            count: row.count,
            total: row.total,
            mean: row.mean,
            min: row.min,
            max: row.max,
            histogram: Histogram::default(),
        };
        sums.insert(row.place, sum);
    }
    for (place, sum) in &mut sums {
        sum.histogram = histograms.remove(place).unwrap_or_default();
    }
    Ok(sums.into_values().collect())
}

/// The whole hours of a span that the projection has.
fn whole_hours(conn: &mut PgConnection, span: Period) -> QueryResult<Option<Period>> {
    let hour = TimeDelta::hours(1);
    let Some(covered) = projections::covered(conn, "span_hours")? else {
        return Ok(None);
    };
    let start = covered
        .start
        .map_or(span.start, |start| start.max(span.start));
    let floor = |time: DateTime<Utc>| time.duration_trunc(hour).unwrap_or(time);
    let hours = Period {
        start: floor(start + hour - TimeDelta::microseconds(1)),
        end: floor(span.end.min(covered.until)),
    };
    Ok((hours.start < hours.end).then_some(hours))
}

/// Whether the target or name of the query may be among those that are counted
/// together.
fn hides_some(conn: &mut PgConnection, asked: &Asked<'_>, hours: Period) -> QueryResult<bool> {
    if asked.target.is_none() && asked.name.is_none() {
        return Ok(false);
    }
    let found: Found = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM span_hours WHERE target = $1 AND name = $1 \
         AND hour >= $2 AND hour < $3 AND ($4::text IS NULL OR peer_id = $4)) AS found",
    )
    .bind::<Text, _>(projections::OTHER_SPANS)
    .bind::<Timestamptz, _>(hours.start)
    .bind::<Timestamptz, _>(hours.end)
    .bind::<Nullable<Text>, _>(asked.peer_id)
    .get_result(conn)?;
    Ok(found.found)
}
