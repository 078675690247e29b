//! To which node a session belongs. It is settled once a session has a peer id, so
//! it can be remembered.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Untyped};

use super::NumberMap;
use crate::database::statement;
use crate::ids::SessionId;
use crate::store::SessionRow;

/// Sessions that are remembered; far more than are open at once.
pub(super) const KNOWN_MAX: usize = 200_000;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeKey {
    pub(super) peer_id: String,
    pub(super) genesis_hash: String,
}

/// The node of a session, and the start of the session.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) node: NodeKey,
    pub(super) session_at: DateTime<Utc>,
    /// Server that held the session.
    pub(super) server_id: Arc<str>,
}

/// The sessions whose node is known.
#[derive(Debug, Default)]
pub(super) struct Identities(NumberMap<SessionId, Identity>);

#[derive(QueryableByName)]
struct IdentityRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(sql_type = Text)]
    genesis_hash: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    server_id: String,
}

impl Identities {
    /// Takes the state of a session.
    pub(super) fn learn(&mut self, session: &SessionRow) {
        let Some(peer_id) = session.facts.peer_id.clone() else {
            return;
        };
        let node = NodeKey {
            peer_id,
            genesis_hash: session.facts.genesis_hash.clone().unwrap_or_default(),
        };
        let identity = Identity {
            node,
            session_at: session.created_at,
            server_id: session.server_id.as_str().into(),
        };
        self.0.insert(session.id, identity);
    }

    /// The node of a session, if it is known.
    pub(super) fn of(&self, session: SessionId) -> Option<&Identity> {
        self.0.get(&session)
    }

    /// Takes the rows that waited for the nodes of some sessions, which are known now;
    /// `delete` deletes and returns those of the sessions $1.
    pub(super) fn take_waiting<Row>(
        &self,
        conn: &mut PgConnection,
        sessions: &HashSet<SessionId>,
        delete: &'static str,
    ) -> QueryResult<Vec<Row>>
    where
        Row: FromSqlRow<Untyped, Pg> + 'static,
    {
        let is_known = |session: &&SessionId| self.0.contains_key(session);
        let known = sessions.iter().filter(is_known);
        let known: Vec<i64> = known.map(|session| session.0).collect();
        if known.is_empty() {
            return Ok(Vec::new());
        }
        statement(delete).bind::<Array<BigInt>, _>(known).load(conn)
    }

    /// Looks up the nodes of sessions that are not known; returns those found.
    pub(super) fn look_up(
        &mut self,
        conn: &mut PgConnection,
        sessions: impl Iterator<Item = SessionId>,
    ) -> QueryResult<Vec<SessionId>> {
        if self.0.len() > KNOWN_MAX {
            self.0.clear();
        }
        let unknown: Vec<i64> = sessions
            .filter(|session| !self.0.contains_key(session))
            .map(|session| session.0)
            .collect();
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<IdentityRow> = statement(
            "SELECT id, peer_id, coalesce(genesis_hash, '') AS genesis_hash, created_at, server_id \
             FROM peer_connections WHERE id = ANY($1) AND peer_id IS NOT NULL",
        )
        .bind::<Array<BigInt>, _>(&unknown)
        .load(conn)?;
        let mut fresh = Vec::with_capacity(found.len());
        for row in found {
            let node = NodeKey {
                peer_id: row.peer_id,
                genesis_hash: row.genesis_hash,
            };
            let identity = Identity {
                node,
                session_at: row.created_at,
                server_id: row.server_id.into(),
            };
            self.0.insert(SessionId(row.id), identity);
            fresh.push(SessionId(row.id));
        }
        Ok(fresh)
    }
}
