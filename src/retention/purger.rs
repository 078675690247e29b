//! The thread that makes partitions ahead and purges what is expired, on one
//! server at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::making;
use super::policy::{BATCH_MEMORY, Policy};
use crate::cluster::{Job, Lease, LeaseError, Leases};
use crate::config::Config;
use crate::database::{Connection, Connector, DatabaseError, Round, Rounds, RoundsParts};
use crate::metrics::Metrics;
use crate::projections;
use crate::store::expired;
use crate::store::{alerts, events, partitions, purge_heartbeats, purge_losses, status};

/// Rows of one slice: some tens of milliseconds of work.
const SLICE_ROWS: i64 = 10_000;

/// Slices of one run; the rest is for the next one.
const SLICES_MAX: usize = 100;

/// Pause after a failure: mostly a query holds a lock on a partition.
const RETRY_WAIT: Duration = Duration::from_secs(10);

/// A statement of ours may take so many times as long as one of a writer: it may go through a
/// whole partition.
const STATEMENT_SHARE: u32 = 10;

/// Longest wait for the end of the thread.
const STOP_MAX: Duration = Duration::from_secs(1);

/// How often is looked whether a run is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A run that is due waits for the lease for so long; without it this server
/// only refreshes its metrics.
const LEASE_WAIT: Duration = Duration::from_secs(5);

/// Key of the advisory lock under which servers that start together make
/// partitions: "purge" in ASCII.
const LOCK_KEY: i64 = 0x0070_7572_6765;

/// Whether messages lie outside of all partitions; then the next run comes soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strays {
    None,
    Some,
}

/// What the purger needs from outside.
#[derive(Debug)]
pub struct PurgerParts {
    /// How to reach the database.
    pub rounds: RoundsParts,
    /// All settings.
    pub config: Arc<Config>,
    /// The leases of this server.
    pub leases: Leases,
}

/// The running thread: it purges each `PURGE_INTERVAL_S`, while this server holds the lease.
#[derive(Debug)]
pub struct Purger(Rounds);

/// What the thread does again and again.
struct Purging {
    parts: Arc<PurgerParts>,
    connector: Connector,
    due_at: Instant,
}

impl Purger {
    /// Starts the thread. The first run comes at once.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: PurgerParts) -> std::io::Result<Self> {
        let (rounds, parts) = (parts.rounds.clone(), Arc::new(parts));
        let statement_max = parts.config.store.write_timeout * STATEMENT_SHARE;
        let make = move |connector| Purging {
            parts: parts.clone(),
            connector,
            due_at: Instant::now(),
        };
        let rounds = Rounds::start(rounds, "retention", statement_max, make)?;
        Ok(Self(rounds))
    }

    /// Ends it, and waits for a moment; what is left is for the next server that has the lease.
    pub fn stop(self) {
        self.0.stop(STOP_MAX);
    }
}

impl Round for Purging {
    fn round(&mut self) -> Duration {
        let now = Instant::now();
        let lease = self.parts.leases.held(Job::Retention);
        let waits = lease.is_none() && now < self.due_at + LEASE_WAIT;
        if now < self.due_at || waits {
            return LOOK_INTERVAL;
        }
        let interval = self.parts.config.retention.interval;
        let metrics = &self.parts.rounds.metrics;
        self.due_at = match purge(&self.connector, &self.parts, lease, Utc::now()) {
            // Another server goes on with it where the lease is lost.
            Ok(Strays::None) | Err(LeaseError::Lost(_)) => now + interval,
            Ok(Strays::Some) => now + interval.min(RETRY_WAIT),
            Err(error) => {
                metrics.purge_failures.inc();
                let wait = interval.min(RETRY_WAIT);
                log::warn!(
                    "retention failed, next try in {} s: {error}",
                    wait.as_secs()
                );
                Instant::now() + wait
            }
        };
        LOOK_INTERVAL
    }
}

/// Makes the partitions that are missing; before the first message is taken.
/// Servers that start at the same time take turns.
///
/// # Errors
/// If the database cannot be written.
pub fn prepare_partitions(
    conn: &mut Connection,
    config: &Config,
    metrics: &Metrics,
) -> Result<(), LeaseError> {
    // Those that could be made stay, also where others could not.
    let made = conn.transaction(|conn| {
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
            .bind::<BigInt, _>(LOCK_KEY)
            .execute(conn)?;
        let made = making::make_missing(&mut Steps::Within(conn), &policy(config), Utc::now());
        Ok::<_, LeaseError>(made)
    })?;
    show(conn, metrics, Utc::now())?;
    made
}

fn policy(config: &Config) -> Policy {
    Policy::new(&config.retention)
}

fn purge(
    connector: &Connector,
    parts: &PurgerParts,
    lease: Option<Lease>,
    now: DateTime<Utc>,
) -> Result<Strays, LeaseError> {
    let (config, metrics) = (&parts.config, &parts.rounds.metrics);
    let conn = connector.connect();
    let Some(lease) = lease else {
        return Ok(show(&mut conn?, metrics, now)?);
    };
    metrics.jobs.run(&Job::Retention.name(), || {
        let mut conn = conn?;
        purge_alone(&mut conn, config, metrics, &lease, now)?;
        Ok(show(&mut conn, metrics, now)?)
    })
}

/// How the steps of a run are done.
pub(super) enum Steps<'a> {
    /// Each in a transaction that commits only while this server holds the lease.
    Under(&'a Lease, &'a mut Connection),
    /// All in a transaction that is open.
    Within(&'a mut PgConnection),
}

