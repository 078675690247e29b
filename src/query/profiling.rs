//! How long spans took, from `tracing.profiling`, which nodes up to early 2021
//! and custom ones send.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::QueryError;
use super::buckets::{Buckets, Period};
use super::params::{self, TimeRange};
use super::profiling_hours::{self, Asked, Sum};
use super::time_windows;
use crate::feed::AggregateKind;
use crate::messages::{self, SpanCost, SpanFilter};
use crate::telemetry::Span;

/// Without `start_time`.
const RANGE_DEFAULT: TimeDelta = TimeDelta::hours(1);

/// Buckets that are no whole hours are read from the messages and sorted, which takes
/// about 3 s for a million: more than a month of a busy node cannot be had within
/// `STATEMENT_TIMEOUT_S`.
const RANGE_MAX: TimeDelta = TimeDelta::days(31);

/// Length of a bucket, seconds: up to a day, as in the live feed.
const INTERVAL_S: RangeInclusive<i64> = 1..=86_400;
const INTERVAL_S_DEFAULT: i64 = 60;

/// Buckets of an answer.
const BUCKETS_MAX: i32 = 2_000;

/// Rows of an answer, about 2 MB.
const ROWS_MAX: i64 = 20_000;

/// Whole hours of a bucket can be added up.
const HOUR_S: i64 = 3_600;

/// Targets and names of a ranking.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 50;

/// Parameters of the spans over time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProfilingParams {
    /// Only spans from this time on: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; an hour
    /// before `end_time` unless given, less with an `interval` of one second, 31 days at most.
    start_time: Option<String>,
    /// Only spans before this time: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; now unless given.
    end_time: Option<String>,
    /// Length of a bucket, seconds. At most 2,000 buckets fit into an answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 86_400, default = 60)]
    interval: Option<String>,
    /// What becomes of the times in a bucket: `mean`, `median`, `min`, `max` or `percentile90`;
    /// quantiles lie between two neighbours where they have to. In ranges with whole hours and buckets
    /// of whole hours, `median` and `percentile90` are at most 3.2 % off.
    #[param(default = "mean")]
    aggregate: Option<String>,
    /// Only spans of this node (libp2p identity).
    peer_id: Option<String>,
    /// Only spans of this target.
    target: Option<String>,
    /// Only spans of this name.
    name: Option<String>,
}

/// Parameters of the costliest spans.
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
    /// Without a start.
    range_default: TimeDelta,
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
            range_default: RANGE_DEFAULT,
            peer_id: peer_id.map(|id| params::peer_id(Some(id))).transpose()?,
        })
    }

    /// The range with both ends.
    fn span(&self, now: DateTime<Utc>) -> Result<Period, QueryError> {
        Period::of(self.range, now, self.range_default, RANGE_MAX)
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
        let kind = messages::numbers(conn, &[Span::KIND])?.into_keys().next();
        Ok(kind.map(|kind| Place {
            kind,
            span,
            sessions,
        }))
    }

    /// The same, for the projection.
    fn asked<'a>(&'a self, place: &'a Place) -> Asked<'a> {
        Asked {
            kind: place.kind,
            span: place.span,
            sessions: place.sessions.as_deref(),
            peer_id: self.peer_id.as_deref(),
            target: None,
            name: None,
            interval_s: None,
            needs_quantiles: false,
            is_ranking: false,
            rows_max: 0,
        }
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

/// A query of spans over time; needs no check again.
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
        let interval_s = params::whole("interval", interval, INTERVAL_S_DEFAULT, INTERVAL_S)?;
        let spans = SpansQuery::parse(
            asked.start_time.as_deref(),
            asked.end_time.as_deref(),
            asked.peer_id.as_deref(),
        )?;
        // The first bucket may begin before the range.
        let buckets_default = TimeDelta::seconds(interval_s * i64::from(BUCKETS_MAX - 1));
        Ok(Self {
            spans: SpansQuery {
                range_default: RANGE_DEFAULT.min(buckets_default),
                ..spans
            },
            interval_s,
            aggregate: aggregate(asked.aggregate.as_deref())?,
            target: params::text("target", asked.target.as_deref())?,
            name: params::text("name", asked.name.as_deref())?,
        })
    }
}

/// A query of the costliest spans; needs no check again.
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
#[derive(Debug, Serialize, ToSchema)]
pub struct Spans {
    /// Start of the bucket: a multiple of its length since 1970, in UTC.
    pub created_at: DateTime<Utc>,
    /// Target of the spans.
    #[schema(example = "pallet_babe")]
    pub target: Option<String>,
    /// Name of the spans.
    #[schema(example = "on_initialize")]
    pub name: Option<String>,
    /// Spans.
    pub count: i64,
    /// How long they took, as `aggregate` says, nanoseconds.
    pub time: f64,
}

