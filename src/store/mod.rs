//! Everything that changes rows.
//!
//! `rows`, `batch` and `write` take messages into the database; `id_blocks` and
//! `kinds` hand out the numbers that they carry; `sessions` keeps track of who
//! sent them; `spool` keeps on disk what cannot
//! be stored just now; `partitions` and `expired` are the hands of retention; `pools`,
//! `lane` and `migrations` are the way to the database, and `embedded` is one of our own.

mod batch;
pub mod benchmarks;
pub mod embedded;
mod error;
pub mod expired;
mod id_blocks;
mod kinds;
mod lane;
pub mod migrations;
pub mod partitions;
mod pools;
mod rows;
mod schema;
mod sessions;
mod spool;
mod write;

pub use batch::{Batch, Group};
pub use error::StoreError;
pub use id_blocks::IdBlocks;
pub use kinds::{Kinds, UNLISTED, UNLISTED_NAME};
pub use lane::Connection;
pub use pools::{Pools, connect_writer};
pub use rows::{NewRow, RowBuffer, RowKind, RowView};
pub use sessions::{SessionRow, close_left_open, heartbeat};
pub use spool::{Spool, SpoolError, SpoolNumber, SpooledBatch};
pub use write::{BatchOrigin, Outcome, store_batches};
