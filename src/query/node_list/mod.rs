//! The nodes as a list: what each is, what it reported last, and whether it is well; now, or as it
//! was at a moment.

mod order;
mod place;
mod row;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use serde::Deserialize;
use utoipa::IntoParams;

pub use order::{NodeListCursor, OrderName};
pub use row::ListedNode;

use super::status::state;
use super::{PageCursor, QueryError, params};
use crate::locations::Locations;
use crate::messages::{self, Window};
use order::Order;
use place::Place;

/// Nodes in an answer.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 1_000;

/// Hours of the uptime: a year.
const UPTIME_H: RangeInclusive<i64> = 1..=8_784;

/// A node that left longer ago needs no attention.
const ATTENTION: TimeDelta = TimeDelta::days(1);

/// Messages that a clock is measured by are not older.
const CLOCK: TimeDelta = TimeDelta::hours(1);

/// Parameters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeListParams {
    /// Only nodes whose latest session is on this chain: its name or its genesis hash.
    chain: Option<String>,
    /// Only nodes with this name.
    name: Option<String>,
    /// Only nodes whose name, peer id or authority id contains this; of A to Z upper and lower case are the same. A whole authority id is
    /// found as an address (SS58) of any chain, and as 0x and 64 hexadecimal digits.
    text: Option<String>,
    /// Only nodes that are connected (`true`), or are not (`false`).
    #[param(value_type = Option<bool>)]
    online: Option<String>,
    /// Only nodes in one of these states, separated by commas.
    #[param(
        example = "missing,offline",
        pattern = "^(online|syncing|lagging|stalled|conflict|late|missing|offline|telemetry_lost|down)(,(online|syncing|lagging|stalled|conflict|late|missing|offline|telemetry_lost|down)){0,9}$"
    )]
    state: Option<String>,
    /// Only nodes that need attention (`true`), or do not (`false`): something is wrong with them, or
    /// they went offline within a day.
    #[param(value_type = Option<bool>)]
    attention: Option<String>,
    /// Only nodes that say that they are authorities (`true`), or are not (`false`).
    #[param(value_type = Option<bool>)]
    authority: Option<String>,
    /// Only nodes with this version.
    version: Option<String>,
    /// Only nodes with software of this name.
    implementation: Option<String>,
    /// Only nodes of this country by their addresses (ISO 3166-1), for those who may see it.
    #[param(pattern = "^[A-Z]{2}$", example = "DE")]
    country: Option<String>,
    /// Only nodes of this city, as `country`.
    city: Option<String>,
    /// Only nodes in networks of this provider, as `country`.
    provider: Option<String>,
    /// Only nodes that sent a message at this time or later, are connected, or are not yet offline.
    #[param(value_type = Option<DateTime<Utc>>)]
    seen_after: Option<String>,
    /// The order, with `-` before it turned around.
    #[param(inline, value_type = Option<OrderName>)]
    sort: Option<String>,
    /// The nodes as they were at this time: connected then or within the day before, with the values of
    /// that hour. Only with `chain`, `name`, `state`, `limit` and `cursor`.
    #[param(value_type = Option<DateTime<Utc>>)]
    at: Option<String>,
    /// Also the uptime of the last hours, so many.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 8_784)]
    uptime_h: Option<String>,
    /// Nodes in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 1_000)]
    limit: Option<String>,
    /// Goes on after an earlier answer with the same order: its header `X-Next-Cursor`.
    #[param(
        pattern = "^([0-9]{1,17}_-?([0-9]{1,18}|[1-8][0-9]{18}|9[01][0-9]{17}|92[01][0-9]{16})|k-?[0-9]{1,18}_([0-9a-f]{2}){0,1000})$"
    )]
    cursor: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct NodeListQuery {
    chain: Option<String>,
    name: Option<String>,
    text: Option<String>,
    online: Option<bool>,
    peer_id: Option<String>,
    states: Option<Vec<String>>,
    attention: Option<bool>,
    authority: Option<bool>,
    version: Option<String>,
    implementation: Option<String>,
    place: Option<Place>,
    seen_after: Option<DateTime<Utc>>,
    order: Option<Order>,
    at: Option<DateTime<Utc>>,
    uptime_h: Option<i64>,
    limit: i64,
    cursor: Option<NodeListCursor>,
}