/// All spans of one target and name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cost {
    /// Target of the spans.
    #[schema(example = "pallet_babe")]
    pub target: Option<String>,
    /// Name of the spans.
    #[schema(example = "on_initialize")]
    pub name: Option<String>,
    /// Spans.
    pub count: i64,
    /// How long they took altogether, nanoseconds.
    pub total: f64,
    /// How long they took in the mean, nanoseconds.
    pub mean: f64,
    /// How long the middle one took, nanoseconds; in ranges with whole hours at most 3.2 % off.
    pub median: f64,
    /// How long nine tenths took at most, nanoseconds; in ranges with whole hours at most 3.2 % off.
    pub percentile90: f64,
    /// How long the quickest took, nanoseconds.
    pub min: f64,
    /// How long the slowest took, nanoseconds.
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
    let spans = match of_hours(conn, query, &place)? {
        Some(spans) => spans,
        None => of_messages(conn, query, &place)?,
    };
    if i64::try_from(spans.len()).is_ok_and(|rows| rows > ROWS_MAX) {
        let message = format!(
            "is too short: the answer has more than {ROWS_MAX} rows; ask for longer buckets, \
             less time, or one target"
        );
        return Err(QueryError::invalid("interval", message));
    }
    Ok(spans)
}

/// From the projection, if it has whole hours of the range.
fn of_hours(
    conn: &mut PgConnection,
    query: &ProfilingQuery,
    place: &Place,
) -> QueryResult<Option<Vec<Spans>>> {
    if query.interval_s % HOUR_S != 0 {
        return Ok(None);
    }
    let aggregate = query.aggregate;
    let asked = Asked {
        target: query.target.as_deref(),
        name: query.name.as_deref(),
        interval_s: Some(query.interval_s),
        needs_quantiles: matches!(
            aggregate,
            AggregateKind::Median | AggregateKind::Percentile90
        ),
        rows_max: ROWS_MAX + 1,
        ..query.spans.asked(place)
    };
    let spans = |sum: Sum| Spans {
        created_at: sum.created_at,
        count: sum.count,
        time: quantile(aggregate).map_or(sum.mean, |quantile| sum.quantile(quantile)),
        target: sum.target,
        name: sum.name,
    };
    let sums = profiling_hours::fetch(conn, &asked)?;
    Ok(sums.map(|sums| sums.into_iter().map(spans).collect()))
}

fn of_messages(
    conn: &mut PgConnection,
    query: &ProfilingQuery,
    place: &Place,
) -> QueryResult<Vec<Spans>> {
    let filter = SpanFilter {
        kind: place.kind,
        window: place.span.into(),
        sessions: place.sessions.as_deref(),
        target: query.target.as_deref(),
        name: query.name.as_deref(),
    };
    let quantile = quantile(query.aggregate);
    let times = messages::span_times(conn, &filter, query.interval_s, quantile, ROWS_MAX + 1)?;
    let spans = times.into_iter().map(|found| Spans {
        created_at: found.created_at,
        target: found.target,
        name: found.name,
        count: found.count,
        time: found.time,
    });
    Ok(spans.collect())
}

/// Quantiles.
const MEDIAN: f64 = 0.5;
const PERCENTILE90: f64 = 0.9;

/// The smallest is a quantile as well, and the largest.
fn quantile(aggregate: AggregateKind) -> Option<f64> {
    match aggregate {
        AggregateKind::Mean => None,
        AggregateKind::Median => Some(MEDIAN),
        AggregateKind::Min => Some(0.0),
        AggregateKind::Max => Some(1.0),
        AggregateKind::Percentile90 => Some(PERCENTILE90),
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
    let asked = Asked {
        needs_quantiles: true,
        is_ranking: true,
        rows_max: query.limit,
        ..query.spans.asked(&place)
    };
    let cost = |sum: Sum| Cost {
        count: sum.count,
        total: sum.total,
        mean: sum.mean,
        median: sum.quantile(MEDIAN),
        percentile90: sum.quantile(PERCENTILE90),
        min: sum.min,
        max: sum.max,
        target: sum.target,
        name: sum.name,
    };
    if let Some(sums) = profiling_hours::fetch(conn, &asked)? {
        return Ok(sums.into_iter().map(cost).collect());
    }
    let kind = (place.kind, place.span.into());
    let costs = messages::span_ranking(conn, kind, place.sessions.as_deref(), query.limit)?;
    let cost = |found: SpanCost| Cost {
        count: found.count,
        total: found.total,
        mean: found.mean,
        median: found.median,
        percentile90: found.percentile90,
        min: found.min,
        max: found.max,
        target: found.target,
        name: found.name,
    };
    Ok(costs.into_iter().map(cost).collect())
}
