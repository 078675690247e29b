//! Writers: threads that store batches, each with a connection of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};
use diesel::PgConnection;

use crate::config::DatabaseUrl;
use crate::metrics::Metrics;
use crate::store::{
    Batch, BatchOrigin, IdBlocks, Kinds, Outcome, StoreError, connect_writer, store_batch,
};

/// What writers need from outside.
#[derive(Debug, Clone)]
pub(super) struct WriterParts {
    pub(super) count: usize,
    /// Set when the database is ready.
    pub(super) database_url: Arc<OnceLock<DatabaseUrl>>,
    pub(super) kinds: Arc<Kinds>,
    pub(super) ids: Arc<IdBlocks>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) origin: BatchOrigin,
}

/// Stores one batch after the other.
pub(super) struct Writer {
    parts: WriterParts,
    conn: Option<PgConnection>,
}

/// Asks to store a batch; from the batcher, which has at most as many under
/// way as there are writers, because the queue of a `SyncArbiter` has no bound.
#[derive(Debug, Message)]
#[rtype(result = "Written")]
pub(super) struct WriteBatch(pub(super) Arc<Batch>);

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Written {
    /// It is stored, and took so long.
    Stored { outcome: Outcome, time: Duration },
    /// Nothing of it is known to be stored: it has to be sent again.
    NotStored(StoreError),
}

/// Starts the threads.
pub(super) fn start(parts: WriterParts) -> Addr<Writer> {
    let count = parts.count;
    parts
        .metrics
        .writers
        .set(i64::try_from(count).unwrap_or(i64::MAX));
    let thread = || std::thread::Builder::new().name("writer".to_owned());
    SyncArbiter::start_with_thread_builder(count, thread, move || Writer {
        parts: parts.clone(),
        conn: None,
    })
}

impl Actor for Writer {
    type Context = SyncContext<Self>;
}

impl Handler<WriteBatch> for Writer {
    type Result = actix::MessageResult<WriteBatch>;

    fn handle(
        &mut self,
        WriteBatch(mut batch): WriteBatch,
        _ctx: &mut Self::Context,
    ) -> Self::Result {
        let started_at = Instant::now();
        // A panic would end this thread for good; see actix's SyncArbiter.
        let stored =
            catch_unwind(AssertUnwindSafe(|| self.store(&mut batch))).unwrap_or_else(|_panic| {
                let message = "the writer panicked, which is a mistake in it";
                Err(StoreError::Unavailable(message.to_owned()))
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
    fn store(&mut self, batch: &mut Arc<Batch>) -> Result<Outcome, StoreError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let url = self.parts.database_url.get();
                let url = url.ok_or_else(|| {
                    StoreError::Unavailable("the database is not up yet".to_owned())
                })?;
                connect_writer(url)?
            }
        };
        self.parts.ids.refill(&mut conn)?;
        let outcome = store_batch(&mut conn, &self.parts.kinds, batch, &self.parts.origin)?;
        self.conn = Some(conn);
        Ok(outcome)
    }
}
