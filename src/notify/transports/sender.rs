//! The thread of a transport: while this server holds its lease, it gathers events after the
//! cursor, sends them, and moves the cursor when the receiver has answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::Transport;
use super::backlog::{Backlog, Place};
use super::gathered::Gathered;
use super::sorted::{REFUSED_MAX, Sorted};
use crate::cluster::{Job, Lease, LeaseError, Leases};
use crate::config::{BatchLimits, EventFilter, Guarantee, TransportName};
use crate::database::{Connection, Connector, Round};
use crate::metrics::{DeliveryResult, Metrics, UnsentReason};
use crate::notify::outlet::{NotTaken, Outlet};
use crate::notify::retry;
use crate::store::event_transports::{self, Progress, Span};
use crate::store::outbox::{self, Refused};

/// Pause between looks for new events.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Pause after a failure of the database.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// How often is looked at what waits, and at what was refused.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Events that are left out by the filter move the cursor only now and then.
const LEFT_OUT_MAX: i64 = 10_000;

/// What is logged again and again at most.
const SAY_INTERVAL: Duration = Duration::from_secs(60);

/// What the thread of a transport needs.
pub(super) struct Sender {
    pub(super) name: TransportName,
    /// Its name in metrics and in the database.
    pub(super) label: String,
    pub(super) filter: EventFilter,
    pub(super) guarantee: Guarantee,
    pub(super) transport: Arc<dyn Transport>,
    /// What it refused.
    pub(super) outlet: Outlet,
    pub(super) batch: BatchLimits,
    pub(super) backlog_bytes_max: i64,
    pub(super) leases: Leases,
    pub(super) metrics: Arc<Metrics>,
}

/// What the thread does again and again.
pub(super) struct Sending {
    sender: Arc<Sender>,
    connector: Connector,
    /// What is known from the last rounds; none if there were none.
    known: Option<Known>,
}

/// What is kept between rounds.
struct Known {
    conn: Connection,
    token: i64,
    /// The cursor, as it is kept.
    cursor: i64,
    gathered: Gathered,
    backlog: Backlog,
    /// Attempts in a row that failed.
    failures: i32,
    retry_at: Option<Instant>,
    is_gone: bool,
    looked_at: Option<Instant>,
    failure_said_at: Option<Instant>,
    refused_said_at: Option<Instant>,
    dropped_said_at: Option<Instant>,
}

impl Sending {
    pub(super) fn new(sender: Arc<Sender>, connector: Connector) -> Self {
        Self {
            sender,
            connector,
            known: None,
        }
    }

    /// One round; whatever fails, the next one begins anew from what is kept.
    fn advance(&mut self) -> Result<Duration, LeaseError> {
        let known = self.known.take();
        let Some(lease) = self.sender.leases.held(Job::Transport(self.sender.name)) else {
            if known.is_some() {
                let metrics = &self.sender.metrics.transports;
                metrics.show_pending(&self.sender.label, 0, 0, 0.0);
            }
            return Ok(POLL_INTERVAL);
        };
        let known = match known.filter(|known| known.token == lease.token()) {
            Some(known) => Some(known),
            None => self.begin(&lease)?,
        };
        let Some(mut known) = known else {
            return Ok(POLL_INTERVAL);
        };
        let pause = self.sender.advance(&mut known, &lease)?;
        self.known = Some(known);
        Ok(pause)
    }

    /// Takes up where the last holder of the lease was; not before all events are extracted.
    fn begin(&self, lease: &Lease) -> Result<Option<Known>, LeaseError> {
        let mut conn = self.connector.connect()?;
        if !conn.transaction(event_transports::are_extracted)? {
            return Ok(None);
        }
        let begun = lease.transaction(&mut conn, |conn| {
            Ok(event_transports::begin(conn, &self.sender.label)?)
        })?;
        let is_gone = self.sender.outlet.is_gone(&mut conn)?;
        let retry_in = Duration::try_from_secs_f64(begun.retry_in_s).unwrap_or_default();
        Ok(Some(Known {
            conn,
            token: lease.token(),
            cursor: begun.cursor_id,
            gathered: Gathered::after(begun.cursor_id),
            backlog: Backlog::after(begun.cursor_id),
            failures: 0,
            retry_at: (!retry_in.is_zero()).then(|| Instant::now() + retry_in),
            is_gone,
            looked_at: None,
            failure_said_at: None,
            refused_said_at: None,
            dropped_said_at: None,
        }))
    }
}

impl Round for Sending {
    fn round(&mut self) -> Duration {
        match self.advance() {
            Ok(pause) => pause,
            Err(error) => {
                let sender = &self.sender;
                let job = Job::Transport(sender.name).name();
                sender.metrics.jobs.begin(&job).end(&Err::<(), _>(&error));
                match error {
                    // Another server goes on with it.
                    LeaseError::Lost(_) => POLL_INTERVAL,
                    LeaseError::Database(error) => {
                        log::debug!("transport {}: {error}", sender.label);
                        RETRY_WAIT
                    }
                }
            }
        }
    }
}

