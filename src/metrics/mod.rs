//! Metrics of the server, for Prometheus.
//!
//! Names are `tetcore_analytics_<component>_<what>_<unit>[_total]`; labels come from closed enums, or
//! are bounded where nodes choose them (`labels`); every family is there from the first scrape, and
//! in `docs/METRICS.md` (`families`). The conservation law
//! `received = stored + rejected + undecodable + dropped + pending`
//! holds at any moment up to messages that are being moved just then.

mod alerts;
mod cluster;
mod disk;
mod events;
mod families;
mod feed;
mod host;
mod http;
pub mod jobs;
mod labels;
mod legacy;
mod maker;
mod projections;
mod reasons;
mod status;
pub mod stored;
mod tally;
mod transports;

use std::sync::Mutex;

use prometheus::{
    Encoder, Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};

pub use alerts::{AlertMetrics, DeliveryResult};
pub use cluster::ClusterMetrics;
pub use disk::{DiskMetrics, DiskSpace};
pub use events::{EventMetrics, EventOutcome};
pub use families::{Family, Kind, Label, PREFIX, StoredFamily, families, markdown_table};
pub use feed::{FeedMetrics, MissReason};
pub use http::HttpMetrics;
pub use jobs::{Failure, FailureKind, JobMetrics, JobRun, LEASED};
pub use labels::{ChainCounts, ChainPlace, KindCounts};
pub use legacy::{OF_2021, Of2021, RENAMED, Renamed, renamed_table, table_of_2021};
pub use projections::ProjectionMetrics;
pub use reasons::{
    CutReason, DisconnectReason, DropReason, FlushReason, NodeState, RefuseReason, RejectReason,
    ShippedLine, StatusReason, UnsentReason,
};
pub use status::StatusMetrics;
pub use tally::ReadTally;
pub use transports::TransportMetrics;

use crate::telemetry::DecodeError;
use host::HostMetrics;
use labels::Named;
use maker::Maker;
use stored::STORED;

/// Seconds from 1 ms to about a minute, for waits of all kinds.
const SECONDS_BUCKETS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// Rows of a batch: powers of two up to 16 batches of 1,024 rows.
const ROWS_BUCKETS: [f64; 10] = [
    1.0, 16.0, 64.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0, 16_384.0,
];

