//! The batcher: gathers what sockets read, and sends it to the writers in
//! batches, never more at once than there are writers. What cannot be stored
//! goes to disk, and comes back from there when it can.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, MailboxError, Message,
    ResponseFuture, SpawnHandle, WrapFuture,
};
use tokio::sync::oneshot;

use super::flow::{Flight, Flow, Origin, Sent, Step, Why};
use super::memory_budget::{MemoryBudget, Reservation};
use super::spooler::{Forget, Spill, Spilled, Spooler, TakeOldest, Taken};
use super::tap::Tap;
use super::trouble::Trouble;
use super::writer::{self, WriteBatches, Writer, WriterParts, Written};
use crate::config::Config;
use crate::database::DatabaseError;
use crate::metrics::Metrics;
use crate::store::{Batch, Group, IdBlocks, Outcome};

/// Writers that were given up and hang still, for each one that works: their
/// threads and connections cannot be ended from within this process.
const SILENT_MAX: usize = 10;

/// Gathers groups into batches.
pub struct Batcher {
    flow: Flow,
    /// They take turns, so that no connection is idle for long.
    idle: VecDeque<NumberedWriter>,
    busy: HashMap<Flight, NumberedWriter>,
    /// Writers that were given up, and have not come back since.
    silent: usize,
    writer_parts: WriterParts,
    ids: Arc<IdBlocks>,
    spooler: Addr<Spooler>,
    tap: Tap,
    budget: Arc<MemoryBudget>,
    trouble: Trouble,
    metrics: Arc<Metrics>,
    timer: Option<(Instant, SpawnHandle)>,
    drains: Vec<oneshot::Sender<()>>,
    mourners: Vec<oneshot::Sender<()>>,
}

/// A writer; whoever takes its place gets its number.
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
    pub(super) tap: Tap,
    /// Batches that wait on disk since the last run.
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

/// Asks to empty the memory, from now on, however little waits; answered when
/// nothing is left in it. From the application, when it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Drain {
    /// Into the database if that works, else to disk.
    ToDatabase,
    /// To disk, also what is with a writer just now: if it is stored after
    /// all, that will be recognised.
    ToDisk,
}

/// Asks to be told when this server cannot help itself any more: too many
/// writers hang. From the application, which ends in order then.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct UntilBroken;

/// The database is ready; from the application. Until then batches go to disk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DatabaseReady;

impl Batcher {
    /// Starts it on a thread of its own, before those who send to it.
    pub(super) fn start_in(arbiter: &Arbiter, parts: BatcherParts) -> Addr<Self> {
        // The memory budget is the limit: the mailbox only has to hold all of it,
        // as groups of one row each, and as many of sessions alone.
        let mailbox = parts.config.ingest.queue_rows_max.saturating_mul(2);
        Self::start_in_arbiter(&arbiter.handle(), move |ctx: &mut Context<Self>| {
            ctx.set_mailbox_capacity(mailbox);
            let writers = parts.config.store.writers;
            parts.metrics.writers.set(signed(writers));
            Self {
                flow: Flow::new(&parts.config, parts.spooled),
                idle: (0..writers)
                    .map(|number| NumberedWriter::start(number, &parts.writer_parts))
                    .collect(),
                busy: HashMap::new(),
                silent: 0,
                ids: parts.writer_parts.ids.clone(),
                writer_parts: parts.writer_parts,
                spooler: parts.spooler,
                tap: parts.tap,
                budget: parts.budget,
                trouble: Trouble::new(parts.metrics.clone()),
                metrics: parts.metrics,
                timer: None,
                drains: Vec::new(),
                mourners: Vec::new(),
            }
        })
    }

    /// Does what can be done now.
    fn proceed(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        while let Some(flight) = self.flow.overdue(now) {
            self.give_up(flight, now);
        }
        while let Some(step) = self.flow.next_step(now) {
            self.perform(step, now, ctx);
        }
        self.set_timer(now, ctx);
        if self.flow.is_drained() {
            tell(&mut self.drains);
        }
    }