impl NodeListQuery {
    /// Only nodes of a chain, by its genesis hash.
    #[must_use]
    pub fn of_chain(mut self, genesis_hash: String) -> Self {
        self.chain = Some(genesis_hash);
        self
    }

    /// The name of the chain that is asked for.
    pub fn chain(&self) -> Option<&str> {
        self.chain.as_deref()
    }

    /// One node, with its uptime of a day.
    ///
    /// # Errors
    /// If this can be no peer id.
    pub fn of_peer(peer_id: &str) -> Result<Self, QueryError> {
        let query = Self::try_from(NodeListParams::default())?;
        Ok(Self {
            peer_id: Some(params::peer_id(Some(peer_id))?),
            uptime_h: Some(24),
            limit: 1,
            ..query
        })
    }

    /// Since when nodes must have been seen, if not all can be in the answer: of those that are
    /// not offline, at no time.
    fn since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_there = |states: &Vec<String>| !states.iter().any(|state| state == "offline");
        let by_state = self.states.as_ref().is_some_and(is_there);
        let by_state = by_state.then(|| now + TimeDelta::days(1));
        let by_attention = (self.attention == Some(true)).then(|| now - ATTENTION);
        [self.seen_after, by_state, by_attention]
            .into_iter()
            .flatten()
            .max()
    }
}

impl TryFrom<NodeListParams> for NodeListQuery {
    type Error = QueryError;

    fn try_from(asked: NodeListParams) -> Result<Self, QueryError> {
        let states = |text: &str| text.split(',').map(state).collect::<Result<Vec<_>, _>>();
        let hours = |text: &str| params::whole("uptime_h", Some(text), 24, UPTIME_H);
        let cursor = asked.cursor.as_deref().map(NodeListCursor::parse);
        let query = Self {
            chain: params::text("chain", asked.chain.as_deref())?,
            name: params::text("name", asked.name.as_deref())?,
            text: params::text("text", asked.text.as_deref())?,
            online: params::flag("online", asked.online.as_deref())?,
            peer_id: None,
            states: asked.state.as_deref().map(states).transpose()?,
            attention: params::flag("attention", asked.attention.as_deref())?,
            authority: params::flag("authority", asked.authority.as_deref())?,
            version: params::text("version", asked.version.as_deref())?,
            implementation: params::text("implementation", asked.implementation.as_deref())?,
            place: Place::parse(
                asked.country.as_deref(),
                asked.city.as_deref(),
                asked.provider.as_deref(),
            )?,
            seen_after: params::time("seen_after", asked.seen_after.as_deref())?,
            order: Order::parse(asked.sort.as_deref())?,
            at: params::time("at", asked.at.as_deref())?,
            uptime_h: asked.uptime_h.as_deref().map(hours).transpose()?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: cursor.transpose()?,
        };
        let by_key = matches!(query.cursor, Some(NodeListCursor::Key(..)));
        if query.cursor.is_some() && by_key != query.order.is_some() {
            return Err(QueryError::invalid(
                "cursor",
                "is of an answer with another order",
            ));
        }
        let others = [
            ("text", query.text.is_some()),
            ("online", query.online.is_some()),
            ("attention", query.attention.is_some()),
            ("authority", query.authority.is_some()),
            ("version", query.version.is_some()),
            ("implementation", query.implementation.is_some()),
            (
                query
                    .place
                    .as_ref()
                    .and_then(Place::name)
                    .unwrap_or_default(),
                query.place.is_some(),
            ),
            ("seen_after", query.seen_after.is_some()),
            ("sort", query.order.is_some()),
            ("uptime_h", query.uptime_h.is_some()),
        ];
        let other = others.iter().find(|(_, is_given)| *is_given);
        match other.filter(|_| query.at.is_some()) {
            Some((name, _)) => Err(QueryError::invalid(
                name,
                "cannot be asked for together with at",
            )),
            None => Ok(query),
        }
    }
}

