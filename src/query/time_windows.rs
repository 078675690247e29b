//! Time windows over the sessions of a peer, from the newest to the oldest.
//!
//! Messages lie in partitions by time, with an index on session and time. A
//! statement that gets a window as constant bounds opens only the partitions of
//! that window, however many years of them there are, and sorts only the rows
//! in it. Windows do not overlap, so the rows of one are newer than those of the
//! next, in whichever session. Each session is extended by [`SLACK`] at both ends.
//! Where lines are wanted that were posted about the peer, the times between its sessions
//! have windows of their own, so that those never widen the windows of a busy session.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};

use super::buckets;
use super::params::TimeRange;
use super::{Limits, QueryError};
use crate::messages::{self, Window};

/// How far messages may lie outside of the recorded times of their session: the
/// kill of a server loses the last update of `last_seen_at`, the clocks of servers
/// differ, and rows from before arrival became the axis of time were dated by
/// their node. Costs nothing: no rows are read for it.
pub(super) const SLACK: TimeDelta = TimeDelta::hours(1);

/// How many times wider than the one before a window may be.
const GROWTH_MAX: i64 = 8;

/// What is needed of a session to find its messages.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(super) struct Session {
    #[diesel(sql_type = BigInt)]
    pub(super) id: i64,
    #[diesel(sql_type = Text)]
    pub(super) ip_addr: String,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) last_seen_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    pub(super) online: bool,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) genesis_hash: Option<String>,
}

impl Session {
    /// Whether it may have messages within a span.
    pub(super) fn may_have_messages(&self, span: buckets::Period, now: DateTime<Utc>) -> bool {
        self.start() < span.end && self.end(now) > span.start
    }

    /// From when on it may have messages.
    fn start(&self) -> DateTime<Utc> {
        self.created_at - SLACK
    }

    /// From when on it has no messages.
    fn end(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let last = if self.online { now } else { self.last_seen_at };
        last + SLACK
    }
}

/// The sessions of a peer, newest first; none if it is not known.
///
/// # Errors
/// If the database cannot be read.
pub(super) fn known_sessions(conn: &mut PgConnection, peer_id: &str) -> QueryResult<Vec<Session>> {
    diesel::sql_query(include_str!("sessions.sql"))
        .bind::<Text, _>(peer_id)
        .load(conn)
}

/// The sessions of a peer, newest first.
///
/// # Errors
/// [`QueryError::NotFound`] if there are none.
pub(super) fn sessions(conn: &mut PgConnection, peer_id: &str) -> Result<Vec<Session>, QueryError> {
    let sessions = known_sessions(conn, peer_id)?;
    if sessions.is_empty() {
        return Err(NOT_KNOWN);
    }
    Ok(sessions)
}

/// There is no such peer.
pub(super) const NOT_KNOWN: QueryError = QueryError::NotFound {
    parameter: "peer_id",
};

/// The part of a span in which there may be messages, so that going through it ends.
///
/// # Errors
/// If the database cannot be read.
pub(super) fn reach(conn: &mut PgConnection, span: Window, limits: &Limits) -> QueryResult<Window> {
    let until = span.until.min(limits.now + SLACK);
    let is_short = span.until.signed_duration_since(span.from) <= limits.window_max;
    let from = match is_short {
        true => span.from,
        false => messages::begin(conn)?.map_or(until, |begin| begin.max(span.from)),
    };
    Ok(Window { from, until })
}

/// A span of time and the sessions that may have messages in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionWindow {
    pub(super) span: Window,
    pub(super) sessions: Vec<i64>,
}

#[derive(Debug)]
struct SessionPeriod {
    session: i64,
    start: DateTime<Utc>,
    /// Most messages are older than this.
    seen: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// The windows of a peer's sessions within a range, newest first.
#[derive(Debug)]
pub(super) struct TimeWindows {
    spans: Vec<SessionPeriod>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    width: TimeDelta,
    width_first: TimeDelta,
    width_max: TimeDelta,
    /// Whether times without a session have windows too.
    has_gaps: bool,
    /// Whether the last window was of such a time.
    was_gap: bool,
}

impl TimeWindows {
    /// Windows of which the first is `width` wide.
    pub(super) fn new(
        sessions: &[Session],
        range: TimeRange,
        limits: &Limits,
        width: TimeDelta,
    ) -> Self {
        let span = |session: &Session| SessionPeriod {
            session: session.id,
            start: session.start(),
            seen: session.last_seen_at,
            end: session.end(limits.now),
        };
        let horizon = limits.now + SLACK;
        Self {
            spans: sessions.iter().map(span).collect(),
            start: range.start.unwrap_or(DateTime::<Utc>::MIN_UTC),
            end: range.end.map_or(horizon, |end| end.min(horizon)),
            width: width.min(limits.window_max),
            width_first: width.min(limits.window_max),
            width_max: limits.window_max,
            has_gaps: false,
            was_gap: false,
        }
    }

