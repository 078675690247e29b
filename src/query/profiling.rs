//! How long spans took, from `tracing.profiling`, which nodes up to early 2021
//! and custom ones send.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, SmallInt, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::QueryError;
use super::buckets::{Buckets, Period};
use super::params::{self, TimeRange};
use super::time_windows;
use crate::feed::AggregateKind;
use crate::messages;

const PROFILING: &str = "tracing.profiling";

/// Without `start_time`.
const RANGE_DEFAULT: TimeDelta = TimeDelta::hours(1);

/// All spans of a range are read and sorted, which takes about 3 s for a million:
/// more than a month of a busy node cannot be had within `STATEMENT_TIMEOUT_S`.
const RANGE_MAX: TimeDelta = TimeDelta::days(31);

/// Length of a bucket, seconds: up to a day, as in the live feed.
const INTERVAL_S: RangeInclusive<i64> = 1..=86_400;
const INTERVAL_S_DEFAULT: i64 = 60;

/// Buckets of an answer.
const BUCKETS_MAX: i32 = 2_000;

/// Rows of an answer, about 2 MB.
const ROWS_MAX: i64 = 20_000;

/// Targets and names of a ranking.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 50;

/// What may be asked of the spans over time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProfilingParams {
    /// Only spans from this time on: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; an hour
    /// before `end_time` unless given, 31 days before it at most.
    start_time: Option<String>,
    /// Only spans before this time: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; now unless given.
    end_time: Option<String>,
    /// Length of a bucket, seconds. At most 2,000 buckets fit into an answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 86_400, default = 60)]
    interval: Option<String>,
    /// What becomes of the times in a bucket: `mean`, `median`, `min`, `max` or `percentile90`;
    /// quantiles lie between two neighbours where they have to.
    #[param(default = "mean")]
    aggregate: Option<String>,
    /// Only spans of this node (libp2p identity).
    peer_id: Option<String>,
    /// Only spans of this target.
    target: Option<String>,
    /// Only spans of this name.
    name: Option<String>,
}

/// What may be asked of the costliest spans.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RankingParams {
    /// Only spans from this time on: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; an hour
    /// before `end_time` unless given, 31 days before it at most.
    start_time: Option<String>,
    /// Only spans before this time: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; now unless given.
    end_time: Option<String>,
    /// Only spans of this node (libp2p identity).
    peer_id: Option<String>,
    /// Targets and names in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 50)]
    limit: Option<String>,
}

/// Which spans.
#[derive(Debug, Clone)]
struct SpansQuery {
    range: TimeRange,
    peer_id: Option<String>,
}

impl SpansQuery {
    fn parse(
        start_time: Option<&str>,
        end_time: Option<&str>,
        peer_id: Option<&str>,
    ) -> Result<Self, QueryError> {
        Ok(Self {
            range: TimeRange::parse(start_time, end_time)?,
            peer_id: peer_id.map(|id| params::peer_id(Some(id))).transpose()?,
        })
    }

    /// The range with both ends.
    fn span(&self, now: DateTime<Utc>) -> Result<Period, QueryError> {
        Period::of(self.range, now, RANGE_DEFAULT, RANGE_MAX)
    }

    /// Where in the database they are; none if there cannot be any.
    fn find(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Option<Place>, QueryError> {
        let span = self.span(now)?;
        let sessions = match &self.peer_id {
            None => None,
            Some(peer_id) => {
                let all = time_windows::sessions(conn, peer_id)?;
                let in_span = all
                    .iter()
                    .filter(|session| session.may_have_messages(span, now));
                Some(in_span.map(|session| session.id).collect())
            }
        };
        let kind = messages::numbers(conn, &[PROFILING])?.into_keys().next();
        Ok(kind.map(|kind| Place {
            kind,
            span,
            sessions,
        }))
    }
}

/// Where spans are in the database.
#[derive(Debug)]
struct Place {
    kind: i16,
    span: Period,
    /// None for all.
    sessions: Option<Vec<i64>>,
}

/// A question about spans over time that needs no check again.
#[derive(Debug, Clone)]
pub struct ProfilingQuery {
    spans: SpansQuery,
    interval_s: i64,
    aggregate: AggregateKind,
    target: Option<String>,
    name: Option<String>,
}

impl TryFrom<ProfilingParams> for ProfilingQuery {
    type Error = QueryError;

    fn try_from(asked: ProfilingParams) -> Result<Self, QueryError> {
        let interval = asked.interval.as_deref();
        Ok(Self {
            spans: SpansQuery::parse(
                asked.start_time.as_deref(),
                asked.end_time.as_deref(),
                asked.peer_id.as_deref(),
            )?,
            interval_s: params::whole("interval", interval, INTERVAL_S_DEFAULT, INTERVAL_S)?,
            aggregate: aggregate(asked.aggregate.as_deref())?,
            target: params::text("target", asked.target.as_deref())?,
            name: params::text("name", asked.name.as_deref())?,
        })
    }
}

/// A question about the costliest spans that needs no check again.
#[derive(Debug, Clone)]
pub struct RankingQuery {
    spans: SpansQuery,
    limit: i64,
}

impl TryFrom<RankingParams> for RankingQuery {
    type Error = QueryError;

