//! The thread by which this server is a member: each second it sends a heartbeat,
//! renews leases and watches the other servers. It has a connection of
//! its own, so that no other work of this server delays it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz};

use super::lease::{self, Job, Lease, Leases};
use super::observation::{Observation, Seen};
use crate::database::{
    Connection, Connector, DatabaseError, Round, Rounds, RoundsParts, statement,
};
use crate::metrics::jobs::HEARTBEAT;
use crate::server_state::ServerState;

/// Time between heartbeats.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limit of each statement: a lease that cannot be renewed within it is lost anyway.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for the end of the thread.
const STOP_MAX: Duration = Duration::from_secs(3);

/// The load of a server, for its row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Activity {
    /// Open sessions.
    pub sessions: i64,
    /// Messages received since the start.
    pub messages: u64,
    /// How long ago messages last could not be stored at once; none if all could.
    pub delayed_ago: Option<Duration>,
    /// Messages received and lost since the start.
    pub dropped: u64,
    /// Bytes in the spool, and their limit.
    pub spool: (i64, i64),
    /// Days until the disk of its own PostgreSQL is full; none if it lasts.
    pub disk_full_in_days: Option<f64>,
}

/// Ends the sessions of lost servers; returns how many there were.
pub type EndSessions = fn(&mut PgConnection, &[String]) -> QueryResult<usize>;

/// What the member needs from outside.
pub struct MemberParts {
    /// How to reach the database.
    pub rounds: RoundsParts,
    /// This server.
    pub server_id: Arc<str>,
    /// Its name for people.
    pub name: String,
    /// Its start.
    pub started_at: DateTime<Utc>,
    /// Learns that the database answers.
    pub server: Arc<ServerState>,
    /// The load of this server.
    pub activity: Box<dyn Fn() -> Activity + Send + Sync>,
    /// Ends the sessions of lost servers.
    pub end_sessions: EndSessions,
    /// What this server does when it has the lease for it.
    pub jobs: Vec<Job>,
}

/// This server, as a member of the cluster.
#[derive(Debug)]
pub struct Member {
    leases: Leases,
    rounds: Rounds,
}

#[derive(QueryableByName)]
struct Acquired {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    token: i64,
}

#[derive(QueryableByName)]
struct Other {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Timestamptz)]
    heartbeat_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_frequent: bool,
}

impl Member {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: MemberParts) -> std::io::Result<Self> {
        let leases = Leases::default();
        let (rounds, held, parts) = (parts.rounds.clone(), leases.clone(), Arc::new(parts));
        let make = move |connector| Heartbeat {
            parts: parts.clone(),
            leases: held.clone(),
            observation: Observation::default(),
            connector,
            conn: None,
            counted: None,
        };
        let rounds = Rounds::start(rounds, "cluster", STATEMENT_TIMEOUT, make)?;
        Ok(Self { leases, rounds })
    }

    /// The leases of this server.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Releases the leases, and records an orderly stop. Waits for a few seconds; if the
    /// database does not answer, the missing heartbeat shows the stop.
    pub fn stop(self) {
        if !self.rounds.stop(STOP_MAX) {
            log::warn!("the stop of this server could not be recorded: no answer");
        }
    }
}

/// The work of the thread.
struct Heartbeat {
    parts: Arc<MemberParts>,
    leases: Leases,
    observation: Observation,
    connector: Connector,
    conn: Option<Connection>,
    /// Messages at the last heartbeat.
    counted: Option<(u64, Instant)>,
}

impl Round for Heartbeat {
    fn round(&mut self) -> Duration {
        let started_at = Instant::now();
        self.beat(started_at);
        INTERVAL.saturating_sub(started_at.elapsed())
    }

    fn end(&mut self) {
        self.leave();
    }
}

impl Heartbeat {
    fn beat(&mut self, now: Instant) {
        let parts = self.parts.clone();
        let jobs = &parts.rounds.metrics.jobs;
        if let Err(error) = jobs.run(HEARTBEAT, || self.try_beat(now)) {
            log::debug!("heartbeat failed: {error}");
            self.parts.rounds.metrics.cluster.heartbeat_failures.inc();
            // Leases end by themselves if this goes on.
            self.conn = None;
            self.observation.interrupt();
        }
        for &job in &self.parts.jobs {
            let is_held = self.leases.held(job).is_some();
            self.parts
                .rounds
                .metrics
                .cluster
                .show_lease(&job.name(), is_held);
        }
    }

