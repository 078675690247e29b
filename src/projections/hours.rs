//! What tables of hours have in common: hours outlive their messages, so those
//! whose messages are purged are kept when a table is built anew.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use diesel::result::QueryResult;

use super::Occasion;
use crate::messages;
use crate::store::SessionRow;

/// The start of an hour.
pub(super) type Hour = DateTime<Utc>;

/// Longest time until what was read is written: an hour changes as a whole all the time.
pub(super) const INTERVAL_MAX: Duration = Duration::from_secs(120);

/// Hours of one session that are looked up: a year.
const HOURS_MAX: i64 = 8_784;

/// Hours of an open session that change with it, if it is not known how long ago it changed
/// before: its last message is written each minute.
const MOVING_HOURS: i64 = 2;

/// The hour of a time.
pub(super) fn hour_of(time: DateTime<Utc>) -> Hour {
    let seconds = time.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(3_600), 0).unwrap_or(time)
}

/// The first hour that is built anew: the first whole one of what was asked for, or
/// the first of which the messages are there.
pub(super) fn build_start(
    conn: &mut PgConnection,
    asked: Option<DateTime<Utc>>,
) -> QueryResult<Option<Hour>> {
    if let Some(asked) = asked {
        let end_of_hour = TimeDelta::hours(1) - TimeDelta::microseconds(1);
        return Ok(Some(hour_of(asked + end_of_hour)));
    }
    Ok(messages::complete_since(conn)?.map(hour_of))
}

/// The hours in which something follows from the newest state of a session; from `seen` on if
/// it only was seen again since then.
pub(super) fn changed(
    session: &SessionRow,
    occasion: Occasion,
    seen: Option<DateTime<Utc>>,
) -> impl Iterator<Item = Hour> {
    let last = hour_of(session.disconnected_at.unwrap_or(session.last_seen_at));
    let first = hour_of(session.created_at).max(last - TimeDelta::hours(HOURS_MAX));
    let moves = session.revision > 1 && session.disconnected_at.is_none();
    let from = match (occasion, seen) {
        (Occasion::Change, Some(seen)) => first.max(hour_of(seen)),
        (Occasion::Change, None) if moves => first.max(last - TimeDelta::hours(MOVING_HOURS)),
        _ => first,
    };
    let next = |hour: &Hour| Some(*hour + TimeDelta::hours(1));
    std::iter::successors(Some(from), next).take_while(move |hour| *hour <= last)
}
