//! The status of nodes: what changed, what is wrong now, and the story of one node.

mod changes;
mod flapping;

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Jsonb, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

pub use changes::{
    Change, ChangesParams, ChangesQuery, FOLLOWED_MAX, change_before, changes, changes_after,
    newest_change,
};
pub use flapping::{FlappingNode, FlappingParams, FlappingQuery, flapping};

use super::QueryError;
use super::node_list::clocks;
use super::params::{self, TimeRange};
use crate::metrics::NodeState;

/// Changes in an answer.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// Gaps and outages in an answer.
const GAPS_MAX: i64 = 1_000;

/// The span of time of a node's status, if none is given.
const SPAN_DEFAULT: TimeDelta = TimeDelta::days(1);

/// Whether a node is alive and well: the names of `NodeState`, for the description.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum StateName {
    /// It sends messages, and nothing is wrong with it.
    Online,
    /// It is far behind its chain, and catches up.
    Syncing,
    /// Its finalized block is far behind.
    Lagging,
    /// Its best block stands while that of its chain moves.
    Stalled,
    /// Two machines use its peer id.
    Conflict,
    /// One heartbeat is missed.
    Late,
    /// Several heartbeats are missed.
    Missing,
    /// It is silent for long.
    Offline,
    /// Most nodes of its chain fell silent at once.
    TelemetryLost,
    /// Out of service on purpose.
    Down,
}

/// The name of a state.
pub(super) fn state(text: &str) -> Result<String, QueryError> {
    let names = NodeState::ALL.map(NodeState::label);
    match names.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(QueryError::invalid(
            "state",
            format!("must be one of {}", names.join(", ")),
        )),
    }
}

/// What is wrong now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// When nodes were judged last; null if they never were.
    pub judged_at: Option<DateTime<Utc>>,
    /// Whether they are judged: that is at most 30 s ago.
    pub is_judged: bool,
    /// Outages of our own that go on.
    pub outages: Vec<Outage>,
    /// The chains, those with the most nodes first; at most 1,000.
    pub chains: Vec<ChainStatus>,
}

/// A chain and its nodes.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct ChainStatus {
    /// Its identity; null if its nodes do not say it.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
    /// Its name.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// `telemetry_lost` while telemetry of most of its nodes is; `offline` if they were given up after a day.
    #[diesel(sql_type = Text)]
    #[schema(value_type = StateName)]
    pub state: String,
    /// Since when that is so; null if it never was otherwise.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub since: Option<DateTime<Utc>>,
    /// Best block, as a fair part of its nodes reports it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub best_height: Option<i64>,
    /// Finalized block, alike.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub finalized_height: Option<i64>,
    /// Nodes that are there, or went offline within a day.
    #[diesel(sql_type = BigInt)]
    pub nodes: i64,
    /// How many of them are in each state; those that none is in are left out.
    #[diesel(sql_type = Jsonb)]
    #[schema(value_type = std::collections::HashMap<String, i64>, example = json!({"online": 12, "late": 1}))]
    pub states: Value,
}

/// An outage of our own: silence of nodes says nothing about them.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Outage {
    /// The server whose nodes it is about; null for all nodes.
    #[diesel(sql_type = Nullable<Text>)]
    pub server_id: Option<String>,
    /// Its beginning.
    #[diesel(sql_type = Timestamptz)]
    pub start_time: DateTime<Utc>,
    /// Its end, with the time that nodes need to come back; null while it goes on.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub end_time: Option<DateTime<Utc>>,
    /// `not_judged` (no server ran, or the database was away), `projection` (it was built anew),
    /// `server_away`, or `storage` (the server could not store at once).
    #[diesel(sql_type = Text)]
    #[schema(example = "not_judged")]
    pub cause: String,
}

#[derive(QueryableByName)]
struct Judged {
    #[diesel(sql_type = Timestamptz)]
    judged_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_judged: bool,
}

/// What is wrong now, chain by chain.
///
/// # Errors
/// If the database cannot be read.
pub fn overview(conn: &mut PgConnection) -> Result<Overview, QueryError> {
    let judged: Option<Judged> = diesel::sql_query(
        "SELECT judged_at, judged_at > now() - interval '30 seconds' AS is_judged FROM status_progress WHERE name = 'nodes'",
    )
    .get_result(conn)
    .optional()?;
    let now = Utc::now();
    let mut outages = outages(conn, None, (now, now + TimeDelta::days(1)))?;
    outages.retain(|outage| outage.end_time.is_none());
    Ok(Overview {
        judged_at: judged.as_ref().map(|judged| judged.judged_at),
        is_judged: judged.is_some_and(|judged| judged.is_judged),
        outages,
        chains: diesel::sql_query(include_str!("../status_overview.sql")).load(conn)?,
    })
}

/// Parameters of the status of a node.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeStatusParams {
    /// First moment; a day before the last if it is not given.
    start_time: Option<String>,
    /// Moment after the last; now if it is not given.
    end_time: Option<String>,
    /// Changes in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
}

