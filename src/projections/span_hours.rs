//! The projection `span_hours`: how long the spans of a node took in each hour, for
//! each target and name.
//!
//! Times are whole nanoseconds, so sums add up alike in any order; how they are
//! distributed is a [`Histogram`]. Clients can invent names: of a node and hour the
//! first [`NAMES_MAX`] in alphabetical order are kept apart, whatever came first, and
//! the others are counted together as [`OTHER`]. Rows of a session whose node is not
//! known yet have its number, and move to the node when it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, SmallInt, Text, Timestamptz};
use serde::Serialize;

use super::beside::Table;
use super::histogram::Histogram;
use super::hours::{self, Hour, hour_of};
use super::identities::Identities;
use super::{Message, Occasion, Projection, json};
use crate::cluster::Job;
use crate::database::statement;
use crate::ids::SessionId;
use crate::store::SessionRow;
use crate::telemetry::Span;

/// Targets and names of a node and hour that are kept apart; nodes have some hundred.
const NAMES_MAX: i32 = 1_000;

/// Longer targets and names are counted as [`OTHER`], bytes; an index on them has
/// its limit at 2,704. Those of nodes have some ten.
const TEXT_BYTES_MAX: usize = 512;

/// Target and name of spans that are counted together.
pub const OTHER: &str = "(other)";

/// Node, session while the node is not known, and hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    peer_id: String,
    genesis_hash: String,
    session_id: i64,
    hour: Hour,
}

/// A target and a name: they are separated by a NUL, which neither has.
type Key = String;

/// How long spans took.
#[derive(Debug, Clone, PartialEq)]
struct Times {
    count: i64,
    total_ns: i128,
    min_ns: i64,
    max_ns: i64,
    histogram: Histogram,
}

/// A row that is written.
#[derive(Debug, Serialize)]
struct SpanHourRow<'a> {
    peer_id: &'a str,
    genesis_hash: &'a str,
    session_id: i64,
    hour: Hour,
    target: &'a str,
    name: &'a str,
    count: i64,
    total_ns: i128,
    min_ns: i64,
    max_ns: i64,
    buckets: Vec<i16>,
    counts: Vec<i64>,
}

/// A row that waited for the node of its session.
#[derive(QueryableByName)]
struct Waited {
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = Timestamptz)]
    hour: Hour,
    #[diesel(sql_type = Text)]
    key_target: String,
    #[diesel(sql_type = Text)]
    key_name: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Text)]
    total_ns: String,
    #[diesel(sql_type = BigInt)]
    min_ns: i64,
    #[diesel(sql_type = BigInt)]
    max_ns: i64,
    #[diesel(sql_type = Array<SmallInt>)]
    buckets: Vec<i16>,
    #[diesel(sql_type = Array<BigInt>)]
    counts: Vec<i64>,
}

/// Where a target and name appeared for the first time.
#[derive(QueryableByName)]
struct Grown {
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(sql_type = Text)]
    genesis_hash: String,
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = Timestamptz)]
    hour: Hour,
}

/// The projection.
#[derive(Debug, Default)]
pub(super) struct SpanHours {
    hours: HashMap<(SessionId, Hour), BTreeMap<Key, Times>>,
    /// Rows in `hours`.
    rows: usize,
    changed: HashSet<SessionId>,
    identities: Identities,
}

impl Projection for SpanHours {
    fn name(&self) -> &'static str {
        "span_hours"
    }

    fn job(&self) -> Job {
        Job::SpanHours
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[Span::KIND]
    }

    fn interval_max(&self) -> Duration {
        hours::INTERVAL_MAX
    }

    fn fold(&mut self, message: Message<'_>) {
        let Some(span) = Span::from_fields(message.kind, message.fields.as_bytes()) else {
            return;
        };
        let hour = (message.session, hour_of(message.created_at));
        let key = key(message.target.unwrap_or_default(), &span.name);
        let names = self.hours.entry(hour).or_default();
        let times = Times::of(span.time_ns);
        if let Some(known) = names.get_mut(&key) {
            known.merge(&times);
        } else {
            names.insert(key, times);
            self.rows += 1;
        }
    }

    fn session(&mut self, session: &SessionRow, _occasion: Occasion) {
        self.changed.insert(session.id);
        self.identities.learn(session);
    }

    fn pending(&self) -> usize {
        self.rows + self.changed.len()
    }

    fn reported(&self) -> usize {
        self.rows
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let hours = std::mem::take(&mut self.hours);
        let changed = std::mem::take(&mut self.changed);
        self.rows = 0;
        self.identities
            .look_up(conn, hours.keys().map(|(session, _)| *session))?;
        let mut rows: BTreeMap<(Place, Key), Times> = BTreeMap::new();
        for ((session, hour), names) in hours {
            let place = self.place(session, hour);
            for (key, times) in names {
                merge(&mut rows, (place.clone(), key), &times);
            }
        }
        let take = "DELETE FROM span_hours WHERE peer_id = '' AND genesis_hash = '' AND session_id = ANY($1) \
                    RETURNING session_id, hour, target AS key_target, name AS key_name, count, total_ns::text, min_ns, max_ns, buckets, counts";
        let waiting: Vec<Waited> = self.identities.take_waiting(conn, &changed, take)?;
        for waited in waiting {
            let place = self.place(SessionId(waited.session_id), waited.hour);
            let key = key(&waited.key_target, &waited.key_name);
            merge(&mut rows, (place, key), &Times::from(waited));
        }
        let grown = add(conn, &rows)?;
        limit_names(conn, &grown)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table::of_times("span_hours", "hour")]
    }
}