impl Sender {
    fn advance(&self, known: &mut Known, lease: &Lease) -> Result<Duration, LeaseError> {
        if !known.conn.transaction(event_transports::are_extracted)? {
            return Ok(POLL_INTERVAL);
        }
        let looks = known
            .looked_at
            .is_none_or(|at| at.elapsed() >= LOOK_INTERVAL);
        if looks {
            self.look(known, lease)?;
        }
        if known.is_gone {
            return Ok(POLL_INTERVAL);
        }
        if let Some(at) = known.retry_at {
            let left = at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Ok(left.min(POLL_INTERVAL));
            }
        }
        if looks {
            self.send_refused(known)?;
        }
        let has_more = self.gather(known, lease)?;
        if !known.gathered.is_due(self.batch, Instant::now()) {
            return Ok(if has_more {
                Duration::ZERO
            } else {
                POLL_INTERVAL
            });
        }
        self.attempt(known, lease)?;
        Ok(Duration::ZERO)
    }

    /// Looks at what waits, bounds it, and shows it.
    fn look(&self, known: &mut Known, lease: &Lease) -> Result<(), LeaseError> {
        known.looked_at = Some(Instant::now());
        let Known {
            conn,
            cursor,
            gathered,
            backlog,
            ..
        } = known;
        let expired = backlog.count(conn, &self.filter, gathered)?;
        let mut place = Place {
            label: &self.label,
            filter: &self.filter,
            lease,
            cursor,
            gathered,
        };
        let over = backlog.bound(conn, self.backlog_bytes_max, &mut place)?;
        let pending = backlog.show(conn, &place)?;
        let age = pending.oldest_at.map(|at| Utc::now() - at);
        let age = age.and_then(|age| age.to_std().ok()).unwrap_or_default();
        self.metrics.transports.show_pending(
            &self.label,
            pending.events,
            pending.bytes,
            age.as_secs_f64(),
        );
        self.expire(known, lease, expired)?;
        self.say_dropped(known, over, UnsentReason::BacklogFull);
        Ok(())
    }

    /// Counts events that have expired before they were sent.
    fn expire(&self, known: &mut Known, lease: &Lease, events: i64) -> Result<(), LeaseError> {
        if events <= 0 {
            return Ok(());
        }
        let cursor = known.cursor;
        lease.transaction(&mut known.conn, |conn| {
            Ok(event_transports::drop_to(
                conn,
                &self.label,
                cursor,
                events,
            )?)
        })?;
        self.say_dropped(known, events, UnsentReason::Expired);
        Ok(())
    }

    fn say_dropped(&self, known: &mut Known, events: i64, reason: UnsentReason) {
        let Some(count) = u64::try_from(events).ok().filter(|count| *count > 0) else {
            return;
        };
        self.metrics.transports.dropped(&self.label, reason, count);
        if is_said_again(&mut known.dropped_said_at) {
            let why = match reason {
                UnsentReason::BacklogFull => "its backlog is over EVENT_BACKLOG_MAX_BYTES",
                UnsentReason::Expired => "they expired before it took them",
                UnsentReason::Failed => "delivery is at most once, and the attempt failed",
            };
            log::warn!(
                "{events} events are not sent by the transport {}: {why}",
                self.label
            );
        }
    }

    /// Sends again what was refused and is due.
    fn send_refused(&self, known: &mut Known) -> Result<(), LeaseError> {
        let attempted = self.outlet.deliver_due(&mut known.conn, |conn, result| {
            let metrics = &self.metrics.transports;
            match result {
                DeliveryResult::Delivered => {
                    metrics.sent(&self.label, 1);
                    event_transports::add(conn, &self.label, 1, 0)
                }
                DeliveryResult::Dead => {
                    metrics.dead(&self.label, 1);
                    event_transports::add(conn, &self.label, 0, 1)
                }
                DeliveryResult::Failed => {
                    metrics.failed(&self.label);
                    Ok(())
                }
            }
        })?;
        known.is_gone = attempted.is_gone;
        Ok(())
    }

    /// Reads further events, as many as a request may have; whether there may be more.
    fn gather(&self, known: &mut Known, lease: &Lease) -> Result<bool, LeaseError> {
        let Some(room) = known.gathered.room(self.batch) else {
            return Ok(true);
        };
        let after = known.gathered.upto;
        let span = Span::after(after);
        let read = known
            .conn
            .transaction(|conn| event_transports::read(conn, &span, &self.filter, room))?;
        let has_more = read.upto > after;
        known.backlog.taken(&read.events, read.upto);
        known.gathered.add(read, Instant::now());
        if !has_more && known.gathered.events.is_empty() && known.backlog.events > 0 {
            // Nothing is left of what was counted.
            let expired =
                (known.backlog).count_anew(&mut known.conn, &self.filter, &known.gathered)?;
            self.expire(known, lease, expired)?;
        }
        let done = known.gathered.done();
        if known.gathered.events.is_empty() && done >= known.cursor + LEFT_OUT_MAX {
            let progress = Progress {
                cursor_id: done,
                ..Progress::default()
            };
            self.keep(known, lease, &progress, &[])?;
        }
        Ok(has_more)
    }

    /// Sends what is gathered, and keeps what came of it.
    fn attempt(&self, known: &mut Known, lease: &Lease) -> Result<(), LeaseError> {
        if self.guarantee == Guarantee::AtMostOnce {
            let progress = Progress {
                cursor_id: known.gathered.upto,
                ..Progress::default()
            };
            self.keep(known, lease, &progress, &[])?;
        }
        let job = Job::Transport(self.name).name();
        let run = self.metrics.jobs.begin(&job);
        let events = std::mem::take(&mut known.gathered.events);
        let sent = self.transport.send(&self.outlet.client, &events);
        let has_room = !sent.is_refused() || self.has_room(known)?;
        let mut sorted = Sorted::of(events, sent, has_room);
        let failed = sorted.failed.take();
        let mut progress = Progress {
            sent: sorted.delivered,
            dead: sorted.dead,
            failed: i64::from(failed.is_some()),
            error: sorted.said.take(),
            ..Progress::default()
        };
        let mut left = std::mem::take(&mut sorted.left);
        if self.guarantee == Guarantee::AtMostOnce {
            progress.dropped = i64::try_from(left.len()).unwrap_or(i64::MAX);
            left.clear();
        }
        known.gathered.keep(left);
        progress.cursor_id = known.gathered.done();
        if let Some((error, retry_after)) = failed {
            let has_progress = sorted.delivered > 0 || !sorted.refused.is_empty();
            known.failures = if has_progress { 1 } else { known.failures + 1 };
            let wait = retry::backoff(known.failures, retry::random());
            let wait = retry::asked(wait, retry_after);
            known.retry_at = Some(Instant::now() + wait);
            progress.retry_in_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            self.say_failed(known, &error, wait);
            progress.error = Some(error);
            self.metrics.transports.failed(&self.label);
        } else {
            if known.failures > 1 {
                log::info!("the transport {} takes events again", self.label);
                known.failure_said_at = None;
            }
            (known.failures, known.retry_at) = (0, None);
        }
        if let Some(said) = progress.error.as_ref().filter(|_| progress.failed == 0) {
            self.say_refused(known, sorted.dead, said);
        }
        self.keep(known, lease, &progress, &sorted.refused)?;
        run.end(&match progress.failed {
            0 => Ok(()),
            _ => Err(NotTaken),
        });
        if let Some(error) = &sorted.gone {
            lease.transaction(&mut known.conn, |conn| {
                Ok(self.outlet.disable(conn, error)?)
            })?;
            known.is_gone = true;
        }
        let count = |events: i64| u64::try_from(events).unwrap_or(0);
        let metrics = &self.metrics.transports;
        metrics.sent(&self.label, count(progress.sent));
        metrics.dead(&self.label, count(progress.dead));
        self.say_dropped(known, progress.dropped, UnsentReason::Failed);
        Ok(())
    }

    /// Whether more that is refused may wait.
    fn has_room(&self, known: &mut Known) -> Result<bool, LeaseError> {
        let name = &self.outlet.name;
        let waiting = (known.conn).transaction(|conn| outbox::backlog(conn, name))?;
        Ok(waiting.pending < REFUSED_MAX)
    }

    fn keep(
        &self,
        known: &mut Known,
        lease: &Lease,
        progress: &Progress,
        refused: &[Refused],
    ) -> Result<(), LeaseError> {
        lease.transaction(&mut known.conn, |conn| {
            outbox::enter_refused(conn, &self.outlet.name, refused)?;
            Ok(event_transports::keep(conn, &self.label, progress)?)
        })?;
        known.cursor = known.cursor.max(progress.cursor_id);
        Ok(())
    }

    fn say_refused(&self, known: &mut Known, dead: i64, said: &str) {
        if is_said_again(&mut known.refused_said_at) {
            log::warn!(
                "the transport {} has answered: {said}; {dead} events are given up, and stand in outbox",
                self.label
            );
        }
    }

    fn say_failed(&self, known: &mut Known, error: &str, wait: Duration) {
        if is_said_again(&mut known.failure_said_at) {
            log::warn!(
                "the transport {} takes no events, and they wait: {error}; the next try is in {} ms",
                self.label,
                wait.as_millis()
            );
        }
    }
}

/// Whether something that happens again and again is logged now.
fn is_said_again(said_at: &mut Option<Instant>) -> bool {
    let is_due = said_at.is_none_or(|at| at.elapsed() >= SAY_INTERVAL);
    if is_due {
        *said_at = Some(Instant::now());
    }
    is_due
}
