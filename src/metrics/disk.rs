//! Metrics of the disk.

use prometheus::{Gauge, IntGauge};

use super::Maker;

/// The metrics of the disk that holds `DATA_DIR`.
#[derive(Debug)]
pub struct DiskMetrics {
    /// Bytes that are free.
    pub available: IntGauge,
    /// Growth of the messages.
    pub growth: Gauge,
    /// Days until it is full.
    pub full_in_days: Gauge,
}

impl DiskMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let metrics = Self {
            available: make.gauge("disk_available_bytes", "Bytes that are free on the disk of DATA_DIR.")?,
            growth: make.float("disk_growth_bytes_per_day", "Growth of the messages in the database at the present rate, bytes a day; NaN while it is not known.")?,
            full_in_days: make.float("disk_full_in_days", "Days until the disk of DATA_DIR is full at the present rate, if the database is the server's own; +Inf if it lasts as long as messages are kept (LOG_EXPIRY_H), NaN if it is not known.")?,
        };
        metrics.growth.set(f64::NAN);
        metrics.full_in_days.set(f64::NAN);
        Ok(metrics)
    }
}
