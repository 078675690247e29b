//! Sessions of connections that are gone, which the memory budget had no room for: they
//! wait for it, so that no node that left stays online.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Ingest;
use super::batcher::Append;
use super::socket_read::SocketRead;
use crate::store::{Group, RowBuffer, SessionRow};

/// Sessions that may wait, at about 1 kB each: more than connections end in the time that
/// nodes need to come back.
const WAITING_MAX: usize = 65_536;

/// Places for sessions that wait.
#[derive(Debug)]
pub(super) struct Endings(Arc<Semaphore>);

impl Default for Endings {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WAITING_MAX)))
    }
}

impl Endings {
    fn place(&self, sessions: usize) -> Option<OwnedSemaphorePermit> {
        let sessions = u32::try_from(sessions).ok()?;
        self.0.clone().try_acquire_many_owned(sessions).ok()
    }
}

impl Ingest {
    /// Hands sessions on as soon as the memory budget has room. When the server stops
    /// before, the next start ends them.
    pub(super) fn append_later(self: &Arc<Self>, sessions: Vec<SessionRow>, audit: bool) {
        if sessions.is_empty() {
            return;
        }
        let count = sessions.len();
        let Some(place) = self.endings.place(count) else {
            self.metrics
                .session_ends_lost
                .inc_by(u64::try_from(count).unwrap_or(0));
            if let Some(left_out) = self.dropped.admit(Instant::now()) {
                log::warn!(
                    "the ends of {count} sessions are lost: {WAITING_MAX} wait for memory; their nodes stay online until \
                     the next start ({left_out} such losses since the last such line)"
                );
            }
            return;
        };
        let read = SocketRead {
            group: Group {
                rows: RowBuffer::default(),
                sessions,
                audit,
                received_at: Instant::now(),
                kept: None,
            },
            introductions: Vec::new(),
        };
        let ingest = self.clone();
        actix::spawn(async move {
            let reservation = read.reservation();
            if ingest.budget.wait_for(reservation).await
                && let Err(error) = ingest
                    .batcher
                    .send(Append {
                        group: read.group,
                        reservation,
                    })
                    .await
            {
                log::debug!("the batcher has ended before some sessions: {error}");
            }
            drop(place);
        });
    }
}
