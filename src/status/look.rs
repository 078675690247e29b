//! What the database knows of the nodes and of the servers: the only statements of this
//! room that read.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz};

use super::flips::{ChainKey, Kept, KeptChain, NodeKey, NodeSeen};
use super::machine::{Seen, Time};
use super::outages::{Outages, ServerSeen};
use super::services::ServiceSeen;
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

/// The columns of `nodes.sql`, by their place: by name they would cost as much as all the
/// rest of a look.
type NodeColumns = (
    Text,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Timestamptz,
    Nullable<Timestamptz>,
    Nullable<Text>,
    Nullable<BigInt>,
    Nullable<Timestamptz>,
    Nullable<BigInt>,
    Nullable<Timestamptz>,
);

type NodeRow = (
    String,
    String,
    Option<String>,
    Option<String>,
    Time,
    Option<Time>,
    Option<String>,
    Option<i64>,
    Option<Time>,
    Option<i64>,
    Option<Time>,
);

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
    diesel::sql_query(include_str!("progress.sql")).get_result(conn)
}

/// The servers that ran lately.
pub(super) fn servers(conn: &mut PgConnection) -> QueryResult<Vec<ServerSeen>> {
    let rows: Vec<ServerRow> = diesel::sql_query(include_str!("servers.sql")).load(conn)?;
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

/// The nodes with an open session, and of `others` those without. Times of messages are
/// those of the database.
pub(super) fn nodes<'a>(
    conn: &mut PgConnection,
    others: impl Iterator<Item = &'a NodeKey>,
    outages: &Outages,
) -> QueryResult<Vec<NodeSeen>> {
    let (peers, chains): (Vec<&str>, Vec<&str>) = others
        .map(|key| (key.peer_id.as_str(), key.genesis_hash.as_str()))
        .unzip();
    let text = include_str!("nodes.sql");
    let (before, after) = text.split_once("$1::text[], $2").unwrap_or((text, ""));
    let rows: Vec<NodeRow> = sql::<NodeColumns>(before)
        .bind::<Array<Text>, _>(peers)
        .sql("::text[], ")
        .bind::<Array<Text>, _>(chains)
        .sql(after)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| seen(row, outages)).collect())
}

fn seen(row: NodeRow, outages: &Outages) -> NodeSeen {
    let (
        peer_id,
        genesis_hash,
        chain,
        server,
        last_seen,
        ended,
        why,
        best,
        best_at,
        final_,
        conflict,
    ) = row;
    let offset = outages.clock_offset(server.as_deref());
    NodeSeen {
        key: NodeKey {
            peer_id,
            genesis_hash,
        },
        chain: chain.unwrap_or_default(),
        seen: Seen {
            last_seen: last_seen - offset,
            ended: ended.map(|ended| (ended - offset, reason(why.as_deref()))),
            best: best.zip(best_at.map(|at| at - offset)),
            finalized: final_,
            conflict_since: conflict,
        },
        server,
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
    let rows: Vec<KeptRow> = diesel::sql_query(
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
    let rows: Vec<KeptRow> = diesel::sql_query(
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
    let rows: Vec<ServiceRow> = diesel::sql_query(
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
    let rows: Vec<KeptChainRow> = diesel::sql_query(
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
