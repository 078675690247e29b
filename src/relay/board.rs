//! What the database knows of all nodes, page by page.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Timestamptz};

use crate::feed::LastHeard;
use crate::store::SessionRow;

/// Nodes in a page.
const PAGE: i64 = 500;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Seeding {
    after: String,
    pub(super) is_complete: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    session: String,
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
    /// The next page.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(super) fn next(
        &mut self,
        conn: &mut PgConnection,
    ) -> QueryResult<Vec<(SessionRow, LastHeard)>> {
        let rows: Vec<Row> = diesel::sql_query(include_str!("board.sql"))
            .bind::<Text, _>(&self.after)
            .bind::<BigInt, _>(PAGE)
            .load(conn)?;
        self.is_complete = i64::try_from(rows.len()).unwrap_or(0) < PAGE;
        let nodes: Vec<_> = rows.into_iter().filter_map(Row::into_node).collect();
        match nodes.last().and_then(|(row, _)| row.facts.peer_id.clone()) {
            Some(last) => self.after = last,
            None => self.is_complete = true,
        }
        Ok(nodes)
    }
}

impl Row {
    fn into_node(self) -> Option<(SessionRow, LastHeard)> {
        let session = super::poll::session(&self.session)?;
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