/// All metrics of one server. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Vec<Family>,
    host: HostMetrics,
    /// The disk.
    pub disk: DiskMetrics,
    /// The live feed.
    pub feed: FeedMetrics,
    /// Heartbeats and leases.
    pub cluster: ClusterMetrics,
    /// Runs of jobs.
    pub jobs: JobMetrics,
    /// Projections.
    pub projections: ProjectionMetrics,
    /// Structured events.
    pub events: EventMetrics,
    /// Alerts and their deliveries.
    pub alerts: AlertMetrics,
    /// Transports of events and of the log.
    pub transports: TransportMetrics,
    /// The status of nodes.
    pub status: StatusMetrics,

    /// Telemetry connections that are open.
    pub connections: IntGauge,
    /// `CONNECTIONS_MAX`, or fewer if there are not files for so many.
    pub connections_max: Gauge,
    /// Telemetry connections that were opened.
    pub connections_opened: IntCounter,
    connections_closed: IntCounterVec,
    connections_refused: IntCounterVec,
    /// Addresses that were refused for a while.
    pub addresses_blocked: IntCounter,
    /// Sessions whose end found no place.
    pub session_ends_lost: IntCounter,
    /// Bytes of messages that have come in part, above what is usual.
    pub part_bytes: IntGauge,
    /// Sessions (node ids on connections) that are open.
    pub sessions: IntGauge,
    /// Bytes of frames, headers not counted.
    pub received_bytes: IntCounter,
    /// Messages read from sockets, each counted once.
    pub messages_received: IntCounter,
    /// Messages whose commit was answered.
    pub messages_stored: IntCounter,
    messages_rejected: IntCounterVec,
    messages_undecodable: IntCounterVec,
    messages_dropped: IntCounterVec,
    /// Of v1 and v2: looking one up costs what all else that is counted for a message does.
    messages_by_format: [IntCounter; 2],
    named: Named,
    /// Messages that are not stored yet, in memory or on disk.
    pub pending: IntGauge,
    /// Messages in memory that are not stored yet.
    pub queue_rows: IntGauge,
    /// `QUEUE_ROWS_MAX`.
    pub queue_rows_max: IntGauge,
    /// Bytes of the messages in memory that are not stored yet.
    pub queue_bytes: IntGauge,
    /// `QUEUE_BYTES_MAX`.
    pub queue_bytes_max: IntGauge,
    /// Messages that an earlier run had left in the spool.
    pub messages_taken_up: IntCounter,
    /// Seconds that sockets were not read because the queue was full.
    pub hold_back_seconds: Histogram,
    /// How far the clocks of nodes are off.
    pub clock_skew_seconds: Histogram,
    /// How often a clock was off by more than `MAX_CLOCK_SKEW_S`.
    pub clock_skew_exceeded: IntCounter,

    batches: IntCounterVec,
    /// Rows of a batch.
    pub batch_rows: Histogram,
    /// Seconds to store a batch, with its transaction.
    pub batch_seconds: Histogram,
    /// Seconds from reading a group of messages to its commit.
    pub receive_to_commit_seconds: Histogram,
    /// Batches that are being stored.
    pub batches_in_flight: IntGauge,
    /// `DB_WRITERS`.
    pub writers: IntGauge,
    /// Writers that were given up because the database did not answer in time.
    pub writers_abandoned: IntCounter,
    /// Threads of jobs that were given up because an answer of the database was lost.
    pub threads_lost: IntCounter,
    /// Batches that were sent again.
    pub write_retries: IntCounter,
    /// Batches that turned out to be stored already when they were sent again.
    pub batches_recognised: IntCounter,
    /// Whether the last batch could be stored.
    pub database_up: IntGauge,
    /// Messages in the spool.
    pub spool_messages: IntGauge,
    /// Batches in the spool.
    pub spool_batches: IntGauge,
    /// Bytes of the spool.
    pub spool_bytes: IntGauge,
    /// `SPOOL_MAX_BYTES`.
    pub spool_bytes_max: IntGauge,
    /// Batches that were put into the spool.
    pub spool_written: IntCounter,
    /// Batches in the spool that were torn.
    pub spool_torn: IntCounter,
    /// Tries to use the spool that failed.
    pub spool_failures: IntCounter,
    /// Panics that were caught.
    pub panics: IntCounter,
    /// Lines of the log that were lost.
    pub log_lines_lost: IntCounter,
    trouble: Mutex<Option<String>>,
    /// Kinds of messages in the dictionary beside the known ones.
    pub kinds: IntGauge,
    /// `MESSAGE_KINDS_MAX`.
    pub kinds_max: IntGauge,

    /// `DB_POOL_SIZE`.
    pub read_pool_max: IntGauge,
    /// Connections of the read pool.
    pub read_pool_connections: IntGauge,
    /// Idle connections of the read pool.
    pub read_pool_idle: IntGauge,
    /// Seconds that queries waited for a connection.
    pub read_pool_wait_seconds: Histogram,

    partitions: IntGaugeVec,
    /// Messages in the default partitions.
    pub stray_messages: IntGauge,
    /// Age of the oldest partition that can be purged.
    pub oldest_partition_age_seconds: Gauge,
    /// Seconds that a purge took.
    pub purge_seconds: Histogram,
    /// Partitions that were purged.
    pub purged_partitions: IntCounter,
    /// Sessions that were purged.
    pub purged_sessions: IntCounter,
    /// Purges that failed.
    pub purge_failures: IntCounter,

    /// HTTP.
    pub http: HttpMetrics,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// If a name is used twice or is not allowed, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        Self::with(&Maker::default())
    }

    fn with(make: &Maker) -> prometheus::Result<Self> {
        let seconds = SECONDS_BUCKETS.as_slice();
        make.gauges(
            "build_info",
            "Always 1; the label says which version runs.",
            [Label::bounded::<&str>("version", [], "the one that runs")],
        )?
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
        let registry = make.registry();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        Ok(Self {
            host: HostMetrics::new(make)?,
            disk: DiskMetrics::new(make)?,
            feed: FeedMetrics::new(make)?,
            cluster: ClusterMetrics::new(make)?,
            jobs: JobMetrics::new(make)?,
            projections: ProjectionMetrics::new(make)?,
            events: EventMetrics::new(make)?,
            alerts: AlertMetrics::new(make)?,
            transports: TransportMetrics::new(make)?,
            status: StatusMetrics::new(make)?,
            connections: make.gauge("ingest_connections", "Telemetry connections that are open.")?,
            connections_max: make.float("ingest_connections_max", "Limit of tetcore_analytics_ingest_connections: CONNECTIONS_MAX, or fewer if the system allows fewer files; +Inf without a limit.")?,
            connections_opened: make.counter("ingest_connections_opened_total", "Telemetry connections that were opened.")?,
            connections_closed: make.counters("ingest_connections_closed_total", "Telemetry connections that ended, by reason.", [Label::closed("reason", DisconnectReason::ALL.map(DisconnectReason::label))])?,
            connections_refused: make.counters("ingest_connections_refused_total", "Telemetry connections that were not let in, by reason.", [Label::closed("reason", RefuseReason::ALL.map(RefuseReason::label))])?,
            session_ends_lost: make.counter("ingest_session_ends_lost_total", "Sessions whose end could not be kept, because too many waited for memory; the next start ends them.")?,
            addresses_blocked: make.counter("ingest_addresses_blocked_total", "Addresses that were refused for BLOCK_S because a connection stayed over its limits.")?,
            part_bytes: make.gauge("ingest_part_bytes", "Bytes of messages of which a large part has come and the rest has not; the limit is that of tetcore_analytics_ingest_queue_bytes.")?,
            sessions: make.gauge("ingest_sessions", "Node ids on open telemetry connections.")?,
            received_bytes: make.counter("ingest_received_bytes_total", "Bytes of telemetry messages as received.")?,
            messages_received: make.counter("ingest_messages_received_total", "Messages read from sockets.")?,
            messages_stored: make.counter("ingest_messages_stored_total", "Messages whose commit was answered.")?,
            messages_rejected: make.counters("ingest_messages_rejected_total", "Messages that the database refused, by reason; see rejected_messages.", [Label::closed("reason", RejectReason::ALL.map(RejectReason::label))])?,
            messages_undecodable: make.counters("ingest_messages_undecodable_total", "Frames that are no message, by kind.", [Label::closed("kind", DecodeError::ALL.map(DecodeError::label))])?,
            messages_dropped: make.counters("ingest_messages_dropped_total", "Messages that were lost, by reason.", [Label::closed("reason", DropReason::ALL.map(DropReason::label))])?,
            messages_by_format: make.counters("ingest_messages_by_format_total", "Messages by the format of their frame: v1 is flat (until 2020), v2 has an envelope.", [Label::closed("format", ["v1", "v2"])])
                .map(|family| ["v1", "v2"].map(|format| family.with_label_values(&[format])))?,
            named: Named::new(make)?,
            pending: make.gauge("ingest_pending", "Messages that are not stored yet, in memory or in the spool.")?,
            queue_rows: make.gauge("ingest_queue_messages", "Messages in memory that are not stored yet.")?,
            queue_rows_max: make.gauge("ingest_queue_messages_max", "Limit of tetcore_analytics_ingest_queue_messages (QUEUE_ROWS_MAX).")?,
            queue_bytes: make.gauge("ingest_queue_bytes", "Bytes of messages in memory that are not stored yet.")?,
            queue_bytes_max: make.gauge("ingest_queue_bytes_max", "Limit of tetcore_analytics_ingest_queue_bytes (QUEUE_BYTES_MAX).")?,
            messages_taken_up: make.counter("ingest_messages_taken_up_total", "Messages that an earlier run had left in the spool; they count as received again.")?,
            hold_back_seconds: make.histogram("ingest_hold_back_seconds", "Time for which a socket was not read because the queue was full.", seconds)?,
            clock_skew_seconds: make.histogram("ingest_clock_skew_seconds", "How far the clock of a node is off, either way; observed once for each group of messages read together.", &[0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3_600.0, 86_400.0])?,
            clock_skew_exceeded: make.counter("ingest_clock_skew_exceeded_total", "Observations in ingest_clock_skew_seconds beyond MAX_CLOCK_SKEW_S.")?,
            batches: make.counters("store_batches_total", "Batches that left for the database, by what made them leave.", [Label::closed("reason", FlushReason::ALL.map(FlushReason::label))])?,
            batch_rows: make.histogram("store_batch_rows", "Messages in a batch.", &ROWS_BUCKETS)?,
            batch_seconds: make.histogram("store_batch_seconds", "Time to store a batch.", seconds)?,
            receive_to_commit_seconds: make.histogram("store_receive_to_commit_seconds", "Time from reading a message to its commit; observed once for each group of messages read together.", seconds)?,
            batches_in_flight: make.gauge("store_batches_in_flight", "Batches that are being stored; the limit is tetcore_analytics_store_writers.")?,
            writers: make.gauge("store_writers", "Threads that store batches (DB_WRITERS).")?,
            writers_abandoned: make.counter("store_writers_abandoned_total", "Writers that were given up because the database did not answer within DB_WRITE_TIMEOUT_S.")?,
            threads_lost: make.counter("database_threads_lost_total", "Threads for heartbeats, projections, the status or retention that were given up because an answer of the database was lost; others took their place.")?,
            write_retries: make.counter("store_write_retries_total", "Batches that were sent again because the database was away.")?,
            batches_recognised: make.counter("store_batches_recognised_total", "Batches sent again that turned out to be stored already.")?,
            database_up: make.gauge("store_database_up", "1 if the last batch could be stored, else 0.")?,
            spool_messages: make.gauge("store_spool_messages", "Messages that wait in the spool.")?,
            spool_batches: make.gauge("store_spool_batches", "Batches that wait in the spool.")?,
            spool_bytes: make.gauge("store_spool_bytes", "Bytes of the spool.")?,
            spool_bytes_max: make.gauge("store_spool_bytes_max", "Limit of tetcore_analytics_store_spool_bytes (SPOOL_MAX_BYTES).")?,
            spool_written: make.counter("store_spool_written_total", "Batches that were put into the spool.")?,
            spool_torn: make.counter("store_spool_torn_total", "Batches in the spool that a crash or the disk had torn.")?,
            spool_failures: make.counter("store_spool_failures_total", "Tries to use the spool that failed.")?,
            log_lines_lost: make.counter("log_lines_lost_total", "Lines of the log that were lost, because its reader or its disk did not take them in time.")?,
            panics: make.counter("server_panics_total", "Mistakes in the program that were caught.")?,
            trouble: Mutex::default(),
            kinds: make.gauge("store_kinds", "Kinds of messages in the dictionary beside the known ones.")?,
            kinds_max: make.gauge("store_kinds_max", "Limit of tetcore_analytics_store_kinds (MESSAGE_KINDS_MAX).")?,
            read_pool_max: make.gauge("query_pool_connections_max", "Limit of tetcore_analytics_query_pool_connections (DB_POOL_SIZE).")?,
            read_pool_connections: make.gauge("query_pool_connections", "Database connections for queries.")?,
            read_pool_idle: make.gauge("query_pool_idle", "Database connections for queries that are idle.")?,
            read_pool_wait_seconds: make.histogram("query_pool_wait_seconds", "Time that queries waited for a database connection.", seconds)?,
            partitions: make.gauges("retention_partitions", "Partitions of the messages, by whether they expire.", [Label::closed("kept", ["expiring", "audit"])])?,
            stray_messages: make.gauge("retention_stray_messages", "Messages outside of all partitions; they slow queries down until partitions for them can be made.")?,
            oldest_partition_age_seconds: make.float("retention_oldest_partition_age_seconds", "Age of the start of the oldest partition that can be purged.")?,
            purge_seconds: make.histogram("retention_purge_seconds", "Time that a purge took.", seconds)?,
            purged_partitions: make.counter("retention_purged_partitions_total", "Partitions that were purged.")?,
            purged_sessions: make.counter("retention_purged_sessions_total", "Sessions without messages that were purged.")?,
            purge_failures: make.counter("retention_failures_total", "Runs of retention that failed; the log says why.")?,
            http: HttpMetrics::new(make)?,
            families: make.families(),
            registry,
        })
    }

    /// All metrics in the text format of Prometheus; `with_old_names` those of older versions besides.
    ///
    /// # Errors
    /// If a value cannot be written, which the format rules out.
    pub fn render(&self, with_old_names: bool) -> prometheus::Result<Vec<u8>> {
        self.host.refresh();
        self.disk.refresh();
        let mut gathered = self.registry.gather();
        if with_old_names {
            gathered.extend(legacy::renamed(&gathered));
            gathered.extend(self.of_2021()?);
        }
        let mut text = Vec::with_capacity(64 * 1024);
        TextEncoder::new().encode(&gathered, &mut text)?;
        // The registry leaves out those without a series yet.
        for family in &self.families {
            if !gathered.iter().any(|one| one.name() == family.name) {
                family.write_head(&mut text);
            }
        }
        Ok(text)
    }

    /// What keeps batches from being stored just now, in words.
    pub fn set_trouble(&self, trouble: Option<String>) {
        if let Ok(mut place) = self.trouble.lock() {
            *place = trouble;
        }
    }

    /// What keeps batches from being stored just now, in words.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().ok().and_then(|trouble| trouble.clone())
    }

    /// A telemetry connection ended.
    pub fn connection_closed(&self, reason: DisconnectReason) {
        let reason = [reason.label()];
        self.connections_closed.with_label_values(&reason).inc();
    }

    /// A telemetry connection was not let in.
    pub fn connection_refused(&self, reason: RefuseReason) {
        let reason = [reason.label()];
        self.connections_refused.with_label_values(&reason).inc();
    }

    /// The database refused messages.
    pub fn messages_rejected(&self, reason: RejectReason, count: u64) {
        let counter = self.messages_rejected.with_label_values(&[reason.label()]);
        counter.inc_by(count);
    }

    /// A frame is no message.
    pub fn message_undecodable(&self, error: DecodeError) {
        let kind = [error.label()];
        self.messages_undecodable.with_label_values(&kind).inc();
    }

    /// Messages that were lost since the start.
    pub fn messages_dropped_total(&self) -> u64 {
        let of = |reason: DropReason| self.messages_dropped.with_label_values(&[reason.label()]);
        DropReason::ALL.map(|reason| of(reason).get()).iter().sum()
    }

    /// Messages were lost.
    pub fn messages_dropped(&self, reason: DropReason, count: u64) {
        let counter = self.messages_dropped.with_label_values(&[reason.label()]);
        counter.inc_by(count);
    }

    /// Messages that were received and not kept since the start, by reason; those that the database
    /// refused are `rejected`.
    pub fn messages_not_kept(&self) -> Vec<(&'static str, u64)> {
        let of = |counters: &IntCounterVec, label| counters.with_label_values(&[label]).get();
        let dropped = DropReason::ALL.map(DropReason::label);
        let dropped = dropped.map(|reason| (reason, of(&self.messages_dropped, reason)));
        let rejected = RejectReason::ALL.map(RejectReason::label);
        let rejected = rejected.map(|reason| of(&self.messages_rejected, reason));
        let rejected = ("rejected", rejected.iter().sum());
        dropped.into_iter().chain([rejected]).collect()
    }

    /// Counts messages by kind: those that are known, and at most `max` others, get a series
    /// of their own.
    pub fn kind_counts(&self, max: usize, is_known: fn(&str) -> bool) -> KindCounts {
        KindCounts::new(self.named.messages_by_kind.clone(), max, is_known)
    }

    /// Counts sessions by chain, of which at most `max` get a series of their own.
    pub fn chain_counts(&self, max: usize) -> ChainCounts {
        ChainCounts::new(self.named.sessions_by_chain.clone(), max)
    }

    /// A batch left for the database.
    pub fn batch_flushed(&self, reason: FlushReason) {
        self.batches.with_label_values(&[reason.label()]).inc();
    }

    /// How many partitions there are.
    pub fn set_partitions(&self, expiring: i64, audit: i64) {
        self.partitions
            .with_label_values(&["expiring"])
            .set(expiring);
        self.partitions.with_label_values(&["audit"]).set(audit);
    }
}
