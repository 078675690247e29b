//! The thread that maintains the projections of which this server holds the
//! leases, on a connection of its own.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::result::QueryResult;

use super::reader::{ReadMessage, Reader};
use super::state::{self, Progress};
use super::{Message, Occasion, Projection, all};
use crate::changes::{self, Awaited, Position};
use crate::cluster::{Lease, LeaseError, Leases};
use crate::database::{Connection, Connector, Round, Rounds, RoundsParts};
use crate::messages::{self, Recent, Wanted};
use crate::metrics::Metrics;

/// Pause between looks for changes: a tenth of the longest time until they are written,
/// within this range.
const POLL_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(1);
const POLL_SHARE: u32 = 10;

/// After a round comes a pause of so many times its length, up to the longest: during
/// a flood projections lag, and leave the processors to ingestion. A build takes long, and
/// somebody waits for its answers.
const PAUSE_SHARE: u32 = 3;
const PAUSE_SHARE_OF_BUILD: u32 = 1;
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Pause after a failure.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Longest wait for the end of the thread.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Rows that may wait to be written.
const PENDING_MAX: usize = 50_000;

/// So many rows are written once in the longest interval of their projection, fewer the more
/// often: the cost of a large network stays bounded, and a small one is up to date at once.
const ROWS_PER_INTERVAL: u32 = 4_000;

/// How often the lag is looked up.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// A build goes on so far into the future: clocks of servers differ.
const BUILD_PAST_NOW: TimeDelta = TimeDelta::hours(1);

/// Span of messages that a build reads at once: from the first to the longest.
const SPAN_FIRST: TimeDelta = TimeDelta::seconds(10);
const SPAN_MAX: TimeDelta = TimeDelta::days(1);

/// A span of a build with more messages is followed by one half as long, with fewer
/// than an eighth by one four times as long.
const SPAN_MESSAGES: usize = 100_000;

/// What the runner needs from outside.
#[derive(Debug)]
pub struct RunnerParts {
    /// How to reach the database.
    pub rounds: RoundsParts,
    /// Limit of each statement, `DB_WRITE_TIMEOUT_S`.
    pub statement_max: Duration,
    /// The leases of this server.
    pub leases: Leases,
    /// Batches of this server that need not be read back.
    pub recent: Arc<Recent>,
    /// For what somebody in this server waits.
    pub awaited: Arc<Awaited>,
    /// How long events are kept, `EVENT_EXPIRY_H`.
    pub event_expiry: Duration,
}

/// The running thread.
#[derive(Debug)]
pub struct Runner(Rounds);

impl Runner {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: RunnerParts) -> std::io::Result<Self> {
        let (rounds, statement_max) = (parts.rounds.clone(), parts.statement_max);
        let parts = Arc::new(parts);
        let make = move |connector| {
            let followers = all(parts.event_expiry).into_iter();
            let metrics = &parts.rounds.metrics;
            let followers: Vec<Follower> = followers
                .map(|projection| Follower::new(projection, metrics.clone()))
                .collect();
            let kinds = followers.iter().map(|one| one.projection.kinds());
            let reader = Reader::new(kinds.flatten().copied().collect(), parts.recent.clone());
            Following {
                parts: parts.clone(),
                connector,
                conn: None,
                reader,
                followers,
            }
        };
        let rounds = Rounds::start(rounds, "projections", statement_max, make)?;
        Ok(Self(rounds))
    }

    /// Ends it, and waits for a moment; what was not written is read again later.
    pub fn stop(self) {
        self.0.stop(STOP_MAX);
    }
}

/// What the thread does again and again.
struct Following {
    parts: Arc<RunnerParts>,
    connector: Connector,
    conn: Option<Connection>,
    reader: Reader,
    followers: Vec<Follower>,
}

impl Round for Following {
    fn round(&mut self) -> Duration {
        let started_at = Instant::now();
        match self.follow() {
            Ok(pause) => {
                let share = match self.followers.iter().any(Follower::is_building) {
                    true => PAUSE_SHARE_OF_BUILD,
                    false => PAUSE_SHARE,
                };
                pause.max((started_at.elapsed() * share).min(PAUSE_MAX))
            }
            Err(error) => {
                log::debug!("projections: {error}");
                self.conn = None;
                self.reader.reconnect();
                self.followers.iter_mut().for_each(Follower::forget);
                // One that fails again and again lets the others go on.
                self.followers.rotate_left(1);
                RETRY_WAIT
            }
        }
    }
}

