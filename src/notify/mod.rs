//! Everything that speaks outwards: deliveries out of the outbox, and the heartbeat of this server.
//!
//! Each target has a worker, a thread with a connection of its own to the database, so a receiver
//! that hangs delays no other. `receiver` is what the kinds of targets share, `webhook` and
//! `alertmanager` are the kinds, `outlet` takes what is due of the outbox to one of them, `client` sends
//! over HTTP, and only to where it may, `retry` says when to try again, `direct` sends while there is no
//! outbox, `deadman` is the heartbeat. `transports` sends events on, and the log. `grafana` uploads dashboards.

mod alertmanager;
mod client;
mod deadman;
mod direct;
pub mod grafana;
mod outlet;
mod receiver;
mod retry;
mod transports;
mod webhook;
mod worker;

pub use deadman::DeadMan;
pub use direct::{Direct, Next};
pub use transports::{
    Console, LogTransport, Replay, ReplayError, Replayed, Transports, TransportsParts, Written,
    outbox_name,
};
pub use worker::{Workers, WorkersParts, target_names};
