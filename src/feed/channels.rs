//! Channels: each has all subscriptions with one filter. What a channel wants is
//! found by the peer or the chain of a message, whatever the number of channels.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::filter::Filter;
use super::item::Item;
use super::origin::Origin;
use super::subscribers::SubscriberId;

/// Messages of a channel that may wait for the next update, and their bytes.
const PENDING_MAX: usize = 1 << 16;
const PENDING_BYTES_MAX: usize = 64 << 20;

/// The subscriptions with one filter.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// The filter.
    pub(super) filter: Filter,
    /// The subscribers, with their own number of the subscription.
    pub(super) listeners: HashSet<(SubscriberId, u64)>,
    pending: Vec<Item>,
    pending_bytes: usize,
    /// Messages that they miss.
    pub(super) missed: u64,
}

/// The channels by number.
#[derive(Debug, Default)]
pub(super) struct Channels {
    by_number: HashMap<u64, Channel>,
    by_filter: HashMap<Filter, u64>,
    by_peer: HashMap<String, BTreeSet<u64>>,
    by_chain: HashMap<String, BTreeSet<u64>>,
    /// Those of filters without either.
    of_all: BTreeSet<u64>,
    next_number: u64,
    /// Grows when channels come or go.
    pub(super) generation: u64,
}

impl Channel {
    /// Adds a message to the next update.
    pub(super) fn push(&mut self, item: Item) {
        let bytes = item.bytes();
        if self.pending.len() < PENDING_MAX && self.pending_bytes + bytes <= PENDING_BYTES_MAX {
            self.pending_bytes += bytes;
            self.pending.push(item);
        } else {
            self.missed += 1;
        }
    }

    /// The messages of the next update.
    pub(super) fn take_pending(&mut self) -> Vec<Item> {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending)
    }
}

impl Channels {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.by_number.keys().copied().collect()
    }

    /// The one with this number.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Channel> {
        self.by_number.get_mut(&number)
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.by_number.values_mut()
    }

    /// The one of a filter.
    pub(super) fn find(&self, filter: &Filter) -> Option<u64> {
        self.by_filter.get(filter).copied()
    }

    /// Makes one.
    pub(super) fn add(&mut self, filter: Filter) -> u64 {
        self.next_number += 1;
        self.generation += 1;
        let number = self.next_number;
        self.place(&filter).insert(number);
        self.by_filter.insert(filter.clone(), number);
        let channel = Channel {
            filter,
            ..Channel::default()
        };
        self.by_number.insert(number, channel);
        number
    }

    /// Removes one.
    pub(super) fn remove(&mut self, number: u64) -> Option<Channel> {
        let channel = self.by_number.remove(&number)?;
        self.generation += 1;
        self.by_filter.remove(&channel.filter);
        let place = self.place(&channel.filter);
        place.remove(&number);
        if place.is_empty() {
            match (&channel.filter.peer_id, &channel.filter.chain) {
                (Some(peer_id), _) => drop(self.by_peer.remove(peer_id)),
                (None, Some(chain)) => drop(self.by_chain.remove(chain)),
                (None, None) => {}
            }
        }
        Some(channel)
    }

    fn place(&mut self, filter: &Filter) -> &mut BTreeSet<u64> {
        match (&filter.peer_id, &filter.chain) {
            (Some(peer_id), _) => self.by_peer.entry(peer_id.clone()).or_default(),
            (None, Some(chain)) => self.by_chain.entry(chain.clone()).or_default(),
            (None, None) => &mut self.of_all,
        }
    }

    /// The channels that want messages of a node, whatever their kind.
    pub(super) fn wanting(&self, origin: &Origin) -> Vec<u64> {
        let peer = origin
            .peer_id
            .as_ref()
            .and_then(|peer| self.by_peer.get(peer));
        let name = origin.chain.as_ref();
        // A chain may be named like its own hash.
        let hash = origin
            .genesis_hash
            .as_ref()
            .filter(|hash| Some(*hash) != name);
        let chains = [name, hash].into_iter().flatten();
        let chains = chains.filter_map(|chain| self.by_chain.get(chain));
        let numbers = peer
            .into_iter()
            .chain(chains)
            .chain([&self.of_all])
            .flatten();
        let admits = |number: &u64| {
            let channel = self.by_number.get(number);
            channel.is_some_and(|channel| channel.filter.admits_node(origin))
        };
        numbers.copied().filter(admits).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::ids::MessageId;

    #[test]
    fn channels_are_found_by_what_they_want() {
        let mut channels = Channels::default();
        let filter = |peer_id: Option<&str>, chain: Option<&str>, msg: Option<&str>| Filter {
            peer_id: peer_id.map(str::to_owned),
            chain: chain.map(str::to_owned),
            msg: msg.map(str::to_owned),
        };
        let filters = [
            filter(None, None, None),
            filter(None, None, Some("m")),
            filter(Some("peer"), None, None),
            filter(Some("peer"), Some("other"), None),
            filter(None, Some("chain"), None),
            filter(None, Some("0x01"), None),
            filter(None, Some("0x02"), None),
            filter(Some("other"), None, None),
        ];
        let numbers: Vec<u64> = filters
            .iter()
            .map(|one| channels.add(one.clone()))
            .collect();
        let origin = Origin {
            peer_id: Some("peer".to_owned()),
            chain: Some("chain".to_owned()),
            genesis_hash: Some("0x01".to_owned()),
            ..Origin::default()
        };
        let wanting = |channels: &Channels| {
            let mut wanting = channels.wanting(&origin);
            wanting.sort_unstable();
            wanting
        };
        let expected = [0, 1, 2, 4, 5].map(|place: usize| numbers[place]);
        assert_eq!(wanting(&channels), expected);
        for number in &numbers {
            channels.remove(*number);
        }
        assert!(wanting(&channels).is_empty());
        assert!(channels.by_filter.is_empty() && channels.by_peer.is_empty());
        assert!(channels.by_chain.is_empty() && channels.of_all.is_empty());
    }

    #[test]
    fn what_waits_for_an_update_is_bounded_in_bytes() {
        let mut channel = Channel::default();
        let item = Item {
            id: MessageId(1),
            origin: Arc::new(Origin::default()),
            kind: "m".into(),
            created_at: DateTime::UNIX_EPOCH,
            received_at: None,
            fields: "x".repeat(PENDING_BYTES_MAX / 3).into(),
        };
        for _ in 0..5 {
            channel.push(item.clone());
        }
        assert_eq!((channel.take_pending().len(), channel.missed), (2, 3));
        channel.push(item);
        assert_eq!(channel.take_pending().len(), 1);
    }
}
