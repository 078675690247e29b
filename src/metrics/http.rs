//! Metrics of HTTP.

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric, MetricFamily};
use prometheus::{HistogramVec, IntCounterVec, IntGauge};

use super::{CutReason, Label, Maker, SECONDS_BUCKETS};

/// The metrics of HTTP.
#[derive(Debug)]
pub struct HttpMetrics {
    /// Connections that are no websocket.
    pub connections: IntGauge,
    connections_cut: IntCounterVec,
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl HttpMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let routes = || {
            Label::bounded(
                "route",
                ["/metrics"],
                "the patterns of /api/openapi.json, never a path as asked for, and `unmatched`",
            )
        };
        Ok(Self {
            connections: make.gauge(
                "http_connections",
                "Connections that are no websocket, or none yet; nodes take up to 20 s to become one.",
            )?,
            connections_cut: make.counters(
                "http_connections_cut_total",
                "HTTP connections that the server has cut, by reason.",
                [Label::closed("reason", CutReason::ALL.map(CutReason::label))],
            )?,
            requests: make.counters(
                "http_requests_total",
                "HTTP requests that were answered, by route and status.",
                [routes(), Label::bounded("status", ["200"], "the status codes of HTTP that the server answers with")],
            )?,
            seconds: make.histograms(
                "http_request_seconds",
                "Time to answer an HTTP request, by route.",
                &SECONDS_BUCKETS,
                [routes()],
            )?,
        })
    }

    /// Requests that were answered, without scrapes and websockets.
    pub(super) fn requests_answered(&self) -> f64 {
        let families = self.requests.collect();
        let series = families.iter().flat_map(MetricFamily::get_metric);
        let is_other = |one: &&Metric| {
            let mut labels = one.get_label().iter().map(LabelPair::value);
            labels.all(|value| !value.starts_with("/metrics") && value != "101")
        };
        let counts = series
            .filter(is_other)
            .map(|one| one.get_counter().get_value());
        counts.sum()
    }

    /// Connections were cut.
    pub fn cut(&self, reason: CutReason, count: usize) {
        self.connections_cut
            .with_label_values(&[reason.label()])
            .inc_by(u64::try_from(count).unwrap_or(0));
    }

    /// A request was answered. `route` is the pattern, never the raw path.
    pub fn observe(&self, route: &str, status: u16, seconds: f64) {
        let status = status.to_string();
        self.requests.with_label_values(&[route, &status]).inc();
        self.seconds.with_label_values(&[route]).observe(seconds);
    }
}
