//! Which sessions may have messages within a span of time, and which other nodes of a
//! chain were connected.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};

use super::buckets::Period;
use super::time_windows::Session;

/// Sessions of a chain among which its nodes are chosen: 10,000 nodes that
/// connected twice.
const CHAIN_SESSIONS_MAX: i64 = 20_000;

/// Longer than `last_seen_at` can be late when a server is killed.
const LOST_UPDATE: TimeDelta = TimeDelta::minutes(2);

/// The sessions that may have messages within a span, in their order.
pub(super) fn within(sessions: &[Session], span: Period) -> impl Iterator<Item = &Session> {
    let overlaps = move |session: &&Session| {
        let has_ended = !session.online && session.last_seen_at + LOST_UPDATE <= span.start;
        session.created_at < span.end && !has_ended
    };
    sessions.iter().filter(overlaps)
}

#[derive(QueryableByName)]
struct ChainSession {
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(embed)]
    session: Session,
}

/// A node of a chain, with its sessions, the newest first.
#[derive(Debug)]
pub(super) struct ChainNode {
    pub(super) peer_id: String,
    pub(super) sessions: Vec<Session>,
}

/// The sessions of up to `nodes` nodes of a chain, each node's newest first:
/// of those that were connected for the longest part of a span. `peer_id` is left out.
pub(super) fn of_chain(
    conn: &mut PgConnection,
    genesis_hash: &str,
    peer_id: &str,
    span: Period,
    nodes: i64,
) -> QueryResult<Vec<ChainNode>> {
    let sessions: Vec<ChainSession> = diesel::sql_query(include_str!("series_chain.sql"))
        .bind::<Text, _>(genesis_hash)
        .bind::<Text, _>(peer_id)
        .bind::<Timestamptz, _>(span.start)
        .bind::<Timestamptz, _>(span.end)
        .bind::<BigInt, _>(nodes)
        .bind::<BigInt, _>(CHAIN_SESSIONS_MAX)
        .load(conn)?;
    let by_node = sessions.chunk_by(|one, next| one.peer_id == next.peer_id);
    let node = |sessions: &[ChainSession]| {
        Some(ChainNode {
            peer_id: sessions.first()?.peer_id.clone(),
            sessions: sessions.iter().map(|of| of.session.clone()).collect(),
        })
    };
    Ok(by_node.filter_map(node).collect())
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
        let span = Period {
            start: at(start),
            end: at(end),
        };
        within(sessions, span).map(|session| session.id).collect()
    }

    #[test]
    fn sessions_that_overlap_a_span_may_have_spoken_in_it() {
        let sessions = [
            session(4, "2026-05-31T23:00:00Z", "2026-05-31T23:59:00Z", true),
            session(3, "2026-05-01T10:31:00Z", "2026-05-01T10:40:00Z", false),
            session(2, "2026-05-01T10:00:00Z", "2026-05-01T10:30:00Z", false),
            session(1, "2026-05-01T09:00:00Z", "2026-05-01T09:50:00Z", false),
        ];
        let span = |start, end| ids(&sessions, start, end);
        assert_eq!(span("2026-05-01T10:29:00Z", "2026-05-01T10:30:00Z"), [2]);
        assert_eq!(span("2026-05-01T10:29:00Z", "2026-05-01T10:32:00Z"), [3, 2]);
        // The last update of session 2 may be lost.
        assert_eq!(span("2026-05-01T10:31:59Z", "2026-05-01T12:00:00Z"), [3, 2]);
        assert_eq!(span("2026-05-01T10:32:00Z", "2026-05-01T12:00:00Z"), [3]);
        assert!(span("2026-05-02T00:00:00Z", "2026-05-03T00:00:00Z").is_empty());
        assert_eq!(span("2026-05-31T23:59:50Z", "2026-06-01T00:00:00Z"), [4]);
        assert_eq!(
            span("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            [4, 3, 2, 1]
        );
    }
}
