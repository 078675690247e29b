//! The batcher: gathers what sockets read, and sends it to the writers in
//! batches, never more at once than there are writers. What can't be stored goes
//! to the spool, and comes back from there later. `dispatch` decides, it performs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, MailboxError, Message,
    ResponseFuture, SpawnHandle, WrapFuture,
};
use tokio::sync::oneshot;

use super::dispatch::{Dispatch, InFlight, InFlightId, Source, Step, WriteReason};
use super::feed_publisher::FeedPublisher;
use super::memory_budget::{MemoryBudget, Reservation};
use super::spooler::{Delete, OldestRead, ReadOldest, Spill, Spilled, Spooler};
use super::storage_health::StorageHealth;
use super::writer::{self, WriteBatches, Writer, WriterParts, Written};
use crate::config::Config;
use crate::database::DatabaseError;
use crate::metrics::Metrics;
use crate::store::{Batch, Group, Outcome};

/// Replaced writers that still hang, for each one that works: their threads and
/// connections can't be ended from within this process.
const HUNG_WRITERS_MAX: usize = 10;

/// Gathers groups into batches.
pub struct Batcher {
    dispatch: Dispatch,
    /// Used in rotation, so that no connection is idle for long.
    idle: VecDeque<NumberedWriter>,
    busy: HashMap<InFlightId, NumberedWriter>,
    /// Replaced writers that have not answered since.
    hung_writers: usize,
    writer_parts: WriterParts,
    spooler: Addr<Spooler>,
    feed: FeedPublisher,
    budget: Arc<MemoryBudget>,
    health: StorageHealth,
    metrics: Arc<Metrics>,
    timer: Option<(Instant, SpawnHandle)>,
    drain_waiters: Vec<oneshot::Sender<()>>,
    failure_waiters: Vec<oneshot::Sender<()>>,
}

/// A writer; its replacement gets its number.
struct NumberedWriter {
    number: usize,
    address: Addr<Writer>,
}

/// What the batcher needs from outside.
pub(super) struct BatcherParts {
    pub(super) config: Arc<Config>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) writer_parts: WriterParts,
    pub(super) spooler: Addr<Spooler>,
    pub(super) feed: FeedPublisher,
    /// Batches in the spool from the last run.
    pub(super) spooled: usize,
}

/// Hands over what a socket has read; from sockets, which have reserved its
/// memory before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Append {
    /// The messages and sessions.
    pub group: Group,
    /// Their part of the memory budget.
    pub reservation: Reservation,
}

/// A socket has waited for the memory budget for half of `HOLD_BACK_MS`; from sockets.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct MemoryPressure;

/// Empties the memory, from now on, however little waits; answered when it is
/// empty. From the application, when it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Drain {
    /// Into the database if it is available, else to disk.
    ToDatabase,
    /// To disk, including what is in flight: if it is stored after all, its number is
    /// recognised later.
    ToDisk,
}

/// Answered when this process can't recover by itself: too many writers hang. From
/// the application, which then stops in order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct UntilFailed;

/// The database is ready; from the application. Until then batches go to disk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DatabaseReady;

impl Batcher {
    /// Starts it on a thread of its own, before the sockets.
    pub(super) fn start_in(arbiter: &Arbiter, parts: BatcherParts) -> Addr<Self> {
        // The memory budget is the limit: the mailbox only has to hold all of it,
        // as groups of one row each, and as many of sessions alone.
        let mailbox = parts.config.ingest.queue_rows_max.saturating_mul(2);
        Self::start_in_arbiter(&arbiter.handle(), move |ctx: &mut Context<Self>| {
            ctx.set_mailbox_capacity(mailbox);
            let writers = parts.config.store.writers;
            parts.metrics.writers.set(signed(writers));
            Self {
                dispatch: Dispatch::new(
                    &parts.config,
                    parts.spooled,
                    parts.writer_parts.ids.clone(),
                ),
                idle: (0..writers)
                    .map(|number| NumberedWriter::start(number, &parts.writer_parts))
                    .collect(),
                busy: HashMap::new(),
                hung_writers: 0,
                writer_parts: parts.writer_parts,
                spooler: parts.spooler,
                feed: parts.feed,
                budget: parts.budget,
                health: StorageHealth::new(
                    parts.metrics.clone(),
                    parts.config.store.spool_bytes_max > 0,
                ),
                metrics: parts.metrics,
                timer: None,
                drain_waiters: Vec::new(),
                failure_waiters: Vec::new(),
            }
        })
    }

    /// Performs all steps that are due.
    fn proceed(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        while let Some(id) = self.dispatch.overdue(now) {
            self.replace_writer(id, now);
        }
        while let Some(step) = self.dispatch.next_step(now) {
            self.perform(step, now, ctx);
        }
        self.set_timer(now, ctx);
        if self.dispatch.is_drained() {
            answer_all(&mut self.drain_waiters);
        }
    }