/// A part of the list.
#[derive(Debug)]
pub struct NodeList {
    /// The nodes, in the order asked for.
    pub nodes: Vec<ListedNode>,
    /// Where the next page begins; none after the last.
    pub next: Option<NodeListCursor>,
}

/// The nodes; `locations` for who may see where they are.
///
/// # Errors
/// If the database cannot be read, or who asks may not see what is asked for.
pub fn fetch(
    conn: &mut PgConnection,
    query: &NodeListQuery,
    locations: Option<&Locations>,
) -> Result<NodeList, QueryError> {
    let place = query.place.as_ref();
    let addresses = place
        .map(|place| place.addresses(conn, query.chain(), locations))
        .transpose()?;
    let mut nodes = match query.at {
        Some(at) => at_moment(conn, query, at)?,
        None => now(conn, query, addresses.as_deref())?,
    };
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let has_more = nodes.len() > limit;
    nodes.truncate(limit);
    let next = nodes
        .last()
        .filter(|_| has_more)
        .map(|last| match query.order {
            Some(_) => NodeListCursor::Key(last.sort_key.clone(), last.node.id),
            None => NodeListCursor::Session(PageCursor {
                created_at: last.session_at,
                id: last.node.id,
            }),
        });
    if query.at.is_none() {
        measure_clocks(conn, &mut nodes)?;
    }
    if let Some(locations) = locations {
        place::locate(&mut nodes, locations);
    }
    for listed in &mut nodes {
        // That of a session is true to a minute.
        listed.node.last_seen_at = listed.seen_at;
        // It ended after the moment that is asked for.
        if listed.node.online {
            listed.node.disconnected_at = None;
            listed.node.disconnect_reason = None;
        }
    }
    Ok(NodeList { nodes, next })
}

/// The nodes now, with one of the addresses or with any.
fn now(
    conn: &mut PgConnection,
    query: &NodeListQuery,
    addresses: Option<&[String]>,
) -> QueryResult<Vec<ListedNode>> {
    let (session, key) = match &query.cursor {
        Some(NodeListCursor::Session(cursor)) => (Some(*cursor), None),
        Some(NodeListCursor::Key(key, id)) => (None, Some((key, *id))),
        None => (None, None),
    };
    let id = session.map(|cursor| cursor.id).or(key.map(|(_, id)| id));
    let since = query.since(Utc::now());
    let mut statement = include_str!("list.sql").to_owned();
    if since.is_some() {
        let recent = include_str!("recent.sql").trim_end();
        statement = statement.replace("FROM /* nodes */ nodes n", &format!("FROM {recent} n"));
    }
    if let Some(order) = query.order {
        statement = order.apply(&statement);
    }
    diesel::sql_query(statement)
        .bind::<Nullable<Text>, _>(&query.chain)
        .bind::<Nullable<Text>, _>(&query.name)
        .bind::<Nullable<Bool>, _>(query.online)
        .bind::<Nullable<Text>, _>(&query.peer_id)
        .bind::<Nullable<Array<Text>>, _>(&query.states)
        .bind::<Nullable<Bool>, _>(query.attention)
        .bind::<Nullable<Bool>, _>(query.authority)
        .bind::<Nullable<Text>, _>(&query.version)
        .bind::<Nullable<Text>, _>(&query.implementation)
        .bind::<Nullable<Timestamptz>, _>(session.map(|cursor| cursor.created_at))
        .bind::<Nullable<BigInt>, _>(id)
        .bind::<Nullable<Text>, _>(key.map(|(key, _)| key))
        .bind::<BigInt, _>(query.limit + 1)
        .bind::<Nullable<BigInt>, _>(query.uptime_h)
        .bind::<Nullable<Timestamptz>, _>(since)
        .bind::<Nullable<Text>, _>(&query.text)
        .bind::<Nullable<Array<Text>>, _>(addresses)
        .load(conn)
}