impl Following {
    /// One round over all projections; returns how long to pause.
    fn follow(&mut self) -> Result<Duration, LeaseError> {
        let (parts, metrics) = (&self.parts, &self.parts.rounds.metrics);
        self.reader.begin_round();
        let mut pause = Some(*POLL_INTERVAL.start());
        for follower in &mut self.followers {
            let Some(lease) = parts.leases.held(follower.projection.job()) else {
                follower.forget();
                metrics.projections.left(follower.projection.name());
                continue;
            };
            let step = || {
                let conn = match &mut self.conn {
                    Some(conn) => conn,
                    None => self.conn.insert(self.connector.connect()?),
                };
                follower.step(conn, &mut self.reader, &lease, parts)
            };
            match metrics.jobs.run(&lease.job().name(), step) {
                Ok(true) => pause = None,
                Ok(false) => {
                    let due = (follower.pace() / POLL_SHARE).min(*POLL_INTERVAL.end());
                    pause = pause.map(|pause| pause.max(due));
                }
                // Another server goes on with it.
                Err(LeaseError::Lost(_)) => follower.forget(),
                Err(error) => return Err(error),
            }
        }
        Ok(pause.unwrap_or_default())
    }
}

/// One projection, and how far this server has read for it.
struct Follower {
    projection: Box<dyn Projection>,
    metrics: Arc<Metrics>,
    /// As it is in the database; none before it was looked up.
    written: Option<Progress>,
    /// Read, and perhaps not written yet.
    read: Position,
    /// Something was read since the last write.
    has_read: bool,
    written_at: Instant,
    span: TimeDelta,
    lag_shown_at: Option<Instant>,
}

impl Follower {
    fn new(projection: Box<dyn Projection>, metrics: Arc<Metrics>) -> Self {
        Self {
            projection,
            metrics,
            written: None,
            read: Position(0),
            has_read: false,
            written_at: Instant::now(),
            span: SPAN_FIRST,
            lag_shown_at: None,
        }
    }