    fn perform(&mut self, step: Step, now: Instant, ctx: &mut Context<Self>) {
        match step {
            Step::Write {
                flight,
                batches,
                why,
            } => {
                match why {
                    Why::Due(reason) => self.metrics.batch_flushed(reason),
                    Why::Again => self.metrics.write_retries.inc(),
                    Why::FromDisk => {}
                }
                if !matches!(why, Why::FromDisk) {
                    batches.iter().for_each(|batch| self.tap.show(batch));
                }
                self.write(flight, batches, ctx);
            }
            Step::Spill { batch, reservation } => {
                if self.flow.is_stuck(now) {
                    self.trouble.stuck();
                }
                self.tap.show(&batch);
                self.spill(batch, reservation, ctx);
            }
            Step::TakeOldest { most, except } => {
                self.take_oldest(TakeOldest { most, except }, ctx);
            }
        }
    }

    fn write(&mut self, flight: Flight, batches: Vec<Arc<Batch>>, ctx: &mut Context<Self>) {
        let Some(writer) = self.idle.pop_front() else {
            // The flow counts them, so this is a mistake; the batches stay where they are.
            log::error!("no writer is free for a batch");
            self.flow.not_stored(flight, Instant::now());
            return;
        };
        let written = writer.address.send(WriteBatches(batches)).into_actor(self);
        self.busy.insert(flight, writer);
        self.metrics.batches_in_flight.inc();
        ctx.spawn(written.map(move |written, batcher, ctx| batcher.written(flight, written, ctx)));
    }

    fn written(
        &mut self,
        flight: Flight,
        written: Result<Written, MailboxError>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        match self.busy.remove(&flight) {
            Some(writer) => self.idle.push_back(writer),
            // It was given up; what it wrote is on its way once more.
            None => {
                self.silent -= 1;
                return;
            }
        }
        self.metrics.batches_in_flight.dec();
        match written {
            Ok(Written::Stored { outcome, time }) => {
                if let Some(sent) = self.flow.stored(flight, now) {
                    self.count(&sent, &outcome, time);
                    match sent.origin {
                        Origin::Memory(reservation) => self.budget.release(reservation),
                        Origin::Spool(numbers) => self.forget(Forget(numbers), ctx),
                    }
                    self.trouble.stored(now);
                }
            }
            Ok(Written::NotStored(error)) => self.not_stored(flight, &error, now),
            Err(gone) => {
                let error = DatabaseError::Unavailable(format!("a writer is gone: {gone}"));
                self.not_stored(flight, &error, now);
            }
        }
        self.proceed(ctx);
    }

    fn not_stored(&mut self, flight: Flight, error: &DatabaseError, now: Instant) {
        let failed = self.flow.not_stored(flight, now);
        self.trouble.failed(failed, error, now);
    }

    /// Lets a writer go that has not answered in time, and starts another in
    /// its place. It hangs in a call that cannot be ended; what it stores after
    /// all is recognised when it comes again.
    fn give_up(&mut self, flight: Flight, now: Instant) {
        let timeout = self.writer_parts.timeout.as_secs_f64();
        let error =
            DatabaseError::Unavailable(format!("it has not answered a writer for {timeout} s"));
        self.not_stored(flight, &error, now);
        let Some(writer) = self.busy.remove(&flight) else {
            return;
        };
        self.metrics.batches_in_flight.dec();
        self.metrics.writers_abandoned.inc();
        log::error!("{error}; another takes its place");
        self.silent += 1;
        if self.silent > SILENT_MAX * self.writer_parts.count {
            log::error!("{} writers hang: the server ends", self.silent);
            tell(&mut self.mourners);
        }
        self.idle
            .push_back(NumberedWriter::start(writer.number, &self.writer_parts));
    }

    fn count(&self, sent: &Sent, outcome: &Outcome, time: Duration) {
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
        if matches!(sent.origin, Origin::Spool(_)) {
            return;
        }
        let groups = sent.batches.iter().flat_map(|batch| &batch.groups);
        for group in groups.filter(|group| !group.rows.is_empty()) {
            let seconds = group.received_at.elapsed().as_secs_f64();
            metrics.receive_to_commit_seconds.observe(seconds);
        }
    }

