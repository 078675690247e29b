//! Tables that are maintained from the stored messages.
//!
//! ```text
//! changes ──batches, sessions──► Runner ──messages──► Projection::fold
//!                                  │ one transaction: rows, position, lease
//!                                  ▼
//!                              PostgreSQL
//! ```
//!
//! A projection folds messages into values that can be put together in any order
//! (a sum, a maximum, the latest), so a batch that comes late from a spool, a crash
//! or a second server changes nothing about the result. Its rows and its position
//! are committed together, under a lease; `rebuild` makes the table again from the
//! messages, with the same result.
//!
//! | file | holds |
//! | --- | --- |
//! | `runner` | the thread that reads the changes, and commits |
//! | `state` | position and progress of a projection, a row of `projections` |
//! | `authorings` | the blocks that nodes say they built |
//! | `beside` | tables that are built beside those that readers see, and replace them |
//! | `blocks` | the blocks of each chain, who saw them first, and when they were finalized |
//! | `build` | how tables are built from the stored messages |
//! | `events` | structured events that were found in messages, each once |
//! | `follower` | one projection: how far it is, when it writes |
//! | `heights` | a chain as most of its nodes see it |
//! | `histogram` | times in fixed buckets |
//! | `hours` | which hours of a table are built anew |
//! | `identities` | to which node a session belongs |
//! | `known_sessions` | the state of open sessions, to tell what changed |
//! | `node_counts` | what the nodes of each chain ran in each hour, and on which machines |
//! | `node_identities` | with which authority ids each node introduced itself |
//! | `node_hours` | what a node reported in each hour |
//! | `nodes` | one row for each node: sessions, and the values it reported last |
//! | `reader` | reads the changes once for all |
//! | `retention` | what goes, with sessions or with time |
//! | `span_hours` | how long the spans of a node took in each hour |

/// A statement with the columns of rows as arrays, which the database reads in a tenth of
/// the time that it takes for the rows as JSON.
macro_rules! with_columns {
    ($sql:expr, $rows:expr, |$row:ident| $($value:expr => $type:ty),+ $(,)?) => {{
        let statement = $crate::database::statement($sql);
        $(let statement = statement.bind::<diesel::sql_types::Array<$type>, _>(
            $rows.iter().map(|$row| $value).collect::<Vec<_>>(),
        );)+
        statement
    }};
}

mod authorings;
mod beside;
mod blocks;
mod build;
mod events;
mod follower;
mod heights;
mod histogram;
mod hours;
mod identities;
mod known_sessions;
mod node_counts;
pub mod node_hours;
mod node_identities;
pub mod nodes;
mod reader;
mod retention;
mod runner;
mod span_hours;
mod state;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::result::{Error, QueryResult};
use serde::Serialize;

pub use events::JobHour;
pub use heights::{Heights, Reference};
pub use histogram::{Histogram, RELATIVE_ERROR};
pub use retention::{HOUR_TABLES, HourTable, forget_sessions, purge_hours, rebuild_behind};
pub use runner::{Runner, RunnerParts};
pub use span_hours::OTHER as OTHER_SPANS;
pub use state::{Covered, Progress, contains, covered, covers, progress, request_rebuild};

use beside::Table;

use crate::cluster::Job;
use crate::ids::SessionId;
use crate::metrics::Metrics;
use crate::store::SessionRow;
use crate::telemetry::Reading;

/// By numbers that this server gave: nobody can choose them so that they collide.
type NumberMap<K, V> = foldhash::HashMap<K, V>;

/// A message, as a projection sees it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Number.
    pub id: i64,
    /// Arrival at the server.
    pub created_at: DateTime<Utc>,
    /// Session.
    pub session: SessionId,
    /// Kind; empty if no projection needs it.
    pub kind: &'a str,
    /// Field `target`.
    pub target: Option<&'a str>,
    /// Fields as JSON; empty for other kinds, unless they may hold an event.
    pub fields: &'a str,
    /// What the node claimed to be the time.
    pub node_ts: Option<DateTime<Utc>>,
    /// From `/audit`.
    pub audit: bool,
    /// What the node reported of itself in it.
    pub reading: Option<&'a Reading<'a>>,
}

/// Why a projection gets a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It changed.
    Change,
    /// The tables are built anew from a time on, or all of them: what follows from it before
    /// that time is kept as it is.
    Build(Option<DateTime<Utc>>),
}

impl Occasion {
    /// From when on the tables are built anew; none if all of them are, or none.
    pub fn since(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Change => None,
            Self::Build(since) => since,
        }
    }
}

/// A table that is maintained from the messages.
pub trait Projection: Send {
    /// Its name: of its row in `projections`, and for people.
    fn name(&self) -> &'static str;

    /// The job of the server that maintains it.
    fn job(&self) -> Job;

    /// `msg` of the messages whose kind and fields it needs.
    fn kinds(&self) -> &'static [&'static str];

    /// Whether it needs the fields of messages that may hold an event, of whatever kind.
    fn wants_events(&self) -> bool {
        false
    }

    /// Longest time until what was read is written. What is written less often costs
    /// less: the same row takes in more messages at once.
    fn interval_max(&self) -> Duration;

    /// Takes a message into what is not written yet.
    fn fold(&mut self, message: Message<'_>);

    /// Takes the newest state of a session.
    fn session(&mut self, session: &SessionRow, occasion: Occasion);

    /// Rows that wait to be written; a measure of memory.
    fn pending(&self) -> usize;

    /// Whether there is nothing to write but how far it has read.
    fn is_idle(&self) -> bool {
        self.pending() == 0
    }

    /// Those among them that messages made, which come again as long as nodes report.
    fn reported(&self) -> usize;

    /// Writes what was folded, in the transaction that moves the position.
    ///
    /// # Errors
    /// If the database cannot be written; nothing is committed then.
    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()>;

    /// What was written last is committed.
    fn written(&mut self, _metrics: &Metrics) {}

    /// Forgets what was folded, and what is remembered of the tables.
    fn reset(&mut self);

    /// The tables that it alone writes, in the order in which a build replaces them; others
    /// may have numbers in theirs, and stay.
    fn tables(&self) -> Vec<Table>;

    /// Where a build begins that is to cover the messages since `asked`, or all: rows of
    /// the time before are kept, and their messages left out.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn build_start(
        &self,
        conn: &mut PgConnection,
        asked: Option<DateTime<Utc>>,
    ) -> QueryResult<Option<DateTime<Utc>>> {
        hours::build_start(conn, asked)
    }

    /// A build begins: what is counted from then on is 0.
    ///
    /// # Errors
    /// If the database cannot be written.
    fn build_begins(&self, _conn: &mut PgConnection) -> QueryResult<()> {
        Ok(())
    }
}

/// All projections; events that arrived longer ago than `event_expiry` are left out.
pub fn all(event_expiry: Duration) -> Vec<Box<dyn Projection>> {
    vec![
        Box::new(nodes::Nodes::default()),
        Box::new(node_hours::NodeHours::default()),
        Box::new(span_hours::SpanHours::default()),
        Box::new(blocks::Blocks::default()),
        Box::new(node_identities::NodeIdentities::default()),
        Box::new(node_counts::NodeCounts::of_software()),
        Box::new(node_counts::NodeCounts::of_hardware()),
        Box::new(authorings::Authorings::default()),
        Box::new(events::Events::new(event_expiry)),
    ]
}

/// Rows for `json_populate_recordset`.
fn json(rows: &impl Serialize) -> QueryResult<String> {
    serde_json::to_string(rows).map_err(|error| Error::SerializationError(Box::new(error)))
}
