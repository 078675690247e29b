//! What subscribers ask for: who listens to which topic.

use std::sync::{Arc, Weak};
use std::time::Instant;

use chrono::Utc;

use super::table::Watched;
use super::{Hub, Topic};
use crate::feed::filter::Filter;
use crate::feed::item::{Items, Origin};
use crate::feed::messages::{Demand, Wish};
use crate::feed::subscribers::{NodesView, Subscriber, SubscriberId};
use crate::store::Batch;

impl Hub {
    /// Does what a subscriber asks. Returns the sessions of a subscription with history.
    pub(super) fn answer(&mut self, id: SubscriberId, what: Wish) -> Vec<Arc<Origin>> {
        let now = Instant::now();
        let mut sessions = Vec::new();
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return sessions;
        };
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
                let gone = subscriber.messages.remove(&subscription);
                if let Some(gone) = gone {
                    self.stop_listening(id, subscription, gone.topic);
                }
            }
            Wish::Sync { subscription } => {
                self.generation += 1;
                subscriber.want_sync(subscription, self.generation);
            }
            Wish::Nodes(chain) => {
                let sessions = &self.sessions;
                let watched = self.board.get_or_insert_with(|| {
                    let mut watched = Watched::default();
                    sessions.open().for_each(|row| watched.board.session(row));
                    // A new subscriber gets all rows anyway.
                    watched.board.take_changes();
                    watched
                });
                let view = NodesView {
                    left: watched.board.keys(chain.as_deref()).into(),
                    chain,
                    ..NodesView::default()
                };
                subscriber.nodes = Some(view);
            }
            Wish::NoNodes => subscriber.nodes = None,
            Wish::Presence(chain) => subscriber.presence = Some(chain),
            Wish::NoPresence => subscriber.presence = None,
        }
        self.show_demand();
        sessions
    }

    fn listen(
        &mut self,
        id: SubscriberId,
        subscription: u64,
        filter: Filter,
        early: bool,
        now: Instant,
    ) {
        let known = self.topics.iter().find(|(_, topic)| topic.filter == filter);
        let number = match known.map(|(number, _)| *number) {
            Some(number) => {
                // What waits came before.
                self.flush(number, now);
                number
            }
            None => {
                self.next_number += 1;
                let topic = Topic {
                    filter: filter.clone(),
                    ..Topic::default()
                };
                self.topics.insert(self.next_number, topic);
                self.sessions.topics_changed();
                self.next_number
            }
        };
        if let Some(topic) = self.topics.get_mut(&number) {
            topic.listeners.insert((id, subscription));
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
        let found = self.topics.get_mut(&number);
        let list = found
            .map(|topic| std::mem::take(&mut topic.pending))
            .unwrap_or_default();
        if let Some(subscriber) = self.subscribers.get_mut(&id).filter(|_| !list.is_empty()) {
            let cursor = self.positions.cursor(Utc::now());
            let items = Arc::new(Items::new(list, cursor));
            let metrics = &self.parts.metrics.feed;
            subscriber.offer_messages(subscription, &items, true, now, metrics);
        }
    }

    fn stop_listening(&mut self, id: SubscriberId, subscription: u64, number: u64) {
        if let Some(topic) = self.topics.get_mut(&number) {
            topic.listeners.remove(&(id, subscription));
            if topic.listeners.is_empty() {
                self.topics.remove(&number);
                self.sessions.topics_changed();
            }
        }
    }

    pub(super) fn leave(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.subscribers.remove(&id) {
            for (subscription, listening) in subscriber.messages {
                self.stop_listening(id, subscription, listening.topic);
            }
        }
        self.show_demand();
    }

    /// Tells those who read the database what is wanted, and the metrics by how many.
    pub(super) fn show_demand(&self) {
        let demand = Demand {
            filters: self
                .topics
                .values()
                .map(|topic| topic.filter.clone())
                .collect(),
            nodes: self.board.is_some(),
            presence: self.subscribers.values().any(|one| one.presence.is_some()),
            generation: self.generation,
        };
        self.demand.send_if_modified(|known| {
            let is_new = *known != demand;
            *known = demand;
            is_new
        });
        let metrics = self.metrics();
        let subscriptions: usize = self
            .subscribers
            .values()
            .map(Subscriber::subscriptions)
            .sum();
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        metrics.subscribers.set(count(self.subscribers.len()));
        metrics.subscriptions.set(count(subscriptions));
    }
}
