//! Spans of ranges with whole hours: these are in the projection `span_hours`, so that
//! a month of a busy node costs what an hour does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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

/// A sum, or without `created_at` the histogram of what lies beside its hours.
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

/// The histogram of an hour.
#[derive(QueryableByName)]
struct HourRow {
    #[diesel(sql_type = Timestamptz)]
    bucket_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    of_target: String,
    #[diesel(sql_type = Text)]
    of_name: String,
    #[diesel(sql_type = Array<SmallInt>)]
    buckets: Vec<i16>,
    #[diesel(sql_type = Array<BigInt>)]
    counts: Vec<i64>,
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
    let mut sums = in_order(statement.load(conn)?);
    if asked.needs_quantiles {
        add_histograms(conn, asked, hours, &mut sums)?;
    }
    Ok(Some(sums))
}

/// The sums in the order of their places, with the histograms of what lies beside the hours.
fn in_order(rows: Vec<Row>) -> Vec<Sum> {
    let mut sums = BTreeMap::new();
    let mut histograms = Vec::new();
    for row in rows {
        let Some(created_at) = row.created_at else {
            histograms.push(row);
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
    for row in histograms {
        if let Some(sum) = sums.get_mut(&row.place) {
            sum.histogram.add_columns(&row.buckets, &row.counts);
        }
    }
    sums.into_values().collect()
}

/// Adds the histograms of the hours.
fn add_histograms(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    hours: Period,
    sums: &mut [Sum],
) -> QueryResult<()> {
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut histograms: HashMap<(DateTime<Utc>, String, String), &mut Histogram> = sums
        .iter_mut()
        .map(|sum| {
            let key = (sum.created_at, of(&sum.target), of(&sum.name));
            (key, &mut sum.histogram)
        })
        .collect();
    let wanted: BTreeSet<(String, String)> = histograms
        .keys()
        .map(|(_, target, name)| (target.clone(), name.clone()))
        .collect();
    let (targets, names): (Vec<String>, Vec<String>) = wanted.into_iter().unzip();
    let statement = diesel::sql_query(include_str!("profiling_histograms.sql"))
        .bind::<Timestamptz, _>(hours.start)
        .bind::<Timestamptz, _>(hours.end)
        .bind::<Nullable<BigInt>, _>(asked.interval_s)
        .bind::<Nullable<Text>, _>(asked.peer_id)
        .bind::<Array<Text>, _>(targets)
        .bind::<Array<Text>, _>(names);
    // One row at a time: there are many, and few sums.
    for row in statement.load_iter::<HourRow, PgRowByRowLoadingMode>(conn)? {
        let row = row?;
        let place = (row.bucket_at, row.of_target, row.of_name);
        if let Some(histogram) = histograms.get_mut(&place) {
            histogram.add_columns(&row.buckets, &row.counts);
        }
    }
    Ok(())
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
