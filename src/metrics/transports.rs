//! Metrics of the transports by which events and the log leave, on the server that sends.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use super::{Label, Maker, ShippedLine, UnsentReason};

/// The metrics of transports.
#[derive(Debug)]
pub struct TransportMetrics {
    pending: IntGaugeVec,
    pending_bytes: IntGaugeVec,
    oldest: GaugeVec,
    sent: IntCounterVec,
    failed: IntCounterVec,
    dead: IntCounterVec,
    dropped: IntCounterVec,
    lines: IntCounterVec,
}

impl TransportMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let transports =
            || Label::bounded::<&str>("transport", [], "the transports of the settings");
        Ok(Self {
            pending: make.gauges(
                "event_transport_pending",
                "Events that wait, by transport; 0 on servers that do not send by it.",
                [transports()],
            )?,
            pending_bytes: make.gauges(
                "event_transport_pending_bytes",
                "Bytes that they take in the database; the limit is EVENT_BACKLOG_MAX_BYTES.",
                [transports()],
            )?,
            oldest: make.floats(
                "event_transport_oldest_pending_seconds",
                "Time since the arrival of the oldest of them.",
                [transports()],
            )?,
            sent: make.counters(
                "event_transport_sent_total",
                "Events that a receiver took, by transport.",
                [transports()],
            )?,
            failed: make.counters(
                "event_transport_failed_total",
                "Attempts that failed and are repeated, by transport.",
                [transports()],
            )?,
            dead: make.counters(
                "event_transport_dead_total",
                "Events that were given up because the receiver refused them again and again, by transport.",
                [transports()],
            )?,
            dropped: make.counters(
                "event_transport_dropped_total",
                "Events that are never sent, by transport and reason.",
                [transports(), Label::closed("reason", UnsentReason::ALL.map(UnsentReason::label))],
            )?,
            lines: make.counters(
                "log_transport_lines_total",
                "Lines of the log for LOG_TRANSPORT by what came of them: sent, refused, or lost because too many waited.",
                [Label::closed("result", ShippedLine::ALL.map(ShippedLine::label))],
            )?,
        })
    }

    /// A transport that there is: all its series, at zero.
    pub fn begin(&self, transport: &str) {
        for counter in [&self.sent, &self.failed, &self.dead] {
            counter.with_label_values(&[transport]).inc_by(0);
        }
        for reason in UnsentReason::ALL {
            self.dropped(transport, reason, 0);
        }
        self.show_pending(transport, 0, 0, 0.0);
    }

    /// What waits for a transport.
    pub fn show_pending(&self, transport: &str, events: i64, bytes: i64, oldest_s: f64) {
        self.pending.with_label_values(&[transport]).set(events);
        let gauge = self.pending_bytes.with_label_values(&[transport]);
        gauge.set(bytes);
        self.oldest.with_label_values(&[transport]).set(oldest_s);
    }

    /// The receiver took events.
    pub fn sent(&self, transport: &str, events: u64) {
        self.sent.with_label_values(&[transport]).inc_by(events);
    }

    /// An attempt failed.
    pub fn failed(&self, transport: &str) {
        self.failed.with_label_values(&[transport]).inc();
    }

    /// Events were given up.
    pub fn dead(&self, transport: &str, events: u64) {
        self.dead.with_label_values(&[transport]).inc_by(events);
    }

    /// Events are never sent.
    pub fn dropped(&self, transport: &str, reason: UnsentReason, events: u64) {
        let counter = self.dropped.with_label_values(&[transport, reason.label()]);
        counter.inc_by(events);
    }

    /// What came of lines of the log.
    pub fn shipped(&self, result: ShippedLine, lines: u64) {
        let counter = self.lines.with_label_values(&[result.label()]);
        counter.inc_by(lines);
    }
}
