//! Who listens: the bounded way to each subscriber, and what it missed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;
use actix::prelude::SendError;
use bytestring::ByteString;
use tokio::sync::oneshot;

use super::cursor::Cursor;
use super::item::Items;
use crate::metrics::{FeedMetrics, MissReason};

/// A subscriber that takes nothing for so long is given up.
const STALLED_MAX: Duration = Duration::from_secs(30);

/// Number of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriberId(pub(super) u64);

/// What a subscriber gets.
#[derive(Debug, Clone, actix::Message)]
#[rtype(result = "()")]
pub enum Update {
    /// Messages of a subscription, by its number.
    Messages {
        /// Number of the subscription, chosen by the subscriber.
        subscription: u64,
        /// The messages.
        items: Arc<Items>,
        /// They came before the subscription, and may be in the database by now.
        early: bool,
    },
    /// It read too slowly for so many messages of a subscription.
    Lagged {
        /// Number of the subscription.
        subscription: u64,
        /// Messages that it missed.
        missed: u64,
    },
    /// Everything that was on its way when this was asked for has been handed on.
    Synced {
        /// Number of the subscription.
        subscription: u64,
        /// The place after it.
        cursor: Cursor,
    },
    /// JSON to hand on as it is.
    Text(ByteString),
}

/// A subscription to messages.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) topic: u64,
    missed: u64,
    sync: Option<u64>,
}

/// A subscription to the table of all nodes.
#[derive(Debug, Default)]
pub(super) struct NodesView {
    pub(super) chain: Option<String>,
    /// What the first look has still to show.
    pub(super) left: VecDeque<Arc<str>>,
    /// It missed changes, and needs another first look.
    pub(super) is_behind: bool,
    /// It has been shown rows before, which may have fields that are unknown now.
    pub(super) is_again: bool,
    pub(super) is_complete: bool,
}

/// A subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    mailbox: Recipient<Update>,
    /// Tells the subscriber, by being dropped, that it was given up.
    _alive: oneshot::Sender<()>,
    stalled_since: Option<Instant>,
    pub(super) messages: HashMap<u64, Subscription>,
    pub(super) nodes: Option<NodesView>,
    pub(super) presence: Option<Option<String>>,
}

impl Subscriber {
    pub(super) fn new(mailbox: Recipient<Update>, alive: oneshot::Sender<()>) -> Self {
        Self {
            mailbox,
            _alive: alive,
            stalled_since: None,
            messages: HashMap::new(),
            nodes: None,
            presence: None,
        }
    }

    /// Number of subscriptions of all kinds.
    pub(super) fn subscriptions(&self) -> usize {
        self.messages.len()
            + usize::from(self.nodes.is_some())
            + usize::from(self.presence.is_some())
    }

    /// Adds a subscription to messages.
    pub(super) fn listen(&mut self, subscription: u64, topic: u64) {
        let listening = Subscription {
            topic,
            missed: 0,
            sync: None,
        };
        self.messages.insert(subscription, listening);
    }

    /// Hands something on if there is room for it.
    pub(super) fn offer(&mut self, update: Update, now: Instant) -> bool {
        match self.mailbox.try_send(update) {
            Ok(()) => {
                self.stalled_since = None;
                true
            }
            Err(SendError::Full(_)) => {
                self.stalled_since.get_or_insert(now);
                false
            }
            Err(SendError::Closed(_)) => false,
        }
    }

    /// Hands messages on, after telling what was missed before.
    pub(super) fn offer_messages(
        &mut self,
        subscription: u64,
        items: &Arc<Items>,
        early: bool,
        now: Instant,
        metrics: &FeedMetrics,
    ) {
        let count = u64::try_from(items.list.len()).unwrap_or(u64::MAX);
        let update = Update::Messages {
            subscription,
            items: items.clone(),
            early,
        };
        if self.tell_lag(subscription, now) && self.offer(update, now) {
            metrics.messages_sent.inc_by(count);
        } else {
            self.missed(subscription, count);
            metrics.missed(MissReason::SlowReader, count);
        }
    }

    /// Messages of a subscription could not be handed on.
    pub(super) fn missed(&mut self, subscription: u64, count: u64) {
        if let Some(listening) = self.messages.get_mut(&subscription) {
            listening.missed += count;
        }
    }

    /// Asks to be told when all that is on its way has been handed on.
    pub(super) fn want_sync(&mut self, subscription: u64, generation: u64) {
        if let Some(listening) = self.messages.get_mut(&subscription) {
            listening.sync = Some(generation);
        }
    }

    /// Hands on what there was no room for before, and tells those who wait for
    /// it that they have everything up to `cursor`, once what other
    /// servers received has been handed on to the generation in which they asked.
    pub(super) fn catch_up(&mut self, remote_generation: u64, cursor: &Cursor, now: Instant) {
        let owed: Vec<(u64, bool)> = self
            .messages
            .iter()
            .map(|(subscription, listening)| {
                let is_synced = listening
                    .sync
                    .is_some_and(|wanted| wanted <= remote_generation);
                (*subscription, listening.missed > 0, is_synced)
            })
            .filter(|(_, has_missed, is_synced)| *has_missed || *is_synced)
            .map(|(subscription, _, is_synced)| (subscription, is_synced))
            .collect();
        for (subscription, is_synced) in owed {
            let told = self.tell_lag(subscription, now);
            let synced = Update::Synced {
                subscription,
                cursor: cursor.clone(),
            };
            if told
                && is_synced
                && self.offer(synced, now)
                && let Some(listening) = self.messages.get_mut(&subscription)
            {
                listening.sync = None;
            }
        }
    }

    /// Whether its connection has ended, or it took nothing for too long.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        !self.mailbox.connected() || self.is_stalled(now)
    }

    /// Whether it took nothing for too long.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        let since = self.stalled_since;
        since.is_some_and(|since| now.duration_since(since) >= STALLED_MAX)
    }

    /// Tells how much was missed; false if there was no room even for that.
    fn tell_lag(&mut self, subscription: u64, now: Instant) -> bool {
        let missed = match self.messages.get(&subscription) {
            Some(listening) if listening.missed > 0 => listening.missed,
            _ => return true,
        };
        let told = self.offer(
            Update::Lagged {
                subscription,
                missed,
            },
            now,
        );
        if let Some(listening) = self.messages.get_mut(&subscription).filter(|_| told) {
            listening.missed = 0;
        }
        told
    }
}
