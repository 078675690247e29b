//! The sessions of one connection: one for each node id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

use super::churn::Churn;
use crate::config::ChainRules;
use crate::ids::{ConnectionId, SessionId};
use crate::metrics::{ChainCounts, ChainPlace, DisconnectReason, DropReason};
use crate::store::{IdBlocks, SessionRow};
use crate::telemetry::{HardwareBenchmark, NodeFacts};

/// How often `last_seen_at` is written while messages come.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// Refused node ids that are remembered for each connection; one with more is
/// refused altogether.
const REFUSED_MAX: usize = 64;

/// Where the messages of a connection come from.
#[derive(Debug, Clone)]
pub(super) struct ConnectionInfo {
    pub(super) connection: ConnectionId,
    pub(super) ip_addr: String,
    pub(super) audit: bool,
    pub(super) server_id: String,
}

/// The open sessions of one connection, and their changes that wait to be stored.
#[derive(Debug)]
pub(super) struct Nodes {
    connection: ConnectionInfo,
    sessions: Vec<Session>,
    changes: Vec<SessionRow>,
    nodes_max: usize,
    churn: Churn,
    chains: ChainRules,
    chain_counts: Arc<ChainCounts>,
    refused: Vec<Option<u64>>,
}

#[derive(Debug)]
struct Session {
    node: Option<u64>,
    row: Box<SessionRow>,
    stored_at: Instant,
    chain: Option<ChainPlace>,
    /// Another peer uses this node id, and gets no session of its own.
    is_displaced: bool,
}

/// One moment, on the clock of the wall and on the steady one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: DateTime<Utc>,
    pub(super) steady: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            // PostgreSQL counts microseconds: the first message of a session is
            // not earlier than the session by rounding.
            wall: Utc::now().trunc_subsecs(6),
            steady: Instant::now(),
        }
    }
}

impl Nodes {
    /// No sessions yet; at most `nodes_max` of them, of nodes that `chains` admit.
    pub(super) fn new(
        connection: ConnectionInfo,
        nodes_max: usize,
        chains: ChainRules,
        chain_counts: Arc<ChainCounts>,
    ) -> Self {
        Self {
            connection,
            sessions: Vec::new(),
            changes: Vec::new(),
            nodes_max,
            churn: Churn::new(nodes_max),
            chains,
            chain_counts,
            refused: Vec::new(),
        }
    }

    /// Number of open sessions.
    pub(super) fn count(&self) -> usize {
        self.sessions.len()
    }

    /// The session of a node id, opened if it is new.
    ///
    /// # Errors
    /// Why the message has to be dropped.
    pub(super) fn session(
        &mut self,
        node: Option<u64>,
        now: Moment,
        ids: &IdBlocks,
    ) -> Result<SessionId, DropReason> {
        if self.is_refused(node) {
            return Err(DropReason::ChainRefused);
        }
        self.enter(node, now, ids)
    }

    fn enter(
        &mut self,
        node: Option<u64>,
        now: Moment,
        ids: &IdBlocks,
    ) -> Result<SessionId, DropReason> {
        let Some(session) = self
            .sessions
            .iter_mut()
            .find(|session| session.node == node)
        else {
            return self.open(node, now, ids);
        };
        if session.is_displaced {
            return Err(DropReason::TooManyNodes);
        }
        session.row.last_seen_at = now.wall;
        if now.steady.duration_since(session.stored_at) >= TOUCH_INTERVAL {
            self.changes.push(session.changed(now));
        }
        Ok(session.row.id)
    }

    /// Facts of the node, by `system.connected`. A different peer id under the same
    /// node id opens another session.
    ///
    /// # Errors
    /// Why the message has to be dropped.
    pub(super) fn facts(
        &mut self,
        node: Option<u64>,
        facts: NodeFacts,
        now: Moment,
        ids: &IdBlocks,
    ) -> Result<SessionId, DropReason> {
        if !self.chains.admit(facts.genesis_hash.as_deref()) {
            self.refuse(node, now);
            return Err(DropReason::ChainRefused);
        }
        self.refused.retain(|refused| *refused != node);
        let known = |session: &&mut Session| session.node == node;
        if let Some(session) = self.sessions.iter_mut().find(known) {
            session.is_displaced = false;
        }
        let id = self.enter(node, now, ids)?;
        let known = self
            .sessions
            .iter()
            .position(|session| session.row.id == id);
        let Some(session) = known.and_then(|index| self.sessions.get_mut(index)) else {
            return Ok(id);
        };
        let is_other_peer =
            session.row.facts.peer_id.is_some() && session.row.facts.peer_id != facts.peer_id;
        if !is_other_peer {
            if session.row.facts != facts {
                session.introduce(facts, &self.chain_counts);
                self.changes.push(session.changed(now));
            }
            return Ok(id);
        }
        if !self.churn.admit(node, now.steady) {
            session.is_displaced = true;
            return Err(DropReason::TooManyNodes);
        }
        self.changes
            .push(session.ended(DisconnectReason::Replaced, now));
        self.sessions.retain(|session| session.row.id != id);
        let id = self.open_admitted(node, now, ids);
        if let Some(session) = self.sessions.last_mut() {
            session.introduce(facts, &self.chain_counts);
            self.changes.push(session.changed(now));
        }
        Ok(id)
    }

