//! The projection `nodes`: one row for each node, a peer id on a chain.
//!
//! What follows from the sessions of a node (which is the latest, whether it is
//! online and since when) is looked up anew whenever one of them changes. Any message
//! says when it was seen last. The values that it reported are put together in any order: the highest block of the
//! latest session that reported one, with its first arrival; of the others the
//! latest. Values of a session whose node is not known yet wait in
//! `session_values`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};

use super::beside::Table;
use super::identities::{Identities, NodeKey};
use super::known_sessions::KnownSessions;
use super::{Message, NumberMap, Occasion, Projection, json};
use crate::cluster::Job;
use crate::database::statement;
use crate::ids::SessionId;
use crate::store::SessionRow;
use crate::telemetry::{Block, Reading};

/// A block, its first arrival, and the start of the session that reported it.
#[derive(Debug, Clone, PartialEq)]
struct Reported {
    height: i64,
    hash: Option<String>,
    at: DateTime<Utc>,
    session_at: Option<DateTime<Utc>>,
}

/// Values that were reported together: the latest replaces all of them.
#[derive(Debug, Clone, PartialEq)]
struct Latest<T> {
    values: T,
    at: DateTime<Utc>,
    message: i64,
}

/// Peers, download and upload.
type Network = (Option<i64>, Option<f64>, Option<f64>);

/// Transactions and state cache.
type Pool = (Option<i64>, Option<f64>);

/// The values of a session or a node.
#[derive(Debug, Clone, Default, PartialEq)]
struct Values {
    seen_at: Option<DateTime<Utc>>,
    best: Option<Reported>,
    finalized: Option<Reported>,
    network: Option<Latest<Network>>,
    pool: Option<Latest<Pool>>,
}

/// Values of a session as a row, with the names of the columns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, QueryableByName)]
struct ValuesRow {
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    seen_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    best_height: Option<i64>,
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
    #[diesel(sql_type = Nullable<Double>)]
    download_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    upload_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    network_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    network_message: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    transactions: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    state_cache_bytes: Option<f64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pool_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pool_message: Option<i64>,
}

/// The projection.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    values: NumberMap<SessionId, Values>,
    /// Sessions that changed.
    changed: HashSet<SessionId>,
    known: KnownSessions,
    identities: Identities,
}

impl Projection for Nodes {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn job(&self) -> Job {
        Job::Nodes
    }

