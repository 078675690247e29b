//! Metrics of the status of nodes, on the server that judges.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGaugeVec};

use super::{Label, Maker, NodeState, SECONDS_BUCKETS};

/// The metrics of the status of nodes.
#[derive(Debug)]
pub struct StatusMetrics {
    nodes: IntGaugeVec,
    changes: IntCounterVec,
    /// Seconds of a round over all nodes.
    pub round_seconds: Histogram,
    /// Rounds that failed.
    pub failures: IntCounter,
}

impl StatusMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let states = || [Label::closed("state", NodeState::ALL.map(NodeState::label))];
        Ok(Self {
            nodes: make.gauges(
                "status_nodes",
                "Nodes by status, on the server that judges them; of those that are offline only such with an open session.",
                states(),
            )?,
            changes: make.counters(
                "status_changes_total",
                "Changes of the status of nodes and chains that this server kept, by the state from then on.",
                states(),
            )?,
            round_seconds: make.histogram(
                "status_round_seconds",
                "Time to judge all nodes once, each second.",
                &SECONDS_BUCKETS,
            )?,
            failures: make.counter(
                "status_failures_total",
                "Rounds over all nodes that failed; the next one begins from what is kept.",
            )?,
        })
    }

    /// Nodes in each state.
    pub fn show(&self, count: impl Fn(NodeState) -> usize) {
        for state in NodeState::ALL {
            let count = i64::try_from(count(state)).unwrap_or(i64::MAX);
            self.nodes.with_label_values(&[state.label()]).set(count);
        }
    }

    /// A change was kept.
    pub fn changed(&self, to: NodeState) {
        self.changes.with_label_values(&[to.label()]).inc();
    }
}
