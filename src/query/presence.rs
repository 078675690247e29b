//! Who was there when: which sessions may have said something within a span of
//! time, and which other nodes of a chain there were.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};

use super::buckets::Span;
use super::walk::{Clock, Session};

/// Sessions of a chain among which its nodes are chosen: 10,000 nodes that
/// connected twice.
const CHAIN_SESSIONS_MAX: i64 = 20_000;

/// The sessions that may have said something within a span, of sessions with the
/// newest first: those that overlap it, the newest first, then those that are
/// nearest, for clocks may be off. A long span does without the latter.
pub(super) fn nearest<'a>(sessions: &'a [Session], span: Span, clock: &Clock) -> Vec<&'a Session> {
    let distance = |session: &Session| {
        let before = session.start(clock) + clock.slack - span.end;
        let after = span.start - (session.end(clock) - clock.slack);
        before.max(after).max(TimeDelta::zero())
    };
    let may_speak = sessions
        .iter()
        .filter(|session| session.may_speak(span, clock));
    let mut near: Vec<_> = may_speak
        .map(|session| (distance(session), session))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    let overlapping = near.partition_point(|(distance, _)| distance.is_zero());
    if overlapping > 0 && span.end - span.start > clock.slack {
        near.truncate(overlapping);
    }
    near.into_iter().map(|(_, session)| session).collect()
}

#[derive(QueryableByName)]
struct ChainSession {
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(embed)]
    session: Session,
}

/// The sessions of up to `nodes` nodes of a chain, each node's newest first:
/// of those that were there for the longest part of a span. `peer_id` is left out.
pub(super) fn of_chain(
    conn: &mut PgConnection,
    genesis_hash: &str,
    peer_id: &str,
    span: Span,
    nodes: i64,
) -> QueryResult<Vec<Vec<Session>>> {
    let sessions: Vec<ChainSession> = diesel::sql_query(include_str!("series_chain.sql"))
        .bind::<Text, _>(genesis_hash)
        .bind::<Text, _>(peer_id)
        .bind::<Timestamptz, _>(span.start)
        .bind::<Timestamptz, _>(span.end)
        .bind::<BigInt, _>(nodes)
        .bind::<BigInt, _>(CHAIN_SESSIONS_MAX)
        .load(conn)?;
    let by_node = sessions.chunk_by(|one, next| one.peer_id == next.peer_id);
    let sessions_of = |node: &[ChainSession]| node.iter().map(|of| of.session.clone()).collect();
    Ok(by_node.map(sessions_of).collect())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

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

    fn ids(sessions: &[Session], start: &str, end: &str) -> Vec<i64> {
        let now = at("2026-06-01T00:00:00Z");
        let clock = Clock::new(now, std::time::Duration::from_secs(600));
        let span = Span {
            start: at(start),
            end: at(end),
        };
        let near = nearest(sessions, span, &clock);
        near.into_iter().map(|session| session.id).collect()
    }

    #[test]
    fn overlapping_sessions_come_before_those_that_are_near() {
        let sessions = [
            session(4, "2026-05-31T23:00:00Z", "2026-05-31T23:59:00Z", true),
            session(3, "2026-05-01T10:31:00Z", "2026-05-01T10:40:00Z", false),
            session(2, "2026-05-01T10:00:00Z", "2026-05-01T10:30:00Z", false),
            session(1, "2026-05-01T09:00:00Z", "2026-05-01T09:50:00Z", false),
        ];
        let span = |start, end| ids(&sessions, start, end);
        assert_eq!(
            span("2026-05-01T10:29:00Z", "2026-05-01T10:30:00Z"),
            [2, 3, 1]
        );
        assert_eq!(span("2026-05-01T11:35:00Z", "2026-05-01T12:00:00Z"), [3]);
        assert!(span("2026-05-02T00:00:00Z", "2026-05-03T00:00:00Z").is_empty());
        assert_eq!(span("2026-05-31T23:59:50Z", "2026-06-01T00:00:00Z"), [4]);
        assert_eq!(
            span("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            [4, 3, 2, 1]
        );
        assert_eq!(span("2026-05-01T10:35:00Z", "2026-05-01T12:00:00Z"), [3]);
    }

    #[test]
    fn the_newest_sessions_come_first() {
        let flapping: Vec<Session> = (0..60)
            .rev()
            .map(|minute| {
                let time = |second| format!("2026-05-01T10:{minute:02}:{second:02}Z");
                session(minute, &time(0), &time(50), false)
            })
            .collect();
        let span = |start, end| {
            let mut ids = ids(&flapping, start, end);
            ids.truncate(4);
            ids
        };
        assert_eq!(
            span("2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z"),
            [59, 58, 57, 56]
        );
        assert_eq!(
            span("2026-05-01T10:30:10Z", "2026-05-01T10:30:20Z"),
            [30, 29, 31, 28]
        );
    }
}
