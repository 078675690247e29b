//! The jobs of services, hour by hour: `job_hours`. Only events that are new are added, in the
//! transaction that enters them, so each counts once.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};
use serde::Deserialize;
use serde_json::Value;

use super::job_hour::JobHour;
use crate::database::statement;
use crate::projections::hours::{Hour, hour_of};

/// Jobs of an hour that are kept apart; anybody can invent more.
const JOBS_MAX: i64 = 1_000;

/// Characters of a name, and of an error.
pub(super) const CHARS_MAX: usize = 100;

/// Stands for the others.
pub(super) const OTHER: &str = "(other)";

/// An event of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct JobEvent {
    name: String,
    pub(super) at: DateTime<Utc>,
    pub(super) service_id: String,
    job_id: Option<String>,
    pub(super) blueprint_id: Option<String>,
    pub(super) duration_ms: Option<f64>,
    pub(super) error: Option<String>,
}

impl JobEvent {
    /// `started`, `finished` or `failed`.
    pub(super) fn outcome(&self) -> &str {
        self.name.trim_start_matches("job.")
    }
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Timestamptz)]
    hour: Hour,
    #[diesel(sql_type = BigInt)]
    jobs: i64,
}

pub(super) type Key = (Hour, String, String);

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
    let counted: Vec<Known> = statement(
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

/// The first hour of which no event is expired; those before stay as they are.
pub(super) fn first_hour(cutoff: Option<DateTime<Utc>>) -> Option<Hour> {
    cutoff.map(|cutoff| hour_of(cutoff) + TimeDelta::hours(1))
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
    statement(include_str!("put_jobs.sql"))
        .bind::<Text, _>(Value::from(rows).to_string())
        .execute(conn)?;
    Ok(())
}
