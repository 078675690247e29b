//! Metrics of HTTP.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts};

use super::{CutReason, Maker, PREFIX, SECONDS_BUCKETS};

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
        let requests = make.register(IntCounterVec::new(
            Opts::new(
                format!("{PREFIX}http_requests_total"),
                "HTTP requests that were answered, by route and status.",
            ),
            &["route", "status"],
        ))?;
        let seconds = make.register(HistogramVec::new(
            HistogramOpts::new(
                format!("{PREFIX}http_request_seconds"),
                "Seconds to answer an HTTP request, by route.",
            )
            .buckets(SECONDS_BUCKETS.to_vec()),
            &["route"],
        ))?;
        // A family without a single series is not shown; this one always is.
        requests.with_label_values(&["/metrics", "200"]).reset();
        seconds.with_label_values(&["/metrics"]);
        Ok(Self {
            connections: make.gauge(
                "http_connections",
                "Connections that are no websocket, or none yet; nodes take up to 20 s to become one.",
            )?,
            connections_cut: make.counters(
                "http_connections_cut_total",
                "HTTP connections that the server has cut, by reason.",
                "reason",
                CutReason::ALL.map(CutReason::label),
            )?,
            requests,
            seconds,
        })
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