impl Steps<'_> {
    /// Does one step.
    pub(super) fn step<T>(
        &mut self,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<T, LeaseError> {
        match self {
            Self::Under(lease, conn) => lease.transaction(conn, |conn| Ok(work(conn)?)),
            Self::Within(conn) => Ok(work(conn)?),
        }
    }
}

fn purge_alone(
    conn: &mut Connection,
    config: &Config,
    metrics: &Metrics,
    lease: &Lease,
    now: DateTime<Utc>,
) -> Result<(), LeaseError> {
    let policy = policy(config);
    let steps = &mut Steps::Under(lease, conn);
    making::make_missing(steps, &policy, now)?;
    making::empty_default(steps, &policy, now)?;
    let started_at = Instant::now();
    let partitions = steps.step(partitions::list)?;
    for partition in policy.expired(&partitions, now) {
        steps.step(|conn| partitions::drop(conn, partition))?;
        metrics.purged_partitions.inc();
        log::info!(
            "purged {}: messages up to {}",
            partition.name,
            partition.end
        );
    }
    if let Some(cutoff) = policy.cutoff(now) {
        in_slices(|| steps.step(|conn| partitions::delete_strays(conn, cutoff, SLICE_ROWS)))?;
        in_slices(|| steps.step(|conn| purge_heartbeats(conn, cutoff, SLICE_ROWS)))?;
    }
    if let Some(cutoff) = policy.session_cutoff(now) {
        let sessions = in_slices(|| {
            steps.step(|conn| {
                let deleted = expired::delete_sessions(conn, cutoff, SLICE_ROWS)?;
                projections::forget_sessions(conn, &deleted)?;
                Ok(deleted.len())
            })
        })?;
        in_slices(|| steps.step(|conn| projections::nodes::forget(conn, cutoff, SLICE_ROWS)))?;
        metrics
            .purged_sessions
            .inc_by(u64::try_from(sessions).unwrap_or(0));
    }
    if let Some(cutoff) = policy.rollup_cutoff(now) {
        for table in projections::HOUR_TABLES {
            in_slices(|| {
                steps.step(|conn| projections::purge_hours(conn, table, cutoff, SLICE_ROWS))
            })?;
        }
        in_slices(|| steps.step(|conn| status::purge_changes(conn, cutoff, SLICE_ROWS)))?;
        in_slices(|| steps.step(|conn| alerts::purge(conn, cutoff, SLICE_ROWS)))?;
        in_slices(|| steps.step(|conn| purge_losses(conn, cutoff, SLICE_ROWS)))?;
    }
    if let Some(cutoff) = policy.event_cutoff(now) {
        for day in steps.step(|conn| events::days_before(conn, cutoff))? {
            steps.step(|conn| events::drop_day(conn, &day))?;
            log::info!("purged {day}: its events are older than EVENT_EXPIRY_H");
        }
        for table in events::PURGED {
            in_slices(|| steps.step(|conn| events::purge(conn, table, cutoff, SLICE_ROWS)))?;
        }
    }
    in_slices(|| steps.step(|conn| forget_batches(conn, now - BATCH_MEMORY)))?;
    metrics
        .purge_seconds
        .observe(started_at.elapsed().as_secs_f64());
    steps.step(|conn| partitions::summarize_newest(conn, now))?;
    Ok(())
}

/// Forgets batches, and has projections built anew that have not read them.
fn forget_batches(conn: &mut PgConnection, cutoff: DateTime<Utc>) -> QueryResult<usize> {
    let deleted = expired::delete_batches(conn, cutoff, SLICE_ROWS)?;
    if let Some(newest) = deleted.newest_transaction {
        for name in projections::rebuild_behind(conn, newest)? {
            log::warn!(
                "projection {name}: batches that it had not read are forgotten, so it is rebuilt"
            );
        }
    }
    Ok(usize::try_from(deleted.batches).unwrap_or(0))
}

fn in_slices(mut slice: impl FnMut() -> Result<usize, LeaseError>) -> Result<usize, LeaseError> {
    let mut total = 0;
    for _ in 0..SLICES_MAX {
        let deleted = slice()?;
        total += deleted;
        if i64::try_from(deleted).unwrap_or(i64::MAX) < SLICE_ROWS {
            break;
        }
    }
    Ok(total)
}

fn show(
    conn: &mut Connection,
    metrics: &Metrics,
    now: DateTime<Utc>,
) -> Result<Strays, DatabaseError> {
    let (partitions, strays) = conn.transaction(|conn| {
        let strays = partitions::strays(conn, false)?.count + partitions::strays(conn, true)?.count;
        QueryResult::Ok((partitions::list(conn)?, strays))
    })?;
    let audit = partitions
        .iter()
        .filter(|partition| partition.audit)
        .count();
    let count = |partitions: usize| i64::try_from(partitions).unwrap_or(i64::MAX);
    metrics.set_partitions(count(partitions.len() - audit), count(audit));
    metrics.stray_messages.set(strays);
    if strays > 0 {
        log::warn!("{strays} messages lie outside of all partitions, until those can be made");
    }
    let oldest = partitions.iter().find(|partition| !partition.audit);
    let age = oldest.map_or(0.0, |partition| (now - partition.start).as_seconds_f64());
    metrics.oldest_partition_age_seconds.set(age.max(0.0));
    Ok(match strays {
        0 => Strays::None,
        _ => Strays::Some,
    })
}
