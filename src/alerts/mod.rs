//! Alerts: what is wrong for long enough, of nodes, chains and this program itself.
//!
//! ```text
//! node_status, chain_status, nodes, servers ──finding──► Evaluation ──changes──► alerts, outbox
//! ```
//!
//! Each round looks at what holds now, not at what changed: an alert that was missed in a crash
//! fires in the next round, and one that is open fires no second time. `rule` has the rules,
//! `finding` what is wrong now, `evaluation` what follows from it (pure), `keeper` the thread
//! that commits alerts with their deliveries, `payload` what receivers are sent, `outage` the alert of
//! a database that is away.

mod evaluation;
mod finding;
mod keeper;
pub mod outage;
pub mod payload;
mod rule;

pub use keeper::{Keeper, KeeperParts, TargetKind};
pub use rule::{DATABASE_AWAY, RULES, Rule, find, markdown_table};