fn at_moment(
    conn: &mut PgConnection,
    query: &NodeListQuery,
    at: DateTime<Utc>,
) -> QueryResult<Vec<ListedNode>> {
    let after = match query.cursor {
        Some(NodeListCursor::Session(cursor)) => Some(cursor),
        _ => None,
    };
    diesel::sql_query(include_str!("at.sql"))
        .bind::<Nullable<Text>, _>(&query.chain)
        .bind::<Nullable<Text>, _>(&query.name)
        .bind::<Nullable<Array<Text>>, _>(&query.states)
        .bind::<Timestamptz, _>(at)
        .bind::<Nullable<Timestamptz>, _>(after.map(|cursor| cursor.created_at))
        .bind::<Nullable<BigInt>, _>(after.map(|cursor| cursor.id))
        .bind::<BigInt, _>(query.limit + 1)
        .load(conn)
}

/// By how much the clocks of sessions are ahead, milliseconds, by their last messages.
pub(super) fn clocks(conn: &mut PgConnection, sessions: &[i64]) -> QueryResult<HashMap<i64, i64>> {
    if sessions.is_empty() {
        return Ok(HashMap::new());
    }
    let now = Utc::now();
    let window = Window {
        from: now - CLOCK,
        until: now + CLOCK,
    };
    messages::clocks(conn, sessions, window)
}

/// By the last messages of those that are connected.
fn measure_clocks(conn: &mut PgConnection, nodes: &mut [ListedNode]) -> QueryResult<()> {
    let open = nodes.iter().filter(|listed| listed.node.online);
    let sessions: Vec<i64> = open.map(|listed| listed.node.id).collect();
    let clocks = clocks(conn, &sessions)?;
    for listed in nodes {
        listed.clock_ahead_ms = clocks.get(&listed.node.id).copied();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_named() {
        let refused = |asked: NodeListParams| match NodeListQuery::try_from(asked) {
            Err(QueryError::Invalid { parameter, .. }) => parameter,
            other => panic!("not refused: {other:?}"),
        };
        let some = |text: &str| Some(text.to_owned());
        let list = NodeListParams::default;
        let key = || some(&NodeListCursor::Key("k".to_owned(), 1).to_string());
        let bad_state = NodeListParams {
            state: some("late,dead"),
            ..list()
        };
        assert_eq!(refused(bad_state), "state");
        let no_order = NodeListParams {
            cursor: key(),
            ..list()
        };
        assert_eq!(refused(no_order), "cursor");
        let other_order = NodeListParams {
            cursor: some("1_1"),
            sort: some("name"),
            ..list()
        };
        assert_eq!(refused(other_order), "cursor");
        let sorted_then = NodeListParams {
            at: some("2026-01-01T00:00:00Z"),
            sort: some("name"),
            ..list()
        };
        assert_eq!(refused(sorted_then), "sort");
        let right = NodeListParams {
            cursor: key(),
            sort: some("name"),
            ..list()
        };
        assert!(NodeListQuery::try_from(right).is_ok());
    }

    #[test]
    fn nodes_that_left_long_ago_are_not_looked_at_where_they_cannot_be_in_the_answer() {
        let since = |state: Option<&str>, attention: Option<&str>| {
            let asked = NodeListParams {
                state: state.map(str::to_owned),
                attention: attention.map(str::to_owned),
                ..NodeListParams::default()
            };
            let now = Utc::now();
            let query = NodeListQuery::try_from(asked).unwrap();
            query.since(now).map(|since| (since - now).num_days())
        };
        assert_eq!(since(None, None), None);
        assert_eq!(since(Some("late,offline"), None), None);
        assert_eq!(since(Some("late,missing"), None), Some(1));
        assert_eq!(since(None, Some("true")), Some(-1));
        assert_eq!(since(None, Some("false")), None);
    }
}
