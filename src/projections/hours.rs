//! What tables of hours have in common: hours outlive their messages, so those
//! whose messages are purged are kept when a table is built anew.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use diesel::result::QueryResult;

use crate::messages;

/// The start of an hour.
pub(super) type Hour = DateTime<Utc>;

/// Longest time until what was read is written: an hour changes as a whole all the time.
pub(super) const INTERVAL_MAX: Duration = Duration::from_secs(120);

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
