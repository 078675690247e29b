//! How much telemetry of a node arrived of what was due, and who lost the rest.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::QueryError;
use super::params::{self, TimeRange};

/// Hours in an answer: six weeks.
const HOURS_MAX: i64 = 1_008;

/// The span of time, if none is given.
const SPAN_DEFAULT: TimeDelta = TimeDelta::days(1);

/// Reports of an hour that may be missing where its sessions begin and end.
const SLACK: i64 = 6;

/// Parameters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeTelemetryParams {
    /// First moment; a day before the last if it is not given.
    start_time: Option<String>,
    /// Moment after the last; now if it is not given.
    end_time: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct NodeTelemetryQuery {
    peer_id: String,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl NodeTelemetryQuery {
    /// Of this node.
    ///
    /// # Errors
    /// If a parameter is wrong; it is named.
    pub fn new(peer_id: &str, asked: &NodeTelemetryParams) -> Result<Self, QueryError> {
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        let end = range.end.unwrap_or_else(Utc::now);
        Ok(Self {
            peer_id: params::peer_id(Some(peer_id))?,
            start: range.start.unwrap_or(end - SPAN_DEFAULT),
            end,
        })
    }
}

/// How much telemetry of a node arrived of what was due in the whole hours of a span of time. What
/// is missing the node did not send; what is not kept its servers lost.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeTelemetry {
    /// First moment of the span.
    pub start_time: DateTime<Utc>,
    /// Moment after its last.
    pub end_time: DateTime<Utc>,
    /// Reports (`system.interval`, two each 5 s) that were due while it was connected.
    pub expected: i64,
    /// Reports that arrived.
    pub received: i64,
    /// Reports that the node did not send: those that were due and did not arrive.
    pub missing: i64,
    /// Messages, of all nodes, that the servers did not keep that it was connected to.
    pub not_kept: i64,
    /// The hours, the newest first; at most 1,008.
    pub hours: Vec<HourOfTelemetry>,
}

/// An hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct HourOfTelemetry {
    /// Its start.
    pub hour: DateTime<Utc>,
    /// Messages of all kinds that arrived.
    pub messages: i64,
    /// As of the span.
    pub expected: i64,
    /// As of the span.
    pub received: i64,
    /// As of the span; a few at the ends of sessions are left out.
    pub missing: i64,
    /// As of the span.
    pub not_kept: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Timestamptz)]
    hour: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    messages: i64,
    #[diesel(sql_type = BigInt)]
    received: i64,
    #[diesel(sql_type = BigInt)]
    expected: i64,
    #[diesel(sql_type = BigInt)]
    not_kept: i64,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Bool)]
    is_known: bool,
}

impl From<Row> for HourOfTelemetry {
    fn from(row: Row) -> Self {
        let missing = row.expected - row.received;
        Self {
            hour: row.hour,
            messages: row.messages,
            expected: row.expected,
            received: row.received,
            missing: if missing > SLACK { missing } else { 0 },
            not_kept: row.not_kept,
        }
    }
}

/// The telemetry of a node.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer.
pub fn fetch(
    conn: &mut PgConnection,
    query: &NodeTelemetryQuery,
) -> Result<NodeTelemetry, QueryError> {
    let known: Known = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM peer_connections WHERE peer_id = $1) AS is_known",
    )
    .bind::<Text, _>(&query.peer_id)
    .get_result(conn)?;
    if !known.is_known {
        return Err(QueryError::NotFound {
            parameter: "peer_id",
        });
    }
    let rows: Vec<Row> = diesel::sql_query(include_str!("node_telemetry.sql"))
        .bind::<Text, _>(&query.peer_id)
        .bind::<Timestamptz, _>(query.start)
        .bind::<Timestamptz, _>(query.end)
        .bind::<BigInt, _>(HOURS_MAX)
        .load(conn)?;
    let hours: Vec<HourOfTelemetry> = rows.into_iter().map(HourOfTelemetry::from).collect();
    let sum = |of: fn(&HourOfTelemetry) -> i64| hours.iter().map(of).sum();
    Ok(NodeTelemetry {
        start_time: query.start,
        end_time: query.end,
        expected: sum(|hour| hour.expected),
        received: sum(|hour| hour.received),
        missing: sum(|hour| hour.missing),
        not_kept: sum(|hour| hour.not_kept),
        hours,
    })
}
