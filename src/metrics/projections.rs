//! What a server tells about the projections that it maintains.

use chrono::{DateTime, Utc};
use prometheus::GaugeVec;

use super::Maker;

/// The metrics of the projections.
#[derive(Debug)]
pub struct ProjectionMetrics {
    lag: GaugeVec,
}

impl ProjectionMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            lag: make.floats("projection_lag_seconds", "Age of the oldest message that a projection read last; 0 if there was nothing new, and on servers that do not maintain it.", &["projection"])?,
        })
    }

    /// The arrival of the oldest message that was read just now, if any was.
    pub fn show(&self, projection: &str, oldest: Option<DateTime<Utc>>) {
        let lag = oldest.map_or(0.0, |oldest| (Utc::now() - oldest).as_seconds_f64());
        self.lag.with_label_values(&[projection]).set(lag.max(0.0));
    }

    /// Another server maintains it.
    pub fn left(&self, projection: &str) {
        self.lag.with_label_values(&[projection]).set(0.0);
    }
}