/// A query of the status of a node that needs no check again.
#[derive(Debug, Clone)]
pub struct NodeStatusQuery {
    peer_id: String,
    span: (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
}

impl NodeStatusQuery {
    /// Of this node.
    ///
    /// # Errors
    /// If a parameter is wrong; it is named.
    pub fn new(peer_id: &str, asked: &NodeStatusParams) -> Result<Self, QueryError> {
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        let end = range.end.unwrap_or_else(Utc::now);
        let start = range.start.unwrap_or(end - SPAN_DEFAULT);
        if start >= end {
            return Err(QueryError::invalid("start_time", "must be in the past"));
        }
        Ok(Self {
            peer_id: params::peer_id(Some(peer_id))?,
            span: (start, end),
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

/// The status of a node, and its story in a span of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeStatus {
    /// What it is now, and its uptime.
    #[serde(flatten)]
    pub now: NodeStatusNow,
    /// By how much its clock is ahead of the server's, milliseconds (negative: behind); null if it is not connected,
    /// or claims no time.
    pub clock_ahead_ms: Option<i64>,
    /// First moment of the span.
    pub start_time: DateTime<Utc>,
    /// Moment after its last.
    pub end_time: DateTime<Utc>,
    /// Its changes in the span, the newest first.
    pub changes: Vec<Change>,
    /// When it had no open session, the newest first; at most 1,000.
    pub gaps: Vec<Gap>,
    /// Outages of our own that concerned it, the newest first; at most 1,000.
    pub outages: Vec<Outage>,
}

/// The status of a node.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct NodeStatusNow {
    /// libp2p identity.
    #[diesel(sql_type = Text)]
    pub peer_id: String,
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    genesis_hash: String,
    #[diesel(sql_type = BigInt)]
    #[serde(skip)]
    session_id: i64,
    #[diesel(sql_type = Bool)]
    #[serde(skip)]
    online: bool,
    /// Name that the operator gave.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Name of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// Arrival of its last message.
    #[diesel(sql_type = Timestamptz)]
    pub last_seen_at: DateTime<Utc>,
    /// Whether it is alive and well.
    #[diesel(sql_type = Text)]
    #[schema(value_type = StateName)]
    pub state: String,
    /// Why it changed to this; null if it was never judged.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// Since when it is so.
    #[diesel(sql_type = Timestamptz)]
    pub since: DateTime<Utc>,
    /// Since when it is judged; null if it never was.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub judged_from: Option<DateTime<Utc>>,
    /// Share of the span in which it was there, without outages of our own; null if nothing was judged.
    #[diesel(sql_type = Nullable<Double>)]
    #[schema(minimum = 0, maximum = 1)]
    pub uptime: Option<f64>,
    /// Seconds of the span in which it was judged, without outages of our own.
    #[diesel(sql_type = Nullable<Double>)]
    pub judged_s: Option<f64>,
    /// Seconds of these in which it was missing, offline or lost.
    #[diesel(sql_type = Nullable<Double>)]
    pub down_s: Option<f64>,
    /// Seconds of the span that were outages of our own.
    #[diesel(sql_type = Nullable<Double>)]
    pub own_outage_s: Option<f64>,
}

/// A time without an open session.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Gap {
    /// End of the session before.
    #[diesel(sql_type = Timestamptz)]
    pub start_time: DateTime<Utc>,
    /// Start of the next one; null if there is none.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub end_time: Option<DateTime<Utc>>,
    /// Why the session before ended; null if it is purged.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(example = "closed_by_node")]
    pub reason: Option<String>,
}

/// The status of a node.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer.
pub fn of_node(conn: &mut PgConnection, query: &NodeStatusQuery) -> Result<NodeStatus, QueryError> {
    let (start, end) = query.span;
    let now: Option<NodeStatusNow> = diesel::sql_query(include_str!("../node_status.sql"))
        .bind::<Text, _>(&query.peer_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .get_result(conn)
        .optional()?;
    let now = now.ok_or(QueryError::NotFound {
        parameter: "peer_id",
    })?;
    let of_peer = ChangesQuery {
        since: None,
        range: TimeRange {
            start: Some(start),
            end: Some(end),
        },
        chain: None,
        peer_id: Some(query.peer_id.clone()),
        state: None,
        parts: true,
        limit: query.limit,
        cursor: None,
    };
    let gaps = diesel::sql_query(include_str!("../node_gaps.sql"))
        .bind::<Text, _>(&now.peer_id)
        .bind::<Text, _>(&now.genesis_hash)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<BigInt, _>(GAPS_MAX)
        .load(conn)?;
    let key = Some((now.peer_id.as_str(), now.genesis_hash.as_str()));
    let open = [now.session_id];
    let clocks = clocks(conn, if now.online { &open } else { &[] })?;
    Ok(NodeStatus {
        clock_ahead_ms: clocks.get(&now.session_id).copied(),
        outages: outages(conn, key, query.span)?,
        changes: changes(conn, &of_peer)?.rows,
        gaps,
        start_time: start,
        end_time: end,
        now,
    })
}

/// Outages of our own, of all nodes or those that concern one.
fn outages(
    conn: &mut PgConnection,
    node: Option<(&str, &str)>,
    (start, end): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<Outage>, QueryError> {
    let (peer_id, genesis_hash) = node.unzip();
    let outages = diesel::sql_query(include_str!("../status_outages.sql"))
        .bind::<Nullable<Text>, _>(peer_id)
        .bind::<Nullable<Text>, _>(genesis_hash)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<BigInt, _>(GAPS_MAX)
        .load(conn)?;
    Ok(outages)
}
