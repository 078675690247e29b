//! The last messages of kinds within spans of time of sessions, many at once.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use diesel::prelude::*;

use super::buckets::{Buckets, Period};
use super::limits::Deadline;
use super::time_windows::Session;
use super::{Limits, QueryError};
use crate::messages::{self, LastMessage, LastTime, Rare};

/// Messages that a lookup reads before it gives up: healthy nodes send
/// `system.interval` every 5 s, and at most 20 other messages a second.
const ROWS_MAX: i64 = 100;

/// Lookups of one statement, so that none takes long.
const LOOKUPS_MAX: usize = 5_000;

/// Buckets that are further from each other are read apart.
const GAP_MAX: TimeDelta = TimeDelta::days(1);

const TOO_LONG: &str = "a series takes longer than STATEMENT_TIMEOUT_S; ask for fewer points";

/// Messages of one kind, or of two that carry the same, that have a field with a number.
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
    /// Whether the session is of the node of the query.
    pub(super) is_own: bool,
    pub(super) session: i64,
    pub(super) span: Period,
    pub(super) wanted: Wanted,
}

/// Carries out lookups, which are sorted by bucket.
///
/// # Errors
/// If the database cannot be read, or deadline ends.
pub(super) fn find(
    conn: &mut PgConnection,
    lookups: &[Lookup],
    (limits, deadline): (&Limits, &Deadline),
) -> Result<Vec<(Lookup, LastMessage)>, QueryError> {
    let mut found = Vec::new();
    let mut rest = lookups;
    while let Some(first) = rest.first() {
        deadline.check(TOO_LONG)?;
        let end = first.span.start + limits.window_max;
        let fits = |lookup: &&Lookup| lookup.place == first.place || lookup.span.end <= end;
        let count = rest.iter().take(LOOKUPS_MAX).take_while(fits).count();
        let (statement, later) = rest.split_at(count);
        let asked: Vec<messages::Lookup> = statement.iter().map(Lookup::asked).collect();
        let lookup = |message: LastMessage| {
            let index = usize::try_from(message.lookup - 1).ok()?;
            Some((*statement.get(index)?, message))
        };
        let messages = messages::last_messages(conn, &asked, ROWS_MAX)?;
        found.extend(messages.into_iter().filter_map(lookup));
        rest = later;
    }
    Ok(found)
}

impl Lookup {
    fn asked(&self) -> messages::Lookup {
        messages::Lookup {
            session: self.session,
            window: self.span.into(),
            kind: self.wanted.kind,
            other_kind: self.wanted.other_kind,
            field: self.wanted.field,
        }
    }
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
    (limits, deadline): (&Limits, &Deadline),
) -> Result<Vec<Lookup>, QueryError> {
    let missing = Vec::from_iter(missing.iter().copied());
    let is_one_run =
        |one: &Missing, next: &Missing| is_one_run(one, next, buckets, limits.window_max);
    let mut lookups = Vec::new();
    for run in missing.chunk_by(is_one_run) {
        let (Some((wanted, first)), Some((_, last))) = (run.first(), run.last()) else {
            continue;
        };
        deadline.check(TOO_LONG)?;
        let span = Period {
            start: buckets.span(*first).start,
            end: buckets.span(*last).end,
        };
        let may_have_messages = sessions
            .iter()
            .filter(|one| one.may_have_messages(span, limits.now));
        let asked = Rare {
            kind: wanted.kind,
            field: wanted.field,
            sessions: may_have_messages.map(|one| one.id).collect(),
            window: span.into(),
            step_s: buckets.step().num_seconds(),
        };
        let lookup = |last: LastTime| Lookup {
            place: first + last.bucket,
            is_own: true,
            session: last.session,
            span: Period {
                start: last.created_at,
                end: last.created_at + TimeDelta::microseconds(1),
            },
            wanted: *wanted,
        };
        let is_missing = |lookup: &Lookup| {
            let place = |(_, place): &Missing| *place;
            run.binary_search_by_key(&lookup.place, place).is_ok()
        };
        let found = messages::last_times(conn, &asked)?.into_iter();
        lookups.extend(found.map(lookup).filter(is_missing));
    }
    lookups.sort_by_key(|lookup| lookup.place);
    Ok(lookups)
}

/// Whether one statement looks for both: it reads what lies between them too.
fn is_one_run(one: &Missing, next: &Missing, buckets: &Buckets, window_max: TimeDelta) -> bool {
    let span = |(_, place): &Missing| buckets.span(*place);
    let window = |missing: &Missing| {
        let start_s = span(missing).start.timestamp();
        start_s.div_euclid(window_max.num_seconds())
    };
    one.0 == next.0 && window(one) == window(next) && span(next).start - span(one).end <= GAP_MAX
}
