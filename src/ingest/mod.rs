//! From the socket of a node to a stored batch.
//!
//! ```text
//! NodeSocket ──Append──► Batcher ──WriteBatches─► Writer ──COPY──► PostgreSQL
//!                           │ ▲
//!                      Spill▼ │ReadOldest
//!                         Spooler ──► disk
//! ```
//!
//! Data flows one way, and is bounded at one place: a socket reserves part of
//! the [`MemoryBudget`] for its messages, which is released when they are stored. The
//! pipeline is started from its end, so that each stage gets the address of the next.

mod addresses;
mod arrival;
mod batcher;
mod churn;
mod dispatch;
mod endings;
mod feed_publisher;
mod frames;
mod heartbeats;
mod intake;
mod limits;
mod memory_budget;
mod nodes;
mod pings;
mod posted;
mod queue;
mod refusals;
mod sampler;
mod socket;
mod socket_read;
mod spooler;
mod storage_health;
mod writer;

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use actix::{Addr, Arbiter};
use tokio::sync::watch;

pub use addresses::{AddressLimits, AddressPermit, Addresses, ConnectionPermit};
use arrival::Arrivals;
pub use batcher::{Batcher, DatabaseReady, Drain, UntilFailed};
use endings::Endings;
use feed_publisher::FeedPublisher;
pub use heartbeats::Heartbeats;
pub use memory_budget::MemoryBudget;
pub use posted::{PostError, PostedMessage};
pub use refusals::{Refusal, Refusals};
pub use sampler::Sampler;
pub use socket::NodeSocket;
pub use storage_health::instead_of_storing;

use crate::config::{Config, DatabaseUrl};
use crate::feed::Hub;
use crate::ids::ConnectionId;
use crate::messages::Recent;
use crate::metrics::{ChainCounts, KindCounts, Metrics, RefuseReason};
use crate::server_state::{Permit, ServerState};
use crate::store::{IdBlocks, Kinds, Spool, WriteContext};
use crate::telemetry::is_known_kind;
use batcher::BatcherParts;

/// What all sockets share. It works from the first moment on, also while the
/// database is not up yet.
pub struct Ingest {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    kinds: Arc<Kinds>,
    ids: Arc<IdBlocks>,
    budget: Arc<MemoryBudget>,
    batcher: Addr<Batcher>,
    database_url: Arc<OnceLock<DatabaseUrl>>,
    server_id: Arc<str>,
    addresses: Arc<Addresses>,
    kind_counts: KindCounts,
    chain_counts: Arc<ChainCounts>,
    server: Arc<ServerState>,
    connections: AtomicI64,
    endings: Endings,
    stop: watch::Sender<bool>,
    undecodable: Sampler,
    dropped: Sampler,
    over_limit: Sampler,
    refusals: Refusals,
    heartbeats: Heartbeats,
    post_arrivals: Mutex<Arrivals>,
}

/// What the pipeline needs from outside.
#[derive(Debug)]
pub struct IngestParts {
    /// All settings.
    pub config: Arc<Config>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The dictionary of kinds.
    pub kinds: Arc<Kinds>,
    /// Numbers for messages and sessions.
    pub ids: Arc<IdBlocks>,
    /// Takes the batches that were stored.
    pub recent: Arc<Recent>,
    /// Where batches wait that cannot be stored.
    pub spool: Spool,
    /// The live feed.
    pub hub: Addr<Hub>,
    /// Name of this server.
    pub server_id: Arc<str>,
    /// What decisions depend on.
    pub server: Arc<ServerState>,
}

impl Ingest {
    /// Starts writers and the batcher, the latter on a thread of its own.
    pub fn start(parts: IngestParts, arbiter: &Arbiter) -> Arc<Self> {
        let IngestParts {
            config,
            metrics,
            kinds,
            ids,
            recent,
            spool,
            hub,
            server_id,
            server,
        } = parts;
        let database_url = Arc::new(OnceLock::new());
        let budget = Arc::new(MemoryBudget::new(&config.ingest, metrics.clone()));
        let writer_parts = writer::WriterParts {
            count: config.store.writers,
            timeout: config.store.write_timeout,
            database_url: database_url.clone(),
            kinds: kinds.clone(),
            ids: ids.clone(),
            origin: WriteContext {
                server_id: server_id.clone(),
                rejected_max: config.store.rejected_max,
                audit_months: Arc::default(),
            },
            metrics: metrics.clone(),
            recent,
        };
        let batcher_parts = BatcherParts {
            config: config.clone(),
            metrics: metrics.clone(),
            budget: budget.clone(),
            writer_parts,
            spooled: spool.len(),
            spooler: spooler::start(spool, metrics.clone(), server.clone()),
            feed: FeedPublisher::new(hub),
        };
        let batcher = Batcher::start_in(arbiter, batcher_parts);
        let addresses = Addresses::new(AddressLimits {
            per_address_max: config.ingest.connections_per_ip_max,
            ipv6_prefix: config.ingest.ipv6_prefix,
            block: config.ingest.block,
        });
        Arc::new(Self {
            addresses: Arc::new(addresses),
            kind_counts: metrics.kind_counts(config.ingest.metric_kinds_max, is_known_kind),
            chain_counts: Arc::new(metrics.chain_counts(config.ingest.metric_chains_max)),
            config,
            metrics,
            kinds,
            ids,
            budget,
            batcher,
            database_url,
            server_id,
            server,
            connections: AtomicI64::new(0),
            endings: Endings::default(),
            stop: watch::Sender::new(false),
            undecodable: Sampler::default(),
            dropped: Sampler::default(),
            over_limit: Sampler::default(),
            refusals: Refusals::default(),
            heartbeats: Heartbeats::default(),
            post_arrivals: Mutex::default(),
        })
    }

    /// The database can be written to from now on. Later calls change nothing.
    pub fn set_database(&self, url: DatabaseUrl) {
        if self.database_url.set(url).is_ok() && self.batcher.try_send(DatabaseReady).is_err() {
            log::error!("the batcher has ended");
        }
    }

    /// Signals all sockets to end their sessions.
    pub fn stop_sockets(&self) {
        self.stop.send_replace(true);
    }

    /// Whether there is room for messages: in the database, on disk, or in memory.
    pub fn has_room(&self) -> bool {
        let stores = self.metrics.database_up.get() == 1;
        stores || self.server.spool_takes() || self.budget.has_room()
    }

    /// Heartbeats of services that wait to be kept.
    pub fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }

    /// Connections that were refused lately.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The batcher.
    pub fn batcher(&self) -> &Addr<Batcher> {
        &self.batcher
    }

    /// Admits a connection of this server from an address, if it is known.
    ///
    /// # Errors
    /// Why it has to be refused.
    pub fn admit(
        &self,
        address: Option<IpAddr>,
        server: Permit,
    ) -> Result<ConnectionPermit, RefuseReason> {
        let admit = |address| self.addresses.admit(address, Instant::now());
        Ok(ConnectionPermit {
            address: address.map(admit).transpose()?,
            _server: server,
        })
    }

    fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