    /// Also of times without a session, in which others may have said something about the peer, as far as
    /// messages go back; those windows have no sessions.
    pub(super) fn with_gaps(mut self, conn: &mut PgConnection) -> QueryResult<Self> {
        if let Some(begin) = messages::begin(conn)? {
            self.start = self.start.max(begin);
            self.has_gaps = true;
        }
        Ok(self)
    }

    /// The widest windows, to read everything.
    pub(super) fn widest(sessions: &[Session], range: TimeRange, limits: &Limits) -> Self {
        Self::new(sessions, range, limits, limits.window_max)
    }

    /// The next window; none at the end.
    pub(super) fn next(&mut self) -> Option<SessionWindow> {
        let ahead = |span: &&SessionPeriod| span.start < self.end && span.end > self.start;
        let spans: Vec<&SessionPeriod> = self.spans.iter().filter(ahead).collect();
        let covered = spans.iter().map(|span| span.end).max();
        let is_gap = self.has_gaps && covered.is_none_or(|covered| covered < self.end);
        if is_gap != self.was_gap {
            // As much as in the one is not in the other.
            (self.was_gap, self.width) = (is_gap, self.width_first);
        }
        if is_gap {
            let first = covered.unwrap_or(self.start).max(self.start);
            return self.next_gap(first);
        }
        let end = spans.iter().map(|span| span.end).max()?.min(self.end);
        let seen = spans.iter().map(|span| span.seen).max()?.min(end);
        if end <= self.start {
            return None;
        }
        let first = spans.iter().map(|span| span.start).min()?.max(self.start);
        let start = (seen - self.width).max(first);
        let touched = spans.iter().filter(|span| span.end > start);
        let sessions = touched.map(|span| span.session).collect();
        self.end = start;
        Some(SessionWindow {
            span: Window {
                from: start,
                until: end,
            },
            sessions,
        })
    }

    /// The next window of a time without a session, which begins there.
    fn next_gap(&mut self, first: DateTime<Utc>) -> Option<SessionWindow> {
        let until = self.end;
        self.end = (until - self.width).max(first);
        (self.end < until).then(|| SessionWindow {
            span: Window {
                from: self.end,
                until,
            },
            sessions: Vec::new(),
        })
    }

