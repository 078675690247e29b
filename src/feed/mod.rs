//! The live feed: what nodes say, handed on to those who asked for it.
//!
//! ```text
//! batcher ──Departed──► ┌─────┐ ──Update──► subscribers (http/feed_socket)
//! remote  ──Changes───► │ Hub │
//!         ◄──Demand──── └─────┘ ◄──Subscribe──
//! ```
//!
//! The [`Hub`] gets every batch when it leaves for the database, so it costs
//! ingestion one message a batch, and what nobody asked for costs nothing more.
//! What is sent to many is written once. A subscriber that reads too slowly has
//! a bounded mailbox: what does not fit is counted, and it is told.
//!
//! `request` understands what a subscriber wants, `filter` says whom and what,
//! `windows` aggregates, `cursor` names a place in the stream, `board` is the
//! table of all nodes, `remote` brings what other servers of the database receive.

mod blocks;
mod board;
mod cursor;
mod filter;
mod hub;
mod item;
mod messages;
mod remote;
mod request;
mod sessions;
mod subscribers;
mod windows;

pub use cursor::Cursor;
pub use filter::Filter;
pub use hub::{Hub, HubParts};
pub use item::{Item, Items, Origin, frame, peer_message};
pub use messages::{Ask, Demand, Departed, Join, Wish};
pub use remote::{RemoteParts, follow_others};
pub use request::{
    Interest, MessagesRequest, Request, RequestError, RequestId, Since, Topic, read_request,
};
pub use sessions::Presence;
pub use subscribers::{SubscriberId, Update};
pub use windows::{Aggregate, AggregateKind, WindowRow, Windows};
