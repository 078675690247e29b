//! The state of this server that decisions depend on. Metrics only observe it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is open, and what waits on disk.
#[derive(Debug)]
pub struct ServerState {
    /// Telemetry connections, at most `CONNECTIONS_MAX`.
    pub telemetry: Permits,
    /// Connections to the live feed, at most `FEED_CONNECTIONS_MAX`.
    pub feed: Permits,
    spooled_batches: AtomicUsize,
    spool_takes: AtomicBool,
    delayed_at: Mutex<Option<Instant>>,
    database_answered_at: Mutex<Option<Instant>>,
}

/// A number of permits; each is given back when it is dropped.
#[derive(Debug)]
pub struct Permits {
    free: Arc<Semaphore>,
    max: usize,
}

/// One of [`Permits`].
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl ServerState {
    /// Nothing is open yet.
    pub fn new(telemetry_max: usize, feed_max: usize) -> Self {
        Self {
            telemetry: Permits::new(telemetry_max),
            feed: Permits::new(feed_max),
            spooled_batches: AtomicUsize::new(0),
            spool_takes: AtomicBool::new(false),
            delayed_at: Mutex::default(),
            database_answered_at: Mutex::default(),
        }
    }

    /// So many batches are in the spool.
    pub fn set_spooled_batches(&self, batches: usize) {
        self.spooled_batches.store(batches, Ordering::Release);
    }

    /// Whether the spool takes batches: it has room, and its disk works.
    pub fn set_spool_takes(&self, takes: bool) {
        self.spool_takes.store(takes, Ordering::Release);
    }

    /// As [`Self::set_spool_takes`] said last.
    pub fn spool_takes(&self) -> bool {
        self.spool_takes.load(Ordering::Acquire)
    }

    /// Messages cannot be stored at once, now.
    pub fn set_delayed(&self, now: Instant) {
        let delayed_at = self.delayed_at.lock();
        *delayed_at.unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// How long ago messages last could not be stored at once; none if all could.
    pub fn delayed_ago(&self) -> Option<Duration> {
        let delayed_at = self.delayed_at.lock();
        let delayed_at = delayed_at.unwrap_or_else(PoisonError::into_inner);
        Some(delayed_at.as_ref()?.elapsed())
    }

    /// The database has answered, now: it does so each second.
    pub fn set_database_answered(&self, now: Instant) {
        let answered_at = self.database_answered_at.lock();
        *answered_at.unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// How long ago the database answered last; none if it never did.
    pub fn database_answered_ago(&self) -> Option<Duration> {
        let answered_at = self.database_answered_at.lock();
        let answered_at = answered_at.unwrap_or_else(PoisonError::into_inner);
        Some(answered_at.as_ref()?.elapsed())
    }

    /// Whether messages wait in the spool that belong into the database.
    pub fn has_spooled(&self) -> bool {
        self.spooled_batches.load(Ordering::Acquire) > 0
    }
}

impl Permits {
    fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    /// A permit, if one is free.
    pub fn acquire(&self) -> Option<Permit> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Permit { _permit: permit })
    }

    /// Permits that are in use.
    pub fn in_use(&self) -> usize {
        self.max.saturating_sub(self.free.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_remembered() {
        let state = ServerState::new(1, 1);
        assert_eq!(state.delayed_ago(), None);
        state.set_delayed(Instant::now());
        assert!(state.delayed_ago().is_some());
    }

    #[test]
    fn a_permit_is_free_again_when_it_is_dropped() {
        let state = ServerState::new(usize::MAX, 1);
        let permit = state.feed.acquire();
        assert!(permit.is_some() && state.feed.acquire().is_none());
        assert_eq!((state.feed.in_use(), state.telemetry.in_use()), (1, 0));
        drop(permit);
        assert_eq!(state.feed.in_use(), 0);
        assert!(state.feed.acquire().is_some() && state.telemetry.acquire().is_some());
    }
}
