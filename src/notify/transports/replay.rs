//! Sends events of a time of arrival again by a transport, beside running servers. They have the
//! identities that they had, and the cursor of the transport stays where it is.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::fate::Fate;
use super::{Console, transport};
use crate::config::{BatchLimits, NotifyConfig, TransportConfig};
use crate::database::{Connection, DatabaseError};
use crate::notify::client::Client;
use crate::notify::retry;
use crate::store::event_transports::{self, Event, Span};

/// Attempts in a row that fail until a replay ends: about ten minutes.
const ATTEMPTS_MAX: i32 = 20;

/// What is to be sent again.
#[derive(Debug)]
pub struct Replay {
    /// The transport.
    pub config: TransportConfig,
    /// How it sends.
    pub notify: NotifyConfig,
    /// Limits of a request.
    pub batch: BatchLimits,
    /// Standard output.
    pub console: Console,
    /// Events that arrived from this time on.
    pub from: DateTime<Utc>,
    /// Events that arrived before this time.
    pub to: DateTime<Utc>,
    /// Events after this number: where an earlier replay ended.
    pub after: i64,
}

/// How far a replay is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Events that there are to send.
    pub all: i64,
    /// Those that the receiver took.
    pub sent: i64,
    /// Those that it refused.
    pub refused: i64,
    /// Why it refused the last of them, or what the last attempt failed with.
    pub error: Option<String>,
    /// All events up to this number are done.
    pub upto: i64,
}

/// Why a replay ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Events are extracted anew.
    #[error(
        "events are extracted anew just now, and not all are there: try again when that is done"
    )]
    Extracting,
    /// The receiver takes nothing.
    #[error("the receiver takes nothing: {error}; go on later with --after {upto}")]
    Failed {
        /// What the last attempt failed with.
        error: String,
        /// Where to go on.
        upto: i64,
    },
}

impl From<diesel::result::Error> for ReplayError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Replay {
    /// Sends them; `show` gets the progress after each request.
    ///
    /// # Errors
    /// [`ReplayError`]; what was sent until then stays sent.
    pub fn run(
        &self,
        conn: &mut Connection,
        mut show: impl FnMut(&Replayed),
    ) -> Result<Replayed, ReplayError> {
        if !conn.transaction(event_transports::are_extracted)? {
            return Err(ReplayError::Extracting);
        }
        let transport = transport(&self.config.endpoint, &self.console);
        let client = Client::of(&self.notify);
        let mut done = Replayed {
            all: self.count(conn)?,
            upto: self.after,
            ..Replayed::default()
        };
        show(&done);
        loop {
            let (span, limits) = (self.span(done.upto), (self.batch.events, self.batch.bytes));
            let filter = &self.config.filter;
            let read =
                conn.transaction(|conn| event_transports::read(conn, &span, filter, limits))?;
            if read.upto == done.upto {
                return Ok(done);
            }
            let (mut left, mut failures) = (read.events, 0);
            while !left.is_empty() {
                let sent = transport.send(&client, &left);
                let unnamed = sent.unnamed.map_or(0, |unnamed| {
                    done.error = Some(unnamed.error);
                    unnamed.events
                });
                let unnamed = i64::try_from(unnamed).unwrap_or(i64::MAX);
                (done.sent, done.refused) = (done.sent - unnamed, done.refused + unnamed);
                let before = left.len();
                left = sort(left, sent.fates, &mut done);
                failures = if left.len() < before { 1 } else { failures + 1 };
                show(&done);
                if left.is_empty() {
                    break;
                }
                if failures >= ATTEMPTS_MAX {
                    return Err(ReplayError::Failed {
                        error: done.error.unwrap_or_default(),
                        upto: done.upto,
                    });
                }
                std::thread::sleep(retry::backoff(failures, retry::random()).max(MIN_WAIT));
            }
            done.upto = read.upto;
        }
    }

    fn span(&self, after: i64) -> Span {
        Span {
            from: Some(self.from),
            to: Some(self.to),
            ..Span::after(after)
        }
    }

    fn count(&self, conn: &mut Connection) -> Result<i64, ReplayError> {
        let (mut all, mut after) = (0, self.after);
        loop {
            let span = self.span(after);
            let found =
                conn.transaction(|conn| event_transports::count(conn, &span, &self.config.filter))?;
            all += found.events;
            after = found.upto;
            if found.looked_at < event_transports::LOOKED_AT_MAX {
                return Ok(all);
            }
        }
    }
}

/// Shortest wait after an attempt that failed.
const MIN_WAIT: Duration = Duration::from_millis(200);

/// Counts events by what became of them; returns those that are to be sent again.
fn sort(events: Vec<Event>, fates: Vec<Fate>, done: &mut Replayed) -> Vec<Event> {
    let mut left = Vec::new();
    for (event, fate) in events.into_iter().zip(fates) {
        match fate {
            Fate::Delivered => done.sent += 1,
            Fate::Refused(error) | Fate::Forbidden(error) => {
                done.refused += 1;
                done.error = Some(format!("{}: {error}", event.event_id));
            }
            Fate::Failed { error, .. } | Fate::Gone(error) => {
                done.error = Some(error);
                left.push(event);
            }
        }
    }
    left
}
