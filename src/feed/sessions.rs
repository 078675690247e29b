//! The sessions of the feed, each with the channels that want its messages.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::channels::Channels;
use super::filter::Filter;
use super::origin::Origin;
use super::shared::Weigh;
use crate::ids::SessionId;
use crate::store::SessionRow;

/// How long the messages of a session may be on their way after its end.
const MEMORY: Duration = Duration::from_secs(120);

/// Memory of a presence change until it is sent, bytes.
const PRESENCE_BYTES: usize = 400;

/// Sessions that ended and are remembered, at most, the newest: some 2 kB each.
const ENDED_MAX: usize = 10_000;

/// A node came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Which of the two.
    pub change: PresenceChange,
    /// libp2p identity.
    pub peer_id: String,
    /// Name that the operator gave.
    pub name: Option<String>,
    /// Name of the chain.
    pub chain: Option<String>,
    /// Identity of the chain.
    pub genesis_hash: Option<String>,
    /// Number of the session.
    pub session: SessionId,
    /// Server time.
    pub at: DateTime<Utc>,
}

/// How it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceChange {
    /// It came.
    Came,
    /// It left.
    Left {
        /// Why, if it is known.
        reason: Option<String>,
    },
}

impl Weigh for Vec<Presence> {
    fn bytes(&self) -> usize {
        PRESENCE_BYTES * self.len()
    }
}

/// A session.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) row: SessionRow,
    pub(super) origin: Arc<Origin>,
    /// Numbers of the channels that want its messages, as of a generation.
    channels: Vec<u64>,
    generation: u64,
    ended_at: Option<Instant>,
}

/// Sessions by number: the open ones, and for a while those that ended.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: HashMap<SessionId, Known>,
    /// Those that ended, in the order of their ends.
    ended: VecDeque<(Instant, SessionId)>,
}

impl Sessions {
    /// Takes over the state of a session; returns whether the node came or went by it.
    pub(super) fn apply(&mut self, row: &SessionRow, now: Instant) -> Option<Presence> {
        let before = self.known.get(&row.id);
        // The end of a lost server's session keeps its revision.
        let is_known = |known: &Known| match known.row.revision == row.revision {
            true => known.ended_at.is_some() || row.disconnected_at.is_none(),
            false => known.row.revision > row.revision,
        };
        if before.is_some_and(is_known) {
            return None;
        }
        let before_ended_at = before.and_then(|known| known.ended_at);
        let was_there = before
            .is_some_and(|known| known.ended_at.is_none() && known.row.facts.peer_id.is_some());
        let is_there = row.disconnected_at.is_none() && row.facts.peer_id.is_some();
        let ended_at = row.disconnected_at.map(|_| now);
        let known = Known {
            origin: Arc::new(Origin::of(row)),
            row: row.clone(),
            channels: Vec::new(),
            // Never that of the channels, so that they are looked for.
            generation: u64::MAX,
            ended_at,
        };
        self.known.insert(row.id, known);
        if ended_at.is_some() && before_ended_at.is_none() {
            self.ended.push_back((now, row.id));
            self.sweep(now);
        }
        match (was_there, is_there) {
            (false, true) => Presence::of(row, row.created_at, PresenceChange::Came),
            (true, false) => {
                let at = row.disconnected_at.unwrap_or(row.last_seen_at);
                let reason = row.disconnect_reason.as_deref().map(str::to_owned);
                Presence::of(row, at, PresenceChange::Left { reason })
            }
            _ => None,
        }
    }

    /// A session, and the numbers of the channels that want its messages.
    pub(super) fn find(
        &mut self,
        session: SessionId,
        channels: &Channels,
    ) -> Option<(&Known, &[u64])> {
        let known = self.known.get_mut(&session)?;
        if known.generation != channels.generation {
            known.channels = channels.wanting(&known.origin);
            known.generation = channels.generation;
        }
        Some((known, &known.channels))
    }

    /// The sessions whose messages a filter admits.
    pub(super) fn admitted(&self, filter: &Filter) -> Vec<Arc<Origin>> {
        let origins = self.known.values().map(|known| &known.origin);
        let admitted = origins.filter(|origin| filter.admits_node(origin));
        admitted.cloned().collect()
    }

    /// Forgets sessions that ended a while ago, and the oldest of too many.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((at, session)) = self.ended.front().copied()
            && (now.duration_since(at) >= MEMORY || self.ended.len() > ENDED_MAX)
        {
            self.ended.pop_front();
            self.known.remove(&session);
        }
    }

    /// All that are open.
    pub(super) fn open(&self) -> impl Iterator<Item = &SessionRow> {
        let open = self.known.values().filter(|known| known.ended_at.is_none());
        open.map(|known| &known.row)
    }
}

impl Presence {
    fn of(row: &SessionRow, at: DateTime<Utc>, change: PresenceChange) -> Option<Self> {
        Some(Self {
            change,
            peer_id: row.facts.peer_id.clone()?,
            name: row.facts.name.clone(),
            chain: row.facts.chain.clone(),
            genesis_hash: row.facts.genesis_hash.clone(),
            session: row.id,
            at,
        })
    }

    /// Whether it is on the chain with this name or genesis hash.
    pub(super) fn is_on(&self, chain: &str) -> bool {
        self.chain.as_deref() == Some(chain) || self.genesis_hash.as_deref() == Some(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConnectionId;
    use crate::telemetry::{HardwareBenchmark, NodeFacts};

    fn session(id: i64, has_ended: bool) -> SessionRow {
        SessionRow {
            id: SessionId(id),
            ip_addr: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            audit: false,
            node_id: Some(1),
            connection_id: ConnectionId(1),
            server_id: "server".to_owned(),
            facts: NodeFacts::default(),
            hardware: HardwareBenchmark::default(),
            last_seen_at: DateTime::UNIX_EPOCH,
            disconnected_at: has_ended.then_some(DateTime::UNIX_EPOCH),
            disconnect_reason: None,
            revision: if has_ended { 2 } else { 1 },
        }
    }

    #[test]
    fn a_session_that_another_server_ended_has_ended() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        let mut row = session(1, false);
        row.facts.peer_id = Some("peer".to_owned());
        let came =
            |presence: Option<Presence>| presence.map(|one| one.change == PresenceChange::Came);
        assert_eq!(came(sessions.apply(&row, now)), Some(true));
        row.disconnected_at = Some(DateTime::UNIX_EPOCH);
        assert_eq!(came(sessions.apply(&row, now)), Some(false));
        assert_eq!(came(sessions.apply(&row, now)), None);
        (row.disconnected_at, row.revision) = (None, 2);
        assert_eq!(came(sessions.apply(&row, now)), Some(true));
    }

    #[test]
    fn sessions_that_ended_are_bounded_in_number() {
        let mut sessions = Sessions::default();
        let start = Instant::now();
        let ended_max = i64::try_from(ENDED_MAX).unwrap();
        sessions.apply(&session(0, false), start);
        for id in 1..=ended_max + 5 {
            sessions.apply(&session(id, false), start);
            sessions.apply(&session(id, true), start);
        }
        let is_known = |sessions: &Sessions, id: i64| sessions.known.contains_key(&SessionId(id));
        assert_eq!(sessions.known.len(), ENDED_MAX + 1);
        assert!(is_known(&sessions, 0) && !is_known(&sessions, 5) && is_known(&sessions, 6));
        sessions.sweep(start + MEMORY);
        assert_eq!((sessions.known.len(), sessions.ended.len()), (1, 0));
    }
}
