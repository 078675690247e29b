//! Nodes that come and go.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::{IntoParams, ToSchema};

use crate::query::{QueryError, params};

/// Nodes in an answer.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 100;

/// Hours that are looked at: a week.
const HOURS: RangeInclusive<i64> = 1..=168;
const HOURS_DEFAULT: i64 = 24;

/// How often a node that flaps has fallen silent at least.
const FALLS: RangeInclusive<i64> = 1..=1_000_000;
const FALLS_DEFAULT: i64 = 4;

/// Parameters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FlappingParams {
    /// Only nodes of this chain: its name or its genesis hash.
    chain: Option<String>,
    /// The last hours, so many.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 168, default = 24)]
    hours: Option<String>,
    /// Only nodes that fell silent so often, or more.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000_000, default = 4)]
    falls: Option<String>,
    /// Nodes in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct FlappingQuery {
    chain: Option<String>,
    hours: i64,
    falls: i64,
    limit: i64,
}

impl TryFrom<FlappingParams> for FlappingQuery {
    type Error = QueryError;

    fn try_from(asked: FlappingParams) -> Result<Self, QueryError> {
        let whole = params::whole;
        Ok(Self {
            chain: params::text("chain", asked.chain.as_deref())?,
            hours: whole("hours", asked.hours.as_deref(), HOURS_DEFAULT, HOURS)?,
            falls: whole("falls", asked.falls.as_deref(), FALLS_DEFAULT, FALLS)?,
            limit: whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

/// A node that comes and goes.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct FlappingNode {
    /// libp2p identity.
    #[diesel(sql_type = Text)]
    pub peer_id: String,
    /// Identity of its chain; null if it is not known.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
    /// Name that the operator gave.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Name of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// How often it fell silent.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 1)]
    pub falls: i64,
    /// When it did so last.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
}

/// The nodes that come and go.
///
/// # Errors
/// If the database cannot be read.
pub fn flapping(
    conn: &mut PgConnection,
    query: &FlappingQuery,
) -> Result<Vec<FlappingNode>, QueryError> {
    let nodes = diesel::sql_query(include_str!("../status_flapping.sql"))
        .bind::<Timestamptz, _>(Utc::now() - TimeDelta::hours(query.hours))
        .bind::<BigInt, _>(query.falls)
        .bind::<Nullable<Text>, _>(&query.chain)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(nodes)
}
