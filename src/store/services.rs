//! Heartbeats of services, and changes of their status.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Text, Timestamptz};
use serde::Serialize;
use serde_json::{Map, Value};

/// Services that are kept; new ones beyond are left out.
const SERVICES_MAX: i64 = 10_000;

/// A heartbeat to keep.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceBeat {
    /// Name of the service.
    pub service: String,
    /// Seconds to the next one.
    pub interval_s: i64,
    /// Seconds by which that may be later.
    pub jitter_s: i64,
    /// The service is out of service on purpose.
    pub is_down: bool,
    /// What it reports.
    pub metrics: Map<String, Value>,
    /// How long ago it arrived, milliseconds.
    pub age_ms: i64,
}

/// A change of the status of a service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceChange<'a> {
    /// The service.
    pub service: &'a str,
    /// State before; none if it is new.
    pub from_state: Option<&'static str>,
    /// State from then on.
    pub to_state: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Revision before.
    pub revision: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    kept: i64,
}

/// Keeps heartbeats; returns how many are newer than those before.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_heartbeats(conn: &mut PgConnection, beats: &[ServiceBeat]) -> QueryResult<usize> {
    let kept: Count = diesel::sql_query(include_str!("keep_heartbeats.sql"))
        .bind::<Text, _>(json(beats)?)
        .bind::<BigInt, _>(SERVICES_MAX)
        .get_result(conn)?;
    Ok(usize::try_from(kept.kept).unwrap_or(0))
}

/// Keeps changes of status, each if it follows the revision that is kept, and enters them
/// among all changes; returns how many.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_services(
    conn: &mut PgConnection,
    changes: &[ServiceChange<'_>],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    if changes.is_empty() {
        return Ok(0);
    }
    let kept: Count = diesel::sql_query(
        "WITH changes AS (
             SELECT * FROM json_to_recordset($1::json) AS c (service text, from_state text, to_state text, reason text, since timestamptz, revision bigint)
         ), kept AS (
             UPDATE services s SET state = c.to_state, reason = c.reason, since = c.since, changed_at = $2, revision = s.revision + 1
             FROM changes c WHERE s.service = c.service AND s.revision = c.revision
             RETURNING s.service, c.from_state, c.to_state, c.reason, c.since, s.revision
         ), entered AS (
             INSERT INTO status_changes (subject, name, from_state, to_state, reason, since, changed_at, revision)
             SELECT 'service', service, from_state, to_state, reason, since, $2, revision FROM kept ORDER BY service
         )
         SELECT count(*) AS kept FROM kept",
    )
    .bind::<Text, _>(json(changes)?)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)?;
    Ok(usize::try_from(kept.kept).unwrap_or(0))
}

/// Forgets a service and its heartbeats; whether there was one.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_service(conn: &mut PgConnection, service: &str) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let deleted = diesel::sql_query("DELETE FROM services WHERE service = $1")
            .bind::<Text, _>(service)
            .execute(conn)?;
        diesel::sql_query("DELETE FROM service_heartbeats WHERE service = $1")
            .bind::<Text, _>(service)
            .execute(conn)?;
        Ok(deleted > 0)
    })
}

/// Deletes heartbeats from before `cutoff`, at most `rows_max`; returns how many.
/// Index: `service_heartbeats_time_idx`.
///
/// # Errors
/// If the database cannot be written.
pub fn purge_heartbeats(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM service_heartbeats WHERE (service, created_at) IN (\
         SELECT service, created_at FROM service_heartbeats WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)
}

fn json<T: Serialize>(rows: &[T]) -> QueryResult<String> {
    serde_json::to_string(rows).map_err(|error| Error::SerializationError(Box::new(error)))
}
