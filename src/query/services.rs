//! Services that are no nodes, and their heartbeats.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Jsonb, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::QueryError;
use super::params::{self, TimeRange};
use super::status::StateName;

/// Heartbeats in an answer.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// A service.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Service {
    /// Name that it gives itself.
    #[diesel(sql_type = Text)]
    #[schema(example = "relayer")]
    pub service: String,
    /// Whether it is alive: `online`, `late`, `missing`, `offline` or `down`.
    #[diesel(sql_type = Text)]
    #[schema(value_type = StateName)]
    pub state: String,
    /// Why it changed to this; null until it is judged.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// Since when it is so; of a silent service its last heartbeat.
    #[diesel(sql_type = Timestamptz)]
    pub since: DateTime<Utc>,
    /// Seconds from one heartbeat to the next.
    #[diesel(sql_type = BigInt)]
    pub interval_s: i64,
    /// Seconds by which one may be later.
    #[diesel(sql_type = BigInt)]
    pub jitter_s: i64,
    /// Its first heartbeat.
    #[diesel(sql_type = Timestamptz)]
    pub first_seen_at: DateTime<Utc>,
    /// Its last heartbeat.
    #[diesel(sql_type = Timestamptz)]
    pub last_seen_at: DateTime<Utc>,
    /// What it reported with that.
    #[diesel(sql_type = Jsonb)]
    #[schema(value_type = Object)]
    pub metrics: Value,
}

/// All services, by name.
///
/// # Errors
/// If the database cannot be read.
pub fn fetch(conn: &mut PgConnection) -> Result<Vec<Service>, QueryError> {
    Ok(find(conn, None)?)
}

fn find(conn: &mut PgConnection, service: Option<&str>) -> QueryResult<Vec<Service>> {
    diesel::sql_query(include_str!("services.sql"))
        .bind::<Nullable<Text>, _>(service)
        .load(conn)
}

/// Parameters of heartbeats.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HeartbeatsParams {
    /// Only heartbeats at this time or later.
    start_time: Option<String>,
    /// Only heartbeats before this time.
    end_time: Option<String>,
    /// Heartbeats in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
}

/// A query of heartbeats that needs no check again.
#[derive(Debug, Clone)]
pub struct HeartbeatsQuery {
    service: String,
    range: TimeRange,
    limit: i64,
}

impl HeartbeatsQuery {
    /// Of this service.
    ///
    /// # Errors
    /// If a parameter is wrong; it is named.
    pub fn new(service: &str, asked: &HeartbeatsParams) -> Result<Self, QueryError> {
        Ok(Self {
            service: params::text("service", Some(service))?.unwrap_or_default(),
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

/// A heartbeat.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct KeptHeartbeat {
    /// Arrival.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Whether the service announced that it is out of service on purpose.
    #[diesel(sql_type = Bool)]
    pub is_down: bool,
    /// What it reported.
    #[diesel(sql_type = Jsonb)]
    #[schema(value_type = Object)]
    pub metrics: Value,
}

/// The heartbeats of a service, the newest first.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown service.
pub fn heartbeats(
    conn: &mut PgConnection,
    query: &HeartbeatsQuery,
) -> Result<Vec<KeptHeartbeat>, QueryError> {
    let sql = include_str!("service_heartbeats.sql");
    let rows: Vec<KeptHeartbeat> = diesel::sql_query(sql)
        .bind::<Text, _>(&query.service)
        .bind::<Nullable<Timestamptz>, _>(query.range.start)
        .bind::<Nullable<Timestamptz>, _>(query.range.end)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    if rows.is_empty() && find(conn, Some(&query.service))?.is_empty() {
        return Err(QueryError::NotFound {
            parameter: "service",
        });
    }
    Ok(rows)
}
