//! Access to the database: connections, deadlines, migrations, and what its errors mean.
//!
//! | file | holds |
//! | --- | --- |
//! | `connection` | transactions, between which nothing is left in the database |
//! | `statement` | statements that the connections of jobs keep prepared |
//! | `pools` | a pool for queries, one for housekeeping, one connection for each writer |
//! | `replica` | how far a replica has come |
//! | `resilient_pool` | a pool that recovers from connections that hang |
//! | `rounds` | threads with a connection each, which are replaced when that hangs |
//! | `migrations` | bringing the schema up to date |
//! | `error` | retry, or give up |

mod connection;
mod error;
pub mod migrations;
mod pools;
mod replica;
mod resilient_pool;
mod rounds;
mod statement;

pub use connection::{Connection, read_unlocked};
pub use error::DatabaseError;
pub use pools::{Pools, WRITER_LOCK_TIMEOUT, connect, connect_writer};
pub use replica::{LogPlace, ReadFrom, has_replayed, written};
pub use rounds::{Connector, LostThreads, Round, Rounds, RoundsParts};
pub use statement::{Statement, statement};
