//! Metrics of alerts, on the server that keeps them, and of their deliveries.

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Label, Maker};
use crate::config::Severity;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The receiver took it.
    Delivered,
    /// It failed, and is tried again.
    Failed,
    /// It was given up.
    Dead,
}

impl DeliveryResult {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dead];

    fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dead => "dead",
        }
    }
}

/// The metrics of alerts.
#[derive(Debug)]
pub struct AlertMetrics {
    open: IntGaugeVec,
    fired: IntCounterVec,
    /// Nodes in trouble of which no alert is kept.
    pub nodes_left_out: IntGauge,
    /// Rounds that failed.
    pub failures: IntCounter,
    deliveries: IntCounterVec,
    pending: IntGaugeVec,
    oldest: GaugeVec,
}

fn targets() -> Label {
    Label::bounded::<&str>("target", [], "webhook-N and alertmanager-N of the settings")
}

impl AlertMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            open: make.gauges(
                "alerts_open",
                "Alerts that are open by severity, on the server that keeps them.",
                [Label::closed("severity", Severity::ALL.map(Severity::label))],
            )?,
            fired: make.counters(
                "alerts_fired_total",
                "Alerts that fired, by severity.",
                [Label::closed("severity", Severity::ALL.map(Severity::label))],
            )?,
            nodes_left_out: make.gauge(
                "alerts_nodes_left_out",
                "Nodes in trouble of which no alert is kept, because there are more than 10,000; on the server that keeps alerts.",
            )?,
            failures: make.counter(
                "alerts_failures_total",
                "Rounds over all rules that failed; the next one begins anew.",
            )?,
            deliveries: make.counters(
                "notify_deliveries_total",
                "Attempts to deliver by how they ended: delivered, failed (tried again) or dead (given up).",
                [Label::closed("result", DeliveryResult::ALL.map(DeliveryResult::label))],
            )?,
            pending: make.gauges(
                "notify_pending",
                "Deliveries that wait, by target.",
                [targets()],
            )?,
            oldest: make.floats(
                "notify_oldest_pending_seconds",
                "Age of the oldest delivery that waits, by target.",
                [targets()],
            )?,
        })
    }

    /// Open alerts of each severity.
    pub fn show(&self, count: impl Fn(Severity) -> usize) {
        for severity in Severity::ALL {
            let count = i64::try_from(count(severity)).unwrap_or(i64::MAX);
            self.open.with_label_values(&[severity.label()]).set(count);
        }
    }

    /// An alert fired.
    pub fn fired(&self, severity: Severity) {
        self.fired.with_label_values(&[severity.label()]).inc();
    }

    /// An attempt ended.
    pub fn attempted(&self, result: DeliveryResult) {
        self.deliveries.with_label_values(&[result.label()]).inc();
    }

    /// What waits for a target.
    pub fn show_backlog(&self, target: &str, pending: i64, oldest_s: f64) {
        self.pending.with_label_values(&[target]).set(pending);
        self.oldest.with_label_values(&[target]).set(oldest_s);
    }
}
