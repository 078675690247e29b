//! What the hub is told, by the batcher, the database and subscribers.

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
    /// Whose messages, and which, where another server receives them.
    pub filters: HashSet<Filter>,
    /// The table of all nodes is shown.
    pub nodes: bool,
    /// So many listen to comings and goings.
    pub presence: usize,
    /// Grows when somebody wants to know that everything has been handed on.
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
    /// Whether these sessions are news, or were just never asked for.
    pub are_news: bool,
    /// Messages.
    pub items: Vec<Item>,
    /// Messages that were too many.
    pub left_out: u64,
    /// The newest number of servers that stored something before all this.
    pub newest: Vec<(String, i64)>,
    /// All that was there when this generation was wanted has been handed over.
    pub generation: u64,
}

/// What the database knows of the table of all nodes.
#[derive(Debug, Default, actix::Message)]
#[rtype(result = "()")]
pub struct Seed {
    /// Nodes, with what they said last.
    pub nodes: Vec<(SessionRow, NodeValues)>,
    /// These were the last.
    pub is_complete: bool,
}

/// Somebody wants to listen. Answered with a number, and with something that
/// becomes ready when the subscriber is given up.
#[derive(Debug, actix::Message)]
#[rtype(result = "(SubscriberId, oneshot::Receiver<()>)")]
pub struct Join(pub Recipient<Delivery>);

/// From a subscriber. The answer to a subscription with history names the
/// sessions that it admits: their rows may be stored later than their messages.
#[derive(Debug, Clone, actix::Message)]
#[rtype(result = "Vec<Arc<Origin>>")]
pub struct Ask {
    /// Who asks.
    pub subscriber: SubscriberId,
    /// What.
    pub what: Wish,
}

/// What a subscriber may ask.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Messages from now on, under a number that the subscriber chooses.
    Messages {
        /// Number of the subscription.
        subscription: u64,
        /// Of whom, and which.
        filter: Filter,
        /// With those that are on their way to the database now.
        early: bool,
    },
    /// No messages of this subscription any more.
    NoMessages {
        /// Number of the subscription.
        subscription: u64,
    },
    /// To be told when what is on its way has been handed on.
    Sync {
        /// Number of the subscription.
        subscription: u64,
    },
    /// The table of all nodes, of one chain if it is given.
    Nodes(Option<String>),
    /// Not any more.
    NoNodes,
    /// Comings and goings, of one chain if it is given.
    Presence(Option<String>),
    /// Not any more.
    NoPresence,
}
