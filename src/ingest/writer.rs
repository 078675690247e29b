//! Writers: threads that store batches, each with a connection of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};

use crate::config::DatabaseUrl;
use crate::database::{Connection, DatabaseError, connect_writer};
use crate::messages::Recent;
use crate::metrics::Metrics;
use crate::metrics::jobs::BATCH;
use crate::store::{Batch, IdBlocks, Kinds, Outcome, WriteContext, store_batches};

/// What writers need from outside.
#[derive(Debug, Clone)]
pub(super) struct WriterParts {
    pub(super) count: usize,
    /// `DB_WRITE_TIMEOUT_S`.
    pub(super) timeout: Duration,
    /// Set when the database is ready.
    pub(super) database_url: Arc<OnceLock<DatabaseUrl>>,
    pub(super) kinds: Arc<Kinds>,
    pub(super) ids: Arc<IdBlocks>,
    pub(super) origin: WriteContext,
    /// All metrics.
    pub(super) metrics: Arc<Metrics>,
    /// Takes what was stored.
    pub(super) recent: Arc<Recent>,
}

/// Stores one batch after the other.
pub(super) struct Writer {
    number: usize,
    parts: WriterParts,
    conn: Option<Connection>,
}

/// A request to store batches, in one transaction; from the batcher, which sends one
/// such message at a time, because the queue of a `SyncArbiter` has no bound.
#[derive(Debug, Message)]
#[rtype(result = "Written")]
pub(super) struct WriteBatches(pub(super) Vec<Arc<Batch>>);

/// What became of batches.
#[derive(Debug)]
pub(super) enum Written {
    /// They are stored, and took so long.
    Stored { outcome: Outcome, time: Duration },
    /// Nothing of them is known to be stored: they have to be sent again.
    NotStored(DatabaseError),
}

/// Starts a thread.
pub(super) fn start(number: usize, parts: WriterParts) -> Addr<Writer> {
    let thread = || std::thread::Builder::new().name("writer".to_owned());
    SyncArbiter::start_with_thread_builder(1, thread, move || Writer {
        number,
        parts: parts.clone(),
        conn: None,
    })
}

impl Actor for Writer {
    type Context = SyncContext<Self>;

    /// Connects at once: if it takes the place of one that was given up, what
    /// that one has locked becomes free.
    fn started(&mut self, _ctx: &mut Self::Context) {
        if let Some(url) = self.parts.database_url.get() {
            match connect_writer(url, self.number, self.parts.timeout) {
                Ok(conn) => self.conn = Some(conn),
                Err(error) => log::debug!("a new writer is not connected yet: {error}"),
            }
        }
    }
}

impl Handler<WriteBatches> for Writer {
    type Result = actix::MessageResult<WriteBatches>;

    fn handle(
        &mut self,
        WriteBatches(mut batches): WriteBatches,
        _ctx: &mut Self::Context,
    ) -> Self::Result {
        let started_at = Instant::now();
        // A panic would end this thread for good; see actix's SyncArbiter.
        let metrics = self.parts.metrics.clone();
        let mut store = || metrics.jobs.run(BATCH, || self.store(&mut batches));
        let stored = catch_unwind(AssertUnwindSafe(&mut store)).unwrap_or_else(|_panic| {
            let message = "the writer panicked, which is a mistake in it";
            Err(DatabaseError::Unavailable(message.to_owned()))
        });
        actix::MessageResult(match stored {
            Ok(outcome) => {
                let time = started_at.elapsed();
                Written::Stored { outcome, time }
            }
            Err(error) => {
                self.conn = None;
                Written::NotStored(error)
            }
        })
    }
}

impl Writer {
    fn store(&mut self, batches: &mut [Arc<Batch>]) -> Result<Outcome, DatabaseError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let url = self.parts.database_url.get();
                let url = url.ok_or_else(|| {
                    DatabaseError::Unavailable("the database is not up yet".to_owned())
                })?;
                connect_writer(url, self.number, self.parts.timeout)?
            }
        };
        self.parts.ids.refill(&mut conn)?;
        let outcome = store_batches(&mut conn, &self.parts.kinds, batches, &self.parts.origin)?;
        self.conn = Some(conn);
        if outcome.rejected.is_empty() && outcome.recognised == 0 {
            self.parts.recent.keep(batches);
        }
        Ok(outcome)
    }
}
