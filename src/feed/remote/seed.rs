//! The values of the nodes that are online, and of those that left lately, from the projection
//! `nodes`, page by page.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};

use crate::changes::{self, Awaited, Position};
use crate::feed::messages::Seed;
use crate::feed::node_table::{NODES_MAX, NodeValues};
use crate::store::SessionRow;

/// Nodes in a page.
const PAGE: i64 = 2_000;

/// The projection may lag for so long before its rows are taken as they are: longer than
/// another server puts off the rows of a large network.
const LAG_MAX: Duration = Duration::from_secs(15);

/// A node that left longer ago is not in the table: of years there are many, and
/// `GET /api/v1/nodes` has them.
const GONE_MAX: TimeDelta = TimeDelta::hours(24);

/// How far it has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Seeding {
    /// The end of the changes when it began, until the projection contains them:
    /// what was stored before and is not in it yet would be in nobody's view.
    awaited: Option<(Position, Instant)>,
    is_begun: bool,
    /// Those online are done.
    is_offline: bool,
    after: Option<(DateTime<Utc>, i64)>,
    nodes: usize,
    pub(super) is_complete: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    session: String,
    #[diesel(sql_type = Text)]
    values: String,
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    session_id: i64,
}

impl Seeding {
    /// The next page; empty before the end while the projection lags.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(super) fn next(
        mut self,
        conn: &mut PgConnection,
        is_projected: fn(&mut PgConnection, &str, Position) -> QueryResult<bool>,
        awaited: &Awaited,
    ) -> QueryResult<(Self, Seed)> {
        if !self.is_begun {
            let (end, since) = match self.awaited {
                Some(awaited) => awaited,
                None => (changes::newest(conn)?, Instant::now()),
            };
            self.awaited = Some((end, since));
            if !is_projected(conn, "nodes", end)? && since.elapsed() < LAG_MAX {
                awaited.expect(end);
                return Ok((self, Seed::default()));
            }
            self.is_begun = true;
        }
        let (at, id) = self.after.unzip();
        let since = match self.is_offline {
            true => Utc::now() - GONE_MAX,
            false => DateTime::UNIX_EPOCH,
        };
        let rows: Vec<Row> = diesel::sql_query(include_str!("nodes.sql"))
            .bind::<Bool, _>(!self.is_offline)
            .bind::<Timestamptz, _>(since)
            .bind::<Nullable<Timestamptz>, _>(at)
            .bind::<Nullable<BigInt>, _>(id)
            .bind::<BigInt, _>(PAGE)
            .load(conn)?;
        let is_last = i64::try_from(rows.len()).unwrap_or(0) < PAGE;
        self.nodes += rows.len();
        self.after = rows.last().map(|row| (row.since, row.session_id));
        if is_last {
            self.after = None;
            self.is_complete = self.is_offline;
            self.is_offline = true;
        }
        self.is_complete |= self.nodes >= NODES_MAX;
        let seed = Seed {
            nodes: rows.into_iter().filter_map(Row::into_node).collect(),
            is_complete: self.is_complete,
        };
        Ok((self, seed))
    }
}

impl Row {
    fn into_node(self) -> Option<(SessionRow, NodeValues)> {
        let session = serde_json::from_str(&self.session);
        let node = session.and_then(|session| Ok((session, serde_json::from_str(&self.values)?)));
        node.inspect_err(|error| log::debug!("a node of the database cannot be read: {error}"))
            .ok()
    }
}
