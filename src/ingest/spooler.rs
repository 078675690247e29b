//! The spooler: one thread that writes batches to the spool and reads them back,
//! so that the batcher never waits for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Addr, Handler, Message, MessageResult, SyncArbiter, SyncContext};

use super::memory_budget::Reservation;
use crate::metrics::Metrics;
use crate::server_state::ServerState;
use crate::store::{Batch, Spool, SpoolError, SpoolNumber, SpooledBatch};

/// Owns the spool.
pub(super) struct Spooler {
    spool: Option<Spool>,
    metrics: Arc<Metrics>,
    server: Arc<ServerState>,
}

impl Spooler {
    /// Notes how many batches wait now.
    fn note(&self) {
        let batches = self.spool.as_ref().map_or(0, Spool::len);
        self.server.set_spooled_batches(batches);
    }
}

/// Appends a batch to the spool; from the batcher, one at a time.
#[derive(Debug, Message)]
#[rtype(result = "Spilled")]
pub(super) struct Spill {
    pub(super) batch: Arc<Batch>,
    pub(super) reservation: Reservation,
}

/// The result of [`Spill`].
#[derive(Debug)]
pub(super) enum Spilled {
    /// The batch is on disk.
    OnDisk { reservation: Reservation },
    /// The batch stays in memory.
    NotSpilled {
        batch: Arc<Batch>,
        reservation: Reservation,
        error: SpoolError,
    },
}

/// Reads the oldest batches, at most `limit` and without `except`; from the batcher,
/// when they can be stored.
#[derive(Debug, Message)]
#[rtype(result = "OldestRead")]
pub(super) struct ReadOldest {
    pub(super) limit: usize,
    pub(super) except: Vec<SpoolNumber>,
}

/// The result of [`ReadOldest`].
#[derive(Debug)]
pub(super) enum OldestRead {
    /// One batch at least; they stay on disk until [`Delete`].
    Batches(Vec<SpooledBatch>),
    /// No batch that may be read.
    Empty,
    /// The spool can't be read now.
    Unreadable(String),
}

/// Deletes stored batches; from the batcher. Answers how many are left.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub(super) struct Delete(pub(super) Vec<SpoolNumber>);

/// Starts the thread.
pub(super) fn start(
    spool: Spool,
    metrics: Arc<Metrics>,
    server: Arc<ServerState>,
) -> Addr<Spooler> {
    server.set_spooled_batches(spool.len());
    server.set_spool_takes(spool.has_room());
    // The factory may be called again by its type, but makes one actor only.
    let spool = std::sync::Mutex::new(Some(spool));
    let thread = || std::thread::Builder::new().name("spooler".to_owned());
    SyncArbiter::start_with_thread_builder(1, thread, move || Spooler {
        spool: spool.lock().ok().and_then(|mut spool| spool.take()),
        metrics: metrics.clone(),
        server: server.clone(),
    })
}

impl Actor for Spooler {
    type Context = SyncContext<Self>;
}

impl Handler<Spill> for Spooler {
    type Result = MessageResult<Spill>;

    fn handle(
        &mut self,
        Spill { batch, reservation }: Spill,
        _ctx: &mut Self::Context,
    ) -> Self::Result {
        self.server.set_delayed(Instant::now());
        let pushed = match &mut self.spool {
            // A panic would end this thread for good; see actix's SyncArbiter.
            Some(spool) => catch_unwind(AssertUnwindSafe(|| spool.push(&batch)))
                .unwrap_or(Err(SpoolError::Full)),
            None => Err(SpoolError::Full),
        };
        let has_room = self.spool.as_ref().is_some_and(Spool::has_room);
        self.server.set_spool_takes(pushed.is_ok() && has_room);
        // Before the batch is no longer in memory.
        self.note();
        MessageResult(match pushed {
            Ok(()) => Spilled::OnDisk { reservation },
            Err(error) => {
                self.metrics.spool_failures.inc();
                Spilled::NotSpilled {
                    batch,
                    reservation,
                    error,
                }
            }
        })
    }
}

impl Handler<ReadOldest> for Spooler {
    type Result = MessageResult<ReadOldest>;

    fn handle(
        &mut self,
        ReadOldest { limit, except }: ReadOldest,
        _ctx: &mut Self::Context,
    ) -> Self::Result {
        let Some(spool) = &mut self.spool else {
            return MessageResult(OldestRead::Empty);
        };
        let loaded = catch_unwind(AssertUnwindSafe(|| spool.load(limit, &except)));
        self.note();
        let why = match loaded {
            Ok(Ok(none)) if none.is_empty() => return MessageResult(OldestRead::Empty),
            Ok(Ok(oldest)) => return MessageResult(OldestRead::Batches(oldest)),
            Ok(Err(error)) => error.to_string(),
            Err(_panic) => "reading the spool panicked, which is a bug".to_owned(),
        };
        self.metrics.spool_failures.inc();
        MessageResult(OldestRead::Unreadable(why))
    }
}

impl Handler<Delete> for Spooler {
    type Result = usize;

    fn handle(&mut self, Delete(numbers): Delete, _ctx: &mut Self::Context) -> Self::Result {
        let Some(spool) = &mut self.spool else {
            return 0;
        };
        for number in numbers {
            spool.remove(number);
        }
        let left = spool.len();
        self.note();
        left
    }
}