    fn perform(&mut self, step: Step, now: Instant, ctx: &mut Context<Self>) {
        match step {
            Step::Write {
                id,
                batches,
                reason,
            } => {
                match reason {
                    WriteReason::Due(flush) => self.metrics.batch_flushed(flush),
                    WriteReason::Retry => self.metrics.write_retries.inc(),
                    WriteReason::Spool => {}
                }
                if !matches!(reason, WriteReason::Spool) {
                    batches.iter().for_each(|batch| self.feed.publish(batch));
                }
                self.write(id, batches, ctx);
            }
            Step::Spill { batch, reservation } => {
                if self.dispatch.is_stalled(now) {
                    self.health.stalled();
                }
                self.feed.publish(&batch);
                self.spill(batch, reservation, ctx);
            }
            Step::ReadOldest { limit, except } => {
                self.read_oldest(ReadOldest { limit, except }, ctx);
            }
        }
    }

    fn write(&mut self, id: InFlightId, batches: Vec<Arc<Batch>>, ctx: &mut Context<Self>) {
        let Some(writer) = self.idle.pop_front() else {
            // Dispatch counts the writers, so this is a bug; the batches are kept.
            log::error!("a bug: no writer is free for a batch");
            self.dispatch.not_stored(id, Instant::now());
            return;
        };
        let written = writer.address.send(WriteBatches(batches)).into_actor(self);
        self.busy.insert(id, writer);
        self.metrics.batches_in_flight.inc();
        ctx.spawn(written.map(move |written, batcher, ctx| batcher.written(id, written, ctx)));
    }

    fn written(
        &mut self,
        id: InFlightId,
        written: Result<Written, MailboxError>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        match self.busy.remove(&id) {
            Some(writer) => self.idle.push_back(writer),
            // It was replaced; its batches are sent again.
            None => {
                self.hung_writers -= 1;
                return;
            }
        }
        self.metrics.batches_in_flight.dec();
        match written {
            Ok(Written::Stored { outcome, time }) => {
                if let Some(sent) = self.dispatch.stored(id, now) {
                    sent.batches.iter().for_each(|batch| batch.notify_kept());
                    self.count(&sent, &outcome, time);
                    match sent.source {
                        Source::Memory(reservation) => self.budget.release(reservation),
                        Source::Spool(numbers) => self.delete(Delete(numbers), ctx),
                    }
                    self.health.stored(now);
                }
            }
            Ok(Written::NotStored(error)) => self.not_stored(id, &error, now),
            Err(gone) => {
                let error = DatabaseError::Unavailable(format!("a writer is gone: {gone}"));
                self.not_stored(id, &error, now);
            }
        }
        self.proceed(ctx);
    }

    fn not_stored(&mut self, id: InFlightId, error: &DatabaseError, now: Instant) {
        let failed = self.dispatch.not_stored(id, now);
        self.health.failed(failed, error, now);
    }

    /// Replaces a writer that has not answered in time. It hangs in a call that can't
    /// be cancelled; what it stores after all is recognised when it is sent again.
    fn replace_writer(&mut self, id: InFlightId, now: Instant) {
        let timeout = self.writer_parts.timeout.as_secs_f64();
        let error =
            DatabaseError::Unavailable(format!("it has not answered a writer for {timeout} s"));
        self.not_stored(id, &error, now);
        let Some(writer) = self.busy.remove(&id) else {
            return;
        };
        self.metrics.batches_in_flight.dec();
        self.metrics.writers_abandoned.inc();
        log::error!("{error}: the writer is replaced");
        self.hung_writers += 1;
        if self.hung_writers > HUNG_WRITERS_MAX * self.writer_parts.count {
            log::error!("{} writers hang: the server ends", self.hung_writers);
            answer_all(&mut self.failure_waiters);
        }
        self.idle
            .push_back(NumberedWriter::start(writer.number, &self.writer_parts));
    }

    fn count(&self, sent: &InFlight, outcome: &Outcome, time: Duration) {
        let metrics = &self.metrics;
        let rows = sent.batches.iter().map(|batch| batch.rows()).sum();
        metrics.pending.sub(signed(rows));
        let stored = u64::try_from(outcome.stored).unwrap_or(0);
        metrics.messages_stored.inc_by(stored);
        for reason in &outcome.rejected {
            metrics.messages_rejected(*reason, 1);
        }
        let recognised = u64::try_from(outcome.recognised).unwrap_or(0);
        metrics.batches_recognised.inc_by(recognised);
        metrics.batch_seconds.observe(time.as_secs_f64());
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        metrics.batch_rows.observe(f64::from(rows));
        if matches!(sent.source, Source::Spool(_)) {
            return;
        }
        let groups = sent.batches.iter().flat_map(|batch| &batch.groups);
        // Added to the others all at once.
        let delays = metrics.receive_to_commit_seconds.local();
        let now = Instant::now();
        for group in groups.filter(|group| !group.rows.is_empty()) {
            let delay = now.saturating_duration_since(group.received_at);
            delays.observe(delay.as_secs_f64());
        }
    }

