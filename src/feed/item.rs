//! Messages as the feed hands them on, and their JSON, written once for all who get it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytestring::ByteString;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::cursor::Cursor;
use super::filter::Filter;
use crate::ids::{MessageId, SessionId};
use crate::store::SessionRow;
use crate::telemetry::hide_addresses;

/// Who sent a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Session.
    pub session: SessionId,
    /// Server that has it.
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
    /// The one of a session.
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

/// A message.
#[derive(Debug, Clone)]
pub struct Item {
    /// Number of the message.
    pub id: MessageId,
    /// Who sent it.
    pub origin: Arc<Origin>,
    /// Kind.
    pub kind: Arc<str>,
    /// When it was read from the socket.
    pub created_at: DateTime<Utc>,
    /// When this server got it; none for what comes from the database.
    pub received_at: Option<Instant>,
    /// Fields as JSON text.
    pub fields: Arc<str>,
}

impl Item {
    /// The fields as values; empty if they are no object.
    pub fn object(&self) -> Map<String, Value> {
        serde_json::from_str(&self.fields).unwrap_or_default()
    }

    /// Writes the fields, and beside them what they do not say themselves.
    fn write(&self, filter: &Filter, with_addresses: bool, out: &mut String) {
        let fields = match with_addresses {
            true => self.fields.as_ref().into(),
            false => hide_addresses(&self.fields),
        };
        let members = fields.trim_end().strip_suffix('}').unwrap_or("{");
        out.push_str(members);
        let mut separator = if members.trim_end().ends_with('{') {
            ""
        } else {
            ","
        };
        let mut add = |name: &str, value: Value| {
            out.push_str(&format!("{separator}\"{name}\":{value}"));
            separator = ",";
        };
        if filter.peer_id.is_none() {
            add("peer_id", json!(self.origin.peer_id));
            add("name", json!(self.origin.name));
        }
        if filter.msg.is_none() {
            add("msg", json!(&*self.kind));
        }
        let created_at = self.created_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        add("created_at", json!(created_at));
        out.push('}');
    }
}

/// Messages that are handed on together, to all who have the same filter.
#[derive(Debug)]
pub struct Items {
    /// The messages, in the order of their numbers.
    pub list: Vec<Item>,
    /// The place after them.
    pub cursor: Cursor,
    with_addresses: OnceLock<ByteString>,
    without_addresses: OnceLock<ByteString>,
}

impl Items {
    /// These messages, which end at `cursor`.
    pub fn new(list: Vec<Item>, cursor: Cursor) -> Self {
        Self {
            list,
            cursor,
            with_addresses: OnceLock::new(),
            without_addresses: OnceLock::new(),
        }
    }

    /// The JSON of all of them, made when it is first asked for.
    pub fn frame(&self, filter: &Filter, with_addresses: bool) -> ByteString {
        let made = match with_addresses {
            true => &self.with_addresses,
            false => &self.without_addresses,
        };
        made.get_or_init(|| frame(filter, with_addresses, &self.list, Some(&self.cursor)))
            .clone()
    }
}

/// The JSON of some messages.
pub fn frame<'a>(
    filter: &Filter,
    with_addresses: bool,
    items: impl IntoIterator<Item = &'a Item>,
    cursor: Option<&Cursor>,
) -> ByteString {
    let mut out = format!("{{\"peer_message\":{},\"data\":[", peer_message(filter));
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        item.write(filter, with_addresses, &mut out);
    }
    out.push(']');
    if let Some(cursor) = cursor {
        out.push_str(&format!(",\"cursor\":\"{cursor}\""));
    }
    out.push('}');
    out.into()
}

/// What a subscriber asked for, as it stands before the answers.
pub fn peer_message(filter: &Filter) -> Value {
    let mut named = Map::new();
    let parts = [
        ("peer_id", &filter.peer_id),
        ("chain", &filter.chain),
        ("msg", &filter.msg),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            named.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(named)
}
