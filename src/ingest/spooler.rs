//! The spooler: one thread that puts batches on disk and takes them back, so
//! that the batcher never waits for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix::{Actor, Addr, Handler, Message, MessageResult, SyncArbiter, SyncContext};

use super::memory_budget::Reservation;
use crate::metrics::Metrics;
use crate::store::{Batch, Spool, SpoolError, SpoolNumber, SpooledBatch};

/// Owns the spool.
pub(super) struct Spooler {
    spool: Option<Spool>,
    metrics: Arc<Metrics>,
}

/// Asks to put a batch on disk; from the batcher, one at a time.
#[derive(Debug, Message)]
#[rtype(result = "Spilled")]
pub(super) struct Spill {
    pub(super) batch: Arc<Batch>,
    pub(super) reservation: Reservation,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Spilled {
    /// It is safe on disk.
    OnDisk { reservation: Reservation },
    /// It is not; it stays in memory.
    NotSpilled {
        batch: Arc<Batch>,
        reservation: Reservation,
        error: SpoolError,
    },
}

/// Asks for the oldest batches on disk, at most so many and none of those; from
/// the batcher, when they can be stored.
#[derive(Debug, Message)]
#[rtype(result = "Taken")]
pub(super) struct TakeOldest {
    pub(super) most: usize,
    pub(super) except: Vec<SpoolNumber>,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Taken {
    /// The oldest batches, one at least; they stay on disk until they are forgotten.
    Oldest(Vec<SpooledBatch>),
    /// Nothing waits that may be taken.
    Nothing,
    /// Something waits that cannot be read now.
    Unreadable(String),
}

/// Batches from disk are stored; from the batcher. Answers how many are left.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub(super) struct Forget(pub(super) Vec<SpoolNumber>);

/// Starts the thread.
pub(super) fn start(spool: Spool, metrics: Arc<Metrics>) -> Addr<Spooler> {
    // The factory may be called again by its type, but makes one actor only.
    let spool = std::sync::Mutex::new(Some(spool));
    let thread = || std::thread::Builder::new().name("spooler".to_owned());
    SyncArbiter::start_with_thread_builder(1, thread, move || Spooler {
        spool: spool.lock().ok().and_then(|mut spool| spool.take()),
        metrics: metrics.clone(),
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
        let pushed = match &mut self.spool {
            // A panic would end this thread for good; see actix's SyncArbiter.
            Some(spool) => catch_unwind(AssertUnwindSafe(|| spool.push(&batch)))
                .unwrap_or(Err(SpoolError::Full)),
            None => Err(SpoolError::Full),
        };
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

impl Handler<TakeOldest> for Spooler {
    type Result = MessageResult<TakeOldest>;

    fn handle(
        &mut self,
        TakeOldest { most, except }: TakeOldest,
        _ctx: &mut Self::Context,
    ) -> Self::Result {
        let Some(spool) = &mut self.spool else {
            return MessageResult(Taken::Nothing);
        };
        let why = match catch_unwind(AssertUnwindSafe(|| spool.load(most, &except))) {
            Ok(Ok(none)) if none.is_empty() => return MessageResult(Taken::Nothing),
            Ok(Ok(oldest)) => return MessageResult(Taken::Oldest(oldest)),
            Ok(Err(error)) => error.to_string(),
            Err(_panic) => "reading the spool panicked, which is a mistake in it".to_owned(),
        };
        self.metrics.spool_failures.inc();
        MessageResult(Taken::Unreadable(why))
    }
}

impl Handler<Forget> for Spooler {
    type Result = usize;

    fn handle(&mut self, Forget(numbers): Forget, _ctx: &mut Self::Context) -> Self::Result {
        let Some(spool) = &mut self.spool else {
            return 0;
        };
        for number in numbers {
            spool.remove(number);
        }
        spool.len()
    }
}
