//! The projection `node_hours`: what a node reported in each hour.
//!
//! Counts and sums are whole numbers, so they add up alike in any order. Hours of a
//! session whose node is not known yet wait in `session_hours`. Time online and
//! the ends of sessions follow from the sessions, and are looked up anew for the
//! hours in which one of them changed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};

use super::beside::Table;
use super::hours::{self, Hour, hour_of};
use super::identities::{Identities, NodeKey};
use super::known_sessions::KnownSessions;
use super::{Message, NumberMap, Occasion, Projection, json};
use crate::cluster::Job;
use crate::database::statement;
use crate::ids::SessionId;
use crate::store::SessionRow;
use crate::telemetry::{PoolImport, Reading};

/// Larger values are wrong, and left out of sums. A sum overflows only
/// after 900 million reports of it in an hour; ten gigabytes a second are below it.
const VALUE_MAX: i64 = 10_000_000_000;

/// Hours whose time online is looked up by one statement: it stays far below its time limit.
const LOOKED_UP_AT_ONCE: usize = 1_000;

/// What was reported in an hour, with the names of the columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Values {
    messages: i64,
    intervals: i64,
    best_height: Option<i64>,
    best_at: Option<DateTime<Utc>>,
    best_message: Option<i64>,
    finalized_height: Option<i64>,
    finalized_at: Option<DateTime<Utc>>,
    finalized_message: Option<i64>,
    peers: Option<i64>,
    download_bytes_per_s: Option<f64>,
    upload_bytes_per_s: Option<f64>,
    network_at: Option<DateTime<Utc>>,
    network_message: Option<i64>,
    transactions: Option<i64>,
    state_cache_bytes: Option<f64>,
    pool_at: Option<DateTime<Utc>>,
    pool_message: Option<i64>,
    ready: Option<i64>,
    future: Option<i64>,
    txpool_at: Option<DateTime<Utc>>,
    txpool_message: Option<i64>,
    lag_min: Option<i64>,
    lag_sum: i64,
    lag_count: i64,
    lag_max: Option<i64>,
    peers_min: Option<i64>,
    peers_sum: i64,
    peers_count: i64,
    peers_max: Option<i64>,
    download_min: Option<i64>,
    download_sum: i64,
    download_count: i64,
    download_max: Option<i64>,
    upload_min: Option<i64>,
    upload_sum: i64,
    upload_count: i64,
    upload_max: Option<i64>,
    transactions_min: Option<i64>,
    transactions_sum: i64,
    transactions_count: i64,
    transactions_max: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SessionHourRow {
    session_id: i64,
    hour: Hour,
    #[serde(flatten)]
    values: Values,
}

#[derive(QueryableByName)]
struct Waited {
    #[diesel(sql_type = Text)]
    row: String,
}

/// The projection.
#[derive(Debug, Default)]
pub(super) struct NodeHours {
    hours: NumberMap<(SessionId, Hour), Values>,
    changed: HashSet<SessionId>,
    /// Hours whose time online has to be looked up.
    online: BTreeSet<(NodeKey, Hour)>,
    /// Time online of earlier hours is kept: some of their sessions may be purged.
    since: Option<Hour>,
    known: KnownSessions,
    identities: Identities,
}

