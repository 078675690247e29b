//! What the database knows of the nodes and of the servers: the only statements of this
//! room that read.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz};

use super::flips::{ChainKey, Handle, Kept, KeptChain, NodeKey, NodeSeen};
use super::machine::{Seen, Time};
use super::outages::{Outages, ServerSeen};
use super::services::ServiceSeen;
use crate::database::statement;
use crate::metrics::{DisconnectReason, NodeState, StatusReason};

/// How far the projection of the nodes is.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Progress {
    /// The clock of the database.
    #[diesel(sql_type = Timestamptz)]
    pub(super) now: DateTime<Utc>,
    /// None while it is built.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) position: Option<i64>,
    /// When nodes were judged last; none if they never were.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) judged_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Double>)]
    lag_s: Option<f64>,
}

#[derive(QueryableByName)]
struct ServerRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Timestamptz)]
    started_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    heartbeat_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_stopped: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    delayed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Double>)]
    clock_offset_s: Option<f64>,
}

/// The columns of `sightings.sql`, by their place: by name they would cost as much as all the
/// rest of a look.
type SightingColumns = (
    BigInt,
    BigInt,
    Timestamptz,
    Nullable<BigInt>,
    Nullable<Timestamptz>,
    Nullable<BigInt>,
    Nullable<Timestamptz>,
);

type SightingRow = (
    i64,
    i64,
    Time,
    Option<i64>,
    Option<Time>,
    Option<i64>,
    Option<Time>,
);

#[derive(QueryableByName)]
struct NodeRow {
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(sql_type = Text)]
    genesis_hash: String,
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = BigInt)]
    digest: i64,
    #[diesel(sql_type = Nullable<Text>)]
    chain: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    server_id: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    last_seen_at: Time,
    /// None while it has an open session.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<Time>,
    #[diesel(sql_type = Nullable<Text>)]
    disconnect_reason: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    best_height: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    best_at: Option<Time>,
    #[diesel(sql_type = Nullable<BigInt>)]
    finalized_height: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    conflict_since: Option<Time>,
}

#[derive(QueryableByName)]
struct ServiceRow {
    #[diesel(sql_type = Text)]
    service: String,
    #[diesel(sql_type = BigInt)]
    interval_s: i64,
    #[diesel(sql_type = BigInt)]
    jitter_s: i64,
    #[diesel(sql_type = Timestamptz)]
    last_seen_at: Time,
    #[diesel(sql_type = Bool)]
    is_down: bool,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

#[derive(QueryableByName)]
struct KeptRow {
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(sql_type = Text)]
    genesis_hash: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

#[derive(QueryableByName)]
struct KeptChainRow {
    #[diesel(sql_type = Text)]
    genesis_hash: String,
    #[diesel(sql_type = Text)]
    chain: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    revision: i64,
    #[diesel(sql_type = BigInt)]
    change_id: i64,
    #[diesel(sql_type = Timestamptz)]
    changed_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    nodes: i64,
}

impl Progress {
    /// How far it is behind the log.
    pub(super) fn lag(&self) -> TimeDelta {
        seconds(self.lag_s)
    }
}

/// How far the projection of the nodes is.
pub(super) fn progress(conn: &mut PgConnection) -> QueryResult<Progress> {
    statement(include_str!("progress.sql")).get_result(conn)
}

/// The servers that ran lately.
pub(super) fn servers(conn: &mut PgConnection) -> QueryResult<Vec<ServerSeen>> {
    let rows: Vec<ServerRow> = statement(include_str!("servers.sql")).load(conn)?;
    let servers = rows.into_iter().map(|row| ServerSeen {
        id: row.id,
        started_at: row.started_at,
        heartbeat_at: row.heartbeat_at,
        is_stopped: row.is_stopped,
        delayed_at: row.delayed_at,
        clock_offset: seconds(row.clock_offset_s),
    });
    Ok(servers.collect())
}

/// What was seen of the nodes with an open session, by the clocks of their servers.
pub(super) fn sightings(conn: &mut PgConnection) -> QueryResult<Vec<(Handle, Seen)>> {
    let rows: Vec<SightingRow> =
        sql::<SightingColumns>(include_str!("sightings.sql")).load(conn)?;
    let seen = rows.into_iter().map(
        |(session, digest, last_seen, best, best_at, finalized, conflict_since)| {
            let seen = Seen {
                last_seen,
                ended: None,
                best: best.zip(best_at),
                finalized,
                conflict_since,
            };
            (Handle { session, digest }, seen)
        },
    );
    Ok(seen.collect())
}

/// The nodes that have one of these sessions open, and `others`. Times of messages are those of
/// the database.
pub(super) fn nodes<'a>(
    conn: &mut PgConnection,
    sessions: &[i64],
    others: impl Iterator<Item = &'a NodeKey>,
    outages: &Outages,
) -> QueryResult<Vec<NodeSeen>> {
    let (peers, chains): (Vec<&str>, Vec<&str>) = others
        .map(|key| (key.peer_id.as_str(), key.genesis_hash.as_str()))
        .unzip();
    if sessions.is_empty() && peers.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<NodeRow> = statement(include_str!("nodes.sql"))
        .bind::<Array<BigInt>, _>(sessions)
        .bind::<Array<Text>, _>(peers)
        .bind::<Array<Text>, _>(chains)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| row.seen(outages)).collect())
}

