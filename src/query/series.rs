//! Values that a node reported over time, beside the height of its chain: the last
//! ones in each of some buckets of time.
//!
//! An hour costs about as much as a year, for only the end of each bucket is
//! read, backwards along the index on session and time. A kind of which there is
//! none at the end is looked for along the index on kind and session: it is rare
//! then, or there would be one.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::buckets::{Buckets, Period};
use super::last_values::{self, Lookup, Missing, Wanted};
use super::params::{self, TimeRange};
use super::presence::ChainNode;
use super::time_windows::{self, Session};
use super::{Limits, QueryError, presence, series_hours};
use crate::messages::{self, LastMessage};
use crate::telemetry::{Block, PoolImport, Reading};

/// Points of an answer: as many as a wide screen has pixels.
const POINTS: RangeInclusive<i64> = 1..=2_000;
const POINTS_DEFAULT: i64 = 300;

/// Without `start_time`.
const RANGE_DEFAULT: TimeDelta = TimeDelta::hours(1);

/// A century: keeps times within the years that can be written.
const RANGE_MAX: TimeDelta = TimeDelta::days(36_525);

/// Other nodes of the chain of which the height is read.
const CHAIN_NODES: i64 = 8;

/// Sessions of the node itself that are looked at in a bucket; of the others only
/// what these lack. There are more only while it connects anew all the time.
const OWN_SESSIONS: usize = 4;

/// Parameters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SeriesParams {
    /// libp2p identity of the node.
    #[param(required = true)]
    peer_id: Option<String>,
    /// From this time on: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; an hour before
    /// `end_time` unless given, a century before it at most.
    start_time: Option<String>,
    /// Before this time: RFC 3339, or `2019-01-01T00:00:00[.ffffff]` in UTC; now unless given.
    end_time: Option<String>,
    /// Points in the answer at most; one more if `start_time` is not the start of a bucket.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 2_000, default = 300)]
    points: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct SeriesQuery {
    peer_id: String,
    range: TimeRange,
    points: i64,
}

impl TryFrom<SeriesParams> for SeriesQuery {
    type Error = QueryError;

    fn try_from(asked: SeriesParams) -> Result<Self, QueryError> {
        Ok(Self {
            peer_id: params::peer_id(asked.peer_id.as_deref())?,
            range: TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?,
            points: params::whole("points", asked.points.as_deref(), POINTS_DEFAULT, POINTS)?,
        })
    }
}

/// The values of a node over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Series {
    /// Start of the first bucket.
    pub start_time: DateTime<Utc>,
    /// End of the last bucket, which is not part of it.
    pub end_time: DateTime<Utc>,
    /// Length of a bucket, seconds: one that can be read off a clock, or whole days.
    #[schema(example = 30)]
    pub step_s: i64,
    /// A point for each bucket, oldest first.
    pub points: Vec<Point>,
}

/// The last values within a bucket; null where none was reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Point {
    /// Start of the bucket: a multiple of its length since 1970, in UTC.
    pub created_at: DateTime<Utc>,
    /// Number of the node's best block.
    pub height: Option<i64>,
    /// Highest `height` of this node and up to 8 others of the same genesis hash, those
    /// that were there for the longest part of the range.
    pub chain_height: Option<i64>,
    /// Number of the last block that the node saw finalized.
    pub finalized_height: Option<i64>,
    /// Peers of the node.
    pub peers: Option<i64>,
    /// Transactions in the pool.
    pub transactions: Option<i64>,
    /// Transactions that are ready for a block.
    pub ready: Option<i64>,
    /// Transactions that wait for others.
    pub future: Option<i64>,
    /// Download, bytes a second.
    pub download_bytes_per_s: Option<f64>,
    /// Upload, bytes a second.
    pub upload_bytes_per_s: Option<f64>,
    /// State cache in use, bytes.
    pub state_cache_bytes: Option<f64>,
}

