//! Metrics of the projections that this server maintains.

use prometheus::GaugeVec;

use super::jobs::projections;
use super::{Label, Maker};

/// The metrics of the projections.
#[derive(Debug)]
pub struct ProjectionMetrics {
    lag: GaugeVec,
}

impl ProjectionMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            lag: make.floats("projection_lag_seconds", "For how long the oldest batch is stored that a projection does not contain; while it is built, the age of the messages that come next. 0 if it contains all, and on servers that do not maintain it.", [Label::closed("projection", projections())])?,
        })
    }

    /// How far it is behind the log, seconds.
    pub fn show(&self, projection: &str, lag: f64) {
        self.lag.with_label_values(&[projection]).set(lag);
    }

    /// Another server maintains it.
    pub fn left(&self, projection: &str) {
        self.lag.with_label_values(&[projection]).set(0.0);
    }
}