impl SpanHours {
    /// Where the spans of a session are counted.
    fn place(&self, session: SessionId, hour: Hour) -> Place {
        match self.identities.of(session) {
            Some(identity) => Place {
                peer_id: identity.node.peer_id.clone(),
                genesis_hash: identity.node.genesis_hash.clone(),
                session_id: 0,
                hour,
            },
            None => Place {
                session_id: session.0,
                hour,
                ..Place::default()
            },
        }
    }
}

impl Times {
    fn of(time_ns: i64) -> Self {
        let mut histogram = Histogram::default();
        histogram.add(time_ns);
        Self {
            count: 1,
            total_ns: time_ns.into(),
            min_ns: time_ns,
            max_ns: time_ns,
            histogram,
        }
    }

    /// Puts two together; the order does not matter.
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.total_ns += other.total_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.histogram.merge(&other.histogram);
    }
}

impl From<Waited> for Times {
    fn from(waited: Waited) -> Self {
        Self {
            count: waited.count,
            total_ns: waited.total_ns.parse().unwrap_or_default(),
            min_ns: waited.min_ns,
            max_ns: waited.max_ns,
            histogram: Histogram::new(&waited.buckets, &waited.counts),
        }
    }
}

fn key(target: &str, name: &str) -> Key {
    match target.len() <= TEXT_BYTES_MAX && name.len() <= TEXT_BYTES_MAX {
        true => format!("{target}\0{name}"),
        false => format!("{OTHER}\0{OTHER}"),
    }
}

fn merge(rows: &mut BTreeMap<(Place, Key), Times>, at: (Place, Key), times: &Times) {
    match rows.get_mut(&at) {
        Some(known) => known.merge(times),
        None => {
            rows.insert(at, times.clone());
        }
    }
}

/// A statement that inserts rows, with what it does about those that are there.
fn merging(statement: &str) -> String {
    statement.replace("{merge}", include_str!("span_hours_merge.sql"))
}

/// Adds rows; returns where one is new.
fn add(conn: &mut PgConnection, rows: &BTreeMap<(Place, Key), Times>) -> QueryResult<Vec<Grown>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<SpanHourRow<'_>> = rows
        .iter()
        .map(|((place, key), times)| {
            let (target, name) = key.split_once('\0').unwrap_or_default();
            let (buckets, counts) = times.histogram.columns();
            SpanHourRow {
                peer_id: &place.peer_id,
                genesis_hash: &place.genesis_hash,
                session_id: place.session_id,
                hour: place.hour,
                target,
                name,
                count: times.count,
                total_ns: times.total_ns,
                min_ns: times.min_ns,
                max_ns: times.max_ns,
                buckets,
                counts,
            }
        })
        .collect();
    statement(merging(include_str!("span_hours_add.sql")))
        .bind::<Text, _>(json(&rows)?)
        .load(conn)
}

/// Counts together what is beyond the limit where rows are new.
fn limit_names(conn: &mut PgConnection, grown: &[Grown]) -> QueryResult<()> {
    if grown.is_empty() {
        return Ok(());
    }
    let texts = |text: fn(&Grown) -> &str| grown.iter().map(text).collect::<Vec<_>>();
    statement(merging(include_str!("span_hours_limit.sql")))
        .bind::<Array<Text>, _>(texts(|place| &place.peer_id))
        .bind::<Array<Text>, _>(texts(|place| &place.genesis_hash))
        .bind::<Array<BigInt>, _>(
            grown
                .iter()
                .map(|place| place.session_id)
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Timestamptz>, _>(grown.iter().map(|place| place.hour).collect::<Vec<_>>())
        .bind::<Integer, _>(NAMES_MAX)
        .bind::<Text, _>(OTHER)
        .execute(conn)?;
    Ok(())
}