    /// Makes the next window wide enough for what is still missing, judged by
    /// what the last one held.
    pub(super) fn widen(&mut self, found: usize, missing: usize) {
        let growth = match found {
            0 => GROWTH_MAX,
            _ => i64::try_from(missing.saturating_mul(2) / found).unwrap_or(GROWTH_MAX),
        };
        let growth = i32::try_from(growth.clamp(1, GROWTH_MAX)).unwrap_or(1);
        self.width = (self.width * growth).min(self.width_max);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn session(id: i64, created_at: &str, last_seen_at: &str, online: bool) -> Session {
        Session {
            id,
            ip_addr: String::new(),
            created_at: at(created_at),
            last_seen_at: at(last_seen_at),
            online,
            genesis_hash: None,
        }
    }

    fn limits() -> Limits {
        Limits {
            now: at("2026-06-01T00:00:00Z"),
            time_max: Duration::MAX,
            window_max: TimeDelta::days(30),
        }
    }

    #[test]
    fn windows_are_seamless_and_skip_times_without_a_session() {
        let sessions = [
            session(2, "2026-05-31T00:00:00Z", "2026-06-01T00:00:00Z", true),
            session(1, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", false),
        ];
        let width = TimeDelta::hours(12);
        let mut windows = TimeWindows::new(&sessions, TimeRange::default(), &limits(), width);
        let windows: Vec<SessionWindow> = std::iter::from_fn(|| windows.next()).collect();
        let spans: Vec<_> = windows
            .iter()
            .map(|w| (w.span.from, w.span.until))
            .collect();
        assert_eq!(
            spans,
            [
                (at("2026-05-31T12:00:00Z"), at("2026-06-01T01:00:00Z")),
                (at("2026-05-31T00:00:00Z"), at("2026-05-31T12:00:00Z")),
                (at("2026-05-30T12:00:00Z"), at("2026-05-31T00:00:00Z")),
                (at("2026-01-01T12:00:00Z"), at("2026-01-02T01:00:00Z")),
                (at("2026-01-01T00:00:00Z"), at("2026-01-01T12:00:00Z")),
                (at("2025-12-31T23:00:00Z"), at("2026-01-01T00:00:00Z")),
            ]
        );
        assert_eq!(windows[0].sessions, [2]);
        assert_eq!(windows[3].sessions, [1]);
    }

    #[test]
    fn times_without_a_session_have_windows_where_they_are_asked_for() {
        let sessions = [
            session(2, "2026-05-31T00:00:00Z", "2026-05-31T12:00:00Z", false),
            session(1, "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z", false),
        ];
        let mut windows = TimeWindows::new(
            &sessions,
            TimeRange::default(),
            &limits(),
            TimeDelta::days(1),
        );
        (windows.start, windows.has_gaps) = (at("2026-04-01T00:00:00Z"), true);
        let mut spans = Vec::new();
        while let Some(window) = windows.next() {
            spans.push((window.sessions, window.span.from, window.span.until));
            windows.widen(0, 100);
        }
        let expected = [
            (vec![], "2026-05-31T13:00:00Z", "2026-06-01T01:00:00Z"),
            (vec![2], "2026-05-30T12:00:00Z", "2026-05-31T13:00:00Z"),
            (vec![], "2026-05-29T12:00:00Z", "2026-05-30T12:00:00Z"),
            (vec![], "2026-05-21T12:00:00Z", "2026-05-29T12:00:00Z"),
            (vec![], "2026-05-02T01:00:00Z", "2026-05-21T12:00:00Z"),
            (vec![1], "2026-05-01T00:00:00Z", "2026-05-02T01:00:00Z"),
            (vec![1], "2026-04-30T23:00:00Z", "2026-05-01T00:00:00Z"),
            (vec![], "2026-04-29T23:00:00Z", "2026-04-30T23:00:00Z"),
            (vec![], "2026-04-21T23:00:00Z", "2026-04-29T23:00:00Z"),
            (vec![], "2026-04-01T00:00:00Z", "2026-04-21T23:00:00Z"),
        ];
        let expected = expected.map(|(sessions, from, until)| (sessions, at(from), at(until)));
        assert_eq!(spans, expected);
    }

    #[test]
    fn a_window_has_all_sessions_that_overlap() {
        let sessions = [
            session(3, "2026-05-31T23:00:00Z", "2026-05-31T23:10:00Z", false),
            session(2, "2026-05-31T20:00:00Z", "2026-06-01T00:00:00Z", true),
            session(1, "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z", true),
        ];
        let width = TimeDelta::seconds(60);
        let mut windows = TimeWindows::new(&sessions, TimeRange::default(), &limits(), width);
        assert_eq!(windows.next().unwrap().sessions, [3, 2, 1]);
    }

    #[test]
    fn the_range_bounds_the_windows() {
        let sessions = [session(
            1,
            "2026-01-01T00:00:00Z",
            "2026-06-01T00:00:00Z",
            true,
        )];
        let range = TimeRange {
            start: Some(at("2026-03-01T00:00:00Z")),
            end: Some(at("2026-03-01T00:01:00Z")),
        };
        let mut windows = TimeWindows::new(&sessions, range, &limits(), TimeDelta::days(1));
        let window = windows.next().unwrap();
        assert_eq!(Some(window.span.from), range.start);
        assert_eq!(Some(window.span.until), range.end);
        assert_eq!(windows.next(), None);
        let past = TimeRange {
            start: None,
            end: Some(at("2020-01-01T00:00:00Z")),
        };
        assert_eq!(TimeWindows::widest(&sessions, past, &limits()).next(), None);
    }

    #[test]
    fn windows_widen_when_they_hold_little() {
        let sessions = [session(
            1,
            "2020-01-01T00:00:00Z",
            "2026-06-01T00:00:00Z",
            true,
        )];
        let width = TimeDelta::seconds(100);
        let mut windows = TimeWindows::new(&sessions, TimeRange::default(), &limits(), width);
        windows.widen(0, 100);
        assert_eq!(windows.width, TimeDelta::seconds(800));
        windows.widen(100, 50);
        assert_eq!(windows.width, TimeDelta::seconds(800));
        windows.widen(50, 100);
        assert_eq!(windows.width, TimeDelta::seconds(3_200));
        for _ in 0..10 {
            windows.widen(0, 100);
        }
        assert_eq!(windows.width, limits().window_max);
    }
}
