//! The batcher: gathers what sockets read, and sends it to the writers in
//! batches, never more at once than there are writers. What cannot be stored
//! goes to disk, and comes back from there when it can.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, MailboxError, Message,
    ResponseFuture, SpawnHandle, WrapFuture,
};
use tokio::sync::oneshot;

use super::flow::{Flow, Origin, Step};
use super::room::{Room, Share};
use super::spooler::{Forget, Spill, Spilled, Spooler, TakeOldest, Taken};
use super::writer::{self, WriteBatch, Writer, WriterParts, Written};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::{Batch, Group, IdBlocks, Outcome, SpooledBatch, StoreError};

/// How often writers are given up: each time leaves threads behind.
const ABANDONED_MAX: u32 = 10;

/// Exit code of a server that cannot help itself; `EX_UNAVAILABLE` of sysexits.h.
const EXIT_CODE: i32 = 69;

/// Gathers groups into batches.
pub struct Batcher {
    flow: Flow,
    writers: Addr<Writer>,
    writer_parts: WriterParts,
    abandoned: u32,
    ids: Arc<IdBlocks>,
    spooler: Addr<Spooler>,
    room: Arc<Room>,
    metrics: Arc<Metrics>,
    timer: Option<(Instant, SpawnHandle)>,
    drains: Vec<(Drain, oneshot::Sender<()>)>,
    /// Batches that are with a writer, by a number of their own.
    in_flight: HashMap<u64, (Arc<Batch>, Share, Origin)>,
    next_flight: u64,
}

/// What the batcher needs from outside.
pub(super) struct BatcherParts {
    pub(super) config: Arc<Config>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) room: Arc<Room>,
    pub(super) writer_parts: WriterParts,
    pub(super) spooler: Addr<Spooler>,
    /// Batches that wait on disk since the last run.
    pub(super) spooled: usize,
}

/// Hands over what a socket has read; from sockets, which have taken its share
/// of the room before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Append {
    /// The messages and sessions.
    pub group: Group,
    /// What they take of the room.
    pub share: Share,
}

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

/// The database is ready; from the application. Until then batches go to disk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DatabaseReady;

impl Batcher {
    /// Starts it on a thread of its own, before those who send to it.
    pub(super) fn start_in(arbiter: &Arbiter, parts: BatcherParts) -> Addr<Self> {
        // The room is the bound; the mailbox must only be able to hold it, and
        // beside groups of one row each those of sessions alone.
        let mailbox = parts.config.ingest.queue_rows_max.saturating_mul(2);
        Self::start_in_arbiter(&arbiter.handle(), move |ctx: &mut Context<Self>| {
            ctx.set_mailbox_capacity(mailbox);
            Self {
                flow: Flow::new(&parts.config, parts.spooled),
                writers: writer::start(parts.writer_parts.clone()),
                ids: parts.writer_parts.ids.clone(),
                writer_parts: parts.writer_parts,
                abandoned: 0,
                spooler: parts.spooler,
                room: parts.room,
                metrics: parts.metrics,
                timer: None,
                drains: Vec::new(),
                in_flight: HashMap::new(),
                next_flight: 0,
            }
        })
    }

    /// Does what can be done now.
    fn proceed(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.flow.should_abandon(now) {
            self.abandon_writers(now);
        }
        while let Some(step) = self.flow.next_step(now) {
            match step {
                Step::Write {
                    batch,
                    share,
                    flushed,
                } => {
                    match flushed {
                        Some(reason) => self.metrics.batch_flushed(reason),
                        None => self.metrics.write_retries.inc(),
                    }
                    self.write(batch, share, Origin::Memory, ctx);
                }
                Step::Spill { batch, share } => {
                    if self.flow.is_stuck(now) {
                        self.show_trouble("all writers wait for the database");
                    }
                    self.spill(batch, share, ctx);
                }
                Step::TakeOldest => self.take_oldest(ctx),
            }
        }
        self.set_timer(now, ctx);
        if self.flow.is_drained() {
            for (_, drained) in self.drains.drain(..) {
                if drained.send(()).is_err() {
                    log::debug!("nobody waits for the batcher any more");
                }
            }
        }
    }

    fn write(&mut self, batch: Arc<Batch>, share: Share, origin: Origin, ctx: &mut Context<Self>) {
        let flight = self.next_flight;
        self.next_flight += 1;
        self.in_flight
            .insert(flight, (batch.clone(), share, origin));
        self.metrics.batches_in_flight.inc();
        let written = self.writers.send(WriteBatch(batch)).into_actor(self);
        ctx.spawn(written.map(move |written, batcher, ctx| batcher.written(flight, written, ctx)));
    }

