//! What handlers share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use actix::Addr;
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::access::Caller;
use super::answer::Answer;
use super::feed_rows::RowFeed;
use super::misdirected::{self, Misdirected};
use super::{AppError, OwnNames, posting};
use crate::config::Config;
use crate::database::{Pools, ReadFrom};
use crate::feed::{Hub, HubRequests};
use crate::ingest::{Ingest, Sampler};
use crate::locations::Locations;
use crate::metrics::Metrics;
use crate::query::events::Event;
use crate::query::status::Change;
use crate::query::{Limits, Queries, QueryError};
use crate::server_state::ServerState;

/// The state of one server.
pub struct AppState {
    /// All settings.
    pub config: Arc<Config>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// When the server started.
    pub started_at: DateTime<Utc>,
    queries: Queries,
    /// Names of this server that no other site can have.
    pub own_names: Arc<OwnNames>,
    /// The ingestion pipeline.
    pub ingest: Arc<Ingest>,
    feed: HubRequests,
    /// What decisions depend on.
    pub server: Arc<ServerState>,
    store: OnceLock<StoreHandle>,
    stopping: AtomicBool,
    /// Log lines about nodes that are not let in.
    pub(super) refusals: Sampler,
    /// Wrong paths that nodes requested.
    pub(super) misdirected: Misdirected,
    /// Changes of status, for the live feed.
    pub(super) statuses: RowFeed<Change>,
    /// Structured events, for the live feed.
    pub(super) events: RowFeed<Event>,
    locations: Arc<Locations>,
    /// Bodies with events or logs that may be in memory.
    pub(super) posts: Semaphore,
}

/// What is there once the database is.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    /// Connections for queries and entries.
    pub pools: Pools,
}

impl AppState {
    /// The state of a server that waits for its database.
    pub fn new(
        config: Arc<Config>,
        metrics: Arc<Metrics>,
        ingest: Arc<Ingest>,
        hub: Addr<Hub>,
        server: Arc<ServerState>,
        locations: Arc<Locations>,
    ) -> Self {
        Self {
            queries: Queries::new(&config.store),
            config,
            metrics,
            own_names: Arc::new(OwnNames::of_machine()),
            started_at: Utc::now(),
            ingest,
            feed: HubRequests::new(hub),
            server,
            store: OnceLock::new(),
            stopping: AtomicBool::new(false),
            refusals: Sampler::default(),
            misdirected: Misdirected::default(),
            statuses: RowFeed::default(),
            events: RowFeed::default(),
            locations,
            posts: Semaphore::new(posting::BODIES_MAX),
        }
    }

    /// The database is there. Later calls change nothing.
    pub fn set_store(&self, store: StoreHandle) {
        if self.store.set(store).is_err() {
            log::error!("a bug: the database was set up twice");
        }
    }

    /// The live feed.
    pub(super) fn feed(&self) -> HubRequests {
        self.feed.clone()
    }

    /// Where nodes are, for who may see it.
    pub(super) fn locations_for(&self, caller: &Caller) -> Option<Arc<Locations>> {
        caller.sees_locations.then(|| self.locations.clone())
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

    /// Refuses a node that requests a wrong path, and remembers that.
    pub(super) fn refuse_path(
        &self,
        path: &str,
        needs_token: bool,
        ip: Option<IpAddr>,
    ) -> AppError {
        let path = misdirected::shown(path);
        let refusals = self.ingest.refusals();
        refusals.add(ip, "wrong_path", Some(&path), Utc::now());
        self.misdirected.refuse(path, needs_token)
    }

    /// Queries the database.
    ///
    /// # Errors
    /// Those of `work`; [`AppError::Unavailable`] while the database is not
    /// there, is busy, or takes too long.
    pub(super) async fn ask<T, F>(&self, work: F) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    {
        self.ask_from(ReadFrom::Replica, work).await
    }

    /// Queries one of the databases.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn ask_from<T, F>(&self, from: ReadFrom, work: F) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    {
        let store = self.store().ok_or_else(AppError::starting)?;
        let asked = self.queries.run(from, &store.pools, &self.metrics, work);
        Ok(asked.await?)
    }

    /// Queries the database, and makes its answer JSON on the same thread.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn answer<T, F>(&self, work: F) -> Result<Answer, AppError>
    where
        T: Serialize,
        F: FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    {
        self.ask(move |conn| Answer::of(&work(conn)?)).await
    }

    /// Writes to the database.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn enter<T, F>(&self, work: F) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    {
        let store = self.store().ok_or_else(AppError::starting)?;
        Ok(self.queries.enter(&store.pools, work).await?)
    }

    /// Whether `PORT` has `/metrics`.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if `METRICS_ADDRESS` has it.
    pub(super) fn metrics_are_here(&self) -> Result<(), AppError> {
        match self.config.http.metrics_address {
            None => Ok(()),
            Some(_) => Err(AppError::NotFound {
                message:
                    "metrics are served on METRICS_ADDRESS; here they are under /api/v1/metrics"
                        .to_owned(),
                parameter: None,
            }),
        }
    }

    /// The limits of a query that begins now.
    pub(super) fn query_limits(&self) -> Limits {
        Limits::new(&self.config)
    }
}
