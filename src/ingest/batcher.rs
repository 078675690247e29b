//! The batcher: gathers what sockets read, and sends it to the writers in
//! batches, never more at once than there are writers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, MailboxError, Message,
    ResponseFuture, SpawnHandle, WrapFuture,
};
use tokio::sync::oneshot;

use super::queue::Queue;
use super::room::{Room, Share};
use super::writer::{WriteBatch, Writer, Written};
use crate::config::Config;
use crate::metrics::{FlushReason, Metrics};
use crate::store::{Batch, Group, StoreError};

/// Waits between tries while the database is away: from the first to the last, doubling.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Gathers groups into batches.
#[derive(Debug)]
pub struct Batcher {
    queue: Queue,
    /// Batches that could not be stored, the oldest first.
    retry: VecDeque<(Batch, Share)>,
    in_flight: usize,
    writers: Addr<Writer>,
    writer_count: usize,
    room: Arc<Room>,
    metrics: Arc<Metrics>,
    outage: Option<Outage>,
    timer: Option<(Instant, SpawnHandle)>,
    waiting_for_drain: Vec<oneshot::Sender<()>>,
}

/// The database is away.
#[derive(Debug)]
struct Outage {
    since: Instant,
    next_try: Instant,
    wait: Duration,
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

/// Asks to store everything that waits, however little, from now on; answered
/// when nothing waits. From the application, when it stops.
#[derive(Debug, Message)]
#[rtype(result = "Drained")]
pub struct Drain;

/// Nothing waits any more.
#[derive(Debug, Clone, Copy)]
pub struct Drained;

impl<A, M> actix::dev::MessageResponse<A, M> for Drained
where
    A: Actor,
    M: Message<Result = Self>,
{
    fn handle(self, _ctx: &mut A::Context, answer: Option<actix::dev::OneshotSender<Self>>) {
        if let Some(answer) = answer
            && answer.send(self).is_err()
        {
            log::debug!("nobody waits for the batcher any more");
        }
    }
}

impl Batcher {
    /// Starts it on a thread of its own, before those who send to it.
    pub(super) fn start_in(
        arbiter: &Arbiter,
        config: &Config,
        metrics: Arc<Metrics>,
        room: Arc<Room>,
        writers: Addr<Writer>,
    ) -> Addr<Self> {
        let queue = Queue::new(&config.ingest);
        let writer_count = config.store.writers;
        // The room is the bound; the mailbox must only be able to hold it, and
        // beside groups of one row each those of sessions alone.
        let mailbox = config.ingest.queue_rows_max.saturating_mul(2);
        Self::start_in_arbiter(&arbiter.handle(), move |ctx: &mut Context<Self>| {
            ctx.set_mailbox_capacity(mailbox);
            Self {
                queue,
                retry: VecDeque::new(),
                in_flight: 0,
                writers,
                writer_count,
                room,
                metrics,
                outage: None,
                timer: None,
                waiting_for_drain: Vec::new(),
            }
        })
    }

    /// Sends batches to the writers, as long as there are both.
    fn dispatch(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        while self.may_send(now) {
            let Some((batch, share)) = self.next_batch(now) else {
                break;
            };
            self.send(batch, share, ctx);
        }
        self.set_timer(now, ctx);
        if self.is_idle() {
            for waiting in self.waiting_for_drain.drain(..) {
                if waiting.send(()).is_err() {
                    log::debug!("nobody waits for the batcher any more");
                }
            }
        }
    }

    fn may_send(&self, now: Instant) -> bool {
        match &self.outage {
            // One batch asks whether the database is back.
            Some(outage) => self.in_flight == 0 && outage.next_try <= now,
            None => self.in_flight < self.writer_count,
        }
    }

    fn next_batch(&mut self, now: Instant) -> Option<(Batch, Share)> {
        if let Some(again) = self.retry.pop_front() {
            self.metrics.write_retries.inc();
            return Some(again);
        }
        let due = self.queue.due(now).or_else(|| {
            let drain = !self.waiting_for_drain.is_empty() && !self.queue.is_empty();
            drain.then_some(FlushReason::Shutdown)
        })?;
        self.metrics.batch_flushed(due);
        let (groups, share) = self.queue.take();
        Some((Batch::new(groups), share))
    }

    fn send(&mut self, batch: Batch, share: Share, ctx: &mut Context<Self>) {
        self.in_flight += 1;
        self.metrics.batches_in_flight.inc();
        let written = self
            .writers
            .send(WriteBatch { batch, share })
            .into_actor(self);
        ctx.spawn(written.map(|written, batcher, ctx| batcher.written(written, ctx)));
    }

    fn written(&mut self, written: Result<Written, MailboxError>, ctx: &mut Context<Self>) {
        self.in_flight -= 1;
        self.metrics.batches_in_flight.dec();
        match written {
            Ok(Written::Stored { share }) => {
                self.room.give_back(share);
                self.metrics.database_up.set(1);
                if let Some(outage) = self.outage.take() {
                    log::info!(
                        "the database is back after {:.1} s",
                        outage.since.elapsed().as_secs_f64()
                    );
                }
            }
            Ok(Written::NotStored {
                batch,
                share,
                error,
            }) => {
                self.retry.push_front((batch, share));
                self.note_outage(&error);
            }
            Err(error) => {
                // Writers catch their panics, so only the end of the process gets here.
                log::error!("a writer is gone, its batch is lost: {error}");
            }
        }
        self.dispatch(ctx);
    }

    fn note_outage(&mut self, error: &StoreError) {
        self.metrics.database_up.set(0);
        let now = Instant::now();
        let (since, wait) = match &self.outage {
            Some(outage) => (outage.since, (outage.wait * 2).min(RETRY_LAST)),
            None => {
                log::error!("messages cannot be stored and wait in memory: {error}");
                (now, RETRY_FIRST)
            }
        };
        self.outage = Some(Outage {
            since,
            next_try: now + wait,
            wait,
        });
    }

    /// Wakes up when the next batch is due, or the next try.
    fn set_timer(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let wake_at = match &self.outage {
            Some(outage) if self.in_flight == 0 => Some(outage.next_try),
            Some(_) => None,
            None if self.in_flight < self.writer_count => self.queue.due_at(),
            None => None,
        };
        if self.timer.map(|(at, _)| at) == wake_at {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = wake_at.map(|at| {
            let timer = ctx.run_later(at.saturating_duration_since(now), |batcher, ctx| {
                batcher.timer = None;
                batcher.dispatch(ctx);
            });
            (at, timer)
        });
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.retry.is_empty() && self.in_flight == 0
    }
}

impl Actor for Batcher {
    type Context = Context<Self>;
}

impl Handler<Append> for Batcher {
    type Result = ();

    fn handle(&mut self, Append { group, share }: Append, ctx: &mut Self::Context) {
        self.queue.push(group, share);
        self.dispatch(ctx);
    }
}

impl Handler<Drain> for Batcher {
    type Result = ResponseFuture<Drained>;

    fn handle(&mut self, Drain: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (drained, wait) = oneshot::channel();
        self.waiting_for_drain.push(drained);
        self.dispatch(ctx);
        Box::pin(async move {
            if wait.await.is_err() {
                log::error!("the batcher ended before everything was stored");
            }
            Drained
        })
    }
}