    fn try_from(asked: RankingParams) -> Result<Self, QueryError> {
        Ok(Self {
            spans: SpansQuery::parse(
                asked.start_time.as_deref(),
                asked.end_time.as_deref(),
                asked.peer_id.as_deref(),
            )?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

fn aggregate(value: Option<&str>) -> Result<AggregateKind, QueryError> {
    let Some(name) = value else {
        return Ok(AggregateKind::Mean);
    };
    let mut all = AggregateKind::ALL.into_iter();
    let found = all.find(|kind| kind.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let names = AggregateKind::ALL.map(AggregateKind::name).join(", ");
        QueryError::invalid("aggregate", format!("must be one of {names}"))
    })
}

/// The spans of one target and name in a bucket of time.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Spans {
    /// Start of the bucket: a multiple of its length since 1970, in UTC.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Target of the spans.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(example = "pallet_babe")]
    pub target: Option<String>,
    /// Name of the spans.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(example = "on_initialize")]
    pub name: Option<String>,
    /// Spans.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// How long they took, as `aggregate` says, nanoseconds.
    #[diesel(sql_type = Double)]
    pub time: f64,
}

/// All spans of one target and name.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Cost {
    /// Target of the spans.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(example = "pallet_babe")]
    pub target: Option<String>,
    /// Name of the spans.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(example = "on_initialize")]
    pub name: Option<String>,
    /// Spans.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// How long they took altogether, nanoseconds.
    #[diesel(sql_type = Double)]
    pub total: f64,
    /// How long they took in the mean, nanoseconds.
    #[diesel(sql_type = Double)]
    pub mean: f64,
    /// How long the middle one took, nanoseconds.
    #[diesel(sql_type = Double)]
    pub median: f64,
    /// How long nine tenths took at most, nanoseconds.
    #[diesel(sql_type = Double)]
    pub percentile90: f64,
    /// How long the quickest took, nanoseconds.
    #[diesel(sql_type = Double)]
    pub min: f64,
    /// How long the slowest took, nanoseconds.
    #[diesel(sql_type = Double)]
    pub max: f64,
}

/// The spans over time, oldest first.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer; [`QueryError::Invalid`] for a
/// range that is empty or too long, or an answer that would be too large.
pub fn fetch(
    conn: &mut PgConnection,
    query: &ProfilingQuery,
    now: DateTime<Utc>,
) -> Result<Vec<Spans>, QueryError> {
    let buckets = Buckets::of_length(query.interval_s, query.spans.span(now)?);
    if buckets.count() > BUCKETS_MAX {
        let message = format!("must be so long that the range has at most {BUCKETS_MAX} buckets");
        return Err(QueryError::invalid("interval", message));
    }
    let Some(place) = query.spans.find(conn, now)? else {
        return Ok(Vec::new());
    };
    let spans: Vec<Spans> = diesel::sql_query(include_str!("profiling.sql"))
        .bind::<SmallInt, _>(place.kind)
        .bind::<Timestamptz, _>(place.span.start)
        .bind::<Timestamptz, _>(place.span.end)
        .bind::<BigInt, _>(query.interval_s)
        .bind::<Nullable<Double>, _>(quantile(query.aggregate))
        .bind::<Nullable<Array<BigInt>>, _>(&place.sessions)
        .bind::<Nullable<Text>, _>(&query.target)
        .bind::<Nullable<Text>, _>(&query.name)
        .bind::<BigInt, _>(ROWS_MAX + 1)
        .load(conn)?;
    if i64::try_from(spans.len()).is_ok_and(|rows| rows > ROWS_MAX) {
        let message = format!(
            "is too short: the answer has more than {ROWS_MAX} rows; ask for longer buckets, \
             less time, or one target"
        );
        return Err(QueryError::invalid("interval", message));
    }
    Ok(spans)
}

/// The smallest is a quantile as well, and the largest.
fn quantile(aggregate: AggregateKind) -> Option<f64> {
    match aggregate {
        AggregateKind::Mean => None,
        AggregateKind::Median => Some(0.5),
        AggregateKind::Min => Some(0.0),
        AggregateKind::Max => Some(1.0),
        AggregateKind::Percentile90 => Some(0.9),
    }
}

/// The targets and names that took longest altogether, the costliest first.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer; [`QueryError::Invalid`] for a
/// range that is empty or too long.
pub fn fetch_ranking(
    conn: &mut PgConnection,
    query: &RankingQuery,
    now: DateTime<Utc>,
) -> Result<Vec<Cost>, QueryError> {
    let Some(place) = query.spans.find(conn, now)? else {
        return Ok(Vec::new());
    };
    let costs = diesel::sql_query(include_str!("profiling_ranking.sql"))
        .bind::<SmallInt, _>(place.kind)
        .bind::<Timestamptz, _>(place.span.start)
        .bind::<Timestamptz, _>(place.span.end)
        .bind::<Nullable<Array<BigInt>>, _>(&place.sessions)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(costs)
}
