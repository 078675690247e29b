//! The sessions of which the state is known, to tell those whose node only went on talking:
//! each open session is stored once a minute for that alone.

use std::hash::{BuildHasher, Hash};

use chrono::{DateTime, Utc};

use super::NumberMap;
use super::identities::KNOWN_MAX;
use crate::ids::SessionId;
use crate::store::SessionRow;

#[derive(Debug)]
struct Known {
    /// Of all but the time of its last message and its revision.
    digest: u64,
    last_seen_at: DateTime<Utc>,
    /// Digest of its node, if that is known.
    node: Option<u64>,
}

/// The open sessions.
#[derive(Debug, Default)]
pub(super) struct KnownSessions {
    sessions: NumberMap<SessionId, Known>,
    /// How many each node has.
    open: NumberMap<u64, u32>,
}

impl KnownSessions {
    /// Takes the state of a session. If nothing but the time of its last message changed, returns
    /// what this was before.
    pub(super) fn take(&mut self, session: &SessionRow) -> Option<DateTime<Utc>> {
        if self.sessions.len() > KNOWN_MAX {
            self.sessions.clear();
            self.open.clear();
        }
        let digest = self.digest(session);
        let is_open = session.disconnected_at.is_none();
        let opened = self.node(session).filter(|_| is_open);
        let known = Known {
            digest,
            last_seen_at: session.last_seen_at,
            node: opened,
        };
        let before = match is_open {
            true => self.sessions.insert(session.id, known),
            false => self.sessions.remove(&session.id),
        };
        if let Some(node) = opened {
            *self.open.entry(node).or_default() += 1;
        }
        if let Some(node) = before.as_ref().and_then(|before| before.node)
            && let Some(count) = self.open.get_mut(&node)
        {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&node);
            }
        }
        before
            .filter(|before| is_open && before.digest == digest)
            .map(|before| before.last_seen_at)
    }

    /// Whether its node has another open session.
    pub(super) fn has_sibling(&self, session: SessionId) -> bool {
        let node = self.sessions.get(&session).and_then(|known| known.node);
        node.and_then(|node| self.open.get(&node))
            .is_some_and(|count| *count > 1)
    }

    fn node(&self, session: &SessionRow) -> Option<u64> {
        let facts = &session.facts;
        let peer_id = facts.peer_id.as_ref()?;
        Some(self.hash((peer_id, &facts.genesis_hash)))
    }

    /// Different each time that the server runs, so that nobody can choose values that collide.
    fn hash(&self, value: impl Hash) -> u64 {
        self.sessions.hasher().hash_one(value)
    }

    /// Of an open session.
    fn digest(&self, session: &SessionRow) -> u64 {
        let SessionRow {
            id,
            ip_addr,
            created_at,
            audit,
            node_id,
            connection_id,
            server_id,
            facts,
            hardware,
            last_seen_at: _,
            disconnected_at: _,
            disconnect_reason: _,
            revision: _,
        } = session;
        self.hash((
            (id, ip_addr, created_at, audit, node_id, connection_id),
            (server_id, facts, hardware),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: i64, peer_id: &str) -> SessionRow {
        let at = "2026-11-24T10:00:00Z";
        serde_json::from_value(serde_json::json!({
            "id": id, "ip_addr": "10.0.0.1", "created_at": at, "audit": false, "connection_id": 1,
            "server_id": "a", "peer_id": peer_id, "genesis_hash": "0x1", "last_seen_at": at, "revision": 1,
        }))
        .unwrap()
    }

    #[test]
    fn a_session_that_was_only_seen_again_is_known() {
        let mut known = KnownSessions::default();
        let mut row = session(1, "peer");
        let first = row.last_seen_at;
        assert_eq!(known.take(&row), None);
        row.last_seen_at += chrono::TimeDelta::seconds(60);
        row.revision += 1;
        assert_eq!(known.take(&row), Some(first));
        row.facts.name = Some("renamed".into());
        assert_eq!(known.take(&row), None);
        row.disconnected_at = Some(row.last_seen_at);
        assert_eq!(known.take(&row), None);
    }

    #[test]
    fn open_sessions_of_a_node_are_counted() {
        let mut known = KnownSessions::default();
        let (mut one, other, another) = (session(1, "a"), session(2, "a"), session(3, "b"));
        known.take(&one);
        assert!(!known.has_sibling(one.id));
        known.take(&other);
        known.take(&other);
        known.take(&another);
        assert!(known.has_sibling(one.id) && known.has_sibling(other.id));
        assert!(!known.has_sibling(another.id));
        one.disconnected_at = Some(one.last_seen_at);
        known.take(&one);
        assert!(!known.has_sibling(other.id));
        assert_eq!(known.open.len(), 2);
    }
}
