//! Changes of status, page by page, and after a number for those who follow them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{LIMIT, LIMIT_DEFAULT, StateName, state};
use crate::query::params::{self, TimeRange};
use crate::query::{Page, PageCursor, QueryError};
use std::ops::RangeInclusive;

/// Numbers of changes: whole numbers that every JSON reader keeps exactly.
const NUMBERS: RangeInclusive<i64> = 0..=(1 << 53) - 1;

/// Parameters of the changes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangesParams {
    /// Only changes after the one with this number, the oldest first: for programs that
    /// ask again and again.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    since: Option<String>,
    /// Only changes that were noticed at this time or later.
    start_time: Option<String>,
    /// Only changes that were noticed before this time.
    end_time: Option<String>,
    /// Only changes of this chain and its nodes: its name or its genesis hash.
    chain: Option<String>,
    /// Only changes of this node.
    peer_id: Option<String>,
    /// Only changes that led to this state.
    #[param(inline, value_type = Option<StateName>)]
    state: Option<String>,
    /// Whether changes of nodes that are part of a change of their chain are among them.
    /// With `peer_id` they are unless this is `false`.
    #[param(value_type = Option<bool>)]
    parts: Option<String>,
    /// Changes in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
    /// Goes on after an earlier answer: its header `X-Next-Cursor`.
    cursor: Option<String>,
}

/// A query of changes that needs no check again.
#[derive(Debug, Clone)]
pub struct ChangesQuery {
    pub(super) since: Option<i64>,
    pub(super) range: TimeRange,
    pub(super) chain: Option<String>,
    pub(super) peer_id: Option<String>,
    pub(super) state: Option<String>,
    pub(super) parts: bool,
    pub(super) limit: i64,
    pub(super) cursor: Option<PageCursor>,
}

impl TryFrom<ChangesParams> for ChangesQuery {
    type Error = QueryError;

    fn try_from(asked: ChangesParams) -> Result<Self, QueryError> {
        let number = |text: &str| params::whole("since", Some(text), 0, NUMBERS);
        let peer_id = asked.peer_id.as_deref();
        let peer_id = peer_id
            .map(|text| params::peer_id(Some(text)))
            .transpose()?;
        let query = Self {
            since: asked.since.as_deref().map(number).transpose()?,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
            chain: params::text("chain", asked.chain.as_deref())?,
            state: asked.state.as_deref().map(state).transpose()?,
            parts: params::flag("parts", asked.parts.as_deref())?.unwrap_or(peer_id.is_some()),
            peer_id,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: asked.cursor.as_deref().map(PageCursor::parse).transpose()?,
        };
        match query.since.is_some() && query.cursor.is_some() {
            true => Err(QueryError::invalid(
                "cursor",
                "goes from the newest change on: with since, ask for what came after the last number",
            )),
            false => Ok(query),
        }
    }
}

/// A change of status.
#[derive(Debug, Clone, Serialize, QueryableByName, ToSchema)]
pub struct Change {
    /// Number; later changes have higher ones.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Whose status: `node`, `chain` or `service`.
    #[diesel(sql_type = Text)]
    #[schema(example = "node")]
    pub subject: String,
    /// libp2p identity of the node; null for a chain or a service.
    #[diesel(sql_type = Nullable<Text>)]
    pub peer_id: Option<String>,
    /// Identity of the chain; null if it is not known.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
    /// Name of the node then, or of the service.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Name of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// State before; null if the node is new.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(value_type = Option<StateName>)]
    pub from_state: Option<String>,
    /// State from then on.
    #[diesel(sql_type = Text)]
    #[schema(value_type = StateName)]
    pub to_state: String,
    /// Why it changed.
    #[diesel(sql_type = Text)]
    #[schema(example = "silent")]
    pub reason: String,
    /// Since when it is so; of a silent node the arrival of its last message.
    #[diesel(sql_type = Timestamptz)]
    pub since: DateTime<Utc>,
    /// When the change was noticed.
    #[diesel(sql_type = Timestamptz)]
    pub changed_at: DateTime<Utc>,
    /// Number of the change of the chain of which it is a part; null if it stands for itself.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub part_of: Option<i64>,
    /// Nodes that a change of a chain is about; null for a node.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub nodes: Option<i64>,
}

/// The changes.
///
/// # Errors
/// If the database cannot be read.
pub fn changes(conn: &mut PgConnection, query: &ChangesQuery) -> Result<Page<Change>, QueryError> {
    let text = include_str!("../status_changes.sql");
    let (text, more) = match query.since {
        Some(_) => (text.replace("ORDER BY c.id DESC", "ORDER BY c.id"), 0),
        None => (text.to_owned(), 1),
    };
    let rows = diesel::sql_query(text)
        .bind::<Nullable<Text>, _>(&query.chain)
        .bind::<Nullable<Text>, _>(&query.peer_id)
        .bind::<Nullable<Text>, _>(&query.state)
        .bind::<Bool, _>(query.parts)
        .bind::<Nullable<Timestamptz>, _>(query.range.start)
        .bind::<Nullable<Timestamptz>, _>(query.range.end)
        .bind::<Nullable<BigInt>, _>(query.since)
        .bind::<Nullable<BigInt>, _>(query.cursor.map(|cursor| cursor.id))
        .bind::<BigInt, _>(query.limit + more)
        .load(conn)?;
    let place = |change: &Change| PageCursor {
        created_at: change.changed_at,
        id: change.id,
    };
    Ok(Page::cut(rows, query.limit, place))
}

/// Changes that one look brings to those who follow them.
pub const FOLLOWED_MAX: usize = 1_000;

impl Change {
    /// Whether it is of this chain or its nodes, by name or genesis hash; of none, of all.
    pub fn is_on(&self, chain: Option<&str>) -> bool {
        let names = [&self.chain, &self.genesis_hash].map(Option::as_deref);
        chain.is_none_or(|chain| names.contains(&Some(chain)))
    }
}

/// All changes after a number, parts of larger ones too, the oldest first; at most [`FOLLOWED_MAX`].
///
/// # Errors
/// If the database cannot be read.
pub fn changes_after(conn: &mut PgConnection, number: i64) -> Result<Vec<Change>, QueryError> {
    let query = ChangesQuery {
        since: Some(number),
        range: TimeRange {
            start: None,
            end: None,
        },
        chain: None,
        peer_id: None,
        state: None,
        parts: true,
        limit: i64::try_from(FOLLOWED_MAX).unwrap_or(i64::MAX),
        cursor: None,
    };
    Ok(changes(conn, &query)?.rows)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The number of the newest change; 0 if there is none.
///
/// # Errors
/// If the database cannot be read.
pub fn newest_change(conn: &mut PgConnection) -> Result<i64, QueryError> {
    let number: Number = diesel::sql_query(
        "SELECT coalesce((SELECT id FROM status_changes ORDER BY id DESC LIMIT 1), 0) AS number",
    )
    .get_result(conn)?;
    Ok(number.number)
}

/// The number before all changes that were noticed at a time or later.
///
/// # Errors
/// If the database cannot be read.
pub fn change_before(conn: &mut PgConnection, time: DateTime<Utc>) -> Result<i64, QueryError> {
    // The clocks of two servers that judge one after the other may differ.
    let first: Option<Number> = diesel::sql_query(
        "SELECT min(id) - 1 AS number FROM (SELECT id FROM status_changes WHERE changed_at >= $1 ORDER BY changed_at LIMIT 100) c HAVING count(*) > 0",
    )
    .bind::<Timestamptz, _>(time)
    .get_result(conn)
    .optional()?;
    first.map_or_else(|| newest_change(conn), |first| Ok(first.number))
}
