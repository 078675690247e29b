//! A pool of connections that gets over those that hang: who waits for an
//! answer that was lost on its way waits in a call that cannot be ended, and
//! would keep a place in the pool for good.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, HandleEvent, NopErrorHandler, Pool, PooledConnection,
    State,
    event::{CheckinEvent, CheckoutEvent},
};

use super::StoreError;

/// A pooled connection.
pub type Connection = PooledConnection<ConnectionManager<PgConnection>>;

/// What a lane is for, and its limits.
#[derive(Debug, Clone)]
pub(super) struct LaneOptions {
    pub(super) what_for: &'static str,
    pub(super) url: String,
    /// Statements that every new connection begins with.
    pub(super) settings: String,
    pub(super) size: u32,
    /// How long to wait for a free connection.
    pub(super) wait_max: Duration,
    /// Whoever waits for a connection and uses it for longer counts as lost,
    /// and all connections are replaced. Whoever is only slow is not disturbed.
    pub(super) busy_max: Duration,
}

/// The pool, which is replaced when one of its connections does not come back.
#[derive(Debug)]
pub(super) struct Lane {
    options: LaneOptions,
    current: Mutex<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    pool: Pool<ConnectionManager<PgConnection>>,
    busy: Arc<Busy>,
}

/// Since when connections are waited for or used.
#[derive(Debug, Default)]
struct Busy {
    since: Mutex<BTreeMap<Use, Instant>>,
    next_call: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Somebody waits for a connection, which is tested before he gets it; or
    /// one is being made.
    Call(u64),
    /// A connection is used.
    Connection(u64),
}

/// Ends with a call.
struct Call<'a> {
    busy: &'a Busy,
    number: u64,
}

impl Lane {
    /// Connections are made when they are first needed.
    pub(super) fn new(options: LaneOptions) -> Self {
        Self {
            current: Mutex::new(Current::open(&options)),
            options,
        }
    }

    /// A connection, or why there is none.
    pub(super) fn get(&self) -> Result<Connection, StoreError> {
        let current = self.current(Instant::now());
        let _call = current.busy.call();
        let connection = current.pool.get();
        connection.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    pub(super) fn state(&self) -> State {
        lock(&self.current).pool.state()
    }

    pub(super) fn options(&self) -> &LaneOptions {
        &self.options
    }

    fn current(&self, now: Instant) -> Current {
        let mut current = lock(&self.current);
        let busy_since = lock(&current.busy.since).values().min().copied();
        let is_lost =
            busy_since.is_some_and(|since| now.duration_since(since) > self.options.busy_max);
        if is_lost {
            log::warn!(
                "a connection for {} has been busy for more than {} s: all are replaced",
                self.options.what_for,
                self.options.busy_max.as_secs()
            );
            *current = Current::open(&self.options);
        }
        current.clone()
    }
}

impl Current {
    fn open(options: &LaneOptions) -> Self {
        let busy = Arc::new(Busy::default());
        let begin = Begin {
            settings: options.settings.clone(),
            busy: busy.clone(),
        };
        let pool = Pool::builder()
            .max_size(options.size)
            .min_idle(Some(0))
            .idle_timeout(Some(Duration::from_secs(300)))
            .connection_timeout(options.wait_max)
            .connection_customizer(Box::new(begin))
            // Whoever asked is told, and logs it.
            .error_handler(Box::new(NopErrorHandler))
            .event_handler(Box::new(Watch(busy.clone())))
            .build_unchecked(ConnectionManager::new(&options.url));
        Self { pool, busy }
    }
}

impl Busy {
    fn call(&self) -> Call<'_> {
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        lock(&self.since).insert(Use::Call(number), Instant::now());
        Call { busy: self, number }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        lock(&self.busy.since).remove(&Use::Call(self.number));
    }
}

/// Begins a new connection with the settings of the lane.
#[derive(Debug)]
struct Begin {
    settings: String,
    busy: Arc<Busy>,
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Begin {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let _call = self.busy.call();
        conn.batch_execute(&self.settings)
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

/// Keeps [`Busy`] up to date.
#[derive(Debug)]
struct Watch(Arc<Busy>);

impl HandleEvent for Watch {
    fn handle_checkout(&self, event: CheckoutEvent) {
        lock(&self.0.since).insert(Use::Connection(event.connection_id()), Instant::now());
    }

    fn handle_checkin(&self, event: CheckinEvent) {
        lock(&self.0.since).remove(&Use::Connection(event.connection_id()));
    }
}

/// What is behind these locks is whole also if somebody panicked with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_replaced_when_somebody_waits_for_too_long() {
        let busy_max = Duration::from_secs(10);
        let lane = Lane::new(LaneOptions {
            what_for: "tests",
            url: String::new(),
            settings: String::new(),
            size: 1,
            wait_max: Duration::from_secs(1),
            busy_max,
        });
        let start = Instant::now();
        let first = lane.current(start);
        let call = first.busy.call();
        assert!(Arc::ptr_eq(
            &lane.current(start + busy_max).busy,
            &first.busy
        ));
        let late = Instant::now() + busy_max * 2;
        let second = lane.current(late);
        assert!(!Arc::ptr_eq(&second.busy, &first.busy));
        assert!(Arc::ptr_eq(&lane.current(late).busy, &second.busy));
        // Who comes back in time, or after all, changes nothing.
        drop(call);
        drop(second.busy.call());
        assert!(Arc::ptr_eq(&lane.current(late).busy, &second.busy));
    }
}
