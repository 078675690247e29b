//! The jobs of services, hour by hour: `job_hours`. Only events that are new are added, in the
//! transaction that enters them, so each counts once.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::projections::histogram::Histogram;
use crate::projections::hours::{Hour, hour_of};

/// Jobs of an hour that are kept apart; anybody can invent more.
const JOBS_MAX: i64 = 1_000;

/// Errors of a job and hour that are kept apart.
const ERRORS_MAX: usize = 20;

/// Characters of a name, and of an error.
const CHARS_MAX: usize = 100;

/// Stands for the others.
const OTHER: &str = "(other)";

/// Nanoseconds of a millisecond.
const NANOS: f64 = 1e6;

/// An event of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct JobEvent {
    name: String,
    at: DateTime<Utc>,
    pub(super) service_id: String,
    job_id: Option<String>,
    blueprint_id: Option<String>,
    pub(super) duration_ms: Option<f64>,
    error: Option<String>,
}

impl JobEvent {
    /// `started`, `finished` or `failed`.
    pub(super) fn outcome(&self) -> &str {
        self.name.trim_start_matches("job.")
    }
}

/// A row of `job_hours`.
#[derive(Debug, Clone, QueryableByName)]
struct JobHour {
    #[diesel(sql_type = Timestamptz)]
    hour: Hour,
    #[diesel(sql_type = Text)]
    service_id: String,
    #[diesel(sql_type = Text)]
    job_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    blueprint_id: Option<String>,
    #[diesel(sql_type = BigInt)]
    started: i64,
    #[diesel(sql_type = BigInt)]
    finished: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = Jsonb)]
    errors: Value,
    #[diesel(sql_type = Array<SmallInt>)]
    duration_buckets: Vec<i16>,
    #[diesel(sql_type = Array<BigInt>)]
    duration_counts: Vec<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    duration_min_ms: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    duration_max_ms: Option<f64>,
    #[diesel(sql_type = Timestamptz)]
    last_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    failed_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Timestamptz)]
    hour: Hour,
    #[diesel(sql_type = BigInt)]
    jobs: i64,
}

type Key = (Hour, String, String);

/// Adds events that are new to their hours; returns them. Hours of which some events are
/// expired stay as they are.
pub(super) fn add(
    conn: &mut PgConnection,
    mut jobs: Vec<JobEvent>,
    cutoff: Option<DateTime<Utc>>,
) -> QueryResult<Vec<JobEvent>> {
    let first = first_hour(cutoff);
    jobs.retain(|job| first.is_none_or(|first| job.at >= first));
    if jobs.is_empty() {
        return Ok(jobs);
    }
    let key = |job: &JobEvent| {
        let short = |text: &str| text.chars().take(CHARS_MAX).collect::<String>();
        let job_id = short(job.job_id.as_deref().unwrap_or_default());
        (hour_of(job.at), short(&job.service_id), job_id)
    };
    let keys: Vec<Key> = jobs.iter().map(key).collect();
    let mut hours = look_up(conn, &keys)?;
    let mut known: BTreeMap<Hour, i64> = BTreeMap::new();
    let mut distinct: Vec<Hour> = keys.iter().map(|(hour, ..)| *hour).collect();
    distinct.dedup();
    let counted: Vec<Known> = diesel::sql_query(
        "SELECT hour, count(*) AS jobs FROM job_hours WHERE hour = ANY($1) GROUP BY hour",
    )
    .bind::<Array<Timestamptz>, _>(distinct)
    .load(conn)?;
    known.extend(counted.iter().map(|row| (row.hour, row.jobs)));
    for (job, mut key) in jobs.iter().zip(keys) {
        if !hours.contains_key(&key) {
            let known = known.entry(key.0).or_default();
            match *known < JOBS_MAX {
                true => *known += 1,
                false => key = (key.0, OTHER.to_owned(), OTHER.to_owned()),
            }
        }
        let hour = hours.entry(key).or_insert_with_key(JobHour::new);
        hour.add(job);
    }
    put(conn, hours.into_values().collect())?;
    Ok(jobs)
}

/// Empties the hours that are extracted anew.
pub(super) fn clear(
    conn: &mut PgConnection,
    start: Option<DateTime<Utc>>,
    cutoff: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    diesel::sql_query("DELETE FROM job_hours WHERE $1::timestamptz IS NULL OR hour >= $1")
        .bind::<Nullable<Timestamptz>, _>(start.max(first_hour(cutoff)))
        .execute(conn)?;
    Ok(())
}

