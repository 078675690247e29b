//! A row of `job_hours`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use serde_json::{Map, Value, json};

use super::jobs::{CHARS_MAX, JobEvent, Key, OTHER};
use crate::projections::histogram::Histogram;

/// Errors of a job and hour that are kept apart.
const ERRORS_MAX: usize = 20;

/// Nanoseconds of a millisecond.
const NANOS: f64 = 1e6;

/// What a job of a service did in an hour: a row of `job_hours`.
#[derive(Debug, Clone, QueryableByName)]
pub struct JobHour {
    /// The hour, by its start.
    #[diesel(sql_type = Timestamptz)]
    pub hour: DateTime<Utc>,
    /// The service.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// Its job; empty if its events do not say it.
    #[diesel(sql_type = Text)]
    pub job_id: String,
    /// Blueprint of the service, if an event said it.
    #[diesel(sql_type = Nullable<Text>)]
    pub blueprint_id: Option<String>,
    /// Events `job.started`.
    #[diesel(sql_type = BigInt)]
    pub started: i64,
    /// Events `job.finished`.
    #[diesel(sql_type = BigInt)]
    pub finished: i64,
    /// Events `job.failed`.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// How many failed with which error.
    #[diesel(sql_type = Jsonb)]
    pub errors: Value,
    /// Durations in nanoseconds, as a [`Histogram`]: its buckets.
    #[diesel(sql_type = Array<SmallInt>)]
    pub duration_buckets: Vec<i16>,
    /// How many fell into each of them.
    #[diesel(sql_type = Array<BigInt>)]
    pub duration_counts: Vec<i64>,
    /// The shortest.
    #[diesel(sql_type = Nullable<Double>)]
    pub duration_min_ms: Option<f64>,
    /// The longest.
    #[diesel(sql_type = Nullable<Double>)]
    pub duration_max_ms: Option<f64>,
    /// Arrival of the last event.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
    /// Arrival of the last `job.failed`.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub failed_at: Option<DateTime<Utc>>,
}

impl JobHour {
    pub(super) fn new((hour, service_id, job_id): &Key) -> Self {
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

    pub(super) fn add(&mut self, job: &JobEvent) {
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

    /// With the names of the columns.
    pub(super) fn into_json(self) -> Value {
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

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "what is too long falls into the last bucket"
)]
fn nanos(duration_ms: f64) -> i64 {
    (duration_ms * NANOS) as i64
}