/// Reads the series of a node.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown peer; [`QueryError::Invalid`] for a
/// range that is empty or too long; [`QueryError::Unavailable`] if it takes
/// longer than `limits` allow.
pub fn fetch(
    conn: &mut PgConnection,
    query: &SeriesQuery,
    limits: &Limits,
) -> Result<Series, QueryError> {
    let deadline = limits.deadline();
    let span = Period::of(query.range, limits.now, RANGE_DEFAULT, RANGE_MAX)?;
    let buckets = Buckets::at_most(query.points, span);
    let nodes = Nodes::find(conn, &query.peer_id, buckets.all(), limits.now)?;
    if let Some(genesis_hash) = nodes.only_chain()
        && series_hours::can_answer(conn, &buckets)?
    {
        let others: Vec<&str> = nodes
            .others
            .iter()
            .map(|node| node.peer_id.as_str())
            .collect();
        let node = (query.peer_id.as_str(), genesis_hash);
        let points = series_hours::points(conn, node, &others, &buckets)?;
        return Ok(Series::of(&buckets, points));
    }
    let kinds = Kinds::find(conn)?;
    let plan = Plan::of(&nodes, &kinds, &buckets);
    let mut found = last_values::find(conn, &plan.lookups, (limits, &deadline))?;
    let missing = plan.missing(&found, &kinds);
    let lookups = last_values::locate(conn, &missing, &buckets, &nodes.own, (limits, &deadline))?;
    found.extend(last_values::find(conn, &lookups, (limits, &deadline))?);
    Ok(Series::of(&buckets, points(&buckets, found, &kinds.names)))
}

impl Series {
    fn of(buckets: &Buckets, points: Vec<Point>) -> Self {
        Self {
            start_time: buckets.all().start,
            end_time: buckets.all().end,
            step_s: buckets.step().num_seconds(),
            points,
        }
    }
}

/// The sessions of the node, and of others of its chain.
#[derive(Debug)]
struct Nodes {
    own: Vec<Session>,
    genesis_hash: Option<String>,
    others: Vec<ChainNode>,
}

impl Nodes {
    fn find(
        conn: &mut PgConnection,
        peer_id: &str,
        span: Period,
        now: DateTime<Utc>,
    ) -> Result<Self, QueryError> {
        let mut own = time_windows::sessions(conn, peer_id)?;
        own.retain(|session| session.may_have_messages(span, now));
        let genesis_hash = own.iter().find_map(|session| session.genesis_hash.clone());
        let others = match &genesis_hash {
            Some(genesis) => presence::of_chain(conn, genesis, peer_id, span, CHAIN_NODES)?,
            None => Vec::new(),
        };
        Ok(Self {
            own,
            genesis_hash,
            others,
        })
    }

    /// The chain of all its sessions, if it is one; empty where it is not known.
    fn only_chain(&self) -> Option<&str> {
        let mut chains = self
            .own
            .iter()
            .map(|session| session.genesis_hash.as_deref());
        let first = chains.next()?;
        chains
            .all(|chain| chain == first)
            .then(|| first.unwrap_or_default())
    }

    /// Whether a node of these sessions was on the chain of the others, or was away.
    fn are_on_chain(&self, sessions: &[&Session]) -> bool {
        let hashes = sessions.iter().map(|session| &session.genesis_hash);
        sessions.is_empty()
            || hashes
                .clone()
                .any(|hash| hash.is_none() || *hash == self.genesis_hash)
    }
}

/// The messages that carry the values; kinds that were never sent are left out.
#[derive(Debug)]
struct Kinds {
    own: Vec<Wanted>,
    height: Option<Wanted>,
    names: HashMap<i16, &'static str>,
}

impl Kinds {
    const NAMES: [&'static str; 4] = [
        Reading::INTERVAL,
        Reading::IMPORT,
        Reading::FINALIZED,
        PoolImport::KIND,
    ];

    fn find(conn: &mut PgConnection) -> QueryResult<Self> {
        let [interval, import, finalized, pool] = Self::NAMES;
        let names = messages::numbers(conn, &Self::NAMES)?;
        let number = |name| {
            let known = names.iter().find(|(_, known)| **known == name);
            known.map(|(number, _)| *number)
        };
        let wanted = |name, field| {
            let kind = number(name)?;
            let other_kind = kind;
            Some(Wanted {
                kind,
                other_kind,
                field,
            })
        };
        let own = [
            wanted(interval, "height"),
            wanted(interval, "peers"),
            wanted(import, "height"),
            wanted(finalized, "height"),
            wanted(pool, "ready"),
        ];
        let (interval, import) = (number(interval), number(import));
        Ok(Self {
            own: own.into_iter().flatten().collect(),
            height: interval.or(import).map(|kind| Wanted {
                kind,
                other_kind: import.unwrap_or(kind),
                field: "height",
            }),
            names,
        })
    }
}