impl NodeRow {
    fn seen(self, outages: &Outages) -> NodeSeen {
        let seen = Seen {
            last_seen: self.last_seen_at,
            ended: (self.ended_at).map(|at| (at, reason(self.disconnect_reason.as_deref()))),
            best: self.best_height.zip(self.best_at),
            finalized: self.finalized_height,
            conflict_since: self.conflict_since,
        };
        NodeSeen {
            key: NodeKey {
                peer_id: self.peer_id,
                genesis_hash: self.genesis_hash,
            },
            handle: Handle {
                session: self.session_id,
                digest: self.digest,
            },
            chain: self.chain.unwrap_or_default(),
            seen: seen.ahead(outages.clock_offset(self.server_id.as_deref())),
            server: self.server_id,
        }
    }
}

/// Why a node is silent whose session ended so.
fn reason(why: Option<&str>) -> StatusReason {
    match why.and_then(DisconnectReason::from_label) {
        Some(DisconnectReason::ClosedByNode | DisconnectReason::CloseFrame) => {
            StatusReason::Disconnected
        }
        Some(DisconnectReason::Idle | DisconnectReason::PingTimeout) => StatusReason::Silent,
        Some(DisconnectReason::ServerStopped | DisconnectReason::ServerLost) => {
            StatusReason::ServerLost
        }
        _ => StatusReason::ConnectionLost,
    }
}

/// The nodes whose state is kept and that are not offline.
pub(super) fn watched(conn: &mut PgConnection) -> QueryResult<Vec<NodeKey>> {
    let rows: Vec<KeptRow> = statement(
        "SELECT peer_id, genesis_hash, state, revision FROM node_status WHERE state <> 'offline'",
    )
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.key()).collect())
}

/// The states that are kept of some nodes.
pub(super) fn kept(
    conn: &mut PgConnection,
    nodes: &[NodeSeen],
) -> QueryResult<Vec<(NodeKey, Kept)>> {
    let (peers, chains): (Vec<&str>, Vec<&str>) = nodes
        .iter()
        .map(|node| (node.key.peer_id.as_str(), node.key.genesis_hash.as_str()))
        .unzip();
    let rows: Vec<KeptRow> = statement(
        "SELECT s.peer_id, s.genesis_hash, s.state, s.revision \
         FROM unnest($1::text[], $2::text[]) AS k (peer_id, genesis_hash) \
         JOIN node_status s ON s.peer_id = k.peer_id AND s.genesis_hash = k.genesis_hash",
    )
    .bind::<Array<Text>, _>(peers)
    .bind::<Array<Text>, _>(chains)
    .load(conn)?;
    let kept = rows.into_iter().map(|row| {
        let kept = Kept {
            state: state(&row.state),
            revision: row.revision,
        };
        (row.key(), kept)
    });
    Ok(kept.collect())
}

/// The services, but for those that are offline for more than a day.
pub(super) fn services(conn: &mut PgConnection) -> QueryResult<Vec<ServiceSeen>> {
    let rows: Vec<ServiceRow> = statement(
        "SELECT service, interval_s, jitter_s, last_seen_at, is_down, state, revision FROM services \
         WHERE state IS DISTINCT FROM 'offline' OR last_seen_at > now() - interval '1 day' ORDER BY service",
    )
    .load(conn)?;
    let services = rows.into_iter().map(|row| ServiceSeen {
        service: row.service,
        interval: TimeDelta::seconds(row.interval_s),
        jitter: TimeDelta::seconds(row.jitter_s),
        last_seen: row.last_seen_at,
        is_down: row.is_down,
        state: row.state.as_deref().map(state),
        revision: row.revision,
    });
    Ok(services.collect())
}

/// The last changes of chains.
pub(super) fn chains(conn: &mut PgConnection) -> QueryResult<Vec<(ChainKey, KeptChain)>> {
    let rows: Vec<KeptChainRow> = statement(
        "SELECT genesis_hash, chain, state, revision, change_id, changed_at, nodes FROM chain_status",
    )
    .load(conn)?;
    let chains = rows.into_iter().map(|row| {
        let kept = KeptChain {
            state: state(&row.state),
            revision: row.revision,
            change: row.change_id,
            at: row.changed_at,
            nodes: usize::try_from(row.nodes).unwrap_or(0),
        };
        let key = ChainKey {
            genesis_hash: row.genesis_hash,
            name: row.chain,
        };
        (key, kept)
    });
    Ok(chains.collect())
}

impl KeptRow {
    fn key(self) -> NodeKey {
        NodeKey {
            peer_id: self.peer_id,
            genesis_hash: self.genesis_hash,
        }
    }
}

/// A state that only a later version knows counts as online: it is judged anew.
fn state(label: &str) -> NodeState {
    NodeState::from_label(label).unwrap_or(NodeState::Online)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "what is too large becomes the largest"
)]
fn seconds(seconds: Option<f64>) -> TimeDelta {
    TimeDelta::microseconds((seconds.unwrap_or(0.0) * 1e6) as i64)
}
