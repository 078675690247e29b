//! How long spans took (`tracing.profiling`). The database adds them up: a busy node
//! sends a million in some hours.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Double, Nullable, SmallInt, Text, Timestamptz};

use super::Window;

/// Which spans.
#[derive(Debug, Clone, Copy)]
pub struct SpanFilter<'a> {
    /// Number of their kind.
    pub kind: i16,
    /// When they arrived.
    pub window: Window,
    /// Sessions; none for all.
    pub sessions: Option<&'a [i64]>,
    /// Target; none for all.
    pub target: Option<&'a str>,
    /// Name; none for all.
    pub name: Option<&'a str>,
}

/// The spans of one target and name in a bucket of time.
#[derive(Debug, QueryableByName)]
pub struct SpanTime {
    /// Start of the bucket: a multiple of its length since 1970, in UTC.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Target.
    #[diesel(sql_type = Nullable<Text>)]
    pub target: Option<String>,
    /// Name.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Spans.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// Mean or quantile, nanoseconds.
    #[diesel(sql_type = Double)]
    pub time: f64,
}

/// All spans of one target and name; times in nanoseconds.
#[derive(Debug, QueryableByName)]
pub struct SpanCost {
    /// Target.
    #[diesel(sql_type = Nullable<Text>)]
    pub target: Option<String>,
    /// Name.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Spans.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// Sum.
    #[diesel(sql_type = Double)]
    pub total: f64,
    /// Mean.
    #[diesel(sql_type = Double)]
    pub mean: f64,
    /// Quantile 0.5.
    #[diesel(sql_type = Double)]
    pub median: f64,
    /// Quantile 0.9.
    #[diesel(sql_type = Double)]
    pub percentile90: f64,
    /// Smallest.
    #[diesel(sql_type = Double)]
    pub min: f64,
    /// Largest.
    #[diesel(sql_type = Double)]
    pub max: f64,
}

/// How long spans took in each bucket of `interval_s` seconds, the oldest first: a
/// quantile (0 to 1), or the mean.
///
/// # Errors
/// If the database cannot be read.
pub fn span_times(
    conn: &mut PgConnection,
    filter: &SpanFilter<'_>,
    interval_s: i64,
    quantile: Option<f64>,
    rows_max: i64,
) -> QueryResult<Vec<SpanTime>> {
    diesel::sql_query(include_str!("span_times.sql"))
        .bind::<SmallInt, _>(filter.kind)
        .bind::<Timestamptz, _>(filter.window.from)
        .bind::<Timestamptz, _>(filter.window.until)
        .bind::<BigInt, _>(interval_s)
        .bind::<Nullable<Double>, _>(quantile)
        .bind::<Nullable<Array<BigInt>>, _>(filter.sessions)
        .bind::<Nullable<Text>, _>(filter.target)
        .bind::<Nullable<Text>, _>(filter.name)
        .bind::<BigInt, _>(rows_max)
        .load(conn)
}

/// The targets and names whose spans took longest altogether, the costliest first;
/// those of some sessions, or of all.
///
/// # Errors
/// If the database cannot be read.
pub fn span_ranking(
    conn: &mut PgConnection,
    (kind, window): (i16, Window),
    sessions: Option<&[i64]>,
    rows_max: i64,
) -> QueryResult<Vec<SpanCost>> {
    diesel::sql_query(include_str!("span_ranking.sql"))
        .bind::<SmallInt, _>(kind)
        .bind::<Timestamptz, _>(window.from)
        .bind::<Timestamptz, _>(window.until)
        .bind::<Nullable<Array<BigInt>>, _>(sessions)
        .bind::<BigInt, _>(rows_max)
        .load(conn)
}

/// Begins a statement that reads the spans of a window beside an inner one.
///
/// They are `spans_beside (created_at, target, name, time)`. `rest` continues the list
/// of `WITH`; its parameters begin at $7.
pub fn with_spans_beside<'a>(
    (kind, window): (i16, Window),
    inner: Window,
    sessions: Option<&'a [i64]>,
    rest: &str,
) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    let spans_beside = include_str!("spans_beside.sql");
    diesel::sql_query(format!(
        "WITH spans_beside AS NOT MATERIALIZED (\n{spans_beside}), {rest}"
    ))
    .into_boxed()
    .bind::<SmallInt, _>(kind)
    .bind::<Timestamptz, _>(window.from)
    .bind::<Timestamptz, _>(inner.from)
    .bind::<Timestamptz, _>(inner.until)
    .bind::<Timestamptz, _>(window.until)
    .bind::<Nullable<Array<BigInt>>, _>(sessions)
}
