//! Subscribers: the bounded queue of each, and what it missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;
use actix::prelude::SendError;
use bytestring::ByteString;
use tokio::sync::oneshot;

use super::cursor::Cursor;
use super::item::Items;
use super::sessions::Presence;
use super::shared::{Charge, Shared, Waiting};
use crate::metrics::{FeedMetrics, MissReason};

/// A subscriber that takes nothing for so long is removed.
const STALLED_MAX: Duration = Duration::from_secs(30);

/// Memory of an update beside what it shares with others, bytes.
const UPDATE_BYTES: usize = 256;

/// Number of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriberId(pub(super) u64);

/// An update on its way to a subscriber; it counts as waiting until it is dropped.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Delivery {
    /// What it gets.
    pub update: Update,
    _charge: Charge,
}

/// What a subscriber gets.
#[derive(Debug)]
pub enum Update {
    /// Messages of a subscription, by its number.
    Messages {
        /// Number of the subscription, chosen by the subscriber.
        subscription: u64,
        /// The messages.
        items: Arc<Shared<Items>>,
        /// They came before the subscription, and may be in the database by now.
        early: bool,
    },
    /// Rows of the table of all nodes.
    Nodes {
        /// The rows, written by the hub, for the threads of subscribers read nodes too.
        rows: Arc<Shared<ByteString>>,
        /// All nodes have been shown.
        is_complete: bool,
    },
    /// Nodes came or went.
    Presence(Arc<Shared<Vec<Presence>>>),
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
}

impl Update {
    fn bytes(&self) -> usize {
        let shared = match self {
            Self::Messages { items, .. } => items.bytes(),
            Self::Nodes { rows, .. } => rows.bytes(),
            Self::Presence(presences) => presences.bytes(),
            Self::Lagged { .. } | Self::Synced { .. } => 0,
        };
        UPDATE_BYTES + shared
    }
}

/// A subscription to messages.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) channel: u64,
    missed: u64,
    sync: Option<u64>,
}

/// A subscription to the table of all nodes.
#[derive(Debug, Default)]
pub(super) struct NodesView {
    pub(super) chain: Option<String>,
    /// The nodes of its snapshot; none before its first turn.
    pub(super) keys: Option<Arc<[Arc<str>]>>,
    /// So many of them have been sent.
    pub(super) sent: usize,
    /// It missed changes, and needs another snapshot.
    pub(super) is_behind: bool,
    /// It has been shown rows before, which may have fields that are unknown now.
    pub(super) is_again: bool,
    pub(super) is_complete: bool,
}

/// A subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    mailbox: Recipient<Delivery>,
    waiting: Waiting,
    waiting_total: Waiting,
    /// Signals, by being dropped, that the subscriber was removed.
    _alive: oneshot::Sender<()>,
    /// When there was no room for more, and what it had taken by then.
    refused: Option<(Instant, usize)>,
    pub(super) messages: HashMap<u64, Listening>,
    pub(super) nodes: Option<NodesView>,
    /// It is among those that are not through with their snapshot.
    pub(super) is_queued: bool,
    pub(super) presence: Option<Option<String>>,
}

impl Subscriber {
    pub(super) fn new(
        mailbox: Recipient<Delivery>,
        alive: oneshot::Sender<()>,
        waiting_total: Waiting,
    ) -> Self {
        Self {
            mailbox,
            waiting: Waiting::default(),
            waiting_total,
            _alive: alive,
            refused: None,
            messages: HashMap::new(),
            nodes: None,
            is_queued: false,
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
    pub(super) fn listen(&mut self, subscription: u64, channel: u64) {
        let listening = Listening {
            channel,
            missed: 0,
            sync: None,
        };
        self.messages.insert(subscription, listening);
    }

    /// Sends an update if there is room for it.
    pub(super) fn offer(&mut self, update: Update, now: Instant) -> bool {
        let bytes = update.bytes();
        if !self.has_room(bytes, now) {
            return false;
        }
        let charge = self.waiting.charge(bytes);
        let delivery = Delivery {
            update,
            _charge: charge,
        };
        let sent = self.mailbox.try_send(delivery);
        if matches!(sent, Err(SendError::Full(_))) {
            self.refuse(now);
        }
        sent.is_ok()
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn has_room(&mut self, bytes: usize, now: Instant) -> bool {
        let has_room = self.waiting.has_room(bytes, &self.waiting_total);
        if !has_room {
            self.refuse(now);
        }
        has_room
    }

    /// Bytes that wait for it.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.bytes()
    }

    fn refuse(&mut self, now: Instant) {
        let taken = self.waiting.taken();
        if self.refused.is_none_or(|(_, before)| before != taken) {
            self.refused = Some((now, taken));
        }
    }

    /// Sends messages, after the count of those that were missed before.
    pub(super) fn offer_messages(
        &mut self,
        subscription: u64,
        items: &Arc<Shared<Items>>,
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

    /// Messages of a subscription could not be sent.
    pub(super) fn missed(&mut self, subscription: u64, count: u64) {
        if let Some(listening) = self.messages.get_mut(&subscription) {
            listening.missed += count;
        }
    }

    /// A report is due when all that is on its way has been sent.
    pub(super) fn want_sync(&mut self, subscription: u64, generation: u64) {
        if let Some(listening) = self.messages.get_mut(&subscription) {
            listening.sync = Some(generation);
        }
    }

    /// Sends what there was no room for before, and reports everything up to `cursor` as
    /// sent where that is due: once what other servers received has been sent up to the
    /// generation of the request.
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
        let refused = self.refused;
        refused.is_some_and(|(since, taken)| {
            now.duration_since(since) >= STALLED_MAX && taken == self.waiting.taken()
        })
    }

    /// Sends how much was missed; false if there was no room even for that.
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
