//! The sessions that the feed knows: who speaks, and who listens to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::filter::Filter;
use super::item::Origin;
use crate::ids::SessionId;
use crate::store::SessionRow;

/// How long the messages of a session may be on their way after its end.
const MEMORY: Duration = Duration::from_secs(120);

/// A node came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// `online` or `offline`.
    pub event: &'static str,
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
    /// Why it went.
    pub reason: Option<String>,
}

/// A session.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) row: SessionRow,
    pub(super) origin: Arc<Origin>,
    /// Numbers of the topics that want its messages, as of a generation.
    topics: Vec<u64>,
    generation: u64,
    ended_at: Option<Instant>,
}

/// Sessions by number: the open ones, and for a while those that ended.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: HashMap<SessionId, Known>,
    /// Grows when topics come or go.
    generation: u64,
    swept_at: Option<Instant>,
}

impl Sessions {
    /// Takes over the state of a session; tells if the node came or went by it.
    pub(super) fn apply(&mut self, row: &SessionRow, now: Instant) -> Option<Presence> {
        let before = self.known.get(&row.id);
        if before.is_some_and(|known| known.row.revision >= row.revision) {
            return None;
        }
        let was_there = before
            .is_some_and(|known| known.ended_at.is_none() && known.row.facts.peer_id.is_some());
        let is_there = row.disconnected_at.is_none() && row.facts.peer_id.is_some();
        let ended_at = row.disconnected_at.map(|_| now);
        let known = Known {
            origin: Arc::new(Origin::of(row)),
            row: row.clone(),
            topics: Vec::new(),
            // Never that of a topic, so that they are looked for.
            generation: u64::MAX,
            ended_at,
        };
        self.known.insert(row.id, known);
        match (was_there, is_there) {
            (false, true) => Presence::of(row, "online", row.created_at, None),
            (true, false) => {
                let at = row.disconnected_at.unwrap_or(row.last_seen_at);
                let reason = row.disconnect_reason.as_deref().map(str::to_owned);
                Presence::of(row, "offline", at, reason)
            }
            _ => None,
        }
    }

    /// Topics came or went: who listens to whom has to be looked at again.
    pub(super) fn topics_changed(&mut self) {
        self.generation += 1;
    }

    /// A session, and the numbers of the topics that want its messages.
    pub(super) fn find<'a>(
        &mut self,
        session: SessionId,
        topics: impl Iterator<Item = (u64, &'a Filter)>,
    ) -> Option<(&Known, &[u64])> {
        let generation = self.generation;
        let known = self.known.get_mut(&session)?;
        if known.generation != generation {
            let wanting = topics.filter(|(_, filter)| filter.admits_node(&known.origin));
            known.topics = wanting.map(|(number, _)| number).collect();
            known.generation = generation;
        }
        Some((known, &known.topics))
    }

    /// The sessions whose messages a filter admits.
    pub(super) fn admitted(&self, filter: &Filter) -> Vec<Arc<Origin>> {
        let origins = self.known.values().map(|known| &known.origin);
        let admitted = origins.filter(|origin| filter.admits_node(origin));
        admitted.cloned().collect()
    }

    /// Forgets sessions that ended a while ago.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self
            .swept_at
            .is_some_and(|at| now.duration_since(at) < MEMORY)
        {
            return;
        }
        self.swept_at = Some(now);
        self.known.retain(|_, known| {
            known
                .ended_at
                .is_none_or(|at| now.duration_since(at) < MEMORY)
        });
    }

    /// All that are open.
    pub(super) fn open(&self) -> impl Iterator<Item = &SessionRow> {
        let open = self.known.values().filter(|known| known.ended_at.is_none());
        open.map(|known| &known.row)
    }
}

impl Presence {
    fn of(
        row: &SessionRow,
        event: &'static str,
        at: DateTime<Utc>,
        reason: Option<String>,
    ) -> Option<Self> {
        Some(Self {
            event,
            peer_id: row.facts.peer_id.clone()?,
            name: row.facts.name.clone(),
            chain: row.facts.chain.clone(),
            genesis_hash: row.facts.genesis_hash.clone(),
            session: row.id,
            at,
            reason,
        })
    }

    /// Whether it is on the chain with this name or genesis hash.
    pub(super) fn is_on(&self, chain: &str) -> bool {
        self.chain.as_deref() == Some(chain) || self.genesis_hash.as_deref() == Some(chain)
    }
}
