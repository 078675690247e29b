//! Time windows over the sessions of a peer, from the newest to the oldest.
//!
//! Messages lie in partitions by time, with an index on session and time. A
//! statement that gets a window as constant bounds opens only the partitions of
//! that window, however many years of them there are, and sorts only the rows
//! in it. Windows do not overlap, so the rows of one are newer than those of the
//! next, in whichever session. Each session is extended by [`SLACK`] at both ends.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};

use super::QueryError;
use super::buckets;
use super::params::TimeRange;

/// How far messages may lie outside of the recorded times of their session: the
/// kill of a server loses the last update of `last_seen_at`, the clocks of servers
/// differ, and rows from before arrival became the axis of time were dated by
/// their node. Costs nothing: no rows are read for it.
pub(super) const SLACK: TimeDelta = TimeDelta::hours(1);

/// Widest window: keeps the number of partitions of one statement in bounds.
pub(super) const WINDOW_MAX: TimeDelta = TimeDelta::days(30);

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

/// The sessions of a peer, newest first.
///
/// # Errors
/// [`QueryError::NotFound`] if there are none.
pub(super) fn sessions(conn: &mut PgConnection, peer_id: &str) -> Result<Vec<Session>, QueryError> {
    let sessions: Vec<Session> = diesel::sql_query(include_str!("sessions.sql"))
        .bind::<Text, _>(peer_id)
        .load(conn)?;
    if sessions.is_empty() {
        return Err(QueryError::NotFound {
            parameter: "peer_id",
        });
    }
    Ok(sessions)
}

/// A span of time and the sessions that may have messages in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: DateTime<Utc>,
    /// First moment after it.
    pub(super) end: DateTime<Utc>,
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
}

impl TimeWindows {
    /// Windows of which the first is `width` wide.
    pub(super) fn new(
        sessions: &[Session],
        range: TimeRange,
        now: DateTime<Utc>,
        width: TimeDelta,
    ) -> Self {
        let span = |session: &Session| SessionPeriod {
            session: session.id,
            start: session.start(),
            seen: session.last_seen_at,
            end: session.end(now),
        };
        let horizon = now + SLACK;
        Self {
            spans: sessions.iter().map(span).collect(),
            start: range.start.unwrap_or(DateTime::<Utc>::MIN_UTC),
            end: range.end.map_or(horizon, |end| end.min(horizon)),
            width: width.min(WINDOW_MAX),
        }
    }

    /// The widest windows, to read everything.
    pub(super) fn widest(sessions: &[Session], range: TimeRange, now: DateTime<Utc>) -> Self {
        Self::new(sessions, range, now, WINDOW_MAX)
    }

    /// The next window; none at the end.
    pub(super) fn next(&mut self) -> Option<Window> {
        let ahead = |span: &&SessionPeriod| span.start < self.end && span.end > self.start;
        let spans: Vec<&SessionPeriod> = self.spans.iter().filter(ahead).collect();
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
        Some(Window {
            start,
            end,
            sessions,
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
        self.width = (self.width * growth).min(WINDOW_MAX);
    }
}

#[cfg(test)]
mod tests {
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

    fn now() -> DateTime<Utc> {
        at("2026-06-01T00:00:00Z")
    }

    #[test]
    fn windows_are_seamless_and_skip_times_without_a_session() {
        let sessions = [
            session(2, "2026-05-31T00:00:00Z", "2026-06-01T00:00:00Z", true),
            session(1, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", false),
        ];
        let width = TimeDelta::hours(12);
        let mut windows = TimeWindows::new(&sessions, TimeRange::default(), now(), width);
        let windows: Vec<Window> = std::iter::from_fn(|| windows.next()).collect();
        let spans: Vec<_> = windows.iter().map(|w| (w.start, w.end)).collect();
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
    fn a_window_has_all_sessions_that_overlap() {
        let sessions = [
            session(3, "2026-05-31T23:00:00Z", "2026-05-31T23:10:00Z", false),
            session(2, "2026-05-31T20:00:00Z", "2026-06-01T00:00:00Z", true),
            session(1, "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z", true),
        ];
        let width = TimeDelta::seconds(60);
        let mut windows = TimeWindows::new(&sessions, TimeRange::default(), now(), width);
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
        let mut windows = TimeWindows::new(&sessions, range, now(), TimeDelta::days(1));
        let window = windows.next().unwrap();
        assert_eq!(Some(window.start), range.start);
        assert_eq!(Some(window.end), range.end);
        assert_eq!(windows.next(), None);
        let past = TimeRange {
            start: None,
            end: Some(at("2020-01-01T00:00:00Z")),
        };
        assert_eq!(TimeWindows::widest(&sessions, past, now()).next(), None);
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
        let mut windows = TimeWindows::new(&sessions, TimeRange::default(), now(), width);
        windows.widen(0, 100);
        assert_eq!(windows.width, TimeDelta::seconds(800));
        windows.widen(100, 50);
        assert_eq!(windows.width, TimeDelta::seconds(800));
        windows.widen(50, 100);
        assert_eq!(windows.width, TimeDelta::seconds(3_200));
        for _ in 0..10 {
            windows.widen(0, 100);
        }
        assert_eq!(windows.width, WINDOW_MAX);
    }
}