/// What is looked up for each bucket.
#[derive(Debug, Default)]
struct Plan {
    lookups: Vec<Lookup>,
    /// Buckets of which not all sessions are looked at.
    crowded: Vec<i32>,
}

impl Plan {
    fn of(nodes: &Nodes, kinds: &Kinds, buckets: &Buckets) -> Self {
        let mut plan = Self::default();
        for place in 0..buckets.count() {
            let span = buckets.span(place);
            let lookup = |is_own, session: &Session, wanted: &Wanted| Lookup {
                place,
                is_own,
                session: session.id,
                span,
                wanted: *wanted,
            };
            let own = presence::within(&nodes.own, span).collect::<Vec<_>>();
            for session in own.iter().take(OWN_SESSIONS) {
                let lookups = kinds.own.iter().map(|wanted| lookup(true, session, wanted));
                plan.lookups.extend(lookups);
            }
            if own.len() > OWN_SESSIONS {
                plan.crowded.push(place);
            }
            if !nodes.are_on_chain(&own) {
                continue;
            }
            for other in &nodes.others {
                let newest = presence::within(&other.sessions, span).next();
                let asked = newest.zip(kinds.height.as_ref());
                let lookups = asked.map(|(session, wanted)| lookup(false, session, wanted));
                plan.lookups.extend(lookups);
            }
        }
        plan
    }

    /// What was not found, but may be there.
    fn missing(&self, found: &[(Lookup, LastMessage)], kinds: &Kinds) -> BTreeSet<Missing> {
        let own = found.iter().filter(|(lookup, _)| lookup.is_own);
        let gave_up = own.clone().filter(|(_, last)| last.logs.is_none());
        let mut missing: BTreeSet<Missing> = gave_up
            .map(|(lookup, _)| (lookup.wanted, lookup.place))
            .collect();
        for place in &self.crowded {
            missing.extend(kinds.own.iter().map(|wanted| (*wanted, *place)));
        }
        for (lookup, _) in own.filter(|(_, last)| last.logs.is_some()) {
            missing.remove(&(lookup.wanted, lookup.place));
        }
        missing
    }
}

fn points(
    buckets: &Buckets,
    mut found: Vec<(Lookup, LastMessage)>,
    kinds: &HashMap<i16, &'static str>,
) -> Vec<Point> {
    let point = |place| Point {
        created_at: buckets.span(place).start,
        ..Point::default()
    };
    let mut points: Vec<Point> = (0..buckets.count()).map(point).collect();
    // What arrived last overwrites.
    found.sort_by_key(|(_, last)| last.created_at);
    for (lookup, last) in &found {
        let place = usize::try_from(lookup.place).ok();
        let point = place.and_then(|place| points.get_mut(place));
        let kind = kinds.get(&last.kind_id);
        let (Some(point), Some(kind), Some(logs)) = (point, kind, &last.logs) else {
            continue;
        };
        if let Some(reading) = Reading::from_fields(kind, logs.as_bytes()) {
            match lookup.is_own {
                true => point.take(&reading),
                false => point.take_chain(&reading),
            }
        }
        if let Some(pool) = PoolImport::from_fields(kind, logs.as_bytes()) {
            point.ready = pool.ready.or(point.ready);
            point.future = pool.future.or(point.future);
        }
    }
    for point in &mut points {
        point.chain_height = point.chain_height.max(point.height);
    }
    points
}

impl Point {
    fn take(&mut self, reading: &Reading<'_>) {
        let height = |block: &Option<Block<'_>>| block.as_ref().map(|block| block.height);
        self.height = height(&reading.best).or(self.height);
        self.finalized_height = height(&reading.finalized).or(self.finalized_height);
        self.peers = reading.peers.or(self.peers);
        self.transactions = reading.transactions.or(self.transactions);
        self.download_bytes_per_s = reading.download_bytes_per_s.or(self.download_bytes_per_s);
        self.upload_bytes_per_s = reading.upload_bytes_per_s.or(self.upload_bytes_per_s);
        self.state_cache_bytes = reading.state_cache_bytes.or(self.state_cache_bytes);
    }

    fn take_chain(&mut self, reading: &Reading<'_>) {
        let height = reading.best.as_ref().map(|block| block.height);
        self.chain_height = self.chain_height.max(height);
    }
}
