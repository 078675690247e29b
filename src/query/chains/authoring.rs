//! The blocks that nodes built, and what became of them.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::query::QueryError;
use crate::query::buckets::Period;
use crate::query::params::{self, TimeRange};

/// Nodes or blocks in an answer.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 100;

/// Without `start_time`.
const SPAN_DEFAULT: TimeDelta = TimeDelta::days(1);

/// Longest span: each block of it is read.
const SPAN_MAX: TimeDelta = TimeDelta::days(31);

/// Parameters of what nodes built.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuthoringParams {
    /// From this time on; a day before `end_time` unless given, 31 days before it at most.
    start_time: Option<String>,
    /// Before this time; now unless given.
    end_time: Option<String>,
    /// Rows in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<String>,
}

/// A query of what nodes built that needs no check again.
#[derive(Debug, Clone)]
pub struct AuthoringQuery {
    period: Period,
    limit: i64,
}

impl TryFrom<AuthoringParams> for AuthoringQuery {
    type Error = QueryError;

    fn try_from(asked: AuthoringParams) -> Result<Self, QueryError> {
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        Ok(Self {
            period: Period::of(range, Utc::now(), SPAN_DEFAULT, SPAN_MAX)?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

/// What became of the blocks that a node built. Missed are `lost`, `not_taken` and `not_sealed`.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Author {
    /// The node.
    #[diesel(sql_type = Text)]
    pub peer_id: String,
    /// Its name now; null if it is not known any more.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// The authority id with which it introduced itself last; null if it did not.
    #[diesel(sql_type = Nullable<Text>)]
    pub authority_id: Option<String>,
    /// Blocks that are final.
    #[diesel(sql_type = BigInt, column_name = "final")]
    #[serde(rename = "final")]
    #[schema(minimum = 0)]
    pub made: i64,
    /// Blocks of which it is not known yet.
    #[diesel(sql_type = BigInt)]
    pub open: i64,
    /// Blocks of whose height another one is final.
    #[diesel(sql_type = BigInt)]
    pub lost: i64,
    /// Blocks that were sealed, and that no node took as its best block.
    #[diesel(sql_type = BigInt)]
    pub not_taken: i64,
    /// Blocks that were prepared and given up, as they are when it took too long.
    #[diesel(sql_type = BigInt)]
    pub not_sealed: i64,
    /// The highest of them.
    #[diesel(sql_type = BigInt)]
    pub last_height: i64,
    /// When the last one was built.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
}

/// What became of a block: the names, for the description.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Outcome {
    /// It is final.
    Final,
    /// It is not known yet.
    Open,
    /// Another block has its height, and none of them is final yet.
    Forked,
    /// Another block of its height is final.
    Lost,
    /// It was sealed, and no node took it as its best block.
    NotTaken,
    /// It was prepared, and given up.
    NotSealed,
}

/// A block that a node built.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct AuthoredBlock {
    /// Identity of its chain; empty for old nodes that do not say it.
    #[diesel(sql_type = Text)]
    pub genesis_hash: String,
    /// Name of the chain; null if it is not known.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub height: i64,
    /// Its hash; null if it was not sealed.
    #[diesel(sql_type = Nullable<Text>)]
    pub hash: Option<String>,
    /// Arrival of the message that it was prepared; null if there was none.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub prepared_at: Option<DateTime<Utc>>,
    /// Arrival of the message that it was sealed; null if there was none.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub sealed_at: Option<DateTime<Utc>>,
    /// Arrival of the first report that a node took it as its best block; null if none did.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub first_at: Option<DateTime<Utc>>,
    /// Arrival of the first report that its height is finalized; null before.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finalized_at: Option<DateTime<Utc>>,
    /// What became of it.
    #[diesel(sql_type = Text)]
    #[schema(value_type = Outcome)]
    pub outcome: String,
    /// When it was built: the first of these times.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
}

/// The nodes of a chain that built blocks, and what became of these; those that missed the most first.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn authors(
    conn: &mut PgConnection,
    chain: &str,
    query: &AuthoringQuery,
) -> Result<Vec<Author>, QueryError> {
    let genesis_hash = super::genesis_hash(conn, chain)?;
    let rows = diesel::sql_query(include_str!("authors.sql"))
        .bind::<Text, _>(genesis_hash)
        .bind::<Timestamptz, _>(query.period.start)
        .bind::<Timestamptz, _>(query.period.end)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(rows)
}

/// The blocks that a node built, the newest first.
///
/// # Errors
/// [`QueryError::NotFound`] for a node that never connected.
pub fn authored(
    conn: &mut PgConnection,
    peer_id: &str,
    query: &AuthoringQuery,
) -> Result<Vec<AuthoredBlock>, QueryError> {
    let known = diesel::sql_query("SELECT FROM peer_connections WHERE peer_id = $1 LIMIT 1")
        .bind::<Text, _>(peer_id)
        .execute(conn)?;
    if known == 0 {
        return Err(QueryError::NotFound {
            parameter: "peer_id",
        });
    }
    let rows = diesel::sql_query(include_str!("authored.sql"))
        .bind::<Text, _>(peer_id)
        .bind::<Timestamptz, _>(query.period.start)
        .bind::<Timestamptz, _>(query.period.end)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(rows)
}
