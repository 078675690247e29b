//! Deliveries without an outbox, while the database is away: from memory, to one target at a time.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::client::Client;
use super::receiver::{Receiver, Verdict};
use super::retry;
use super::worker::receivers;
use crate::config::NotifyConfig;
use crate::store::outbox::Delivery;

/// A target that is told directly.
#[derive(Clone)]
pub struct Direct {
    /// Its name.
    pub name: String,
    receiver: std::sync::Arc<dyn Receiver>,
    client: Client,
}

/// What comes after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is delivered, and need not be sent again.
    Done,
    /// It is delivered, and sent again after a while: the receiver forgets what is not.
    Repeat(Duration),
    /// It failed, and is tried again after a while.
    Retry(Duration),
}

impl Direct {
    /// All targets of the settings.
    pub fn all(config: &NotifyConfig) -> Vec<Self> {
        let of = |(name, _, receiver)| Self {
            name,
            receiver,
            client: Client::of(config),
        };
        receivers(config).into_iter().map(of).collect()
    }

    /// Sends, and waits for the answer; `attempt` counts from 1.
    pub fn send(&self, message_id: &str, payload: &str, attempt: i32) -> Next {
        let delivery = Delivery {
            id: 0,
            created_at: DateTime::<Utc>::UNIX_EPOCH,
            message_id: message_id.to_owned(),
            payload: payload.to_owned(),
            attempts: 1,
        };
        let verdicts = self.receiver.send(&self.client, &[delivery]);
        match verdicts.into_iter().next() {
            Some(Verdict::Delivered) => match self.receiver.resend_interval() {
                Some(interval) => Next::Repeat(interval),
                None => Next::Done,
            },
            // Its schedule is for days; here it has until the database is back.
            Some(Verdict::Retry { error, .. } | Verdict::Dead(error)) => {
                log::info!("{} did not take {message_id}: {error}", self.name);
                Next::Retry(retry::backoff(attempt, retry::random()))
            }
            Some(Verdict::Gone(_)) | None => Next::Done,
        }
    }
}