    fn spill(&mut self, batch: Arc<Batch>, reservation: Reservation, ctx: &mut Context<Self>) {
        let spilling = batch.clone();
        let spilled = self
            .spooler
            .send(Spill { batch, reservation })
            .into_actor(self);
        ctx.spawn(spilled.map(move |spilled, batcher, ctx| {
            let now = Instant::now();
            match spilled {
                Ok(Spilled::OnDisk { reservation }) => {
                    spilling.notify_kept();
                    batcher.budget.release(reservation);
                    batcher.dispatch.spilled();
                }
                Ok(Spilled::NotSpilled {
                    batch,
                    reservation,
                    error,
                }) => {
                    if batcher.dispatch.not_spilled(batch, reservation, now) {
                        log::error!("{error}; messages stay within the memory budget");
                    }
                }
                Err(gone) => log::error!("the spool is gone: {gone}"),
            }
            batcher.proceed(ctx);
        }));
    }

    fn read_oldest(&mut self, read: ReadOldest, ctx: &mut Context<Self>) {
        let read = self.spooler.send(read).into_actor(self);
        ctx.spawn(read.map(|read, batcher, ctx| {
            let now = Instant::now();
            match read {
                Ok(OldestRead::Batches(oldest)) => {
                    let step = batcher.dispatch.spool_read(oldest, now);
                    batcher.perform(step, now, ctx);
                }
                Ok(OldestRead::Empty) => batcher.dispatch.nothing_to_read(),
                Ok(OldestRead::Unreadable(why)) => {
                    if batcher.dispatch.read_failed(now) {
                        log::error!("{why}; trying again");
                    }
                }
                Err(gone) => log::error!("the spool is gone: {gone}"),
            }
            batcher.proceed(ctx);
        }));
    }

    fn delete(&mut self, delete: Delete, ctx: &mut Context<Self>) {
        let deleted = self.spooler.send(delete).into_actor(self);
        ctx.spawn(deleted.map(|left, batcher, ctx| {
            batcher.dispatch.deleted(left.unwrap_or(0));
            batcher.proceed(ctx);
        }));
    }

    /// Schedules the next wake-up.
    fn set_timer(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let wake_at = self.dispatch.wake_at(now);
        if self.timer.map(|(at, _)| at) == wake_at {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = wake_at.map(|at| {
            let timer = ctx.run_later(at.saturating_duration_since(now), |batcher, ctx| {
                batcher.timer = None;
                batcher.proceed(ctx);
            });
            (at, timer)
        });
    }
}

impl Actor for Batcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.proceed(ctx);
    }
}

impl Handler<Append> for Batcher {
    type Result = ();

    fn handle(&mut self, Append { group, reservation }: Append, ctx: &mut Self::Context) {
        self.dispatch.push(group, reservation);
        self.proceed(ctx);
    }
}

impl Handler<MemoryPressure> for Batcher {
    type Result = ();

    fn handle(&mut self, MemoryPressure: MemoryPressure, ctx: &mut Self::Context) {
        self.dispatch.memory_pressure();
        self.health.too_slow(Instant::now());
        self.proceed(ctx);
    }
}

impl Handler<DatabaseReady> for Batcher {
    type Result = ();

    fn handle(&mut self, DatabaseReady: DatabaseReady, ctx: &mut Self::Context) {
        self.dispatch.database_ready();
        self.proceed(ctx);
    }
}

impl Handler<Drain> for Batcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (drained, wait) = oneshot::channel();
        self.drain_waiters.push(drained);
        self.dispatch.drain(drain == Drain::ToDisk);
        self.proceed(ctx);
        Box::pin(async move {
            if wait.await.is_err() {
                log::error!("the batcher ended before its memory was empty");
            }
        })
    }
}

impl Handler<UntilFailed> for Batcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, UntilFailed: UntilFailed, _ctx: &mut Self::Context) -> Self::Result {
        let (failed, wait) = oneshot::channel();
        self.failure_waiters.push(failed);
        Box::pin(async move {
            if wait.await.is_err() {
                log::debug!("the batcher ended without a failure");
            }
        })
    }
}

impl NumberedWriter {
    fn start(number: usize, parts: &WriterParts) -> Self {
        Self {
            number,
            address: writer::start(number, parts.clone()),
        }
    }
}

/// Answers all requests that wait.
fn answer_all(waiters: &mut Vec<oneshot::Sender<()>>) {
    for waiter in waiters.drain(..) {
        if waiter.send(()).is_err() {
            log::debug!("a request to the batcher was cancelled");
        }
    }
}

fn signed(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
