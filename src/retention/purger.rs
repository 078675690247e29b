//! The timer that makes partitions ahead and purges what is expired, on one
//! server at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::policy::{BATCH_MEMORY, Policy};
use crate::config::Config;
use crate::database::{DatabaseError, Pools};
use crate::metrics::Metrics;
use crate::store::expired;
use crate::store::partitions::{self, Partition};

/// Rows of one slice: some tens of milliseconds of work.
const SLICE_ROWS: i64 = 10_000;

/// Slices of one run; the rest is for the next one.
const SLICES_MAX: usize = 100;

/// After a failure, which mostly means that somebody reads just then.
const RETRY_WAIT: Duration = Duration::from_secs(10);

/// A run that takes longer waits for an answer that was lost on its way.
const RUN_MAX: Duration = Duration::from_secs(3_600);

/// Key of the advisory lock that makes one server purge at a time: "purge" in ASCII.
const LOCK_KEY: i64 = 0x0070_7572_6765;

/// Purges each `PURGE_INTERVAL_S`.
#[derive(Debug)]
pub struct Purger {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    pools: Pools,
    running: bool,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

impl Purger {
    /// The first run comes at once.
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>, pools: Pools) -> Self {
        Self {
            config,
            metrics,
            pools,
            running: false,
        }
    }

    fn run(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.running, true) {
            return;
        }
        let (config, metrics, pools) = (
            self.config.clone(),
            self.metrics.clone(),
            self.pools.clone(),
        );
        let done = actix_web::web::block(move || purge(&config, &metrics, &pools, Utc::now()));
        let done = tokio::time::timeout(RUN_MAX, done);
        ctx.spawn(done.into_actor(self).map(|done, purger, ctx| {
            purger.running = false;
            let problem = match done {
                Ok(Ok(Ok(()))) => return,
                Ok(Ok(Err(error))) => error.to_string(),
                Ok(Err(cancelled)) => cancelled.to_string(),
                Err(late) => late.to_string(),
            };
            purger.metrics.purge_failures.inc();
            let wait = purger.config.retention.interval.min(RETRY_WAIT);
            log::warn!(
                "retention failed, next try in {} s: {problem}",
                wait.as_secs()
            );
            ctx.run_later(wait, Self::run);
        }));
    }
}

impl Actor for Purger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.run(ctx);
        ctx.run_interval(self.config.retention.interval, |purger, ctx| {
            purger.run(ctx)
        });
    }
}

/// Makes the partitions that are missing; before the first message is taken.
/// Servers that start at the same time take turns.
///
/// # Errors
/// If the database cannot be written.
pub fn prepare_partitions(
    conn: &mut PgConnection,
    config: &Config,
    metrics: &Metrics,
) -> Result<(), DatabaseError> {
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<BigInt, _>(LOCK_KEY)
        .execute(conn)?;
    let made = make_missing(conn, &policy(config), Utc::now());
    unlock(conn)?;
    made?;
    show(conn, metrics, Utc::now())
}

fn unlock(conn: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_unlock($1)")
        .bind::<BigInt, _>(LOCK_KEY)
        .execute(conn)?;
    Ok(())
}

fn policy(config: &Config) -> Policy {
    let retention = &config.retention;
    Policy::new(
        retention.expiry,
        retention.partition_width,
        config.ingest.clock_skew_max,
    )
}

fn purge(
    config: &Config,
    metrics: &Metrics,
    pools: &Pools,
    now: DateTime<Utc>,
) -> Result<(), DatabaseError> {
    let mut conn = pools.control()?;
    let lock: Locked = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS locked")
        .bind::<BigInt, _>(LOCK_KEY)
        .get_result(&mut conn)?;
    if lock.locked {
        let done = purge_alone(&mut conn, config, metrics, now);
        unlock(&mut conn)?;
        done?;
    }
    show(&mut conn, metrics, now)
}

fn purge_alone(
    conn: &mut PgConnection,
    config: &Config,
    metrics: &Metrics,
    now: DateTime<Utc>,
) -> Result<(), DatabaseError> {
    let policy = policy(config);
    make_missing(conn, &policy, now)?;
    let started_at = Instant::now();
    let partitions = partitions::list(conn)?;
    for partition in policy.expired(&partitions, now) {
        partitions::drop(conn, partition)?;
        metrics.purged_partitions.inc();
        log::info!(
            "purged {}: messages up to {}",
            partition.name,
            partition.end
        );
    }
    if let Some(cutoff) = policy.cutoff(now) {
        in_slices(|| partitions::delete_strays(conn, cutoff, SLICE_ROWS))?;
    }
    if let Some(cutoff) = policy.session_cutoff(now) {
        let sessions = in_slices(|| expired::delete_sessions(conn, cutoff, SLICE_ROWS))?;
        metrics
            .purged_sessions
            .inc_by(u64::try_from(sessions).unwrap_or(0));
    }
    in_slices(|| expired::delete_batches(conn, now - BATCH_MEMORY, SLICE_ROWS))?;
    metrics
        .purge_seconds
        .observe(started_at.elapsed().as_secs_f64());
    partitions::summarize_newest(conn, now)?;
    Ok(())
}

fn make_missing(
    conn: &mut PgConnection,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<(), DatabaseError> {
    let existing = partitions::list(conn)?;
    for audit in [false, true] {
        let of_kind: Vec<&Partition> = existing.iter().filter(|p| p.audit == audit).collect();
        for span in policy.missing(&of_kind, now) {
            partitions::create(conn, audit, span)?;
        }
    }
    Ok(())
}

fn in_slices(mut slice: impl FnMut() -> QueryResult<usize>) -> QueryResult<usize> {
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
    conn: &mut PgConnection,
    metrics: &Metrics,
    now: DateTime<Utc>,
) -> Result<(), DatabaseError> {
    let partitions = partitions::list(conn)?;
    let audit = partitions
        .iter()
        .filter(|partition| partition.audit)
        .count();
    let count = |partitions: usize| i64::try_from(partitions).unwrap_or(i64::MAX);
    metrics.set_partitions(count(partitions.len() - audit), count(audit));
    let oldest = partitions.iter().find(|partition| !partition.audit);
    let age = oldest.map_or(0.0, |partition| (now - partition.start).as_seconds_f64());
    metrics.oldest_partition_age_seconds.set(age.max(0.0));
    Ok(())
}
