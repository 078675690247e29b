//! Purging: `policy` decides what is expired and which partitions are needed,
//! `purger` does it, now and then.

mod making;
mod policy;
mod purger;

pub use purger::{Purger, PurgerParts, prepare_partitions};
