//! A connection pool that recovers from connections that hang.
//!
//! libpq waits without limit for an answer that was lost in the network, and a
//! blocked call can't be cancelled: such a connection would occupy its slot in
//! the pool for good.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, HandleEvent, NopErrorHandler, Pool, State,
    event::{CheckinEvent, CheckoutEvent},
};

use super::DatabaseError;
use super::connection::{Connection, prepare};

/// The purpose of a pool, and its limits.
#[derive(Debug, Clone)]
pub(super) struct PoolOptions {
    /// What the connections are for, as the log names it.
    pub(super) purpose: &'static str,
    pub(super) url: String,
    /// Statements that every transaction begins with.
    pub(super) begin: Arc<str>,
    pub(super) size: u32,
    /// Longest wait for a free connection.
    pub(super) wait_max: Duration,
    /// A connection that is waited for or used for longer counts as hung, and the
    /// pool is replaced. Callers that are only slow keep their connection.
    pub(super) busy_max: Duration,
}

/// A pool that is replaced as a whole when one of its connections hangs.
#[derive(Debug)]
pub(super) struct ResilientPool {
    options: PoolOptions,
    current: Mutex<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    pool: Pool<ConnectionManager<PgConnection>>,
    usage: Arc<Usage>,
}

/// Since when connections are waited for or used.
#[derive(Debug, Default)]
struct Usage {
    since: Mutex<BTreeMap<Use, Instant>>,
    next_wait: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// A connection is waited for, tested before it is handed out, or being made.
    Wait(u64),
    /// A connection is used.
    Connection(u64),
}

/// One [`Use::Wait`]; ends when it is dropped.
struct Wait<'a> {
    usage: &'a Usage,
    number: u64,
}

impl ResilientPool {
    /// Connections are made when they are first needed.
    pub(super) fn new(options: PoolOptions) -> Self {
        Self {
            current: Mutex::new(Current::open(&options)),
            options,
        }
    }

    /// A connection, or why there is none.
    pub(super) fn get(&self) -> Result<Connection, DatabaseError> {
        let current = self.current(Instant::now());
        let _wait = current.usage.wait();
        match current.pool.get() {
            Ok(conn) => Ok(Connection::pooled(conn, self.options.begin.clone())),
            Err(error) => Err(DatabaseError::Unavailable(error.to_string())),
        }
    }

    pub(super) fn state(&self) -> State {
        lock(&self.current).pool.state()
    }

    pub(super) fn options(&self) -> &PoolOptions {
        &self.options
    }

    fn current(&self, now: Instant) -> Current {
        let mut current = lock(&self.current);
        let busy_since = lock(&current.usage.since).values().min().copied();
        let is_hung =
            busy_since.is_some_and(|since| now.duration_since(since) > self.options.busy_max);
        if is_hung {
            log::warn!(
                "a connection for {} has been busy for more than {} s: replacing the pool",
                self.options.purpose,
                self.options.busy_max.as_secs()
            );
            *current = Current::open(&self.options);
        }
        current.clone()
    }
}

impl Current {
    fn open(options: &PoolOptions) -> Self {
        let usage = Arc::new(Usage::default());
        let initialise = Initialise(usage.clone());
        let pool = Pool::builder()
            .max_size(options.size)
            .min_idle(Some(0))
            .idle_timeout(Some(Duration::from_secs(300)))
            .connection_timeout(options.wait_max)
            .connection_customizer(Box::new(initialise))
            // The caller gets the error and logs it.
            .error_handler(Box::new(NopErrorHandler))
            .event_handler(Box::new(TrackUsage(usage.clone())))
            .build_unchecked(ConnectionManager::new(&options.url));
        Self { pool, usage }
    }
}

impl Usage {
    fn wait(&self) -> Wait<'_> {
        let number = self.next_wait.fetch_add(1, Ordering::Relaxed);
        lock(&self.since).insert(Use::Wait(number), Instant::now());
        Wait {
            usage: self,
            number,
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        lock(&self.usage.since).remove(&Use::Wait(self.number));
    }
}

/// Makes a new connection ready for use.
#[derive(Debug)]
struct Initialise(Arc<Usage>);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Initialise {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let _wait = self.0.wait();
        prepare(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// Keeps [`Usage`] up to date.
#[derive(Debug)]
struct TrackUsage(Arc<Usage>);

impl HandleEvent for TrackUsage {
    fn handle_checkout(&self, event: CheckoutEvent) {
        lock(&self.0.since).insert(Use::Connection(event.connection_id()), Instant::now());
    }

    fn handle_checkin(&self, event: CheckinEvent) {
        lock(&self.0.since).remove(&Use::Connection(event.connection_id()));
    }
}

/// The data behind these locks is consistent even after a panic of a holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_replaced_when_a_connection_is_waited_for_too_long() {
        let busy_max = Duration::from_secs(10);
        let pool = ResilientPool::new(PoolOptions {
            purpose: "tests",
            url: String::new(),
            begin: "BEGIN".into(),
            size: 1,
            wait_max: Duration::from_secs(1),
            busy_max,
        });
        let start = Instant::now();
        let first = pool.current(start);
        let wait = first.usage.wait();
        assert!(Arc::ptr_eq(
            &pool.current(start + busy_max).usage,
            &first.usage
        ));
        let late = Instant::now() + busy_max * 2;
        let second = pool.current(late);
        assert!(!Arc::ptr_eq(&second.usage, &first.usage));
        assert!(Arc::ptr_eq(&pool.current(late).usage, &second.usage));
        // Returning in time, or after the replacement, changes nothing.
        drop(wait);
        drop(second.usage.wait());
        assert!(Arc::ptr_eq(&pool.current(late).usage, &second.usage));
    }
}
