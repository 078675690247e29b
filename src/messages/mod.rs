//! Reading stored messages: the one room that names the tables and
//! views of the log, so that what lies beneath can change.
//!
//! A query names a span of arrival, and where it can the sessions and
//! kinds. Spans are constants for the planner, so only partitions within them are
//! locked and read; [`Window`] says how long one may be. What a message means is
//! said elsewhere.

mod by_peer;
mod clocks;
mod kinds;
mod last_values;
mod of_kinds;
mod pages;
mod recent;
mod selected;
mod spans;
mod stream;
mod targets;
mod window;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, SmallInt, Text, Timestamptz};

pub use by_peer::{ByPeer, newest_by_peer};
pub use clocks::clocks;
pub use kinds::{KindFilter, names, numbers, unlisted_name};
pub use last_values::{LastMessage, LastTime, Lookup, Rare, last_messages, last_times};
pub use of_kinds::{NodeMessage, OfKinds, newest_of_kinds};
pub use pages::{KindCount, Newest, Oldest, Position, count_by_kind, newest, oldest};
pub use recent::Recent;
pub use selected::{Selection, selected};
pub use spans::{SpanCost, SpanFilter, SpanTime, span_ranking, span_times, with_spans_beside};
pub use stream::{
    MessageView, StreamedMessage, Wanted, begin, complete_since, earliest, of_batches, of_span,
};
pub use targets::{TargetCount, count_by_target};
pub use window::{Window, windows};

/// A stored message.
#[derive(Debug, QueryableByName)]
pub struct MessageRow {
    /// Number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Arrival at the server.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Session.
    #[diesel(sql_type = BigInt)]
    pub peer_connection_id: i64,
    /// Number of its kind, see [`names`].
    #[diesel(sql_type = SmallInt)]
    pub kind_id: i16,
    /// Field `target`.
    #[diesel(sql_type = Nullable<Text>)]
    pub target: Option<String>,
    /// Fields as JSON; of streams only for the kinds that were asked for.
    #[diesel(sql_type = Nullable<Text>)]
    pub logs: Option<String>,
}

impl MessageRow {
    /// Fields as JSON; empty where they were not asked for.
    pub fn fields(&self) -> &str {
        self.logs.as_deref().unwrap_or_default()
    }
}

/// Whether the database has what reading needs; a replica may be behind.
///
/// # Errors
/// If the database cannot be read.
pub fn are_readable(conn: &mut PgConnection) -> QueryResult<bool> {
    let found: Found = diesel::sql_query(
        "SELECT to_regclass('telemetry_logs') IS NOT NULL AND to_regclass('telemetry_rows') IS NOT NULL AS found",
    )
    .get_result(conn)?;
    Ok(found.found)
}

/// Keeps messages in their partitions until the end of the transaction, whose snapshot
/// has to be taken afterwards: it does not see those that are moved later.
///
/// # Errors
/// If the database cannot be read.
pub fn keep_in_place(conn: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query(
        "LOCK TABLE ONLY telemetry_messages, ONLY telemetry_messages_audit IN ACCESS SHARE MODE",
    )
    .execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}
