//! The room for messages in memory, in rows and bytes: the one bound of the
//! whole pipeline.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::config::IngestConfig;
use crate::metrics::Metrics;

/// Part of the room that is kept for messages by which nodes introduce
/// themselves: without them nobody knows whose the others are.
const RESERVE: usize = 16;

/// Rows and bytes that may be in memory, and how many are.
#[derive(Debug)]
pub struct Room {
    rows: Semaphore,
    bytes: Semaphore,
    reserve: Semaphore,
    metrics: Arc<Metrics>,
}

/// A share of the room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Messages.
    pub rows: usize,
    /// Bytes, sessions included.
    pub bytes: usize,
    /// Taken from the reserve.
    pub reserved: bool,
}

impl Room {
    /// Empty room of the size that the settings give.
    pub fn new(config: &IngestConfig, metrics: Arc<Metrics>) -> Self {
        let rows = config.queue_rows_max.min(Semaphore::MAX_PERMITS);
        let bytes = config.queue_bytes_max.min(Semaphore::MAX_PERMITS);
        metrics.queue_rows_max.set(signed(rows));
        metrics.queue_bytes_max.set(signed(bytes));
        Self {
            rows: Semaphore::new(rows),
            bytes: Semaphore::new(bytes),
            reserve: Semaphore::new(bytes / RESERVE),
            metrics,
        }
    }

    /// Takes a share at once, if there is room.
    pub fn try_take(&self, share: Share) -> bool {
        let (rows, bytes) = permits(share);
        let Ok(row_permit) = self.rows.try_acquire_many(rows) else {
            return false;
        };
        let Ok(byte_permit) = self.bytes.try_acquire_many(bytes) else {
            return false;
        };
        row_permit.forget();
        byte_permit.forget();
        self.count(share);
        true
    }

    /// Takes a share of the reserve, if there is room in it.
    pub fn try_take_reserve(&self, mut share: Share) -> Option<Share> {
        let (_rows, bytes) = permits(share);
        self.reserve.try_acquire_many(bytes).ok()?.forget();
        share.reserved = true;
        self.count(share);
        Some(share)
    }

    /// Takes a share, waiting for at most `patience`, and says so after half of
    /// it; sockets are served in the order in which they came. Returns whether
    /// there was room.
    pub async fn take(&self, share: Share, patience: Duration, after_half: impl FnOnce()) -> bool {
        let started_at = Instant::now();
        let mut waiting = pin!(self.wait_for(share));
        let mut taken = tokio::time::timeout(patience / 2, &mut waiting).await;
        if taken.is_err() {
            after_half();
            taken = tokio::time::timeout(patience / 2, waiting).await;
        }
        let waited = started_at.elapsed().as_secs_f64();
        self.metrics.hold_back_seconds.observe(waited);
        taken.unwrap_or(false)
    }

    async fn wait_for(&self, share: Share) -> bool {
        let (rows, bytes) = permits(share);
        let Ok(row_permit) = self.rows.acquire_many(rows).await else {
            return false;
        };
        let Ok(byte_permit) = self.bytes.acquire_many(bytes).await else {
            return false;
        };
        row_permit.forget();
        byte_permit.forget();
        self.count(share);
        true
    }

    /// Gives a share back.
    pub fn give_back(&self, share: Share) {
        let (rows, bytes) = permits(share);
        let (rows, bytes) = (
            usize::try_from(rows).unwrap_or(0),
            usize::try_from(bytes).unwrap_or(0),
        );
        if share.reserved {
            self.reserve.add_permits(bytes);
        } else {
            self.rows.add_permits(rows);
            self.bytes.add_permits(bytes);
        }
        self.metrics.queue_rows.sub(signed(share.rows));
        self.metrics.queue_bytes.sub(signed(share.bytes));
    }

    fn count(&self, share: Share) {
        self.metrics.queue_rows.add(signed(share.rows));
        self.metrics.queue_bytes.add(signed(share.bytes));
    }
}

/// A share comes from one read of a socket, which is far below 4 GiB.
fn permits(share: Share) -> (u32, u32) {
    let permits = |amount: usize| u32::try_from(amount).unwrap_or(u32::MAX);
    (permits(share.rows), permits(share.bytes))
}

pub(super) fn signed(amount: usize) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn share(rows: usize, bytes: usize) -> Share {
        Share {
            rows,
            bytes,
            reserved: false,
        }
    }

    fn room(rows: usize, bytes: usize) -> Room {
        let mut config = Config::from_lookup(&|_| None).unwrap().ingest;
        config.queue_rows_max = rows;
        config.queue_bytes_max = bytes;
        Room::new(&config, Arc::new(Metrics::new().unwrap()))
    }

    #[test]
    fn room_ends_at_rows_and_at_bytes() {
        let room = room(10, 100);
        assert!(room.try_take(share(9, 50)));
        assert!(!room.try_take(share(2, 1)));
        assert!(!room.try_take(share(1, 51)));
        assert!(room.try_take(share(1, 50)));
        room.give_back(share(9, 50));
        assert!(room.try_take(share(9, 50)));
        assert_eq!(room.metrics.queue_rows.get(), 10);
        assert_eq!(room.metrics.queue_bytes.get(), 100);
    }

    #[test]
    fn introductions_find_room_when_there_is_no_other() {
        let room = room(1, 1_600);
        assert!(room.try_take(share(1, 1_600)));
        assert!(!room.try_take(share(1, 1)));
        let taken = room.try_take_reserve(share(1, 100)).unwrap();
        assert!(room.try_take_reserve(share(1, 1)).is_none());
        room.give_back(taken);
        assert!(room.try_take_reserve(share(1, 1)).is_some());
        assert!(!room.try_take(share(1, 1)));
    }

    #[actix::test]
    async fn waiting_ends_with_room_or_with_patience() {
        let room = Arc::new(room(1, 10));
        let share = share(1, 10);
        let unheard = || panic!("there is room");
        assert!(room.take(share, Duration::ZERO, unheard).await);
        let mut is_told = false;
        let patience = Duration::from_millis(5);
        assert!(!room.take(share, patience, || is_told = true).await);
        assert!(is_told);
        let (tell, told) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn({
            let room = room.clone();
            let tell = || tell.send(()).unwrap();
            async move { room.take(share, Duration::from_millis(100), tell).await }
        });
        told.await.unwrap();
        room.give_back(share);
        assert!(waiting.await.unwrap(), "it has kept its place");
    }
}
