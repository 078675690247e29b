//! The servers of the database.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz};
use serde::Serialize;
use utoipa::ToSchema;

use super::QueryError;
use super::params::ListQuery;

/// A server of the database.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Server {
    /// Identity, kept in its `DATA_DIR`.
    #[diesel(sql_type = Text)]
    #[schema(example = "3f0c9a5d1b7e2468")]
    pub id: String,
    /// Host name of its machine; null for versions that do not record it.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Version of the program.
    #[diesel(sql_type = Text)]
    pub version: String,
    /// Time of its start.
    #[diesel(sql_type = Timestamptz)]
    pub started_at: DateTime<Utc>,
    /// Time of its last heartbeat, by the clock of the database.
    #[diesel(sql_type = Timestamptz)]
    pub heartbeat_at: DateTime<Utc>,
    /// Time of an orderly stop; null while it runs, and after a crash.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub stopped_at: Option<DateTime<Utc>>,
    /// Whether it runs: it has not stopped, and its heartbeat is recent.
    #[diesel(sql_type = Bool)]
    pub alive: bool,
    /// Open sessions at the last heartbeat.
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
    /// Messages received per second, between the last two heartbeats.
    #[diesel(sql_type = Double)]
    pub messages_per_s: f64,
    /// Jobs that it has.
    #[diesel(sql_type = Array<Text>)]
    #[schema(example = json!(["retention"]))]
    pub leases: Vec<String>,
}

/// The servers, the last heartbeat first.
///
/// # Errors
/// If the database cannot be read.
pub fn fetch(conn: &mut PgConnection, query: &ListQuery) -> Result<Vec<Server>, QueryError> {
    let servers = diesel::sql_query(include_str!("servers.sql"))
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(servers)
}
