//! Metrics of the live feed.

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge};

use super::{Label, Maker, SECONDS_BUCKETS};

/// Why messages did not reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissReason {
    /// It reads too slowly.
    SlowReader,
    /// The hub was too busy.
    HubBusy,
    /// They came while its history was being read, and were too many.
    LongHistory,
    /// They came after the end of their window.
    Late,
    /// Another server stored them, and not their session.
    NoSession,
}

impl MissReason {
    /// All reasons, for metrics that show each from the start.
    pub const ALL: [Self; 5] = [
        Self::SlowReader,
        Self::HubBusy,
        Self::LongHistory,
        Self::Late,
        Self::NoSession,
    ];

    /// Name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::SlowReader => "slow_reader",
            Self::HubBusy => "hub_busy",
            Self::LongHistory => "long_history",
            Self::Late => "late",
            Self::NoSession => "no_session",
        }
    }
}

/// The metrics of the live feed.
#[derive(Debug)]
pub struct FeedMetrics {
    /// Subscribers that are connected.
    pub subscribers: IntGauge,
    /// `FEED_CONNECTIONS_MAX`, or fewer if there are not files for so many.
    pub subscribers_max: Gauge,
    /// Subscribers that connected.
    pub subscribers_opened: IntCounter,
    /// Their subscriptions.
    pub subscriptions: IntGauge,
    /// Subscribers that read nothing for too long.
    pub subscribers_dropped: IntCounter,
    /// Messages handed on, counted for each subscription.
    pub messages_sent: IntCounter,
    missed: IntCounterVec,
    /// Seconds from receiving a message to handing it on.
    pub delay_seconds: Histogram,
    /// Messages that other servers received and this one handed on.
    pub messages_relayed: IntCounter,
    /// Seconds of a look at what other servers stored.
    pub look_seconds: Histogram,
    /// Histories that a replica was too late for.
    pub histories_past_replica: IntCounter,
    /// Nodes in the node table; zero without subscribers.
    pub nodes: IntGauge,
}

impl FeedMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            subscribers: make.gauge("feed_subscribers", "Connections to the live feed.")?,
            subscribers_max: make.float("feed_subscribers_max", "Limit of tetcore_analytics_feed_subscribers: FEED_CONNECTIONS_MAX, or fewer if the system allows fewer files; +Inf without a limit.")?,
            subscribers_opened: make.counter("feed_subscribers_opened_total", "Connections to the live feed that were opened.")?,
            subscriptions: make.gauge("feed_subscriptions", "Subscriptions of all connections to the live feed.")?,
            subscribers_dropped: make.counter("feed_subscribers_dropped_total", "Connections to the live feed that were given up because they read nothing for too long.")?,
            messages_sent: make.counter("feed_messages_sent_total", "Messages handed on by the live feed, counted for each subscription.")?,
            missed: make.counters("feed_messages_missed_total", "Messages that did not reach a subscription of the live feed, by reason; they are stored all the same.", [Label::closed("reason", MissReason::ALL.map(MissReason::label))])?,
            delay_seconds: make.histogram("feed_delay_seconds", "Time from receiving a message to handing it to the connection of a subscriber; observed once for each group of messages.", &SECONDS_BUCKETS)?,
            messages_relayed: make.counter("feed_messages_relayed_total", "Messages of other servers of the same database that the live feed handed on.")?,
            look_seconds: make.histogram("feed_look_seconds", "Time in which the database says what other servers stored since the last look, without reading the messages.", &SECONDS_BUCKETS)?,
            histories_past_replica: make.counter("feed_histories_past_replica_total", "Histories of the live feed that were read from DATABASE_URL, because READ_DATABASE_URL was later than 5 s or did not answer.")?,
            nodes: make.gauge("feed_nodes", "Nodes in the live table of all nodes; 0 while nobody looks.")?,
        })
    }

    /// Messages did not reach a subscription.
    pub fn missed(&self, reason: MissReason, count: u64) {
        self.missed
            .with_label_values(&[reason.label()])
            .inc_by(count);
    }
}
