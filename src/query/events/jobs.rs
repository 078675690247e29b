//! The jobs of services.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::projections::{Histogram, JobHour};
use crate::query::buckets::Period;
use crate::query::params::{self, TimeRange};
use crate::query::{Limits, QueryError};

/// Range without a start, and the longest.
const RANGE_DEFAULT: TimeDelta = TimeDelta::days(1);
const RANGE_MAX: TimeDelta = TimeDelta::days(366);

/// Nanoseconds of a millisecond.
const NANOS: f64 = 1e6;

/// Parameters of the jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsParams {
    /// Only jobs of this service.
    service_id: Option<String>,
    /// From the hour of this time on; a day before the end if it is not given, and at most 366.
    start_time: Option<String>,
    /// Up to the hour of this time; now if it is not given.
    end_time: Option<String>,
}

/// A query of jobs that needs no check again.
#[derive(Debug, Clone)]
pub struct JobsQuery {
    service_id: Option<String>,
    range: TimeRange,
}

impl TryFrom<JobsParams> for JobsQuery {
    type Error = QueryError;

    fn try_from(asked: JobsParams) -> Result<Self, QueryError> {
        Ok(Self {
            service_id: params::text("service_id", asked.service_id.as_deref())?,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
        })
    }
}

/// A job of a service over the whole hours of a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// The service.
    pub service_id: String,
    /// Its job; empty if its events do not say it.
    pub job_id: String,
    /// Blueprint of the service; null if no event said it.
    pub blueprint_id: Option<String>,
    /// Events `job.started`.
    #[schema(minimum = 0)]
    pub started: i64,
    /// Events `job.finished`.
    #[schema(minimum = 0)]
    pub finished: i64,
    /// Events `job.failed`.
    #[schema(minimum = 0)]
    pub failed: i64,
    /// How many failed with which error.
    pub errors: BTreeMap<String, i64>,
    /// Half of the runs took at most so long, milliseconds; at most 3.2 % off. Null if no event says it.
    pub p50_ms: Option<f64>,
    /// 99 % of the runs took at most so long, milliseconds; at most 3.2 % off.
    pub p99_ms: Option<f64>,
    /// The longest, milliseconds.
    pub max_ms: Option<f64>,
    /// Arrival of the last event.
    pub last_at: DateTime<Utc>,
    /// Arrival of the last `job.failed`; null if none failed.
    pub failed_at: Option<DateTime<Utc>>,
}

/// A job, and how long its runs took.
struct Sum {
    job: Job,
    durations: Histogram,
    min_ms: Option<f64>,
}

/// The jobs of services, those that ran last first. Index: `job_hours_pkey`.
///
/// # Errors
/// If the database cannot be read, or the range is too long.
pub fn jobs(
    conn: &mut PgConnection,
    query: &JobsQuery,
    limits: &Limits,
) -> Result<Vec<Job>, QueryError> {
    let span = Period::of(query.range, limits.now, RANGE_DEFAULT, RANGE_MAX)?;
    let hours: Vec<JobHour> = diesel::sql_query(
        "SELECT * FROM job_hours \
         WHERE hour >= date_trunc('hour', $1, 'UTC') AND hour < $2 AND ($3::text IS NULL OR service_id = $3) ORDER BY hour",
    )
    .bind::<Timestamptz, _>(span.start)
    .bind::<Timestamptz, _>(span.end)
    .bind::<Nullable<Text>, _>(&query.service_id)
    .load(conn)?;
    let mut sums: BTreeMap<(String, String), Sum> = BTreeMap::new();
    for hour in hours {
        let key = (hour.service_id.clone(), hour.job_id.clone());
        match sums.get_mut(&key) {
            Some(sum) => sum.add(hour),
            None => {
                sums.insert(key, Sum::new(hour));
            }
        }
    }
    let mut jobs: Vec<Job> = sums.into_values().map(Sum::finish).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.last_at));
    Ok(jobs)
}

impl Sum {
    fn new(hour: JobHour) -> Self {
        let job = Job {
            service_id: hour.service_id.clone(),
            job_id: hour.job_id.clone(),
            blueprint_id: None,
            started: 0,
            finished: 0,
            failed: 0,
            errors: BTreeMap::new(),
            p50_ms: None,
            p99_ms: None,
            max_ms: None,
            last_at: hour.last_at,
            failed_at: None,
        };
        let mut sum = Self {
            job,
            durations: Histogram::default(),
            min_ms: None,
        };
        sum.add(hour);
        sum
    }

    fn add(&mut self, hour: JobHour) {
        let job = &mut self.job;
        job.blueprint_id = hour.blueprint_id.or_else(|| job.blueprint_id.take());
        job.started += hour.started;
        job.finished += hour.finished;
        job.failed += hour.failed;
        for (error, count) in hour.errors.as_object().into_iter().flatten() {
            *job.errors.entry(error.clone()).or_default() += count.as_i64().unwrap_or(0);
        }
        job.last_at = job.last_at.max(hour.last_at);
        job.failed_at = job.failed_at.max(hour.failed_at);
        let durations = Histogram::new(&hour.duration_buckets, &hour.duration_counts);
        self.durations.merge(&durations);
        let known = [self.min_ms, hour.duration_min_ms].into_iter().flatten();
        self.min_ms = known.reduce(f64::min);
        let known = [job.max_ms, hour.duration_max_ms].into_iter().flatten();
        job.max_ms = known.reduce(f64::max);
    }

    fn finish(mut self) -> Job {
        if let (Some(min), Some(max)) = (self.min_ms, self.job.max_ms) {
            let quantile = |part| self.durations.quantile(part, min * NANOS, max * NANOS) / NANOS;
            self.job.p50_ms = Some(quantile(0.5));
            self.job.p99_ms = Some(quantile(0.99));
        }
        self.job
    }
}
