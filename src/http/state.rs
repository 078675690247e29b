//! What handlers share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::store::Pools;

/// The state of one server.
#[derive(Debug)]
pub struct AppState {
    /// All settings.
    pub config: Arc<Config>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// When the server started.
    pub started_at: DateTime<Utc>,
    store: OnceLock<StoreHandle>,
    stopping: AtomicBool,
}

/// What is there once the database is.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    /// Connections for queries and entries.
    pub pools: Pools,
    /// Where telemetry goes.
    pub ingest: Arc<Ingest>,
}

impl AppState {
    /// The state of a server that waits for its database.
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>) -> Self {
        Self {
            config,
            metrics,
            started_at: Utc::now(),
            store: OnceLock::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// The database is there. Later calls change nothing.
    pub fn set_store(&self, store: StoreHandle) {
        if self.store.set(store).is_err() {
            log::error!("the database came up twice, which is a mistake in the start");
        }
    }

    /// What needs the database; none until it is there.
    pub fn store(&self) -> Option<&StoreHandle> {
        self.store.get()
    }

    /// The server stops: no new telemetry.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the server stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