impl Projection for NodeHours {
    fn name(&self) -> &'static str {
        "node_hours"
    }

    fn job(&self) -> Job {
        Job::NodeHours
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            Reading::INTERVAL,
            Reading::IMPORT,
            Reading::FINALIZED,
            PoolImport::KIND,
        ]
    }

    fn interval_max(&self) -> Duration {
        hours::INTERVAL_MAX
    }

    fn fold(&mut self, message: Message<'_>) {
        let key = (message.session, hour_of(message.created_at));
        self.hours.entry(key).or_default().add(&message);
    }

    fn session(&mut self, session: &SessionRow, occasion: Occasion) {
        self.changed.insert(session.id);
        self.identities.learn(session);
        let Some(identity) = self.identities.of(session.id) else {
            return;
        };
        let seen = self.known.take(session);
        self.since = occasion.since();
        for hour in hours::changed(session, occasion, seen) {
            self.online.insert((identity.node.clone(), hour));
        }
    }

    fn pending(&self) -> usize {
        self.hours.len() + self.changed.len() + self.online.len()
    }

    fn reported(&self) -> usize {
        self.hours.len()
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let hours = std::mem::take(&mut self.hours);
        let changed = std::mem::take(&mut self.changed);
        self.identities
            .look_up(conn, hours.keys().map(|(session, _)| *session))?;
        let mut nodes: HashMap<(&NodeKey, Hour), Values> = HashMap::with_capacity(hours.len());
        let mut waiting = Vec::new();
        for ((session, hour), values) in hours {
            match self.identities.of(session) {
                Some(identity) => {
                    let key = (&identity.node, hour);
                    nodes.entry(key).or_default().merge(&values);
                }
                None => waiting.push(SessionHourRow {
                    session_id: session.0,
                    hour,
                    values,
                }),
            }
        }
        for row in self.take_waited(conn, &changed)? {
            if let Some(identity) = self.identities.of(SessionId(row.session_id)) {
                let key = (&identity.node, row.hour);
                nodes.entry(key).or_default().merge(&row.values);
            }
        }
        add(conn, &nodes)?;
        wait(conn, &waiting)?;
        look_up_online(conn, std::mem::take(&mut self.online), self.since)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn tables(&self) -> Vec<Table> {
        ["node_hours", "session_hours"]
            .map(|name| Table::of_times(name, "hour"))
            .into()
    }
}

impl NodeHours {
    /// Takes what waited for sessions whose node is known now.
    fn take_waited(
        &self,
        conn: &mut PgConnection,
        changed: &HashSet<SessionId>,
    ) -> QueryResult<Vec<SessionHourRow>> {
        let take = "DELETE FROM session_hours s WHERE session_id = ANY($1) RETURNING row_to_json(s)::text AS row";
        let waited: Vec<Waited> = self.identities.take_waiting(conn, changed, take)?;
        let rows = waited
            .iter()
            .map(|waited| serde_json::from_str(&waited.row));
        rows.collect::<Result<_, _>>()
            .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))
    }
}

impl Values {
    /// Adds a message.
    fn add(&mut self, message: &Message<'_>) {
        self.messages += 1;
        self.intervals += i64::from(message.kind == Reading::INTERVAL);
        let now = (Some(message.created_at), Some(message.id));
        if let Some(pool) = PoolImport::from_fields(message.kind, message.fields.as_bytes())
            && (self.txpool_at, self.txpool_message) < now
        {
            (self.ready, self.future) = (pool.ready, pool.future);
            (self.txpool_at, self.txpool_message) = now;
        }
        if let Some(reading) = message.reading {
            self.add_reading(reading, now);
        }
    }

    fn add_reading(&mut self, reading: &Reading<'_>, now: (Option<DateTime<Utc>>, Option<i64>)) {
        if let Some(best) = &reading.best
            && (self.best_at, self.best_message) < now
        {
            self.best_height = Some(best.height);
            (self.best_at, self.best_message) = now;
        }
        if let Some(finalized) = &reading.finalized
            && (self.finalized_at, self.finalized_message) < now
        {
            self.finalized_height = Some(finalized.height);
            (self.finalized_at, self.finalized_message) = now;
        }
        if let (Some(best), Some(finalized)) = (&reading.best, &reading.finalized)
            && let Some(lag) = best.height.checked_sub(finalized.height).and_then(sane)
        {
            self.lag_sum += lag;
            self.lag_count += 1;
            widen(&mut self.lag_min, &mut self.lag_max, lag);
        }
        let network = (
            reading.peers,
            reading.download_bytes_per_s,
            reading.upload_bytes_per_s,
        );
        if network != (None, None, None) && (self.network_at, self.network_message) < now {
            (
                self.peers,
                self.download_bytes_per_s,
                self.upload_bytes_per_s,
            ) = network;
            (self.network_at, self.network_message) = now;
        }
        if let Some(peers) = network.0.and_then(sane) {
            self.peers_sum += peers;
            self.peers_count += 1;
            widen(&mut self.peers_min, &mut self.peers_max, peers);
        }
        if let Some(download) = network.1.and_then(whole) {
            self.download_sum += download;
            self.download_count += 1;
            widen(&mut self.download_min, &mut self.download_max, download);
        }
        if let Some(upload) = network.2.and_then(whole) {
            self.upload_sum += upload;
            self.upload_count += 1;
            widen(&mut self.upload_min, &mut self.upload_max, upload);
        }
        let pool = (reading.transactions, reading.state_cache_bytes);
        if pool != (None, None) && (self.pool_at, self.pool_message) < now {
            (self.transactions, self.state_cache_bytes) = pool;
            (self.pool_at, self.pool_message) = now;
        }
        if let Some(transactions) = pool.0.and_then(sane) {
            self.transactions_sum += transactions;
            self.transactions_count += 1;
            widen(
                &mut self.transactions_min,
                &mut self.transactions_max,
                transactions,
            );
        }
    }

