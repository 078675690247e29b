//! The servers of one database: their heartbeats, and leases that give each job
//! to exactly one of them.
//!
//! | file | holds |
//! | --- | --- |
//! | `member` | the thread that sends heartbeats and renews leases, on a connection of its own |
//! | `lease` | the right to do a job, its end, and its fencing token |
//! | `observation` | which servers are lost, judged by watching their heartbeats; pure |
//!
//! Leases are rows that change by compare and set, so a pooler in transaction mode
//! is fine. Every time in them is that of the database; how long a lease lasts is
//! counted here on the steady clock, from before it was requested.

mod lease;
mod member;
mod observation;

pub use lease::{Job, Lease, LeaseError, Leases};
pub use member::{Activity, EndSessions, Member, MemberParts};
