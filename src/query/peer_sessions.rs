//! The sessions of one peer.

use std::ops::RangeInclusive;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Deserialize;
use utoipa::IntoParams;

use super::QueryError;
use super::nodes::Node;
use super::params;

/// Sessions in an answer.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 100;

/// Parameters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionsParams {
    /// libp2p identity of the node.
    #[param(required = true)]
    peer_id: Option<String>,
    /// Sessions in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct SessionsQuery {
    peer_id: String,
    limit: i64,
}

impl TryFrom<SessionsParams> for SessionsQuery {
    type Error = QueryError;

    fn try_from(asked: SessionsParams) -> Result<Self, QueryError> {
        Ok(Self {
            peer_id: params::peer_id(asked.peer_id.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

/// The sessions, the newest first; each shows the node as it was then.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer.
pub fn fetch(conn: &mut PgConnection, query: &SessionsQuery) -> Result<Vec<Node>, QueryError> {
    let sessions: Vec<Node> = diesel::sql_query(include_str!("peer_sessions.sql"))
        .bind::<Text, _>(&query.peer_id)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    if sessions.is_empty() {
        return Err(QueryError::NotFound {
            parameter: "peer_id",
        });
    }
    Ok(sessions)
}
