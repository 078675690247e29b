//! Brings the database up: starts one of our own if none is given, waits for
//! it, migrates it, and takes from it what ingestion needs.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ApplicationError;
use crate::config::{Config, DatabaseUrl};
use crate::database::{DatabaseError, Pools, migrations};
use crate::ingest::instead_of_storing;
use crate::metrics::Metrics;
use crate::postgres::{EmbeddedOptions, EmbeddedPostgres};
use crate::retention::prepare_partitions;
use crate::store::{IdBlocks, Kinds, end_sessions};

/// Waits between tries: from the first to the last, doubling.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// How often the PostgreSQL of our own is looked after.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The database, ready for use.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) url: DatabaseUrl,
    /// The URL for people; without the password if it was given to us.
    pub(super) shown_url: String,
    pub(super) pools: Pools,
    pub(super) started_at: DateTime<Utc>,
    embedded: Option<Keeper>,
}

/// Keeps the PostgreSQL of our own alive, on a thread of its own.
#[derive(Debug)]
struct Keeper {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

/// What bringing the database up needs.
#[derive(Debug, Clone)]
pub(super) struct BringUp {
    pub(super) config: Arc<Config>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) kinds: Arc<Kinds>,
    pub(super) ids: Arc<IdBlocks>,
    pub(super) server_id: Arc<str>,
}

/// Brings the database up, however long that takes.
pub(super) async fn bring_up(parts: BringUp) -> Result<Database, ApplicationError> {
    let config = &parts.config;
    let (url, shown_url, embedded) = match &config.store.database_url {
        Some(url) => (url.clone(), url.without_password(), None),
        None => {
            let options = EmbeddedOptions {
                data_dir: config.store.data_dir.clone(),
                bin_dir: config.store.pg_bin_dir.clone(),
                durable: true,
            };
            let started = blocking(move || EmbeddedPostgres::start(&options)).await??;
            let url = DatabaseUrl::new(started.url());
            (
                url,
                started.tcp_url().to_owned(),
                Some(Keeper::start(started)),
            )
        }
    };
    let pools = Pools::new(&url, &config.store);
    let database = Database {
        url,
        shown_url,
        pools,
        started_at: Utc::now(),
        embedded,
    };
    let mut wait = RETRY_FIRST;
    let mut said = String::new();
    loop {
        let (again, pools) = (parts.clone(), database.pools.clone());
        match blocking(move || again.prepare(&pools)).await? {
            Ok(()) => return Ok(database),
            Err(error) => {
                let public = error.public_text();
                let error = error.to_string();
                parts.metrics.set_trouble(Some(public));
                // Once; /health has it all the time.
                if said != error {
                    let instead = instead_of_storing(parts.config.store.spool_bytes_max > 0);
                    log::error!("waiting for the database, messages {instead}: {error}");
                    said = error;
                }
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}

impl BringUp {
    /// What is done once, before the first batch.
    fn prepare(&self, pools: &Pools) -> Result<(), DatabaseError> {
        let mut conn = pools.control()?;
        migrations::run(&mut conn)?;
        let own = [self.server_id.to_string()];
        let left_open = conn.transaction(|conn| end_sessions(conn, &own))?;
        if left_open > 0 {
            log::info!("ended {left_open} sessions that were left open");
        }
        conn.transaction(|conn| self.kinds.load(conn))?;
        self.ids.refill(&mut conn)?;
        // A read of everything, as by pg_dump, keeps partitions from being made.
        if let Err(error) = prepare_partitions(&mut conn, &self.config, &self.metrics) {
            log::warn!("partitions could not be made yet, messages go to the default one: {error}");
        }
        self.metrics.database_up.set(1);
        self.metrics.set_trouble(None);
        pools.show(&self.metrics);
        Ok(())
    }
}

impl Database {
    /// Whether it is a PostgreSQL of our own, in `DATA_DIR`.
    pub(super) fn is_own(&self) -> bool {
        self.embedded.is_some()
    }

    /// Stops the PostgreSQL of our own; one that was given to us runs on.
    pub(super) async fn stop(self) {
        let Some(keeper) = self.embedded else {
            return;
        };
        drop(self.pools);
        let joined = blocking(move || {
            drop(keeper.stop);
            keeper.thread.join().is_ok()
        });
        if !joined.await.unwrap_or(false) {
            log::error!("the thread that keeps PostgreSQL had failed");
        }
    }
}

impl Keeper {
    fn start(mut postgres: EmbeddedPostgres) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // The sender is dropped when it is time to stop.
            while stopped.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = postgres.restart_if_dead() {
                    log::error!("PostgreSQL does not start again, next try in a second: {error}");
                }
            }
            postgres.stop();
        });
        Self { stop, thread }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApplicationError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApplicationError::Server(std::io::Error::other(error)))
}
