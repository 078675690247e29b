//! Chains: where they are, their blocks, how fast these spread and become final, and the
//! software and machines of their nodes.

mod authoring;
mod blocks;
mod gauges;
mod hardware;
mod locations;
mod over_time;
mod software;

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Integer, Jsonb, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

pub use authoring::{
    Author, AuthoredBlock, AuthoringParams, AuthoringQuery, Outcome, authored, authors,
};
pub use blocks::{Block, BlocksParams, BlocksQuery, Fork, ForkedBlock, ForksQuery, blocks, forks};
pub use gauges::{
    Histograms, NamesOf, NodeGauges, NodeGaugesQuery, NodeMetricsParams, histograms, node_gauges,
};
pub use hardware::{
    FactOverTime, FactPoint, Hardware, HardwareParams, HardwareQuery, Score, Share, hardware,
};
pub use locations::{ChainLocations, locations};
pub use over_time::{
    Delays, Finality, FinalityPoint, OverTimeParams, OverTimeQuery, Propagation, PropagationPoint,
    SpanParams, finality, propagation,
};
pub use software::{Version, Versions, VersionsQuery, versions};

use super::QueryError;
use super::params;

/// Chains in an answer.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 100;

/// Parameters of the chains.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChainsParams {
    /// Only chains with this name or genesis hash.
    chain: Option<String>,
    /// Chains in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<String>,
}

/// A query of chains that needs no check again.
#[derive(Debug, Clone)]
pub struct ChainsQuery {
    chain: Option<String>,
    limit: i64,
}

impl TryFrom<ChainsParams> for ChainsQuery {
    type Error = QueryError;

    fn try_from(asked: ChainsParams) -> Result<Self, QueryError> {
        Ok(Self {
            chain: params::text("chain", asked.chain.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

impl ChainsQuery {
    /// The chains with the most nodes.
    pub fn most(chains: usize) -> Self {
        Self {
            chain: None,
            limit: i64::try_from(chains).unwrap_or(i64::MAX).min(*LIMIT.end()),
        }
    }

    /// Only this chain, if one is named.
    #[must_use]
    pub fn of(mut self, chain: Option<&str>) -> Self {
        self.chain = chain.map(str::to_owned);
        self
    }

    /// Chains in the answer.
    pub fn limit(&self) -> i64 {
        self.limit
    }
}

/// A chain, and where it is now.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Chain {
    /// Its identity.
    #[diesel(sql_type = Text)]
    pub genesis_hash: String,
    /// Its name; not unique.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// Best block, as a fair part of its nodes reports it: of their heights, sorted from the
    /// top, the one after a quarter of them. Null if no node is there.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub best_height: Option<i64>,
    /// Finalized block, alike.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub finalized_height: Option<i64>,
    /// The most blocks that one of its nodes has between its best and its finalized block.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub lag_max: Option<i64>,
    /// Nodes that are there, or were within a day.
    #[diesel(sql_type = BigInt)]
    pub nodes: i64,
    /// Those with an open session.
    #[diesel(sql_type = BigInt)]
    pub nodes_online: i64,
    /// How many of the nodes are in each state, see `/api/v1/status`; those that none is in
    /// are left out.
    #[diesel(sql_type = Jsonb)]
    #[schema(value_type = std::collections::HashMap<String, i64>, example = json!({"online": 12, "late": 1}))]
    pub states: Value,
    /// Mean time between two blocks of the last 50, seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub block_time_s: Option<f64>,
    /// When its last block was seen first.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_block_at: Option<DateTime<Utc>>,
    /// How long ago that is, seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub since_last_block_s: Option<f64>,
    /// Blocks of the last 24 hours of whose height another was seen before.
    #[diesel(sql_type = BigInt)]
    pub forks: i64,
    /// In so many seconds half of the other nodes had the last 50 blocks after the first node.
    #[diesel(sql_type = Nullable<Double>)]
    pub propagation_p50_s: Option<f64>,
    /// The same for 95 % of them.
    #[diesel(sql_type = Nullable<Double>)]
    pub propagation_p95_s: Option<f64>,
    /// In so many seconds half of the last 50 blocks were finalized.
    #[diesel(sql_type = Nullable<Double>)]
    pub finality_p50_s: Option<f64>,
    /// The same for 95 % of them.
    #[diesel(sql_type = Nullable<Double>)]
    pub finality_p95_s: Option<f64>,
    /// Reports of blocks that were left out of all numbers about blocks.
    #[diesel(embed)]
    pub left_out: LeftOut,
}

/// Reports of blocks that were left out, since the projection was built.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct LeftOut {
    /// More than 100 blocks behind what most nodes said, or 5 minutes after the first report.
    #[diesel(sql_type = BigInt, column_name = "left_out_behind")]
    pub behind: i64,
    /// More than 100 blocks ahead of what most nodes said.
    #[diesel(sql_type = BigInt, column_name = "left_out_ahead")]
    pub ahead: i64,
    /// Of a node that named more than 7,500 new blocks in an hour.
    #[diesel(sql_type = BigInt, column_name = "left_out_excess")]
    pub excess: i64,
    /// Stored more than an hour after the others.
    #[diesel(sql_type = BigInt, column_name = "left_out_late")]
    pub late: i64,
    /// Without a hash of 32 bytes.
    #[diesel(sql_type = BigInt, column_name = "left_out_malformed")]
    pub malformed: i64,
}

/// A chain that is known.
#[derive(Debug, QueryableByName)]
struct Known {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    genesis_hash: String,
}

/// The chain with a genesis hash or a name, of several the one whose session began last.
fn find(conn: &mut PgConnection, chain: &str) -> Result<Known, QueryError> {
    let found = diesel::sql_query(
        "SELECT id, genesis_hash FROM chains WHERE genesis_hash = $1 OR name = $1 \
         ORDER BY genesis_hash = $1 DESC, named_at DESC NULLS LAST LIMIT 1",
    )
    .bind::<Text, _>(chain)
    .get_result(conn)
    .optional()?;
    found.ok_or(QueryError::NotFound {
        parameter: "genesis_hash",
    })
}

/// The genesis hash of a chain.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn genesis_hash(conn: &mut PgConnection, chain: &str) -> Result<String, QueryError> {
    find(conn, chain).map(|known| known.genesis_hash)
}

/// A chain in a path: its genesis hash or its name.
///
/// # Errors
/// If it is no text.
pub fn name(text: &str) -> Result<String, QueryError> {
    params::text("genesis_hash", Some(text)).map(Option::unwrap_or_default)
}

/// The chains with the most nodes.
///
/// # Errors
/// If the database cannot be read.
pub fn list(conn: &mut PgConnection, query: &ChainsQuery) -> Result<Vec<Chain>, QueryError> {
    let id = match &query.chain {
        Some(chain) => match find(conn, chain) {
            Ok(known) => Some(known.id),
            Err(QueryError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        },
        None => None,
    };
    let chains = diesel::sql_query(include_str!("chains.sql"))
        .bind::<Nullable<Integer>, _>(id)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(chains)
}

/// One chain.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn show(conn: &mut PgConnection, chain: &str) -> Result<Chain, QueryError> {
    let known = find(conn, chain)?;
    let found = diesel::sql_query(include_str!("chains.sql"))
        .bind::<Nullable<Integer>, _>(Some(known.id))
        .bind::<BigInt, _>(1)
        .get_result(conn)?;
    Ok(found)
}
