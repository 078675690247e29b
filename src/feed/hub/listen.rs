//! Requests of subscribers: which of them is in which channel. A request costs what it
//! concerns, whatever the number of subscribers.

use std::sync::{Arc, Weak};
use std::time::Instant;

use chrono::Utc;

use super::table::Watched;
use super::{Hub, TEXT_BYTES};
use crate::feed::filter::Filter;
use crate::feed::item::Items;
use crate::feed::messages::{Demand, Wish};
use crate::feed::origin::Origin;
use crate::feed::shared::Shared;
use crate::feed::subscribers::{NodesView, SubscriberId};
use crate::store::Batch;

impl Hub {
    /// Carries out a request. Returns the sessions of a subscription with history.
    pub(super) fn answer(&mut self, id: SubscriberId, what: Wish) -> Vec<Arc<Origin>> {
        let now = Instant::now();
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return Vec::new();
        };
        let before = subscriber.subscriptions();
        let mut sessions = Vec::new();
        match what {
            Wish::Messages {
                subscription,
                filter,
                early,
            } => {
                if early {
                    sessions = self.sessions.admitted(&filter);
                }
                self.listen(id, subscription, filter, early, now);
            }
            Wish::NoMessages { subscription } => {
                if let Some(gone) = subscriber.messages.remove(&subscription) {
                    self.stop_listening(id, subscription, gone.channel);
                }
            }
            Wish::Sync { subscription } => {
                let mut generation = 0;
                self.demand.send_modify(|demand| {
                    demand.generation += 1;
                    generation = demand.generation;
                });
                subscriber.want_sync(subscription, generation);
            }
            Wish::Nodes(chain) => {
                let sessions = &self.sessions;
                self.watched.get_or_insert_with(|| {
                    let mut watched = Watched::default();
                    sessions.open().for_each(|row| watched.table.session(row));
                    // A new subscriber gets all rows anyway.
                    watched.table.take_changes(usize::MAX);
                    watched
                });
                let view = NodesView {
                    chain,
                    ..NodesView::default()
                };
                subscriber.nodes = Some(view);
                self.snapshots.add(id, subscriber);
                self.want(|demand| demand.nodes = true);
            }
            Wish::NoNodes => subscriber.nodes = None,
            Wish::Presence(chain) => {
                let is_new = subscriber.presence.replace(chain).is_none();
                self.want(|demand| demand.presence += usize::from(is_new));
            }
            Wish::NoPresence => {
                let was_wanted = subscriber.presence.take().is_some();
                self.want(|demand| demand.presence -= usize::from(was_wanted));
            }
        }
        let subscriber = self.subscribers.get(&id);
        let after = subscriber.map_or(0, |subscriber| subscriber.subscriptions());
        self.count_subscriptions(before, after);
        sessions
    }

    /// Changes the demand on the database; its reader is woken if it differs.
    fn want(&self, change: impl FnOnce(&mut Demand)) {
        self.demand.send_if_modified(|demand| {
            let before = (demand.nodes, demand.presence);
            change(demand);
            before != (demand.nodes, demand.presence)
        });
    }

    fn count_subscriptions(&self, before: usize, after: usize) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let subscriptions = &self.metrics().subscriptions;
        subscriptions.add(count(after) - count(before));
    }

    fn listen(
        &mut self,
        id: SubscriberId,
        subscription: u64,
        filter: Filter,
        early: bool,
        now: Instant,
    ) {
        let number = match self.channels.find(&filter) {
            Some(number) => {
                // What waits came before.
                self.flush(number, now);
                number
            }
            None => {
                self.demand.send_modify(|demand| {
                    demand.filters.insert(filter.clone());
                });
                self.channels.add(filter)
            }
        };
        if let Some(channel) = self.channels.get_mut(number) {
            channel.listeners.insert((id, subscription));
        }
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.listen(subscription, number);
        }
        if early {
            self.hand_on_early(id, subscription, number, now);
        }
    }

    /// Hands on messages that may not be in the database yet.
    fn hand_on_early(&mut self, id: SubscriberId, subscription: u64, number: u64, now: Instant) {
        let batches: Vec<Arc<Batch>> = self.recent.iter().filter_map(Weak::upgrade).collect();
        for batch in batches {
            self.sort(&batch, Some(number));
        }
        let channel = self.channels.get_mut(number);
        let list = channel.map(|channel| channel.take_pending());
        let cursor = self.positions.cursor(Utc::now());
        for items in Items::in_texts(list.unwrap_or_default(), cursor, TEXT_BYTES) {
            let items = Shared::new(items, &self.waiting);
            let metrics = &self.parts.metrics.feed;
            if let Some(subscriber) = self.subscribers.get_mut(&id) {
                subscriber.offer_messages(subscription, &items, true, now, metrics);
            }
        }
    }

    fn stop_listening(&mut self, id: SubscriberId, subscription: u64, number: u64) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        channel.listeners.remove(&(id, subscription));
        if channel.listeners.is_empty()
            && let Some(channel) = self.channels.remove(number)
        {
            self.demand.send_modify(|demand| {
                demand.filters.remove(&channel.filter);
            });
        }
    }

    pub(super) fn leave(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.remove(&id) else {
            return;
        };
        self.metrics().subscribers.dec();
        self.count_subscriptions(subscriber.subscriptions(), 0);
        let listened = usize::from(subscriber.presence.is_some());
        self.want(|demand| demand.presence -= listened);
        for (subscription, listening) in subscriber.messages {
            self.stop_listening(id, subscription, listening.channel);
        }
    }
}