    fn try_beat(&mut self, now: Instant) -> Result<(), DatabaseError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connector.connect()?,
        };
        let activity = (self.parts.activity)();
        let messages_per_s = match self.counted {
            Some((before, at)) if now > at => {
                let messages = u32::try_from(activity.messages.saturating_sub(before));
                f64::from(messages.unwrap_or(u32::MAX)) / (now - at).as_secs_f64()
            }
            _ => 0.0,
        };
        let server_id = self.parts.server_id.clone();
        let (acquired, asked_at, others) = conn.transaction(|conn| {
            statement(include_str!("heartbeat.sql"))
                .bind::<Text, _>(&*server_id)
                .bind::<Text, _>(env!("CARGO_PKG_VERSION"))
                .bind::<Timestamptz, _>(self.parts.started_at)
                .bind::<Text, _>(&self.parts.name)
                .bind::<Double, _>(INTERVAL.as_secs_f64())
                .bind::<BigInt, _>(activity.sessions)
                .bind::<Double, _>(messages_per_s)
                .bind::<Nullable<Double>, _>(activity.delayed_ago.map(|ago| ago.as_secs_f64()))
                .bind::<Timestamptz, _>(Utc::now())
                .bind::<BigInt, _>(i64::try_from(activity.dropped).unwrap_or(i64::MAX))
                .bind::<BigInt, _>(activity.spool.0)
                .bind::<BigInt, _>(activity.spool.1)
                .bind::<Nullable<Double>, _>(activity.disk_full_in_days)
                .execute(conn)?;
            let asked_at = Instant::now();
            let jobs: Vec<String> = self
                .parts
                .jobs
                .iter()
                .map(|job| job.name().into())
                .collect();
            let acquired: Vec<Acquired> = statement(include_str!("acquire.sql"))
                .bind::<Text, _>(&*server_id)
                .bind::<Array<Text>, _>(jobs)
                .bind::<Double, _>(lease::DURATION.as_secs_f64())
                .load(conn)?;
            let others: Vec<Other> = statement(include_str!("others.sql"))
                .bind::<Text, _>(&*server_id)
                .load(conn)?;
            QueryResult::Ok((acquired, asked_at, others))
        })?;
        self.parts.server.set_database_answered(Instant::now());
        self.counted = Some((activity.messages, now));
        self.leases.replace(acquired.into_iter().filter_map(|row| {
            let mut jobs = self.parts.jobs.iter().copied();
            let job = jobs.find(|job| job.name() == row.name)?;
            Some(Lease::new(job, server_id.clone(), row.token, asked_at))
        }));
        self.supervise(&mut conn, others, now)?;
        self.conn = Some(conn);
        Ok(())
    }

    /// Watches the other servers, and ends the sessions of those that are lost.
    fn supervise(
        &mut self,
        conn: &mut Connection,
        others: Vec<Other>,
        now: Instant,
    ) -> Result<(), DatabaseError> {
        let seen = others.into_iter().map(|other| Seen {
            id: other.id,
            heartbeat_at: other.heartbeat_at,
            is_frequent: other.is_frequent,
        });
        let lost = self.observation.look(seen.collect(), now);
        let Some(lease) = self
            .leases
            .held(Job::Supervision)
            .filter(|_| !lost.is_empty())
        else {
            return Ok(());
        };
        let end_sessions = self.parts.end_sessions;
        let jobs = &self.parts.rounds.metrics.jobs;
        let ended = jobs.run(&Job::Supervision.name(), || {
            lease.transaction(conn, |conn| {
                let ended = end_sessions(conn, &lost)?;
                statement(include_str!("sessions_ended.sql"))
                    .bind::<Array<Text>, _>(&lost)
                    .execute(conn)?;
                Ok(ended)
            })
        });
        match ended {
            Ok(0) => Ok(()),
            Ok(ended) => {
                log::warn!(
                    "{ended} sessions ended, whose servers are lost: {}",
                    lost.join(", ")
                );
                Ok(())
            }
            Err(lease::LeaseError::Lost(_)) => Ok(()),
            Err(lease::LeaseError::Database(error)) => Err(error),
        }
    }

    fn leave(&mut self) {
        self.leases.replace([]);
        let server_id = self.parts.server_id.clone();
        let left = match self.conn.take() {
            Some(conn) => Ok(conn),
            None => self.connector.connect(),
        }
        .and_then(|mut conn| {
            let left = conn.transaction(|conn| {
                statement(include_str!("leave.sql"))
                    .bind::<Text, _>(&*server_id)
                    .execute(conn)
            });
            Ok(left?)
        });
        if let Err(error) = left {
            log::warn!("the stop of this server could not be recorded: {error}");
        }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Heartbeat")
            .field("server_id", &self.parts.server_id)
            .finish_non_exhaustive()
    }
}
