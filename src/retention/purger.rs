//! The timer that makes partitions ahead and purges what is expired, on one
//! server at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::making;
use super::policy::{BATCH_MEMORY, Policy};
use crate::cluster::{Job, Lease, LeaseError, Leases};
use crate::config::Config;
use crate::database::{Connection, DatabaseError, Pools};
use crate::metrics::Metrics;
use crate::projections;
use crate::store::expired;
use crate::store::{alerts, partitions, status};

/// Rows of one slice: some tens of milliseconds of work.
const SLICE_ROWS: i64 = 10_000;

/// Slices of one run; the rest is for the next one.
const SLICES_MAX: usize = 100;

/// Pause after a failure: mostly a query holds a lock on a partition.
const RETRY_WAIT: Duration = Duration::from_secs(10);

/// A run that takes longer waits for an answer that was lost on its way.
const RUN_MAX: Duration = Duration::from_secs(3_600);

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

/// Purges each `PURGE_INTERVAL_S`, while this server holds the lease.
#[derive(Debug)]
pub struct Purger {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    pools: Pools,
    leases: Leases,
    due_at: Instant,
    running: bool,
}

impl Purger {
    /// The first run comes at once.
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>, pools: Pools, leases: Leases) -> Self {
        Self {
            config,
            metrics,
            pools,
            leases,
            due_at: Instant::now(),
            running: false,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let lease = self.leases.held(Job::Retention);
        let waits = lease.is_none() && now < self.due_at + LEASE_WAIT;
        if self.running || now < self.due_at || waits {
            return;
        }
        self.running = true;
        let (config, metrics, pools) = (
            self.config.clone(),
            self.metrics.clone(),
            self.pools.clone(),
        );
        let done =
            actix_web::web::block(move || purge(&config, &metrics, &pools, lease, Utc::now()));
        let done = tokio::time::timeout(RUN_MAX, done);
        ctx.spawn(done.into_actor(self).map(move |done, purger, _ctx| {
            purger.running = false;
            purger.due_at = now + purger.config.retention.interval;
            let problem = match done {
                Ok(Ok(Ok(Strays::None))) => return,
                Ok(Ok(Ok(Strays::Some))) => {
                    purger.due_at = now + purger.config.retention.interval.min(RETRY_WAIT);
                    return;
                }
                // Another server goes on with it.
                Ok(Ok(Err(LeaseError::Lost(_)))) => return,
                Ok(Ok(Err(error))) => error.to_string(),
                Ok(Err(cancelled)) => cancelled.to_string(),
                Err(late) => late.to_string(),
            };
            purger.metrics.purge_failures.inc();
            let wait = purger.config.retention.interval.min(RETRY_WAIT);
            purger.due_at = Instant::now() + wait;
            log::warn!(
                "retention failed, next try in {} s: {problem}",
                wait.as_secs()
            );
        }));
    }
}

impl Actor for Purger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_INTERVAL, Self::look);
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
    let retention = &config.retention;
    Policy::new(
        retention.expiry,
        retention.rollup_expiry,
        retention.partition_width,
    )
}

fn purge(
    config: &Config,
    metrics: &Metrics,
    pools: &Pools,
    lease: Option<Lease>,
    now: DateTime<Utc>,
) -> Result<Strays, LeaseError> {
    let mut conn = pools.control()?;
    if let Some(lease) = lease {
        purge_alone(&mut conn, config, metrics, &lease, now)?;
    }
    Ok(show(&mut conn, metrics, now)?)
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
