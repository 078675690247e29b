//! The thread that maintains the projections of which this server holds the
//! leases, on a connection of its own: in each round it reads the changes once for all, and
//! each projection writes if it is time.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::result::QueryResult;

use super::all;
use super::follower::{Follower, read_on};
use super::reader::Reader;
use super::state;
use crate::changes::{self, Awaited, Position};
use crate::cluster::{LeaseError, Leases};
use crate::database::{Connection, Connector, Round, Rounds, RoundsParts};
use crate::messages::Recent;
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

/// How often it is looked up how far projections are, and how far behind. What another server
/// moved meanwhile refuses what is written here.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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
                overview: Overview::default(),
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
    overview: Overview,
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
                self.overview = Overview::default();
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
        let metrics = &self.parts.rounds.metrics;
        for follower in &mut self.followers {
            follower.lease = self.parts.leases.held(follower.projection.job());
            if follower.lease.is_none() {
                follower.forget();
                metrics.projections.left(follower.projection.name());
            }
        }
        let held = self.followers.iter_mut();
        let mut held: Vec<&mut Follower> = held.filter(|one| one.lease.is_some()).collect();
        if held.is_empty() {
            return Ok(*POLL_INTERVAL.start());
        }
        let jobs: Vec<Cow<'_, str>> = held
            .iter()
            .map(|follower| follower.projection.job().name())
            .collect();
        // It is put back when all went well.
        let conn = self.conn.take();
        let mut conn = metrics.jobs.share(&jobs, || -> Result<_, LeaseError> {
            let mut conn = conn.map_or_else(|| self.connector.connect(), Ok)?;
            self.overview.look(&mut conn, &mut held, metrics)?;
            read(&mut conn, &mut self.reader, &mut held)?;
            match read_on(&mut conn, &mut held) {
                // Each finds out for itself whether it was its lease.
                Ok(()) | Err(LeaseError::Lost(_)) => Ok(conn),
                Err(error) => Err(error),
            }
        })?;
        let mut pause = Some(*POLL_INTERVAL.start());
        for (follower, job) in held.into_iter().zip(&jobs) {
            match metrics
                .jobs
                .run(job, || follower.step(&mut conn, &self.parts.awaited))
            {
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
        self.conn = Some(conn);
        Ok(pause.unwrap_or_default())
    }
}

/// What is looked up for all projections at once.
#[derive(Debug, Default)]
struct Overview {
    cluster_id: Option<String>,
    looked_at: Option<Instant>,
}

impl Overview {
    /// Looks up how far projections are, if it is time or one is not known.
    fn look(
        &mut self,
        conn: &mut Connection,
        held: &mut [&mut Follower],
        metrics: &Metrics,
    ) -> QueryResult<()> {
        let cluster_id = match &self.cluster_id {
            Some(known) => known,
            None => self
                .cluster_id
                .insert(conn.transaction(changes::cluster_id)?),
        };
        let is_due = self
            .looked_at
            .is_none_or(|at| at.elapsed() >= LOOK_INTERVAL);
        if !is_due && held.iter().all(|follower| follower.is_known()) {
            return Ok(());
        }
        let (mut found, lags) =
            conn.transaction(|conn| QueryResult::Ok((state::all(conn)?, state::lags(conn)?)))?;
        self.looked_at = Some(Instant::now());
        for follower in held {
            let name = follower.projection.name();
            if let Some(lag) = lags.iter().find(|lag| lag.name == name) {
                metrics.projections.show(name, lag.seconds);
            }
            follower.take_up(found.remove(name), cluster_id);
        }
        Ok(())
    }
}

/// Reads a part of the changes, once for all that are equally far.
fn read(conn: &mut Connection, reader: &mut Reader, held: &mut [&mut Follower]) -> QueryResult<()> {
    let positions: BTreeSet<Position> = held.iter().filter_map(|one| one.position()).collect();
    for position in positions {
        let mut together: Vec<&mut &mut Follower> = held
            .iter_mut()
            .filter(|follower| follower.position() == Some(position))
            .collect();
        let changes = conn.transaction(|conn| changes::read(conn, position))?;
        for follower in &mut together {
            follower.take_sessions(&changes);
        }
        reader.read(conn, &changes.batches, |message| {
            for follower in &mut together {
                follower.projection.fold(message);
            }
        })?;
        for follower in together {
            follower.has_read_to(&changes);
        }
    }
    Ok(())
}