    /// Whether its tables are being built from the stored messages.
    fn is_building(&self) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|written| written.position.is_none())
    }

    /// How long after the last write the next one is due.
    fn pace(&self) -> Duration {
        let rows = u32::try_from(self.projection.reported()).unwrap_or(u32::MAX);
        self.projection.interval_max() * rows.min(ROWS_PER_INTERVAL) / ROWS_PER_INTERVAL
    }

    /// What was not written is read again.
    fn forget(&mut self) {
        if self.written.take().is_some() {
            self.projection.reset();
            self.has_read = false;
        }
    }

    /// Reads a part of the changes, and writes if it is time; whether there is more.
    fn step(
        &mut self,
        conn: &mut Connection,
        reader: &mut Reader,
        lease: &Lease,
        parts: &RunnerParts,
    ) -> Result<bool, LeaseError> {
        let name = self.projection.name();
        if self
            .lag_shown_at
            .is_none_or(|at| at.elapsed() >= LAG_INTERVAL)
        {
            let lag = conn.transaction(|conn| state::lag(conn, name))?;
            parts.rounds.metrics.projections.show(name, lag);
            self.lag_shown_at = Some(Instant::now());
        }
        let cluster_id = reader.cluster_id(conn)?;
        let found = conn.transaction(|conn| state::progress(conn, name))?;
        let found = found.ok_or(LeaseError::Lost(name.into()))?;
        if self.written.as_ref() != Some(&found) {
            self.forget();
            self.written = Some(found.clone());
            self.read = Position(found.position.unwrap_or(0));
        }
        let is_foreign = |progress: &Progress| {
            let known = progress.cluster_id.as_ref();
            known.is_some_and(|known| *known != cluster_id)
        };
        if is_foreign(&found) {
            log::warn!(
                "projection {name}: the database was restored into another cluster, so it is rebuilt"
            );
            let after = Progress::to_be_built(found.build_from);
            lease.transaction(conn, |conn| {
                state::advance(conn, name, lease, &found, &after)?;
                Ok(changes::adopt(conn)?)
            })?;
            return Ok(true);
        }
        if found.position.is_none() {
            return self.build(conn, lease, &found, cluster_id);
        }
        let read = reader.read(conn, self.read)?;
        let changes = &read.changes;
        let is_new = !changes.batches.is_empty() || !changes.sessions.is_empty();
        for session in &changes.sessions {
            self.projection.session(session, Occasion::Change);
        }
        self.fold(&read.messages, |_| true);
        self.read = changes.next;
        self.has_read |= is_new;
        let is_due = self.written_at.elapsed() >= self.pace()
            || self.projection.pending() >= PENDING_MAX
            || parts
                .awaited
                .is_beyond(Position(found.position.unwrap_or(0)));
        if self.has_read && is_due {
            let after = found.at(self.read, cluster_id);
            self.write(conn, lease, &found, after)?;
        }
        Ok(changes.has_more)
    }

    /// One part of building the tables from the stored messages. What is stored
    /// from now on comes through the changes afterwards, and is left out here.
    fn build(
        &mut self,
        conn: &mut Connection,
        lease: &Lease,
        found: &Progress,
        cluster_id: String,
    ) -> Result<bool, LeaseError> {
        let name = self.projection.name();
        let Some(build_end) = found.build_end else {
            log::info!("projection {name}: building it from the stored messages");
            // Before the sessions are read: what changes meanwhile comes again.
            let build_end = conn.transaction(changes::end)?;
            let projection = &self.projection;
            let start = conn.transaction(|conn| projection.build_start(conn, found.build_from))?;
            let first = conn.transaction(|conn| messages::earliest(conn, start))?;
            lease.transaction(conn, |conn| Ok(projection.clear(conn, start)?))?;
            self.build_sessions(conn, lease, start)?;
            let after = Progress {
                build_end: Some(build_end.0),
                built_until: Some(first.unwrap_or_else(Utc::now)),
                cluster_id: Some(cluster_id),
                ..found.clone()
            };
            self.write(conn, lease, found, after)?;
            self.span = SPAN_FIRST;
            return Ok(true);
        };
        let from = found.built_until.unwrap_or_else(Utc::now);
        if from > Utc::now() + BUILD_PAST_NOW {
            log::info!("projection {name}: built");
            let after = found.at(Position(build_end), cluster_id);
            self.write(conn, lease, found, after)?;
            self.read = Position(build_end);
            return Ok(true);
        }
        let until = from + self.span;
        let (kinds, rows, later) = conn.transaction(|conn| {
            let kinds = messages::numbers(conn, self.projection.kinds())?;
            let numbers: Vec<i16> = kinds.keys().copied().collect();
            let wanted = Wanted {
                kinds: &numbers,
                events: self.projection.wants_events(),
            };
            let rows = messages::of_span(conn, from, until, wanted)?;
            // After the messages: a batch is visible with them, or before.
            let later = changes::visible_from(conn, Position(build_end))?;
            QueryResult::Ok((kinds, rows, later))
        })?;
        let mut later: Vec<(i64, i64)> = later
            .iter()
            .map(|batch| (batch.id, batch.last_id))
            .collect();
        later.sort_unstable();
        let comes_later = |id: i64| {
            let after = later.partition_point(|(first, _)| *first <= id);
            let before = after.checked_sub(1).and_then(|place| later.get(place));
            before.is_some_and(|(_, last)| id <= *last)
        };
        let count = rows.len();
        self.fold(&ReadMessage::all(rows, &kinds), |message| {
            !comes_later(message.id)
        });
        if count > SPAN_MESSAGES {
            self.span = (self.span / 2).max(TimeDelta::milliseconds(100));
        } else if count < SPAN_MESSAGES / 8 {
            self.span = (self.span * 4).min(SPAN_MAX);
        }
        // A log with long gaps is built as quickly as one without.
        let built_until = match count {
            0 => conn.transaction(|conn| messages::earliest(conn, Some(until)))?,
            _ => Some(until),
        };
        let after = Progress {
            built_until: built_until.or(Some(Utc::now() + BUILD_PAST_NOW * 2)),
            ..found.clone()
        };
        self.write(conn, lease, found, after)?;
        Ok(true)
    }

    /// Takes the sessions, which are few beside the messages, before these.
    fn build_sessions(
        &mut self,
        conn: &mut Connection,
        lease: &Lease,
        since: Option<DateTime<Utc>>,
    ) -> Result<(), LeaseError> {
        let mut after = i64::MIN;
        loop {
            let page = conn.transaction(|conn| changes::sessions_after(conn, after))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id.0;
            let last = page.len() - 1;
            for (place, session) in page.iter().enumerate() {
                let projection = &mut self.projection;
                projection.session(session, Occasion::Build(since));
                if place == last || projection.pending() >= PENDING_MAX {
                    lease.transaction(conn, |conn| Ok(projection.write(conn)?))?;
                }
            }
        }
    }

    fn fold(&mut self, messages: &[ReadMessage], admits: impl Fn(&Message<'_>) -> bool) {
        for message in messages.iter().map(ReadMessage::message) {
            if admits(&message) {
                self.projection.fold(message);
            }
        }
    }

    fn write(
        &mut self,
        conn: &mut Connection,
        lease: &Lease,
        before: &Progress,
        after: Progress,
    ) -> Result<(), LeaseError> {
        let projection = &mut self.projection;
        lease.transaction(conn, |conn| {
            state::advance(conn, projection.name(), lease, before, &after)?;
            Ok(projection.write(conn)?)
        })?;
        projection.written(&self.metrics);
        self.written_at = Instant::now();
        self.has_read = false;
        self.written = Some(after);
        Ok(())
    }
}
