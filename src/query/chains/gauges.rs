//! What Prometheus is told of chains and nodes.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::query::QueryError;
use crate::query::params;

/// Parameters of the metrics of nodes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeMetricsParams {
    /// Only nodes of this chain: its name or its genesis hash.
    chain: Option<String>,
    /// `exporter`: the names that the exporter of substrate-telemetry gives them.
    #[param(inline, value_type = Option<NamesOf>)]
    names: Option<String>,
}

/// Who gave the metrics their names.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum NamesOf {
    /// This server: `tetcore_analytics_node_…`.
    Own,
    /// The exporter of substrate-telemetry: `polkadot_…`.
    Exporter,
}

/// A query of the metrics of nodes that needs no check again.
#[derive(Debug, Clone)]
pub struct NodeGaugesQuery {
    chain: Option<String>,
    /// With the names of the exporter.
    pub is_exporter: bool,
}

impl TryFrom<NodeMetricsParams> for NodeGaugesQuery {
    type Error = QueryError;

    fn try_from(asked: NodeMetricsParams) -> Result<Self, QueryError> {
        let is_exporter = match asked.names.as_deref() {
            None | Some("own") => false,
            Some("exporter") => true,
            Some(_) => return Err(QueryError::invalid("names", "must be own or exporter")),
        };
        Ok(Self {
            chain: params::text("chain", asked.chain.as_deref())?,
            is_exporter,
        })
    }
}

/// What a node is and does now.
#[derive(Debug, QueryableByName)]
pub struct NodeGauges {
    /// libp2p identity.
    #[diesel(sql_type = Text)]
    pub peer_id: String,
    /// Name that its operator gave it.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Name of its chain.
    #[diesel(sql_type = Text)]
    pub chain: String,
    /// Whether it is there: not missing, offline, lost or out of service.
    #[diesel(sql_type = Bool)]
    pub is_up: bool,
    /// Whether it said that it has an authority.
    #[diesel(sql_type = Bool)]
    pub is_authority: bool,
    /// Arrival of its last message, Unix seconds.
    #[diesel(sql_type = Double)]
    pub last_seen_s: f64,
    /// Its best block.
    #[diesel(sql_type = Nullable<Double>)]
    pub best_height: Option<f64>,
    /// Its finalized block.
    #[diesel(sql_type = Nullable<Double>)]
    pub finalized_height: Option<f64>,
    /// Blocks behind its chain.
    #[diesel(sql_type = Nullable<Double>)]
    pub behind_blocks: Option<f64>,
    /// Blocks between its best and its finalized block.
    #[diesel(sql_type = Nullable<Double>)]
    pub finality_lag_blocks: Option<f64>,
    /// Connected peers.
    #[diesel(sql_type = Nullable<Double>)]
    pub peers: Option<f64>,
    /// Download, bytes per second.
    #[diesel(sql_type = Nullable<Double>)]
    pub download_bytes_per_s: Option<f64>,
    /// Upload, bytes per second.
    #[diesel(sql_type = Nullable<Double>)]
    pub upload_bytes_per_s: Option<f64>,
    /// Mean time after the first node at which it had the last ten blocks that it reported, seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub propagation_s: Option<f64>,
    /// How many nodes there are, whether or not they are in the answer.
    #[diesel(sql_type = BigInt)]
    pub nodes: i64,
}

/// The nodes that are there, or were within a day; at most `rows`.
///
/// # Errors
/// If the database cannot be read.
pub fn node_gauges(
    conn: &mut PgConnection,
    query: &NodeGaugesQuery,
    rows: i64,
) -> Result<Vec<NodeGauges>, QueryError> {
    let found = diesel::sql_query(include_str!("node_gauges.sql"))
        .bind::<Nullable<Text>, _>(&query.chain)
        .bind::<BigInt, _>(rows)
        .load(conn)?;
    Ok(found)
}

/// How fast the blocks of a chain spread and became final since midnight UTC.
#[derive(Debug, QueryableByName)]
pub struct Histograms {
    /// Identity of the chain.
    #[diesel(sql_type = Text)]
    pub genesis_hash: String,
    /// Name of the chain.
    #[diesel(sql_type = Text)]
    pub chain: String,
    /// How many nodes had a block how long after the first one.
    #[diesel(sql_type = Array<BigInt>)]
    pub delays: Vec<i64>,
    /// How many blocks were finalized how long after their first report.
    #[diesel(sql_type = Array<BigInt>)]
    pub finality: Vec<i64>,
}

impl Histograms {
    /// A histogram as Prometheus has it: the upper bound of each bucket in seconds, and how many are not
    /// above it; all of them; and their sum, as if each were in the middle of its bucket.
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "counts stay far below 2^52"
    )]
    pub fn cumulative(counts: &[i64]) -> (Vec<(f64, i64)>, i64, f64) {
        let (mut below, mut sum, mut total) = (Vec::with_capacity(counts.len()), 0.0, 0);
        for (bucket, count) in (0..).zip(counts) {
            let (low, high) = (
                super::over_time::bound_s(bucket),
                super::over_time::bound_s(bucket + 1),
            );
            total += count;
            sum += *count as f64 * (low + high) / 2.0;
            below.push((high, total));
        }
        (below, total, sum)
    }
}

/// Histograms of the chains with the most nodes. They begin anew at midnight UTC, and lack
/// the last minute, in which blocks still change.
///
/// # Errors
/// If the database cannot be read.
pub fn histograms(
    conn: &mut PgConnection,
    chain: Option<&str>,
    rows: i64,
) -> Result<Vec<Histograms>, QueryError> {
    let found = diesel::sql_query(include_str!("histograms.sql"))
        .bind::<Nullable<Text>, _>(chain)
        .bind::<BigInt, _>(rows)
        .load(conn)?;
    Ok(found)
}

impl NodeGaugesQuery {
    /// The chain that is asked for.
    pub fn chain(&self) -> Option<&str> {
        self.chain.as_deref()
    }
}
