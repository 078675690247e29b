//! Sessions as rows of `peer_connections`.
//!
//! A session travels with the messages, in the same batches. It always carries
//! its whole state and a revision, so that batches may be stored in any order,
//! and any number of times.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use serde::{Deserialize, Serialize};

use crate::database::statement;
use crate::ids::{ConnectionId, SessionId};
use crate::metrics::DisconnectReason;
use crate::telemetry::{HardwareBenchmark, NodeFacts};

/// A session, with the names of the columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionRow {
    /// Number of the session.
    pub id: SessionId,
    /// Address from which the node connected.
    pub ip_addr: String,
    /// Server time of the first message.
    pub created_at: DateTime<Utc>,
    /// Connected to `/audit`.
    pub audit: bool,
    /// `id` of the envelope, where it fits.
    pub node_id: Option<i64>,
    /// Connection of the session.
    pub connection_id: ConnectionId,
    /// Server that holds the session.
    pub server_id: String,
    /// What the node reported about itself.
    #[serde(flatten)]
    pub facts: NodeFacts,
    /// What the node measured of its hardware.
    #[serde(flatten)]
    pub hardware: HardwareBenchmark,
    /// Server time of the last message.
    pub last_seen_at: DateTime<Utc>,
    /// Server time of the end.
    pub disconnected_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub disconnect_reason: Option<Cow<'static, str>>,
    /// Grows with each change.
    pub revision: i64,
}

/// Stores the newest state of sessions.
pub(super) fn upsert(conn: &mut PgConnection, sessions: &[SessionRow]) -> QueryResult<()> {
    if sessions.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_string(sessions)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    statement(include_str!("upsert_sessions.sql"))
        .bind::<Text, _>(json)
        .execute(conn)?;
    Ok(())
}

/// Ends the open sessions of some servers, each with the last sign of its node.
/// The revision stays, so that a server that was cut off for a while opens its
/// sessions again. Returns how many.
///
/// # Errors
/// If the database cannot be written.
pub fn end_sessions(conn: &mut PgConnection, servers: &[String]) -> QueryResult<usize> {
    statement(include_str!("end_sessions.sql"))
        .bind::<Array<Text>, _>(servers)
        .bind::<Text, _>(DisconnectReason::ServerLost.label())
        .execute(conn)
}
