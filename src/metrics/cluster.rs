//! Metrics of the cluster: leases and lost servers.

use prometheus::{IntCounter, IntGaugeVec};

use super::jobs::LEASED;
use super::{Label, Maker};

/// The metrics of heartbeats and leases.
#[derive(Debug)]
pub struct ClusterMetrics {
    /// Heartbeats that could not be written.
    pub heartbeat_failures: IntCounter,
    leases: IntGaugeVec,
}

impl ClusterMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            heartbeat_failures: make.counter(
                "cluster_heartbeat_failures_total",
                "Heartbeats that could not be written to the database.",
            )?,
            leases: make.gauges(
                "cluster_lease_held",
                "1 if this server holds the lease of a job, else 0.",
                [Label::bounded("job_name", LEASED, super::jobs::TRANSPORTS)],
            )?,
        })
    }

    /// Whether this server holds the lease of a job.
    pub fn show_lease(&self, job: &str, is_held: bool) {
        self.leases
            .with_label_values(&[job])
            .set(i64::from(is_held));
    }
}
