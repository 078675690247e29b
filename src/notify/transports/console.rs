//! Events as lines of JSON on standard output.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Transport;
use super::fate::{Fate, Sent};
use crate::notify::client::Client;
use crate::store::event_transports::Event;

/// What came of lines, once they are written.
pub type Written = Receiver<std::io::Result<()>>;

/// Hands lines on to be written, without waiting; none if they find no place.
type Write = dyn Fn(Vec<u8>) -> Option<Written> + Send + Sync;

/// Standard output.
#[derive(Clone)]
pub struct Console {
    write: Arc<Write>,
    /// Longest wait for its reader.
    wait_max: Duration,
    /// What was handed over and is not read yet; it is out some time, so it is not written again.
    late: Arc<Mutex<Option<Late>>>,
}

/// Lines that are under way.
struct Late {
    /// Number of the last event among them.
    upto: i64,
    written: Written,
}

impl Console {
    /// `write` takes whole lines, and writes them however long that takes.
    pub fn new(
        write: impl Fn(Vec<u8>) -> Option<Written> + Send + Sync + 'static,
        wait_max: Duration,
    ) -> Self {
        Self {
            write: Arc::new(write),
            wait_max,
            late: Arc::default(),
        }
    }

    /// Another one for a transport of its own.
    pub(super) fn apart(&self) -> Self {
        Self {
            late: Arc::default(),
            ..self.clone()
        }
    }

    /// Writes events; those up to the number that it returns are out.
    fn write(&self, events: &[Event]) -> (i64, Result<(), String>) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let mut upto = 0;
        if let Some(before) = late.take() {
            let (out, result) = self.wait(before, &mut late);
            if result.is_err() {
                return (out, result);
            }
            upto = out;
        }
        let new = || events.iter().filter(|event| event.id > upto);
        let Some(last) = new().next_back() else {
            return (upto, Ok(()));
        };
        let mut lines = Vec::new();
        for line in new().filter_map(|event| serde_json::to_vec(event).ok()) {
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        let Some(written) = (self.write)(lines) else {
            return (upto, Err(not_read()));
        };
        let under_way = Late {
            upto: last.id,
            written,
        };
        let (out, result) = self.wait(under_way, &mut late);
        (out.max(upto), result)
    }

    /// Waits until lines are out; those that are not stay in `late`.
    fn wait(&self, lines: Late, late: &mut Option<Late>) -> (i64, Result<(), String>) {
        match lines.written.recv_timeout(self.wait_max) {
            Ok(Ok(())) => (lines.upto, Ok(())),
            Ok(Err(error)) => (0, Err(format!("standard output takes nothing: {error}"))),
            Err(RecvTimeoutError::Timeout) => {
                *late = Some(lines);
                (0, Err(not_read()))
            }
            Err(RecvTimeoutError::Disconnected) => (0, Err(not_read())),
        }
    }
}

fn not_read() -> String {
    "standard output is not read".to_owned()
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Console")
    }
}

impl Transport for Console {
    fn send(&self, _client: &Client, events: &[Event]) -> Sent {
        let (upto, result) = self.write(events);
        let error = result.err().unwrap_or_default();
        let fate = |event: &Event| match event.id <= upto {
            true => Fate::Delivered,
            false => Fate::Failed {
                error: error.clone(),
                retry_after: None,
            },
        };
        Sent {
            fates: events.iter().map(fate).collect(),
            unnamed: None,
        }
    }
}
