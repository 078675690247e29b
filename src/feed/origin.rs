//! Which node sent a message, over which session.

use std::sync::Arc;

use crate::ids::SessionId;
use crate::store::SessionRow;

/// The sender of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Session.
    pub session: SessionId,
    /// Server that holds it.
    pub server_id: Arc<str>,
    /// libp2p identity.
    pub peer_id: Option<String>,
    /// Name that the operator gave.
    pub name: Option<String>,
    /// Name of the chain.
    pub chain: Option<String>,
    /// Identity of the chain.
    pub genesis_hash: Option<String>,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            session: SessionId(0),
            server_id: "".into(),
            peer_id: None,
            name: None,
            chain: None,
            genesis_hash: None,
        }
    }
}

impl Origin {
    /// That of a session.
    pub fn of(row: &SessionRow) -> Self {
        Self {
            session: row.id,
            server_id: row.server_id.as_str().into(),
            peer_id: row.facts.peer_id.clone(),
            name: row.facts.name.clone(),
            chain: row.facts.chain.clone(),
            genesis_hash: row.facts.genesis_hash.clone(),
        }
    }

    /// Whether it is on the chain with this name or genesis hash.
    pub fn is_on(&self, chain: &str) -> bool {
        self.chain.as_deref() == Some(chain) || self.genesis_hash.as_deref() == Some(chain)
    }
}