    fn spill(&mut self, batch: Arc<Batch>, reservation: Reservation, ctx: &mut Context<Self>) {
        let spilled = self
            .spooler
            .send(Spill { batch, reservation })
            .into_actor(self);
        ctx.spawn(spilled.map(|spilled, batcher, ctx| {
            let now = Instant::now();
            match spilled {
                Ok(Spilled::OnDisk { reservation }) => {
                    batcher.budget.release(reservation);
                    batcher.flow.spilled();
                }
                Ok(Spilled::NotSpilled {
                    batch,
                    reservation,
                    error,
                }) => {
                    if batcher.flow.not_spilled(batch, reservation, now) {
                        log::error!("{error}; messages stay within the memory budget");
                    }
                }
                Err(gone) => log::error!("the spool is gone: {gone}"),
            }
            batcher.proceed(ctx);
        }));
    }

    fn take_oldest(&mut self, take: TakeOldest, ctx: &mut Context<Self>) {
        let taken = self.spooler.send(take).into_actor(self);
        ctx.spawn(taken.map(|taken, batcher, ctx| {
            let now = Instant::now();
            match taken {
                Ok(Taken::Oldest(oldest)) => {
                    let step = batcher.flow.taken(oldest, now);
                    batcher.perform(step, now, ctx);
                }
                Ok(Taken::Nothing) => batcher.flow.nothing_taken(),
                Ok(Taken::Unreadable(why)) => {
                    if batcher.flow.not_taken(now) {
                        log::error!("{why}; it is tried again");
                    }
                }
                Err(gone) => log::error!("the spool is gone: {gone}"),
            }
            batcher.proceed(ctx);
        }));
    }

    fn forget(&mut self, forget: Forget, ctx: &mut Context<Self>) {
        let forgotten = self.spooler.send(forget).into_actor(self);
        ctx.spawn(forgotten.map(|left, batcher, ctx| {
            batcher.flow.forgotten(left.unwrap_or(0));
            batcher.proceed(ctx);
        }));
    }

    /// Wakes up when something becomes due.
    fn set_timer(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let wake_at = self.flow.wake_at(now);
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

    fn handle(
        &mut self,
        Append {
            mut group,
            reservation,
        }: Append,
        ctx: &mut Self::Context,
    ) {
        // Here, so that numbers grow from batch to batch: a place in what this
        // server received is one number.
        group.rows.number(|| self.ids.next_message());
        self.flow.push(group, reservation);
        self.proceed(ctx);
    }
}

impl Handler<MemoryPressure> for Batcher {
    type Result = ();

    fn handle(&mut self, MemoryPressure: MemoryPressure, ctx: &mut Self::Context) {
        self.flow.overflow();
        self.trouble.too_slow(Instant::now());
        self.proceed(ctx);
    }
}

impl Handler<DatabaseReady> for Batcher {
    type Result = ();

    fn handle(&mut self, DatabaseReady: DatabaseReady, ctx: &mut Self::Context) {
        self.flow.database_ready();
        self.proceed(ctx);
    }
}

impl Handler<Drain> for Batcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (drained, wait) = oneshot::channel();
        self.drains.push(drained);
        self.flow.drain(drain == Drain::ToDisk);
        self.proceed(ctx);
        Box::pin(async move {
            if wait.await.is_err() {
                log::error!("the batcher ended before its memory was empty");
            }
        })
    }
}

impl Handler<UntilBroken> for Batcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, UntilBroken: UntilBroken, _ctx: &mut Self::Context) -> Self::Result {
        let (broken, wait) = oneshot::channel();
        self.mourners.push(broken);
        Box::pin(async move {
            if wait.await.is_err() {
                log::debug!("the batcher ended in good health");
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

/// Tells those who wait for something.
fn tell(waiting: &mut Vec<oneshot::Sender<()>>) {
    for told in waiting.drain(..) {
        if told.send(()).is_err() {
            log::debug!("nobody waits for the batcher any more");
        }
    }
}

fn signed(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
