//! Events counted, or a field of them added up, by any field and over time.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{EventFilter, EventSeverity, FilterParams};
use crate::query::buckets::{Buckets, Period};
use crate::query::params::{self, TimeRange};
use crate::query::{Limits, QueryError};

/// Range without a start.
const RANGE_DEFAULT: TimeDelta = TimeDelta::days(1);

/// Groups that are kept apart.
const GROUPS: RangeInclusive<i64> = 1..=100;
const GROUPS_DEFAULT: i64 = 20;

/// Length of a bucket, seconds: a year at most.
const INTERVAL_S: RangeInclusive<i64> = 1..=31_536_000;

/// Buckets of an answer.
const BUCKETS_MAX: i32 = 2_000;

/// What is measured: name, and how it is computed of `value`.
const MEASURES: [(&str, &str); 6] = [
    ("count", "count(*)"),
    ("sum", "sum(value)"),
    ("mean", "avg(value)"),
    ("min", "min(value)"),
    ("max", "max(value)"),
    ("p99", "percentile_cont(0.99) WITHIN GROUP (ORDER BY value)"),
];

/// Columns by which events can be grouped; all other names are fields of them.
const COLUMNS: [&str; 5] = ["source", "peer_id", "chain", "name", "severity"];

/// Parameters of the statistics of events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsParams {
    /// What to group by: `source`, `peer_id`, `chain`, `name`, `severity`, or any field, where dots lead into objects. Not given: all together.
    #[param(example = "reason")]
    group_by: Option<String>,
    /// What is measured: `count`, or `sum`, `mean`, `min`, `max` or `p99` of `field`.
    #[param(pattern = "^(count|sum|mean|min|max|p99)$", default = "count")]
    measure: Option<String>,
    /// The field that is measured: a number, or a text that is one. Events without it count for nothing.
    #[param(example = "duration_ms")]
    field: Option<String>,
    /// Seconds of a bucket, aligned to the clock. Not given: the whole range at once.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 31_536_000)]
    interval: Option<String>,
    /// Groups that are kept apart, those with the most events; the others together have null as group.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// Only events of this source: a peer id, or the name of a token.
    source: Option<String>,
    /// Only events about this node.
    peer_id: Option<String>,
    /// Only events of this name.
    name: Option<String>,
    /// Only events that are as grave as this, or graver.
    #[param(inline, value_type = Option<EventSeverity>)]
    severity: Option<String>,
    /// Only events whose fields have these values: `field=value`, several with commas between; dots lead into objects, and `\,` is a comma.
    #[param(
        pattern = r"^$|^ *([^=, \u0000]|\\,)([^=,\u0000]|\\,)*=([^,\u0000]|\\,)*(, *([^=, \u0000]|\\,)([^=,\u0000]|\\,)*=([^,\u0000]|\\,)*){0,15}$"
    )]
    r#where: Option<String>,
    /// Only events with this text anywhere, A to Z in any case.
    text: Option<String>,
    /// Only events that arrived at this time or later; a day before the end if it is not given, or 1,999 buckets
    /// of `interval`, and at most 30 days.
    start_time: Option<String>,
    /// Only events that arrived before this time; now if it is not given.
    end_time: Option<String>,
}

/// A query of statistics that needs no check again.
#[derive(Debug, Clone)]
pub struct StatsQuery {
    filter: EventFilter,
    column: Option<&'static str>,
    group_by: Option<String>,
    measure: &'static str,
    field: Option<String>,
    interval_s: Option<i64>,
    groups: i64,
    range: TimeRange,
    /// Range without a start.
    range_default: TimeDelta,
}

impl TryFrom<StatsParams> for StatsQuery {
    type Error = QueryError;

    fn try_from(asked: StatsParams) -> Result<Self, QueryError> {
        let name = asked.measure.as_deref().unwrap_or("count");
        let measure = MEASURES.iter().find(|(known, _)| *known == name);
        let (name, measure) = measure.ok_or_else(|| {
            let names = MEASURES.map(|(name, _)| name).join(", ");
            QueryError::invalid("measure", format!("must be one of {names}"))
        })?;
        let field = params::text("field", asked.field.as_deref())?;
        let field = field.filter(|field| !field.is_empty());
        if *name != "count" && field.is_none() {
            return Err(QueryError::invalid(
                "field",
                format!("is required to measure {name}"),
            ));
        }
        let group_by = params::text("group_by", asked.group_by.as_deref())?;
        let column = COLUMNS
            .into_iter()
            .find(|column| group_by.as_deref() == Some(column));
        let interval = asked.interval.as_deref();
        let interval_s = interval
            .map(|text| params::whole("interval", Some(text), 1, INTERVAL_S))
            .transpose()?;
        // The first bucket may begin before the range.
        let buckets_max = |interval_s| TimeDelta::seconds(interval_s * i64::from(BUCKETS_MAX - 1));
        let range_default = interval_s.map_or(RANGE_DEFAULT, |interval_s| {
            RANGE_DEFAULT.min(buckets_max(interval_s))
        });
        Ok(Self {
            filter: EventFilter::new(FilterParams {
                source: asked.source,
                peer_id: asked.peer_id,
                name: asked.name,
                severity: asked.severity,
                r#where: asked.r#where,
                text: asked.text,
            })?,
            column,
            group_by: group_by.filter(|name| !name.is_empty() && column.is_none()),
            measure,
            field,
            interval_s,
            groups: params::whole("limit", asked.limit.as_deref(), GROUPS_DEFAULT, GROUPS)?,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
            range_default,
        })
    }
}

/// What was measured of one group in one bucket.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct EventStat {
    /// Start of the bucket; of the range if there are none.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Value of the field that was grouped by; null for all others together, and for events without it.
    #[diesel(sql_type = Nullable<Text>)]
    pub group: Option<String>,
    /// Events.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub count: i64,
    /// The measure; null if no event has the field as a number.
    #[diesel(sql_type = Nullable<Double>)]
    pub value: Option<f64>,
}

/// Measures events.
///
/// # Errors
/// If the database cannot be read, or the range is too long.
pub fn stats(
    conn: &mut PgConnection,
    query: &StatsQuery,
    limits: &Limits,
) -> Result<Vec<EventStat>, QueryError> {
    let span = Period::of(
        query.range,
        limits.now,
        query.range_default,
        limits.window_max,
    )?;
    let step_s = match query.interval_s {
        Some(interval_s) => {
            if Buckets::of_length(interval_s, span).count() > BUCKETS_MAX {
                let problem = format!("makes more than {BUCKETS_MAX} buckets of the range");
                return Err(QueryError::invalid("interval", problem));
            }
            interval_s
        }
        None => 0,
    };
    // Only our own words stand in these places.
    let group = query.column.unwrap_or("data #>> string_to_array($10, '.')");
    let sql = include_str!("stats.sql")
        .replace("{group}", group)
        .replace("{measure}", query.measure);
    let found = query
        .filter
        .bind(&sql)
        .bind::<Timestamptz, _>(span.start)
        .bind::<Timestamptz, _>(span.end)
        .bind::<Nullable<Text>, _>(query.group_by.as_deref())
        .bind::<Nullable<Text>, _>(query.field.as_deref())
        .bind::<BigInt, _>(step_s)
        .bind::<BigInt, _>(query.groups)
        .load(conn)?;
    Ok(found)
}
