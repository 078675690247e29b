//! A place in the stream: for each server, the number of the last message that
//! was sent. Numbers grow with the arrival at a server, so a place means
//! the same after a reconnect, and at another server of the same database.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::ids::MessageId;

/// Servers that a cursor may name: all that store something in two hours, also while
/// new ones take the places of old ones again and again.
const SERVERS_MAX: usize = 256;

/// Longest cursor, bytes: that many servers with names of 63.
pub(super) const CURSOR_BYTES_MAX: usize = SERVERS_MAX * 96;

/// What follows a cursor arrived at most this long before it; what is sent later than
/// that may be left out.
const REACH: TimeDelta = TimeDelta::hours(1);

/// A server of which nothing was sent for so long is left out: twice [`REACH`], for
/// clocks of servers may differ.
const NAMED_FOR: Duration = Duration::from_secs(2 * 3_600);

/// Seconds since 1970 of cursors and times that mean something: up to the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Whether it is a time that messages may have.
pub(super) fn is_plausible(at: DateTime<Utc>) -> bool {
    (0..=SECONDS_MAX).contains(&at.timestamp())
}

/// After these messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the server that made it.
    pub at: DateTime<Utc>,
    /// The last message of each server.
    pub last: BTreeMap<Arc<str>, MessageId>,
}

impl Cursor {
    /// What follows it arrived after this time.
    pub fn begin(&self) -> DateTime<Utc> {
        self.at - REACH
    }

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
        let at = at.filter(|at| is_plausible(*at) && last.len() <= SERVERS_MAX);
        at.map(|at| Self { at, last }).ok_or(CursorError)
    }
}

/// The last message of each server that was sent, and when.
#[derive(Debug, Default)]
pub(super) struct Positions {
    last: BTreeMap<Arc<str>, (MessageId, Instant)>,
}

impl Positions {
    /// All messages of a server up to this one have been sent.
    pub(super) fn reach(&mut self, server_id: &Arc<str>, id: MessageId) {
        let now = Instant::now();
        match self.last.get_mut(server_id) {
            Some((last, at)) => (*last, *at) = ((*last).max(id), now),
            None => {
                self.last.insert(server_id.clone(), (id, now));
            }
        }
        while self.last.len() > SERVERS_MAX {
            let oldest = self.last.iter().min_by_key(|(_, (_, at))| *at);
            let Some(oldest) = oldest.map(|(server, _)| server.clone()) else {
                break;
            };
            self.last.remove(&oldest);
        }
    }

    /// The place after all of them.
    pub(super) fn cursor(&self, at: DateTime<Utc>) -> Cursor {
        let last = self.last.iter();
        let last = last.map(|(server, (id, _))| (server.clone(), *id));
        Cursor {
            at,
            last: last.collect(),
        }
    }

    /// Leaves out servers whose messages are all too old to follow a cursor.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.last
            .retain(|_, (_, at)| now.duration_since(*at) < NAMED_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_the_servers_that_were_heard_lately_and_can_be_read_back() {
        let mut positions = Positions::default();
        for number in 0..2 * SERVERS_MAX {
            let server = format!("{number:063}").into();
            positions.reach(&server, MessageId(i64::MAX));
            positions.reach(&server, MessageId(7));
        }
        let cursor = positions.cursor(DateTime::UNIX_EPOCH);
        assert_eq!(cursor.last.len(), SERVERS_MAX);
        assert!(!cursor.last.contains_key(format!("{:063}", 0).as_str()));
        assert!(
            cursor
                .last
                .values()
                .all(|last| *last == MessageId(i64::MAX))
        );
        let text = cursor.to_string();
        assert!(text.len() <= CURSOR_BYTES_MAX);
        assert_eq!(text.parse(), Ok(cursor));
        positions.sweep(Instant::now() + NAMED_FOR);
        assert!(positions.last.is_empty());
    }

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
        let far = i64::MIN.to_string();
        for text in [
            "",
            "x",
            "1/a",
            "1/a:b",
            "1//",
            "-1",
            "9223372036854775807",
            &far,
            "8210266876799999999",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
