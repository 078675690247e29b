//! How the transports do by which events leave.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Timestamptz};
use serde::Serialize;
use utoipa::ToSchema;

use super::QueryError;

/// What a transport does.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TransportState {
    /// It sends what there is.
    Sending,
    /// The last attempt failed; the next one is due at `retry_at`.
    Waiting,
    /// The receiver answered that it is gone: nothing is sent until it has another address.
    Disabled,
    /// No server has begun with it yet.
    Starting,
}

/// How a transport does.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct TransportProgress {
    /// Its name in `EVENT_TRANSPORTS`.
    #[diesel(sql_type = Text)]
    #[schema(example = "webhook")]
    pub name: String,
    /// What it does.
    #[diesel(sql_type = Text)]
    #[schema(value_type = TransportState)]
    pub state: String,
    /// Events that wait.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub pending: i64,
    /// Bytes that they take in the database; the limit is `EVENT_BACKLOG_MAX_BYTES`.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub pending_bytes: i64,
    /// Time since the arrival of the oldest of them, seconds.
    #[diesel(sql_type = Double)]
    pub oldest_pending_s: f64,
    /// Events that the receiver refused and that are tried again.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub refused: i64,
    /// Events that the receiver took, since the transport was first used.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub sent: i64,
    /// Attempts that failed and were repeated.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub failed: i64,
    /// Events that were given up because the receiver refused them again and again.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub dead: i64,
    /// Events that are never sent: the backlog was full, they expired, or delivery is at most once.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub dropped: i64,
    /// When the receiver last took something; null if it never did.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub sent_at: Option<DateTime<Utc>>,
    /// When the next attempt is due; null if the last one did not fail.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub retry_at: Option<DateTime<Utc>>,
    /// What the last attempt that failed failed with, or why events of one were given up at once.
    #[diesel(sql_type = Nullable<Text>)]
    pub last_error: Option<String>,
    /// When that was.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_error_at: Option<DateTime<Utc>>,
    /// Since when nothing is sent, for the receiver answered that it is gone; null if it did not.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub disabled_at: Option<DateTime<Utc>>,
}

/// How some transports do; each with its name in the outbox.
///
/// # Errors
/// If the database cannot be read.
pub fn transports(
    conn: &mut PgConnection,
    names: &[String],
    outbox_names: &[String],
) -> Result<Vec<TransportProgress>, QueryError> {
    let transports = diesel::sql_query(include_str!("event_transports.sql"))
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Text>, _>(outbox_names)
        .load(conn)?;
    Ok(transports)
}
