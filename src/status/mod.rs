//! Whether nodes are alive and well.
//!
//! ```text
//! nodes (a projection) ──look──► Fleet ──judge──► flips ──one transaction──► node_status, status_changes
//! servers ─────────────────────► Outages ──grace──┘
//! ```
//!
//! `docs/STATUS.md` has the states and the rules. Everything but the evaluator is
//! pure: time is passed in.
//!
//! | file | holds |
//! | --- | --- |
//! | `machine` | the status of one node |
//! | `chain` | events of many nodes of a chain |
//! | `fleet` | all nodes together |
//! | `flips` | nodes, chains and the changes that are due |
//! | `outages` | outages of our own, during which silence says nothing |
//! | `look` | what the database knows |
//! | `evaluator` | the thread that looks, judges and keeps the changes |

mod chain;
mod evaluator;
mod fleet;
mod flips;
mod look;
mod machine;
mod outages;
mod services;
#[cfg(test)]
mod tests;

pub use evaluator::{Evaluator, EvaluatorParts};
pub use fleet::Fleet;
pub use flips::{ChainFlip, ChainKey, Flips, Handle, Kept, KeptChain, NodeFlip, NodeKey, NodeSeen};
pub use machine::{Circumstances, Machine, Seen, Time, Verdict};
pub use outages::{Cause, GRACE, Outage, Outages, ServerSeen};

pub use crate::projections::Reference;
