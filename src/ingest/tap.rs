//! Shows the live feed each batch that leaves. It never waits for the feed, and
//! what the feed has no room for is counted there.

use std::sync::Arc;

use actix::Addr;

use crate::feed::{Departed, Hub};
use crate::store::{Batch, SessionRow};

/// Sessions that wait until the feed has room again; those of two full servers.
const SESSIONS_MAX: usize = 40_000;

/// The way to the live feed.
#[derive(Debug)]
pub(super) struct Tap {
    hub: Addr<Hub>,
    /// What the feed has to know of batches that it had no room for.
    sessions: Vec<SessionRow>,
    missed: u64,
}

impl Tap {
    pub(super) fn new(hub: Addr<Hub>) -> Self {
        Self {
            hub,
            sessions: Vec::new(),
            missed: 0,
        }
    }

    /// Shows a batch that leaves.
    pub(super) fn show(&mut self, batch: &Arc<Batch>) {
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
