//! Publishes each batch to the live feed when it leaves the batcher. Never waits:
//! what the feed's mailbox can't take is counted as missed.

use std::sync::Arc;

use actix::Addr;

use crate::feed::{Departed, Hub};
use crate::store::{Batch, SessionRow};

/// Most session changes kept for the next batch: those of two full servers.
const SESSIONS_MAX: usize = 40_000;

/// The sending end of the live feed.
#[derive(Debug)]
pub(super) struct FeedPublisher {
    hub: Addr<Hub>,
    /// Session changes of batches that the feed could not take: the next one
    /// carries them.
    sessions: Vec<SessionRow>,
    /// Messages that the feed missed since the last batch it took.
    missed: u64,
}

impl FeedPublisher {
    pub(super) fn new(hub: Addr<Hub>) -> Self {
        Self {
            hub,
            sessions: Vec::new(),
            missed: 0,
        }
    }

    /// Publishes a batch.
    pub(super) fn publish(&mut self, batch: &Arc<Batch>) {
        let departed = Departed {
            batch: batch.clone(),
            sessions: std::mem::take(&mut self.sessions),
            missed: std::mem::take(&mut self.missed),
        };
        if let Err(refused) = self.hub.try_send(departed) {
            let departed = refused.into_inner();
            let sessions = batch.groups.iter().flat_map(|group| &group.sessions);
            self.sessions = departed.sessions;
            self.sessions.extend(sessions.cloned());
            self.sessions.truncate(SESSIONS_MAX);
            self.missed = departed.missed + u64::try_from(batch.rows()).unwrap_or(u64::MAX);
        }
    }
}
