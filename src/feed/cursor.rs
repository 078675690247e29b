//! A place in the stream: for each server, the number of the last message that
//! was handed on. Numbers grow with the arrival at a server, so a place means
//! the same after a reconnect, and with another server of the same database.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::ids::MessageId;

/// Servers that a cursor may name; far more than share a database.
const SERVERS_MAX: usize = 64;

/// After these messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the server that made it.
    pub at: DateTime<Utc>,
    /// The last message of each server.
    pub last: BTreeMap<Arc<str>, MessageId>,
}

impl Cursor {
    /// Whether a message came after it.
    pub fn is_before(&self, server_id: &str, id: MessageId) -> bool {
        self.last.get(server_id).is_none_or(|last| *last < id)
    }
}

/// `<microseconds>/<server>:<number>/…`
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at.timestamp_micros())?;
        for (server, id) in &self.last {
            write!(f, "/{server}:{}", id.0)?;
        }
        Ok(())
    }
}

/// Why a text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cursor must be one that this feed gave")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let mut parts = text.split('/');
        let micros = parts.next().and_then(|micros| micros.parse().ok());
        let at = micros.and_then(DateTime::from_timestamp_micros);
        let mut last = BTreeMap::new();
        for part in parts {
            let (server, id) = part.rsplit_once(':').ok_or(CursorError)?;
            let id = id.parse().map_err(|_no_number| CursorError)?;
            last.insert(server.into(), MessageId(id));
        }
        let at = at.filter(|_| last.len() <= SERVERS_MAX);
        at.map(|at| Self { at, last }).ok_or(CursorError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let cursor = Cursor {
            at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            last: [("a".into(), MessageId(5)), ("b".into(), MessageId(-7))].into(),
        };
        let text = cursor.to_string();
        assert_eq!(text, "1700000000123456/a:5/b:-7");
        assert_eq!(text.parse(), Ok(cursor.clone()));
        assert!(!cursor.is_before("a", MessageId(5)) && cursor.is_before("a", MessageId(6)));
        assert!(cursor.is_before("c", MessageId(1)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "x", "1/a", "1/a:b", "9223372036854775807", "1//"] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