    fn kinds(&self) -> &'static [&'static str] {
        &Reading::KINDS
    }

    fn interval_max(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn fold(&mut self, message: Message<'_>) {
        let known = self.values.entry(message.session).or_default();
        match message.reading {
            Some(reading) => known.take(reading, &message),
            // Any message is a sign of life.
            None => known.seen_at = known.seen_at.max(Some(message.created_at)),
        }
    }

    fn session(&mut self, session: &SessionRow, _occasion: Occasion) {
        let only_seen = self.known.take(session).is_some();
        // Of two that are open at once, it matters which was seen after the other had come.
        if only_seen && !self.known.has_sibling(session.id) {
            let values = self.values.entry(session.id).or_default();
            values.seen_at = values.seen_at.max(Some(session.last_seen_at));
            return;
        }
        self.changed.insert(session.id);
        self.identities.learn(session);
    }

    fn pending(&self) -> usize {
        self.values.len() + self.changed.len()
    }

    fn reported(&self) -> usize {
        self.values.len()
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let changed = std::mem::take(&mut self.changed);
        let fresh = self.identities.look_up(conn, self.values.keys().copied())?;
        let mut nodes: HashMap<&NodeKey, Values> = HashMap::with_capacity(self.values.len());
        let mut waiting = Vec::new();
        // The memory of the map is kept: as much is reported until the next time.
        for (session, mut values) in self.values.drain() {
            match self.identities.of(session) {
                Some(known) => {
                    values.belong_to(known.session_at);
                    nodes.entry(&known.node).or_default().merge(values);
                }
                None => waiting.push(values.into_row(session)),
            }
        }
        let take = "DELETE FROM session_values WHERE session_id = ANY($1) RETURNING *";
        let waited: Vec<ValuesRow> = self.identities.take_waiting(conn, &changed, take)?;
        for row in waited {
            if let Some(known) = self.identities.of(SessionId(row.session_id)) {
                let mut values = Values::from_row(row);
                values.belong_to(known.session_at);
                nodes.entry(&known.node).or_default().merge(values);
            }
        }
        let touched: HashSet<&NodeKey> = changed
            .iter()
            .chain(&fresh)
            .filter_map(|session| self.identities.of(*session))
            .map(|known| &known.node)
            .collect();
        refresh(conn, &touched)?;
        wait(conn, &waiting)?;
        update(conn, &nodes)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn tables(&self) -> Vec<Table> {
        vec![
            Table::of_values("nodes", include_str!("nodes_keep.sql")),
            Table::new("session_values"),
        ]
    }

    /// Rows follow from the sessions; none is of a time before.
    fn build_start(
        &self,
        _conn: &mut PgConnection,
        asked: Option<DateTime<Utc>>,
    ) -> QueryResult<Option<DateTime<Utc>>> {
        Ok(asked)
    }
}

impl Values {
    /// Takes what a message of the session says.
    fn take(&mut self, reading: &Reading<'_>, message: &Message<'_>) {
        let (at, message) = (message.created_at, message.id);
        self.seen_at = self.seen_at.max(Some(at));
        take_block(&mut self.best, reading.best.as_ref(), at);
        take_block(&mut self.finalized, reading.finalized.as_ref(), at);
        let network = (
            reading.peers,
            reading.download_bytes_per_s,
            reading.upload_bytes_per_s,
        );
        if network != (None, None, None) {
            merge_latest(&mut self.network, latest(network, Some(at), Some(message)));
        }
        let pool = (reading.transactions, reading.state_cache_bytes);
        if pool != (None, None) {
            merge_latest(&mut self.pool, latest(pool, Some(at), Some(message)));
        }
    }

    /// Puts two together; the order does not matter.
    fn merge(&mut self, other: Self) {
        self.seen_at = self.seen_at.max(other.seen_at);
        merge_block(&mut self.best, other.best);
        merge_block(&mut self.finalized, other.finalized);
        merge_latest(&mut self.network, other.network);
        merge_latest(&mut self.pool, other.pool);
    }

    /// They were reported in a session that began then.
    fn belong_to(&mut self, session_at: DateTime<Utc>) {
        for block in [&mut self.best, &mut self.finalized].into_iter().flatten() {
            block.session_at = Some(session_at);
        }
    }

    fn into_row(self, session: SessionId) -> ValuesRow {
        let (best, finalized) = (self.best.as_ref(), self.finalized.as_ref());
        let network = self.network.as_ref();
        let pool = self.pool.as_ref();
        ValuesRow {
            session_id: session.0,
            seen_at: self.seen_at,
            best_height: best.map(|block| block.height),
            best_hash: best.and_then(|block| block.hash.clone()),
            best_at: best.map(|block| block.at),
            finalized_height: finalized.map(|block| block.height),
            finalized_hash: finalized.and_then(|block| block.hash.clone()),
            finalized_at: finalized.map(|block| block.at),
            peers: network.and_then(|network| network.values.0),
            download_bytes_per_s: network.and_then(|network| network.values.1),
            upload_bytes_per_s: network.and_then(|network| network.values.2),
            network_at: network.map(|network| network.at),
            network_message: network.map(|network| network.message),
            transactions: pool.and_then(|pool| pool.values.0),
            state_cache_bytes: pool.and_then(|pool| pool.values.1),
            pool_at: pool.map(|pool| pool.at),
            pool_message: pool.map(|pool| pool.message),
        }
    }

    fn from_row(row: ValuesRow) -> Self {
        let block = |height: Option<i64>, hash, at: Option<DateTime<Utc>>| {
            Some(Reported {
                height: height?,
                hash,
                at: at?,
                session_at: None,
            })
        };
        let network = (row.peers, row.download_bytes_per_s, row.upload_bytes_per_s);
        let pool = (row.transactions, row.state_cache_bytes);
        Self {
            seen_at: row.seen_at,
            best: block(row.best_height, row.best_hash, row.best_at),
            finalized: block(row.finalized_height, row.finalized_hash, row.finalized_at),
            network: latest(network, row.network_at, row.network_message),
            pool: latest(pool, row.pool_at, row.pool_message),
        }
    }
}

fn latest<T>(values: T, at: Option<DateTime<Utc>>, message: Option<i64>) -> Option<Latest<T>> {
    Some(Latest {
        values,
        at: at?,
        message: message?,
    })
}

/// Takes a block that the session reported: of a height the first arrival is kept.
fn take_block(known: &mut Option<Reported>, block: Option<&Block<'_>>, at: DateTime<Utc>) {
    let Some(block) = block else { return };
    let wins = known.as_ref().is_none_or(|known| {
        (block.height, std::cmp::Reverse(at)) > (known.height, std::cmp::Reverse(known.at))
    });
    if wins {
        *known = Some(Reported {
            height: block.height,
            hash: block.hash.as_deref().map(str::to_owned),
            at,
            session_at: None,
        });
    }
}

/// The block of the later session wins, then the higher one, then the one that
/// arrived first.
fn merge_block(known: &mut Option<Reported>, other: Option<Reported>) {
    let Some(other) = other else { return };
    let rank = |block: &Reported| (block.session_at, block.height, std::cmp::Reverse(block.at));
    let wins = known
        .as_ref()
        .is_none_or(|known| rank(&other) > rank(known));
    if wins {
        *known = Some(other);
    }
}

fn merge_latest<T>(known: &mut Option<Latest<T>>, other: Option<Latest<T>>) {
    let Some(other) = other else { return };
    let is_later = known
        .as_ref()
        .is_none_or(|known| (known.at, known.message) < (other.at, other.message));
    if is_later {
        *known = Some(other);
    }
}

/// Looks up what follows from the sessions of some nodes.
fn refresh(conn: &mut PgConnection, nodes: &HashSet<&NodeKey>) -> QueryResult<()> {
    if nodes.is_empty() {
        return Ok(());
    }
    // Sorted, so that two transactions never wait for each other in a circle.
    let mut keys: Vec<(&str, &str)> = nodes
        .iter()
        .map(|node| (node.peer_id.as_str(), node.genesis_hash.as_str()))
        .collect();
    keys.sort_unstable();
    let (peers, chains): (Vec<&str>, Vec<&str>) = keys.into_iter().unzip();
    statement(include_str!("nodes_refresh.sql"))
        .bind::<Array<Text>, _>(peers)
        .bind::<Array<Text>, _>(chains)
        .execute(conn)?;
    Ok(())
}

fn wait(conn: &mut PgConnection, rows: &[ValuesRow]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    statement(include_str!("nodes_wait.sql"))
        .bind::<Text, _>(json(&rows)?)
        .execute(conn)?;
    Ok(())
}

fn update(conn: &mut PgConnection, nodes: &HashMap<&NodeKey, Values>) -> QueryResult<()> {
    if nodes.is_empty() {
        return Ok(());
    }
    with_columns!(include_str!("nodes_update.sql"), nodes, |row|
        row.0.peer_id.as_str() => Text,
        row.0.genesis_hash.as_str() => Text,
        row.1.seen_at => Nullable<Timestamptz>,
        row.1.best.as_ref().map(|best| best.height) => Nullable<BigInt>,
        row.1.best.as_ref().and_then(|best| best.hash.as_deref()) => Nullable<Text>,
        row.1.best.as_ref().map(|best| best.at) => Nullable<Timestamptz>,
        row.1.best.as_ref().and_then(|best| best.session_at) => Nullable<Timestamptz>,
        row.1.finalized.as_ref().map(|finalized| finalized.height) => Nullable<BigInt>,
        row.1.finalized.as_ref().and_then(|finalized| finalized.hash.as_deref()) => Nullable<Text>,
        row.1.finalized.as_ref().map(|finalized| finalized.at) => Nullable<Timestamptz>,
        row.1.finalized.as_ref().and_then(|finalized| finalized.session_at) => Nullable<Timestamptz>,
        row.1.network.as_ref().and_then(|network| network.values.0) => Nullable<BigInt>,
        row.1.network.as_ref().and_then(|network| network.values.1) => Nullable<Double>,
        row.1.network.as_ref().and_then(|network| network.values.2) => Nullable<Double>,
        row.1.network.as_ref().map(|network| network.at) => Nullable<Timestamptz>,
        row.1.network.as_ref().map(|network| network.message) => Nullable<BigInt>,
        row.1.pool.as_ref().and_then(|pool| pool.values.0) => Nullable<BigInt>,
        row.1.pool.as_ref().and_then(|pool| pool.values.1) => Nullable<Double>,
        row.1.pool.as_ref().map(|pool| pool.at) => Nullable<Timestamptz>,
        row.1.pool.as_ref().map(|pool| pool.message) => Nullable<BigInt>,
    )
    .execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Forgotten {
    #[diesel(sql_type = BigInt)]
    nodes: i64,
}

/// Deletes nodes whose sessions are all purged, of those that were seen before
/// `cutoff`, with their status; at most `rows_max`. Returns how many.
///
/// # Errors
/// If the database cannot be written.
pub fn forget(conn: &mut PgConnection, cutoff: DateTime<Utc>, rows_max: i64) -> QueryResult<usize> {
    let forgotten: Forgotten = statement(include_str!("nodes_forget.sql"))
        .bind::<Timestamptz, _>(cutoff)
        .bind::<BigInt, _>(rows_max)
        .get_result(conn)?;
    Ok(usize::try_from(forgotten.nodes).unwrap_or(0))
}
