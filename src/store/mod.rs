//! Everything that changes rows.
//!
//! `rows`, `batch` and `write` take messages into the database; `id_blocks` and
//! `kinds` hand out the numbers that they carry; `sessions` stores the
//! sessions that sent them; `status` keeps that of nodes, `alerts` what follows from it, `outbox` what is to be delivered of that, `event_transports` how far events are sent on; `spool` keeps on disk what
//! cannot be stored just now; `partitions`, `expired` and `events` carry out retention; `growth` is
//! how fast the messages grow on disk; `reader_role` who may read the database.

pub mod alerts;
mod audit_months;
mod batch;
pub mod benchmarks;
pub mod event_transports;
pub mod events;
pub mod expired;
mod growth;
mod id_blocks;
mod kinds;
mod losses;
mod node_time;
pub mod outbox;
pub mod partitions;
pub mod reader_role;
mod rows;
mod schema;
mod services;
mod sessions;
mod spool;
pub mod status;
mod write;

pub use audit_months::AuditMonths;
pub use batch::{Batch, Group, StoredBatch};
pub use growth::{Growth, growth};
pub use id_blocks::IdBlocks;
pub use kinds::{Kinds, StoredKind, UNLISTED, UNLISTED_NAME, list_kinds, merge_kinds};
pub use losses::{add_losses, purge_losses};
pub use node_time::NodeTime;
pub use rows::{NewRow, RowBuffer, RowKind, RowView};
pub use services::{
    ServiceBeat, ServiceChange, delete_service, keep_heartbeats, keep_services, purge_heartbeats,
};
pub use sessions::{SessionRow, end_sessions};
pub use spool::{Spool, SpoolError, SpoolNumber, SpooledBatch};
pub use write::{Outcome, WriteContext, store_batches};