    /// Whether the messages of a node id are dropped because of its chain. With
    /// `ALLOWED_CHAINS` a node has to introduce itself first, as all do.
    fn is_refused(&self, node: Option<u64>) -> bool {
        if !self.chains.are_set() {
            return false;
        }
        let is_open = || self.sessions.iter().any(|session| session.node == node);
        self.refused.contains(&node)
            || self.refused.len() >= REFUSED_MAX
            || !self.chains.admit_unknown() && !is_open()
    }

    fn refuse(&mut self, node: Option<u64>, now: Moment) {
        let known = |session: &Session| session.node == node;
        if let Some(index) = self.sessions.iter().position(known) {
            let mut session = self.sessions.remove(index);
            self.changes
                .push(session.ended(DisconnectReason::ChainRefused, now));
        }
        if !self.refused.contains(&node) && self.refused.len() < REFUSED_MAX {
            self.refused.push(node);
        }
    }

    /// What the node measured of its hardware.
    pub(super) fn hardware(&mut self, id: SessionId, hardware: HardwareBenchmark, now: Moment) {
        let found = self
            .sessions
            .iter_mut()
            .find(|session| session.row.id == id);
        if let Some(session) = found
            && session.row.hardware != hardware
        {
            session.row.hardware = hardware;
            self.changes.push(session.changed(now));
        }
    }

    /// Ends all sessions.
    pub(super) fn end(&mut self, reason: DisconnectReason, now: Moment) {
        for mut session in self.sessions.drain(..) {
            self.changes.push(session.ended(reason, now));
        }
    }

    /// The changes since the last time.
    pub(super) fn take_changes(&mut self) -> Vec<SessionRow> {
        std::mem::take(&mut self.changes)
    }

    /// Changes that could not be handed on, for the next time: the newest of
    /// each session, and of not more sessions than a connection has twice over.
    pub(super) fn put_back(&mut self, changes: Vec<SessionRow>) {
        for change in changes.into_iter().rev() {
            if !self.changes.iter().any(|newer| newer.id == change.id) {
                self.changes.push(change);
            }
        }
        self.changes.truncate(self.nodes_max.saturating_mul(2));
    }

    fn open(
        &mut self,
        node: Option<u64>,
        now: Moment,
        ids: &IdBlocks,
    ) -> Result<SessionId, DropReason> {
        if self.sessions.len() >= self.nodes_max || !self.churn.admit(node, now.steady) {
            return Err(DropReason::TooManyNodes);
        }
        Ok(self.open_admitted(node, now, ids))
    }

    fn open_admitted(&mut self, node: Option<u64>, now: Moment, ids: &IdBlocks) -> SessionId {
        let id = ids.next_session();
        let mut session = Session {
            node,
            row: Box::new(SessionRow {
                id,
                ip_addr: self.connection.ip_addr.clone(),
                created_at: now.wall,
                audit: self.connection.audit,
                node_id: node.and_then(|node| i64::try_from(node).ok()),
                connection_id: self.connection.connection,
                server_id: self.connection.server_id.clone(),
                facts: NodeFacts::default(),
                hardware: HardwareBenchmark::default(),
                last_seen_at: now.wall,
                disconnected_at: None,
                disconnect_reason: None,
                revision: 0,
            }),
            stored_at: now.steady,
            chain: None,
            is_displaced: false,
        };
        self.changes.push(session.changed(now));
        self.sessions.push(session);
        id
    }
}

impl Session {
    fn introduce(&mut self, facts: NodeFacts, chains: &Arc<ChainCounts>) {
        if self.row.facts.chain != facts.chain {
            self.chain = facts.chain.as_deref().map(|chain| chains.enter(chain));
        }
        self.row.facts = facts;
    }

    fn changed(&mut self, now: Moment) -> SessionRow {
        self.stored_at = now.steady;
        self.row.revision += 1;
        (*self.row).clone()
    }

    fn ended(&mut self, reason: DisconnectReason, now: Moment) -> SessionRow {
        self.row.disconnected_at = Some(now.wall);
        self.row.disconnect_reason = Some(reason.label().into());
        self.changed(now)
    }
}
