//! Events as lines of JSON on standard output.

use std::fmt;
use std::sync::Arc;

use super::Transport;
use super::fate::{Answered, Fate, Sent, in_halves};
use crate::notify::client::Client;
use crate::store::event_transports::Event;

/// Writes lines to standard output, and says whether they are out; it keeps nobody for long.
type Write = dyn Fn(Vec<u8>) -> Result<(), String> + Send + Sync;

/// Standard output.
#[derive(Clone)]
pub struct Console(Arc<Write>);

impl Console {
    /// `write` writes whole lines.
    pub fn new(write: impl Fn(Vec<u8>) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Console")
    }
}

impl Transport for Console {
    fn send(&self, _client: &Client, events: &[Event]) -> Sent {
        let mut lines = Vec::new();
        for event in events {
            if let Ok(line) = serde_json::to_vec(event) {
                lines.extend_from_slice(&line);
                lines.push(b'\n');
            }
        }
        let written = (self.0)(lines);
        in_halves(events.len(), |_| match &written {
            Ok(()) => Answered::Taken,
            Err(error) => Answered::Stopped(Fate::Failed {
                error: error.clone(),
                retry_after: None,
            }),
        })
    }
}