/// The first hour of which no event is expired.
fn first_hour(cutoff: Option<DateTime<Utc>>) -> Option<Hour> {
    cutoff.map(|cutoff| hour_of(cutoff) + TimeDelta::hours(1))
}

impl JobHour {
    fn new((hour, service_id, job_id): &Key) -> Self {
        Self {
            hour: *hour,
            service_id: service_id.clone(),
            job_id: job_id.clone(),
            blueprint_id: None,
            started: 0,
            finished: 0,
            failed: 0,
            errors: json!({}),
            duration_buckets: Vec::new(),
            duration_counts: Vec::new(),
            duration_min_ms: None,
            duration_max_ms: None,
            last_at: *hour,
            failed_at: None,
        }
    }

    fn add(&mut self, job: &JobEvent) {
        match job.outcome() {
            "started" => self.started += 1,
            "finished" => self.finished += 1,
            _ => {
                self.failed += 1;
                self.failed_at = self.failed_at.max(Some(job.at));
                let error = job.error.as_deref().filter(|error| !error.is_empty());
                let error: String = error.unwrap_or("(none)").chars().take(CHARS_MAX).collect();
                self.count_error(error);
            }
        }
        if job.at >= self.last_at && job.blueprint_id.is_some() {
            self.blueprint_id = job.blueprint_id.clone();
        }
        self.last_at = self.last_at.max(job.at);
        if let Some(duration_ms) = job.duration_ms.filter(|duration| *duration >= 0.0) {
            let mut durations = Histogram::new(&self.duration_buckets, &self.duration_counts);
            durations.add(nanos(duration_ms));
            (self.duration_buckets, self.duration_counts) = durations.columns();
            let least = self.duration_min_ms.unwrap_or(duration_ms);
            self.duration_min_ms = Some(least.min(duration_ms));
            let largest = self.duration_max_ms.unwrap_or(duration_ms);
            self.duration_max_ms = Some(largest.max(duration_ms));
        }
    }

    fn count_error(&mut self, mut error: String) {
        let Value::Object(errors) = &mut self.errors else {
            return;
        };
        if !errors.contains_key(&error) && errors.len() >= ERRORS_MAX {
            error = OTHER.to_owned();
        }
        let count = errors.get(&error).and_then(Value::as_i64).unwrap_or(0);
        errors.insert(error, json!(count + 1));
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "what is too long falls into the last bucket"
)]
fn nanos(duration_ms: f64) -> i64 {
    (duration_ms * NANOS) as i64
}

fn look_up(conn: &mut PgConnection, keys: &[Key]) -> QueryResult<BTreeMap<Key, JobHour>> {
    let found: Vec<JobHour> = with_columns!(
        "SELECT h.* FROM job_hours h \
         JOIN (SELECT DISTINCT * FROM unnest($1::timestamptz[], $2::text[], $3::text[]) AS k (hour, service_id, job_id)) k \
         USING (hour, service_id, job_id)",
        keys, |key|
        key.0 => Timestamptz,
        key.1.as_str() => Text,
        key.2.as_str() => Text,
    )
    .load(conn)?;
    let keyed = found.into_iter().map(|row| {
        let key = (row.hour, row.service_id.clone(), row.job_id.clone());
        (key, row)
    });
    Ok(keyed.collect())
}

fn put(conn: &mut PgConnection, rows: Vec<JobHour>) -> QueryResult<()> {
    let rows: Vec<Value> = rows.into_iter().map(JobHour::into_json).collect();
    diesel::sql_query(include_str!("put_jobs.sql"))
        .bind::<Text, _>(Value::from(rows).to_string())
        .execute(conn)?;
    Ok(())
}

impl JobHour {
    /// With the names of the columns.
    fn into_json(self) -> Value {
        let mut row = Map::new();
        let columns = [
            ("hour", json!(self.hour)),
            ("service_id", json!(self.service_id)),
            ("job_id", json!(self.job_id)),
            ("blueprint_id", json!(self.blueprint_id)),
            ("started", json!(self.started)),
            ("finished", json!(self.finished)),
            ("failed", json!(self.failed)),
            ("errors", self.errors),
            ("duration_buckets", json!(self.duration_buckets)),
            ("duration_counts", json!(self.duration_counts)),
            ("duration_min_ms", json!(self.duration_min_ms)),
            ("duration_max_ms", json!(self.duration_max_ms)),
            ("last_at", json!(self.last_at)),
            ("failed_at", json!(self.failed_at)),
        ];
        for (name, value) in columns {
            row.insert(name.to_owned(), value);
        }
        Value::Object(row)
    }
}