    /// Puts two together; the order does not matter.
    fn merge(&mut self, other: &Self) {
        self.messages += other.messages;
        self.intervals += other.intervals;
        if (self.best_at, self.best_message) < (other.best_at, other.best_message) {
            self.best_height = other.best_height;
            (self.best_at, self.best_message) = (other.best_at, other.best_message);
        }
        if (self.finalized_at, self.finalized_message)
            < (other.finalized_at, other.finalized_message)
        {
            self.finalized_height = other.finalized_height;
            self.finalized_at = other.finalized_at;
            self.finalized_message = other.finalized_message;
        }
        if (self.network_at, self.network_message) < (other.network_at, other.network_message) {
            self.peers = other.peers;
            self.download_bytes_per_s = other.download_bytes_per_s;
            self.upload_bytes_per_s = other.upload_bytes_per_s;
            (self.network_at, self.network_message) = (other.network_at, other.network_message);
        }
        if (self.pool_at, self.pool_message) < (other.pool_at, other.pool_message) {
            self.transactions = other.transactions;
            self.state_cache_bytes = other.state_cache_bytes;
            (self.pool_at, self.pool_message) = (other.pool_at, other.pool_message);
        }
        if (self.txpool_at, self.txpool_message) < (other.txpool_at, other.txpool_message) {
            (self.ready, self.future) = (other.ready, other.future);
            (self.txpool_at, self.txpool_message) = (other.txpool_at, other.txpool_message);
        }
        self.lag_sum += other.lag_sum;
        self.lag_count += other.lag_count;
        extend(
            &mut self.lag_min,
            &mut self.lag_max,
            other.lag_min,
            other.lag_max,
        );
        self.peers_sum += other.peers_sum;
        self.peers_count += other.peers_count;
        extend(
            &mut self.peers_min,
            &mut self.peers_max,
            other.peers_min,
            other.peers_max,
        );
        self.download_sum += other.download_sum;
        self.download_count += other.download_count;
        extend(
            &mut self.download_min,
            &mut self.download_max,
            other.download_min,
            other.download_max,
        );
        self.upload_sum += other.upload_sum;
        self.upload_count += other.upload_count;
        extend(
            &mut self.upload_min,
            &mut self.upload_max,
            other.upload_min,
            other.upload_max,
        );
        self.transactions_sum += other.transactions_sum;
        self.transactions_count += other.transactions_count;
        extend(
            &mut self.transactions_min,
            &mut self.transactions_max,
            other.transactions_min,
            other.transactions_max,
        );
    }
}

/// Widens a range.
fn extend(
    min: &mut Option<i64>,
    max: &mut Option<i64>,
    other_min: Option<i64>,
    other_max: Option<i64>,
) {
    *min = [*min, other_min].into_iter().flatten().min();
    *max = [*max, other_max].into_iter().flatten().max();
}

