//! The last messages of kinds within spans of time of sessions, many at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamptz,
};

use super::QueryError;
use super::buckets::{Buckets, Period};
use super::time_windows::{Session, WINDOW_MAX};

/// Messages that a lookup sees before it gives up: healthy nodes say each 5 s
/// how they are, and at most 20 other things a second.
const ROWS_MAX: i64 = 100;

/// Lookups of one statement, so that none takes long.
const LOOKUPS_MAX: usize = 5_000;

/// Buckets that are further from each other are asked for apart.
const GAP_MAX: TimeDelta = TimeDelta::days(1);

/// How long the statements of a question may take altogether.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) since: Instant,
    pub(super) time_max: Duration,
}

impl Deadline {
    /// Before each statement.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        if self.since.elapsed() > self.time_max {
            let cause = "a series takes longer than STATEMENT_TIMEOUT_S; ask for fewer points";
            return Err(QueryError::Unavailable(cause.to_owned()));
        }
        Ok(())
    }
}

/// Messages of one kind, or of two that say the same, that have a field with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) kind: i16,
    pub(super) other_kind: i16,
    pub(super) field: &'static str,
}

/// The last message of a kind within a span of a session, for a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup {
    /// Place of the bucket.
    pub(super) place: i32,
    /// Whether the session is of the node that was asked for.
    pub(super) is_own: bool,
    pub(super) session: i64,
    pub(super) span: Period,
    pub(super) wanted: Wanted,
}

/// What a lookup found. Which values there are depends on the kind.
#[derive(Debug, QueryableByName)]
pub(super) struct LastValues {
    /// Place of the lookup among those that were asked, from 1 on.
    #[diesel(sql_type = BigInt)]
    lookup: i64,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
    #[diesel(sql_type = SmallInt)]
    pub(super) kind_id: i16,
    /// Whether it is what was wanted. If not, the lookup gave up here.
    #[diesel(sql_type = Bool)]
    pub(super) matches: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) height: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) finalized_height: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) peers: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) transactions: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) ready: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) future: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub(super) download_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub(super) upload_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub(super) state_cache_bytes: Option<f64>,
}

/// Finds what lookups, those of the earliest buckets first, are about.
///
/// # Errors
/// If the database cannot be read, or deadline ends.
pub(super) fn find(
    conn: &mut PgConnection,
    lookups: &[Lookup],
    deadline: &Deadline,
) -> Result<Vec<(Lookup, LastValues)>, QueryError> {
    let mut found = Vec::new();
    let mut rest = lookups;
    while let Some(first) = rest.first() {
        deadline.check()?;
        let end = first.span.start + WINDOW_MAX;
        let fits = |lookup: &&Lookup| lookup.place == first.place || lookup.span.end <= end;
        let count = rest.iter().take(LOOKUPS_MAX).take_while(fits).count();
        let (statement, later) = rest.split_at(count);
        let said = find_at_once(conn, statement)?;
        let lookup = |said: LastValues| {
            let index = usize::try_from(said.lookup - 1).ok()?;
            Some((*statement.get(index)?, said))
        };
        found.extend(said.into_iter().filter_map(lookup));
        rest = later;
    }
    Ok(found)
}

fn find_at_once(conn: &mut PgConnection, lookups: &[Lookup]) -> QueryResult<Vec<LastValues>> {
    let all = lookups.iter();
    let start = all.clone().map(|lookup| lookup.span.start).min();
    let end = all.clone().map(|lookup| lookup.span.end).max();
    diesel::sql_query(include_str!("series_last_values.sql"))
        .bind::<Array<BigInt>, _>(all.clone().map(|l| l.session).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(all.clone().map(|l| l.span.start).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(all.clone().map(|l| l.span.end).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(all.clone().map(|l| l.wanted.kind).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(all.clone().map(|l| l.wanted.other_kind).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(all.map(|l| l.wanted.field).collect::<Vec<_>>())
        .bind::<Nullable<Timestamptz>, _>(start)
        .bind::<Nullable<Timestamptz>, _>(end)
        .bind::<BigInt, _>(ROWS_MAX)
        .load(conn)
}

/// When a node last sent something in a bucket.
#[derive(Debug, QueryableByName)]
struct LastTime {
    /// Place of the bucket among those that were asked for, from 0 on.
    #[diesel(sql_type = Integer)]
    bucket: i32,
    #[diesel(sql_type = BigInt)]
    session: i64,
    #[diesel(sql_type = Timestamptz)]
    said_at: DateTime<Utc>,
}

/// A kind of which a bucket may hold something that lookups did not find.
pub(super) type Missing = (Wanted, i32);

/// Makes lookups of the very moments at which a node with these sessions last
/// sent what is missing, where it did at all.
///
/// # Errors
/// If the database cannot be read, or deadline ends.
pub(super) fn locate(
    conn: &mut PgConnection,
    missing: &BTreeSet<Missing>,
    buckets: &Buckets,
    sessions: &[Session],
    (now, deadline): (DateTime<Utc>, &Deadline),
) -> Result<Vec<Lookup>, QueryError> {
    let missing = Vec::from_iter(missing.iter().copied());
    let is_one_run = |one: &Missing, next: &Missing| is_one_run(one, next, buckets);
    let mut lookups = Vec::new();
    for run in missing.chunk_by(is_one_run) {
        let (Some((wanted, first)), Some((_, last))) = (run.first(), run.last()) else {
            continue;
        };
        deadline.check()?;
        let span = Period {
            start: buckets.span(*first).start,
            end: buckets.span(*last).end,
        };
        let may_have_messages = sessions
            .iter()
            .filter(|one| one.may_have_messages(span, now));
        let spoken: Vec<LastTime> = diesel::sql_query(include_str!("series_rare.sql"))
            .bind::<SmallInt, _>(wanted.kind)
            .bind::<Text, _>(wanted.field)
            .bind::<Array<BigInt>, _>(may_have_messages.map(|one| one.id).collect::<Vec<_>>())
            .bind::<Timestamptz, _>(span.start)
            .bind::<Timestamptz, _>(span.end)
            .bind::<BigInt, _>(buckets.step().num_seconds())
            .load(conn)?;
        let lookup = |spoken: LastTime| Lookup {
            place: first + spoken.bucket,
            is_own: true,
            session: spoken.session,
            span: Period {
                start: spoken.said_at,
                end: spoken.said_at + TimeDelta::microseconds(1),
            },
            wanted: *wanted,
        };
        let is_missing = |lookup: &Lookup| {
            let place = |(_, place): &Missing| *place;
            run.binary_search_by_key(&lookup.place, place).is_ok()
        };
        lookups.extend(spoken.into_iter().map(lookup).filter(is_missing));
    }
    lookups.sort_by_key(|lookup| lookup.place);
    Ok(lookups)
}

/// Whether one statement looks for both: it reads what lies between them too.
fn is_one_run(one: &Missing, next: &Missing, buckets: &Buckets) -> bool {
    let span = |(_, place): &Missing| buckets.span(*place);
    let window = |missing: &Missing| {
        let start_s = span(missing).start.timestamp();
        start_s.div_euclid(WINDOW_MAX.num_seconds())
    };
    one.0 == next.0 && window(one) == window(next) && span(next).start - span(one).end <= GAP_MAX
}
