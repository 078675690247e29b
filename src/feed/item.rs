//! Messages as the feed sends them.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::origin::Origin;
use super::shared::Weigh;
use crate::ids::MessageId;

/// Memory of an item beside its fields, bytes.
const ITEM_BYTES: usize = 128;

/// A message arrived.
#[derive(Debug, Clone)]
pub struct Item {
    /// Number of the message.
    pub id: MessageId,
    /// The node that sent it.
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

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        ITEM_BYTES + self.fields.len()
    }
}

/// Messages that are sent together, to all subscriptions of a channel.
#[derive(Debug)]
pub struct Items {
    /// The messages, in the order in which they arrived at their servers.
    pub list: Vec<Item>,
    /// The place after them; none if more come with them.
    pub cursor: Option<Cursor>,
}

impl Items {
    /// Messages in parts of at most so many bytes, unless one has more.
    pub(super) fn in_texts(list: Vec<Item>, cursor: Cursor, bytes_max: usize) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let mut bytes = 0;
        for item in list {
            bytes += item.bytes();
            match parts.last_mut() {
                Some(part) if bytes <= bytes_max => part.list.push(item),
                _ => {
                    bytes = item.bytes();
                    parts.push(Self {
                        list: vec![item],
                        cursor: None,
                    });
                }
            }
        }
        if let Some(last) = parts.last_mut() {
            last.cursor = Some(cursor);
        }
        parts
    }
}

impl Weigh for Items {
    fn bytes(&self) -> usize {
        self.list.iter().map(Item::bytes).sum()
    }
}
