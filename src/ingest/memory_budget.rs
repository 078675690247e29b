//! The memory budget for messages, in rows and bytes: the one limit on what the
//! pipeline holds in memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::config::IngestConfig;
use crate::metrics::Metrics;

/// Fraction of the budget, on top of it, for sessions and `system.connected`:
/// without them the other messages could not be assigned to a node.
const PRIORITY_FRACTION: usize = 16;

/// Rows and bytes that may be in memory, and how many are.
#[derive(Debug)]
pub struct MemoryBudget {
    rows: Semaphore,
    bytes: Semaphore,
    priority_bytes: Semaphore,
    rows_max: usize,
    bytes_max: usize,
    metrics: Arc<Metrics>,
}

/// A reserved part of the budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reservation {
    /// Messages.
    pub rows: usize,
    /// Bytes, sessions included.
    pub bytes: usize,
    /// Taken from the priority part.
    pub is_priority: bool,
}

impl MemoryBudget {
    /// A budget of `QUEUE_ROWS_MAX` and `QUEUE_BYTES_MAX`, nothing reserved.
    pub fn new(config: &IngestConfig, metrics: Arc<Metrics>) -> Self {
        let rows = config.queue_rows_max.min(Semaphore::MAX_PERMITS);
        let bytes = config.queue_bytes_max.min(Semaphore::MAX_PERMITS);
        metrics.queue_rows_max.set(signed(rows));
        metrics.queue_bytes_max.set(signed(bytes));
        Self {
            rows: Semaphore::new(rows),
            bytes: Semaphore::new(bytes),
            priority_bytes: Semaphore::new(bytes / PRIORITY_FRACTION),
            rows_max: rows,
            bytes_max: bytes,
            metrics,
        }
    }

    /// Whether more than `PRIORITY_FRACTION` of it is free: with less, what a socket
    /// reads at once may not fit.
    pub fn has_room(&self) -> bool {
        let is_free =
            |free: &Semaphore, max: usize| free.available_permits() > max / PRIORITY_FRACTION;
        is_free(&self.rows, self.rows_max) && is_free(&self.bytes, self.bytes_max)
    }

    /// Reserves without waiting; false if the budget is exhausted.
    pub fn try_reserve(&self, reservation: Reservation) -> bool {
        let (rows, bytes) = permits(reservation);
        let Ok(row_permit) = self.rows.try_acquire_many(rows) else {
            return false;
        };
        let Ok(byte_permit) = self.bytes.try_acquire_many(bytes) else {
            return false;
        };
        row_permit.forget();
        byte_permit.forget();
        self.count(reservation);
        true
    }

    /// Reserves from the priority part without waiting.
    pub fn try_reserve_priority(&self, mut reservation: Reservation) -> Option<Reservation> {
        let (_rows, bytes) = permits(reservation);
        self.priority_bytes.try_acquire_many(bytes).ok()?.forget();
        reservation.is_priority = true;
        self.count(reservation);
        Some(reservation)
    }

    /// Reserves, waiting for at most `timeout`, and calls `on_half` after half of
    /// it. Sockets are served in the order of their calls. False if it timed out.
    pub async fn reserve(
        &self,
        reservation: Reservation,
        timeout: Duration,
        on_half: impl FnOnce(),
    ) -> bool {
        let started_at = Instant::now();
        let mut waiting = pin!(self.wait_for(reservation));
        let mut reserved = tokio::time::timeout(timeout / 2, &mut waiting).await;
        if reserved.is_err() {
            on_half();
            reserved = tokio::time::timeout(timeout / 2, waiting).await;
        }
        let waited = started_at.elapsed().as_secs_f64();
        self.metrics.hold_back_seconds.observe(waited);
        reserved.unwrap_or(false)
    }

