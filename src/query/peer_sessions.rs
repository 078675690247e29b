//! The sessions of one peer.

use std::ops::RangeInclusive;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use serde::Deserialize;
use utoipa::IntoParams;

use super::nodes::Node;
use super::params;
use super::{Page, PageCursor, QueryError};

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
    /// Goes on after an earlier answer: its header `X-Next-Cursor`.
    cursor: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct SessionsQuery {
    peer_id: String,
    limit: i64,
    cursor: Option<PageCursor>,
}

impl TryFrom<SessionsParams> for SessionsQuery {
    type Error = QueryError;

    fn try_from(asked: SessionsParams) -> Result<Self, QueryError> {
        Ok(Self {
            peer_id: params::peer_id(asked.peer_id.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: asked.cursor.as_deref().map(PageCursor::parse).transpose()?,
        })
    }
}

/// The sessions, the newest first; each shows the node as it was then.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer.
pub fn fetch(conn: &mut PgConnection, query: &SessionsQuery) -> Result<Page<Node>, QueryError> {
    let sessions = read(conn, &query.peer_id, query.cursor, query.limit + 1)?;
    // After the last page there is nothing, which is no reason to deny the peer.
    if sessions.is_empty() && read(conn, &query.peer_id, None, 1)?.is_empty() {
        return Err(QueryError::NotFound {
            parameter: "peer_id",
        });
    }
    Ok(Page::cut(sessions, query.limit, Node::place))
}

fn read(
    conn: &mut PgConnection,
    peer_id: &str,
    after: Option<PageCursor>,
    rows: i64,
) -> QueryResult<Vec<Node>> {
    diesel::sql_query(include_str!("peer_sessions.sql"))
        .bind::<Text, _>(peer_id)
        .bind::<BigInt, _>(rows)
        .bind::<Nullable<Timestamptz>, _>(after.map(|cursor| cursor.created_at))
        .bind::<Nullable<BigInt>, _>(after.map(|cursor| cursor.id))
        .load(conn)
}
