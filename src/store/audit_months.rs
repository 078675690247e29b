//! Makes the partition of a month with the first message from `/audit`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::partitions::{self, Partition};
use crate::database::Connection;

/// Pause after a failure, which mostly means that a long read holds a lock. Messages go
/// to the default partition meanwhile, from which retention takes them.
const RETRY_WAIT: Duration = Duration::from_secs(10);

/// The months that have a partition, as far as this server has seen.
#[derive(Debug, Default)]
pub struct AuditMonths {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    starts: HashSet<DateTime<Utc>>,
    retry_at: Option<Instant>,
}

impl AuditMonths {
    /// Makes the partition for messages that arrived at `at`, unless it is there.
    pub(super) fn prepare(&self, conn: &mut Connection, at: DateTime<Utc>) {
        let start = partitions::month(at).start;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = known.retry_at.is_some_and(|at| Instant::now() < at);
        if waits || known.starts.contains(&start) {
            return;
        }
        match conn.transaction(|conn| make(conn, at)) {
            Ok(()) => {
                known.retry_at = None;
                known.starts.insert(start);
            }
            Err(error) => {
                log::warn!("the partition of /audit for {start} is not there yet: {error}");
                known.retry_at = Some(Instant::now() + RETRY_WAIT);
            }
        }
    }
}

fn make(conn: &mut PgConnection, at: DateTime<Utc>) -> QueryResult<()> {
    let month = partitions::month(at);
    let existing = partitions::list(conn)?;
    let audit: Vec<&Partition> = existing.iter().filter(|one| one.audit).collect();
    let gaps = partitions::gaps(&audit, month.start, month.end, partitions::month);
    // Partitions of days, of versions before, may cover other parts of the month.
    let gap = gaps.into_iter().find(|gap| gap.start <= at && at < gap.end);
    if let Some(gap) = gap {
        partitions::create(conn, true, gap)?;
    }
    Ok(())
}