    /// Reserves, however long it takes. False if there is no budget any more.
    pub async fn wait_for(&self, reservation: Reservation) -> bool {
        let (rows, bytes) = permits(reservation);
        let Ok(row_permit) = self.rows.acquire_many(rows).await else {
            return false;
        };
        let Ok(byte_permit) = self.bytes.acquire_many(bytes).await else {
            return false;
        };
        row_permit.forget();
        byte_permit.forget();
        self.count(reservation);
        true
    }

    /// Releases a reservation.
    pub fn release(&self, reservation: Reservation) {
        let (rows, bytes) = permits(reservation);
        let (rows, bytes) = (
            usize::try_from(rows).unwrap_or(0),
            usize::try_from(bytes).unwrap_or(0),
        );
        if reservation.is_priority {
            self.priority_bytes.add_permits(bytes);
        } else {
            self.rows.add_permits(rows);
            self.bytes.add_permits(bytes);
        }
        self.metrics.queue_rows.sub(signed(reservation.rows));
        self.metrics.queue_bytes.sub(signed(reservation.bytes));
    }

    fn count(&self, reservation: Reservation) {
        self.metrics.queue_rows.add(signed(reservation.rows));
        self.metrics.queue_bytes.add(signed(reservation.bytes));
    }
}

/// A reservation covers one read of a socket, which is far below 4 GiB.
fn permits(reservation: Reservation) -> (u32, u32) {
    let permits = |amount: usize| u32::try_from(amount).unwrap_or(u32::MAX);
    (permits(reservation.rows), permits(reservation.bytes))
}

pub(super) fn signed(amount: usize) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn reservation(rows: usize, bytes: usize) -> Reservation {
        Reservation {
            rows,
            bytes,
            is_priority: false,
        }
    }

    fn budget(rows: usize, bytes: usize) -> MemoryBudget {
        let mut config = Config::from_lookup(&|_| None).unwrap().ingest;
        config.queue_rows_max = rows;
        config.queue_bytes_max = bytes;
        MemoryBudget::new(&config, Arc::new(Metrics::new().unwrap()))
    }

    #[test]
    fn the_budget_ends_at_rows_and_at_bytes() {
        let budget = budget(10, 100);
        assert!(budget.try_reserve(reservation(9, 50)));
        assert!(!budget.try_reserve(reservation(2, 1)));
        assert!(!budget.try_reserve(reservation(1, 51)));
        assert!(budget.try_reserve(reservation(1, 50)));
        budget.release(reservation(9, 50));
        assert!(budget.try_reserve(reservation(9, 50)));
        assert_eq!(budget.metrics.queue_rows.get(), 10);
        assert_eq!(budget.metrics.queue_bytes.get(), 100);
    }

    #[test]
    fn the_priority_part_is_left_when_the_budget_is_exhausted() {
        let budget = budget(1, 1_600);
        assert!(budget.try_reserve(reservation(1, 1_600)));
        assert!(!budget.try_reserve(reservation(1, 1)));
        let reserved = budget.try_reserve_priority(reservation(1, 100)).unwrap();
        assert!(budget.try_reserve_priority(reservation(1, 1)).is_none());
        budget.release(reserved);
        assert!(budget.try_reserve_priority(reservation(1, 1)).is_some());
        assert!(!budget.try_reserve(reservation(1, 1)));
    }

    #[actix::test]
    async fn waiting_ends_with_a_reservation_or_a_timeout() {
        let budget = Arc::new(budget(1, 10));
        let reservation = reservation(1, 10);
        let unused = || panic!("the budget is free");
        assert!(budget.reserve(reservation, Duration::ZERO, unused).await);
        let mut is_called = false;
        let timeout = Duration::from_millis(5);
        assert!(
            !budget
                .reserve(reservation, timeout, || is_called = true)
                .await
        );
        assert!(is_called);
        let (half, reached) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            let on_half = || half.send(()).unwrap();
            let timeout = Duration::from_millis(100);
            async move { budget.reserve(reservation, timeout, on_half).await }
        });
        reached.await.unwrap();
        budget.release(reservation);
        assert!(waiting.await.unwrap(), "it kept its turn");
    }
}
