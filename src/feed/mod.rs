//! The live feed: messages, nodes and presence, as they arrive, to the subscribers that
//! want them.
//!
//! ```text
//! batcher ──Departed──► ┌─────┐ ──Update──► subscribers (http/feed_socket)
//! remote  ──Changes───► │ Hub │
//!         ◄──Demand──── └─────┘ ◄──Subscribe──
//! ```
//!
//! The [`Hub`] gets every batch when it leaves for the database, so it costs
//! ingestion one message a batch, and what no subscription admits costs nothing more.
//! It works with typed values; a dialect in `http` writes them as JSON, each once for all
//! that get the same. What waits for a slow subscriber is bounded in bytes: what does not
//! fit is counted, and the subscriber gets the count.
//!
//! `request` reads what a subscriber wants, `filter` says of which nodes and kinds,
//! `windows` aggregates, `cursor` names a place in the stream, `node_table` is the
//! table of all nodes, `remote` brings what other servers of the database receive.

mod blocks;
mod channels;
mod cursor;
mod filter;
mod hub;
mod hub_requests;
mod item;
mod messages;
mod node_table;
mod origin;
mod remote;
mod request;
mod sessions;
mod shared;
mod subscribers;
mod windows;

pub use cursor::Cursor;
pub use filter::Filter;
pub use hub::{Hub, HubParts, WriteNodes};
pub use hub_requests::HubRequests;
pub use item::{Item, Items};
pub use messages::{Ask, Demand, Departed, Join, Wish};
pub use node_table::{NodeChanged, NodeState, NodeValues, Parts};
pub use origin::Origin;
pub use remote::{RemoteParts, follow_others};
pub use request::{
    EventsRequest, Interest, MessagesRequest, Request, RequestError, RequestId, RowsSince, Since,
    StatusRequest, Topic, read_request,
};
pub use sessions::{Presence, PresenceChange};
pub use shared::{Form, Shared};
pub use subscribers::{Delivery, SubscriberId, Update};
pub use windows::{Aggregate, AggregateKind, WindowRow, Windows};