/// Widens a range by a value.
fn widen(min: &mut Option<i64>, max: &mut Option<i64>, value: i64) {
    *min = Some(min.map_or(value, |min| min.min(value)));
    *max = Some(max.map_or(value, |max| max.max(value)));
}

fn sane(value: i64) -> Option<i64> {
    (-VALUE_MAX..=VALUE_MAX).contains(&value).then_some(value)
}

/// Whole bytes.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "what is too large becomes the largest, and is none"
)]
fn whole(value: f64) -> Option<i64> {
    sane(value.round() as i64)
}

fn add(conn: &mut PgConnection, rows: &HashMap<(&NodeKey, Hour), Values>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    with_columns!(include_str!("node_hours_add.sql"), rows, |row|
        row.0.0.peer_id.as_str() => Text,
        row.0.0.genesis_hash.as_str() => Text,
        row.0.1 => Timestamptz,
        row.1.messages => BigInt,
        row.1.intervals => BigInt,
        row.1.best_height => Nullable<BigInt>,
        row.1.best_at => Nullable<Timestamptz>,
        row.1.best_message => Nullable<BigInt>,
        row.1.finalized_height => Nullable<BigInt>,
        row.1.finalized_at => Nullable<Timestamptz>,
        row.1.finalized_message => Nullable<BigInt>,
        row.1.peers => Nullable<BigInt>,
        row.1.download_bytes_per_s => Nullable<Double>,
        row.1.upload_bytes_per_s => Nullable<Double>,
        row.1.network_at => Nullable<Timestamptz>,
        row.1.network_message => Nullable<BigInt>,
        row.1.transactions => Nullable<BigInt>,
        row.1.state_cache_bytes => Nullable<Double>,
        row.1.pool_at => Nullable<Timestamptz>,
        row.1.pool_message => Nullable<BigInt>,
        row.1.ready => Nullable<BigInt>,
        row.1.future => Nullable<BigInt>,
        row.1.txpool_at => Nullable<Timestamptz>,
        row.1.txpool_message => Nullable<BigInt>,
        row.1.lag_min => Nullable<BigInt>,
        row.1.lag_sum => BigInt,
        row.1.lag_count => BigInt,
        row.1.lag_max => Nullable<BigInt>,
        row.1.peers_min => Nullable<BigInt>,
        row.1.peers_sum => BigInt,
        row.1.peers_count => BigInt,
        row.1.peers_max => Nullable<BigInt>,
        row.1.download_min => Nullable<BigInt>,
        row.1.download_sum => BigInt,
        row.1.download_count => BigInt,
        row.1.download_max => Nullable<BigInt>,
        row.1.upload_min => Nullable<BigInt>,
        row.1.upload_sum => BigInt,
        row.1.upload_count => BigInt,
        row.1.upload_max => Nullable<BigInt>,
        row.1.transactions_min => Nullable<BigInt>,
        row.1.transactions_sum => BigInt,
        row.1.transactions_count => BigInt,
        row.1.transactions_max => Nullable<BigInt>,
    )
    .execute(conn)?;
    Ok(())
}

fn wait(conn: &mut PgConnection, rows: &[SessionHourRow]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    statement(include_str!("node_hours_wait.sql"))
        .bind::<Text, _>(json(&rows)?)
        .execute(conn)?;
    Ok(())
}

/// Looks up how long nodes were online in some hours, and which sessions ended.
fn look_up_online(
    conn: &mut PgConnection,
    hours: BTreeSet<(NodeKey, Hour)>,
    since: Option<Hour>,
) -> QueryResult<()> {
    let hours: Vec<_> = hours.into_iter().collect();
    for some in hours.chunks(LOOKED_UP_AT_ONCE) {
        with_columns!(include_str!("node_hours_online.sql"), some, |one|
            one.0.peer_id.as_str() => Text,
            one.0.genesis_hash.as_str() => Text,
            one.1 => Timestamptz,
        )
        .bind::<Nullable<Timestamptz>, _>(since)
        .execute(conn)?;
    }
    Ok(())
}