    fn written(
        &mut self,
        flight: u64,
        written: Result<Written, MailboxError>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        let Some((batch, share, origin)) = self.in_flight.remove(&flight) else {
            // A writer that was given up; its batch is on its way once more.
            return;
        };
        self.metrics.batches_in_flight.dec();
        let written = match written {
            Ok(Written::Stored { outcome, time }) => Ok((outcome, time)),
            Ok(Written::NotStored(error)) => Err(error),
            Err(gone) => Err(StoreError::Unavailable(format!("a writer is gone: {gone}"))),
        };
        match written {
            Ok((outcome, time)) => {
                self.count(&batch, &outcome, time, origin);
                self.metrics.database_up.set(1);
                self.metrics.set_trouble(None);
                self.room.give_back(share);
                if let Some(outage) = self.flow.stored(origin, now) {
                    log::info!("the database is back after {:.1} s", outage.as_secs_f64());
                }
                if let Origin::Spool(number) = origin {
                    self.forget(Forget(number), ctx);
                }
            }
            Err(error) => {
                self.show_trouble(&error.to_string());
                if self.flow.not_stored(batch, share, origin, now) {
                    log::error!("messages cannot be stored and go to disk: {error}");
                }
            }
        }
        self.proceed(ctx);
    }

    /// Lets writers go that will not answer any more, and starts others. They
    /// hang in a call that cannot be ended; a batch that one of them stores
    /// after all is recognised when it comes again.
    fn abandon_writers(&mut self, now: Instant) {
        self.show_trouble("the writers were given up: the database has not answered them");
        for (_, (batch, share, origin)) in self.in_flight.drain() {
            self.metrics.batches_in_flight.dec();
            self.flow.not_stored(batch, share, origin, now);
        }
        self.abandoned += 1;
        self.metrics.writers_abandoned.inc();
        if self.abandoned > ABANDONED_MAX {
            log::error!("the writers were given up {ABANDONED_MAX} times: the server ends");
            std::process::exit(EXIT_CODE);
        }
        log::error!("the database has not answered the writers: others take their place");
        self.writers = writer::start(self.writer_parts.clone());
    }

    fn count(&self, batch: &Batch, outcome: &Outcome, time: Duration, origin: Origin) {
        let metrics = &self.metrics;
        metrics.pending.sub(signed(batch.rows()));
        let stored = u64::try_from(outcome.stored).unwrap_or(0);
        metrics.messages_stored.inc_by(stored);
        for reason in &outcome.rejected {
            metrics.messages_rejected(*reason, 1);
        }
        if outcome.recognised {
            metrics.batches_recognised.inc();
        }
        metrics.batch_seconds.observe(time.as_secs_f64());
        let rows = u32::try_from(batch.rows()).unwrap_or(u32::MAX);
        metrics.batch_rows.observe(f64::from(rows));
        let live = origin == Origin::Memory;
        let groups = batch.groups.iter();
        for group in groups.filter(|group| live && !group.rows.is_empty()) {
            let seconds = group.received_at.elapsed().as_secs_f64();
            metrics.receive_to_commit_seconds.observe(seconds);
        }
    }

    fn show_trouble(&self, trouble: &str) {
        self.metrics.database_up.set(0);
        self.metrics.set_trouble(Some(trouble.to_owned()));
    }

    fn spill(&mut self, batch: Arc<Batch>, share: Share, ctx: &mut Context<Self>) {
        let spilled = self.spooler.send(Spill { batch, share }).into_actor(self);
        ctx.spawn(spilled.map(|spilled, batcher, ctx| {
            let now = Instant::now();
            match spilled {
                Ok(Spilled::OnDisk { share }) => {
                    batcher.room.give_back(share);
                    batcher.flow.spilled();
                }
                Ok(Spilled::NotSpilled {
                    batch,
                    share,
                    error,
                }) => {
                    if batcher.flow.not_spilled(batch, share, now) {
                        log::error!("{error}; messages stay in memory as long as there is room");
                    }
                }
                Err(gone) => log::error!("the spool is gone: {gone}"),
            }
            batcher.proceed(ctx);
        }));
    }

    fn take_oldest(&mut self, ctx: &mut Context<Self>) {
        let taken = self.spooler.send(TakeOldest).into_actor(self);
        ctx.spawn(taken.map(|taken, batcher, ctx| {
            match taken {
                Ok(Taken::Oldest(SpooledBatch { number, batch })) => {
                    let origin = Origin::Spool(number);
                    batcher.flow.taken(Instant::now());
                    batcher.write(Arc::new(batch), Share::default(), origin, ctx);
                }
                Ok(Taken::Nothing) => batcher.flow.nothing_taken(),
                Ok(Taken::Unreadable(why)) => {
                    if batcher.flow.not_taken(Instant::now()) {
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

    fn handle(&mut self, Append { mut group, share }: Append, ctx: &mut Self::Context) {
        // Here, so that numbers grow from batch to batch: a place in what this
        // server received is one number.
        group.rows.number(|| self.ids.next_message());
        self.flow.push(group, share);
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
        self.drains.push((drain, drained));
        let with_writers = match drain {
            Drain::ToDatabase => Vec::new(),
            Drain::ToDisk => {
                let live = self
                    .in_flight
                    .values()
                    .filter(|(_, _, origin)| *origin == Origin::Memory);
                live.map(|(batch, ..)| batch.clone()).collect()
            }
        };
        self.flow.drain(drain == Drain::ToDisk, with_writers);
        self.proceed(ctx);
        Box::pin(async move {
            if wait.await.is_err() {
                log::error!("the batcher ended before its memory was empty");
            }
        })
    }
}

fn signed(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
