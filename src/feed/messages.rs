//! Messages to the hub: from the batcher, the database and subscribers.

use std::collections::HashSet;
use std::sync::Arc;

use actix::Recipient;
use tokio::sync::oneshot;

use super::filter::Filter;
use super::item::Item;
use super::node_table::NodeValues;
use super::origin::Origin;
use super::subscribers::{Delivery, SubscriberId};
use crate::store::{Batch, SessionRow};

/// What the feed wants from the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// Filters of the messages that other servers receive.
    pub filters: HashSet<Filter>,
    /// The table of all nodes is shown.
    pub nodes: bool,
    /// Subscriptions to presence.
    pub presence: usize,
    /// Grows with each request to report when everything so far has been sent.
    pub generation: u64,
}

impl Demand {
    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty() && !self.nodes && self.presence == 0
    }
}

/// A batch leaves for the database, or for the disk; from the batcher, each
/// time that it does.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Departed {
    /// The batch.
    pub batch: Arc<Batch>,
    /// Sessions of batches for which the hub had no room.
    pub sessions: Vec<SessionRow>,
    /// Messages of such batches.
    pub missed: u64,
}

/// What other servers of the same database received.
#[derive(Debug, Default, actix::Message)]
#[rtype(result = "()")]
pub struct RemoteChanges {
    /// Sessions that began, changed or ended.
    pub sessions: Vec<SessionRow>,
    /// Whether these sessions are news, or were there before and are read for the first
    /// time.
    pub are_news: bool,
    /// Messages.
    pub items: Vec<Item>,
    /// Messages that were too many.
    pub left_out: u64,
    /// The newest number of servers that stored something before all this.
    pub newest: Vec<(String, i64)>,
    /// All that was stored when this generation was requested has been handed over.
    pub generation: u64,
}

/// What the database has of the table of all nodes.
#[derive(Debug, Default, actix::Message)]
#[rtype(result = "()")]
pub struct Seed {
    /// Nodes, with the values that they reported last.
    pub nodes: Vec<(SessionRow, NodeValues)>,
    /// These were the last.
    pub is_complete: bool,
}

/// A new subscriber. Answered with its number, and with a receiver that
/// becomes ready when the subscriber is removed.
#[derive(Debug, actix::Message)]
#[rtype(result = "(SubscriberId, oneshot::Receiver<()>)")]
pub struct Join(pub Recipient<Delivery>);

/// From a subscriber. The answer to a subscription with history names the
/// sessions that it admits: their rows may be stored later than their messages.
#[derive(Debug, Clone, actix::Message)]
#[rtype(result = "Vec<Arc<Origin>>")]
pub struct Ask {
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// What.
    pub what: Wish,
}

/// Requests of a subscriber.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Messages from now on, under a number that the subscriber chooses.
    Messages {
        /// Number of the subscription.
        subscription: u64,
        /// Which messages, of which nodes.
        filter: Filter,
        /// With those that are on their way to the database now.
        early: bool,
    },
    /// No messages of this subscription any more.
    NoMessages {
        /// Number of the subscription.
        subscription: u64,
    },
    /// Report when all that is on its way has been sent.
    Sync {
        /// Number of the subscription.
        subscription: u64,
    },
    /// The table of all nodes, of one chain if it is given.
    Nodes(Option<String>),
    /// Not any more.
    NoNodes,
    /// Presence, of one chain if it is given.
    Presence(Option<String>),
    /// Not any more.
    NoPresence,
}
