//! What the database knows of all nodes, page by page.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, Text, Timestamptz};

use crate::changes::{self, Position};
use crate::feed::board::LastHeard;
use crate::feed::messages::Seed;
use crate::store::SessionRow;

/// Nodes in a page.
const PAGE: i64 = 2_000;

/// Nodes altogether: as many as the table holds, those online first.
const NODES_MAX: usize = 100_000;

/// The projection may lag for so long before its rows are taken as they are.
const LAG_MAX: Duration = Duration::from_secs(5);

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
    #[diesel(sql_type = Timestamptz)]
    session_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    height: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    best_hash: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    best_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    finalized_height: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    finalized_hash: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    finalized_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    peers: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    transactions: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    download_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    upload_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    state_cache_bytes: Option<f64>,
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
    ) -> QueryResult<(Self, Seed)> {
        if !self.is_begun {
            let (end, since) = match self.awaited {
                Some(awaited) => awaited,
                None => (changes::newest(conn)?, Instant::now()),
            };
            self.awaited = Some((end, since));
            if !is_projected(conn, "nodes", end)? && since.elapsed() < LAG_MAX {
                return Ok((self, Seed::default()));
            }
            self.is_begun = true;
        }
        let (at, id) = self.after.unzip();
        let rows: Vec<Row> = diesel::sql_query(include_str!("nodes.sql"))
            .bind::<Bool, _>(!self.is_offline)
            .bind::<Nullable<Timestamptz>, _>(at)
            .bind::<Nullable<BigInt>, _>(id)
            .bind::<BigInt, _>(PAGE)
            .load(conn)?;
        let is_last = i64::try_from(rows.len()).unwrap_or(0) < PAGE;
        self.nodes += rows.len();
        self.after = rows.last().map(|row| (row.session_at, row.session_id));
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
    fn into_node(self) -> Option<(SessionRow, LastHeard)> {
        let session = serde_json::from_str::<SessionRow>(&self.session);
        let session = session
            .inspect_err(|error| log::debug!("a session of the database cannot be read: {error}"))
            .ok()?;
        let last = LastHeard {
            height: self.height,
            best_hash: self.best_hash,
            best_at: self.best_at,
            propagation_ms: None,
            finalized_height: self.finalized_height,
            finalized_hash: self.finalized_hash,
            finalized_at: self.finalized_at,
            peers: self.peers,
            transactions: self.transactions,
            download_bytes_per_s: self.download_bytes_per_s,
            upload_bytes_per_s: self.upload_bytes_per_s,
            state_cache_bytes: self.state_cache_bytes,
        };
        Some((session, last))
    }
}
