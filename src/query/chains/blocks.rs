//! The blocks of a chain, and where it forked.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::over_time::{SpanParams, TIME_MAX};
use crate::query::buckets::Period;
use crate::query::params::{self, TimeRange};
use crate::query::{Page, PageCursor, QueryError};

/// Blocks in an answer.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 100;

/// Numbers of blocks: whole numbers that every JSON reader keeps exactly.
const HEIGHTS: RangeInclusive<i64> = 0..=(1 << 53) - 1;

/// Forks are looked for in a day, if no span is given.
const FORKS_SPAN: TimeDelta = TimeDelta::days(1);

/// Parameters of the blocks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BlocksParams {
    /// Only blocks up to this number; without it they begin with the highest.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    height: Option<String>,
    /// Only blocks that were first seen at this time or later.
    start_time: Option<String>,
    /// Only blocks that were first seen before this time.
    end_time: Option<String>,
    /// Blocks in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<String>,
    /// Goes on after an earlier answer: its header `X-Next-Cursor`.
    cursor: Option<String>,
}

/// A query of blocks that needs no check again.
#[derive(Debug, Clone)]
pub struct BlocksQuery {
    height: i64,
    range: TimeRange,
    limit: i64,
    cursor: Option<PageCursor>,
}

impl TryFrom<BlocksParams> for BlocksQuery {
    type Error = QueryError;

    fn try_from(asked: BlocksParams) -> Result<Self, QueryError> {
        let height = asked.height.as_deref();
        Ok(Self {
            height: params::whole("height", height, *HEIGHTS.end(), HEIGHTS)?,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: asked.cursor.as_deref().map(PageCursor::parse).transpose()?,
        })
    }
}

/// A block, who saw it first, and how long the others took.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Block {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub height: i64,
    /// Its hash.
    #[diesel(sql_type = Text)]
    pub hash: String,
    /// Arrival of the first report of it.
    #[diesel(sql_type = Timestamptz)]
    pub first_at: DateTime<Utc>,
    /// The node that reported it first.
    #[diesel(sql_type = Text)]
    pub first_peer_id: String,
    /// Its name now; null if it is not known any more.
    #[diesel(sql_type = Nullable<Text>)]
    pub first_name: Option<String>,
    /// The server that had the report.
    #[diesel(sql_type = Text)]
    pub first_server_id: String,
    /// The node that made it; null if none said so.
    #[diesel(sql_type = Nullable<Text>)]
    pub author_peer_id: Option<String>,
    /// Its name now.
    #[diesel(sql_type = Nullable<Text>)]
    pub author_name: Option<String>,
    /// Nodes that reported it within 5 minutes.
    #[diesel(sql_type = Integer)]
    pub nodes: i32,
    /// Those that made it themselves (origin `Own`).
    #[diesel(sql_type = Integer)]
    pub own: i32,
    /// Those that got it from the network (origin `NetworkBroadcast`).
    #[diesel(sql_type = Integer)]
    pub broadcast: i32,
    /// Those of other origins.
    #[diesel(sql_type = Integer)]
    pub other: i32,
    /// In so many seconds half of the other nodes had it; null if there is no other.
    #[diesel(sql_type = Nullable<Double>)]
    pub p50_s: Option<f64>,
    /// The same for 95 % of them.
    #[diesel(sql_type = Nullable<Double>)]
    pub p95_s: Option<f64>,
    /// Arrival of the first report that its height is finalized; null before.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finalized_at: Option<DateTime<Utc>>,
    /// Seconds from the first report to that.
    #[diesel(sql_type = Nullable<Double>)]
    pub finality_s: Option<f64>,
    /// Whether a node named this very block as finalized; of several that become final at
    /// once it is the last.
    #[diesel(sql_type = Bool)]
    pub is_final: bool,
    /// Whether another block of its height was named as finalized.
    #[diesel(sql_type = Bool)]
    pub is_lost: bool,
}

/// A page of the blocks of a chain.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn blocks(
    conn: &mut PgConnection,
    chain: &str,
    query: &BlocksQuery,
) -> Result<Page<Block>, QueryError> {
    let known = super::find(conn, chain)?;
    let height = query.cursor.map_or(query.height, |cursor| cursor.id);
    let rows = diesel::sql_query(include_str!("blocks.sql"))
        .bind::<Integer, _>(known.id)
        .bind::<BigInt, _>(height)
        .bind::<Nullable<Timestamptz>, _>(query.cursor.map(|cursor| cursor.created_at))
        .bind::<Nullable<Timestamptz>, _>(query.range.start)
        .bind::<Nullable<Timestamptz>, _>(query.range.end)
        .bind::<BigInt, _>(query.limit + 1)
        .load(conn)?;
    let place = |block: &Block| PageCursor {
        created_at: block.first_at,
        id: block.height,
    };
    Ok(Page::cut(rows, query.limit, place))
}

/// A query of forks that needs no check again.
#[derive(Debug, Clone)]
pub struct ForksQuery {
    period: Period,
    limit: i64,
}

impl TryFrom<SpanParams> for ForksQuery {
    type Error = QueryError;

    fn try_from(asked: SpanParams) -> Result<Self, QueryError> {
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        Ok(Self {
            period: Period::of(range, Utc::now(), FORKS_SPAN, TIME_MAX)?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

/// A height of which several blocks were seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct Fork {
    /// The number of the blocks.
    pub height: i64,
    /// When the last of them was first seen.
    pub forked_at: DateTime<Utc>,
    /// The blocks, in the order in which they were first seen.
    pub blocks: Vec<ForkedBlock>,
}

/// One of several blocks of a height.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ForkedBlock {
    /// Its hash.
    pub hash: String,
    /// Arrival of the first report of it.
    pub first_at: DateTime<Utc>,
    /// The node that reported it first.
    pub first_peer_id: String,
    /// The node that made it; null if none said so.
    pub author_peer_id: Option<String>,
    /// Nodes that reported it within 5 minutes.
    pub nodes: i32,
    /// Whether a node named it as finalized.
    pub is_final: bool,
}

#[derive(QueryableByName)]
struct ForkRow {
    #[diesel(sql_type = BigInt)]
    height: i64,
    #[diesel(sql_type = Timestamptz)]
    forked_at: DateTime<Utc>,
    #[diesel(sql_type = Jsonb)]
    blocks: serde_json::Value,
}

/// Where a chain forked, the latest first.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn forks(
    conn: &mut PgConnection,
    chain: &str,
    query: &ForksQuery,
) -> Result<Vec<Fork>, QueryError> {
    let known = super::find(conn, chain)?;
    let rows: Vec<ForkRow> = diesel::sql_query(include_str!("forks.sql"))
        .bind::<Integer, _>(known.id)
        .bind::<Timestamptz, _>(query.period.start)
        .bind::<Timestamptz, _>(query.period.end)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    let forks = rows.into_iter().map(|row| {
        Ok(Fork {
            height: row.height,
            forked_at: row.forked_at,
            blocks: serde_json::from_value(row.blocks)
                .map_err(|error| QueryError::Internal(error.to_string()))?,
        })
    });
    forks.collect()
}
