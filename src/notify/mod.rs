//! Everything that speaks outwards: deliveries out of the outbox, and the heartbeat of this server.
//!
//! Each target has a worker, a thread with a connection of its own to the database, so a receiver
//! that hangs delays no other. `receiver` is what the kinds of targets share, `webhook` and
//! `alertmanager` are the kinds, `client` sends over HTTP, and only to where it may, `retry` says
//! when to try again, `direct` sends while there is no outbox, `deadman` is the heartbeat.

mod alertmanager;
mod client;
mod deadman;
mod direct;
mod receiver;
mod retry;
mod webhook;
mod worker;

pub use deadman::DeadMan;
pub use direct::{Direct, Next};
pub use worker::{Workers, WorkersParts, target_names};
