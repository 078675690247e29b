//! Whether messages can be stored: shown by `/health` for as long as they
//! can't, logged once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dispatch::Failure;
use super::sampler::Sampler;
use crate::database::DatabaseError;
use crate::metrics::Metrics;

/// An outage is over after this long without a failure: while some connections work
/// and others do not, writes succeed and fail several times a second.
const RECOVERY_TIME: Duration = Duration::from_secs(10);

/// Tracks failures of writes.
pub(super) struct StorageHealth {
    metrics: Arc<Metrics>,
    /// What becomes of messages instead.
    instead: &'static str,
    outage: Option<Outage>,
    batch_only: Sampler,
    too_slow: Sampler,
}

/// An outage whose beginning was logged, and whose end was not.
#[derive(Debug)]
struct Outage {
    logged: Severity,
    /// The first failure and the last.
    first: Instant,
    last: Instant,
}

/// In increasing order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// Ends by itself.
    Unavailable,
    /// Needs an operator.
    Refused,
}

/// What becomes of messages that cannot be stored.
pub fn instead_of_storing(has_spool: bool) -> &'static str {
    if has_spool {
        "go to disk"
    } else {
        "are lost once the memory is full, for SPOOL_MAX_BYTES is 0"
    }
}

impl StorageHealth {
    /// No failure yet.
    pub(super) fn new(metrics: Arc<Metrics>, has_spool: bool) -> Self {
        Self {
            metrics,
            instead: instead_of_storing(has_spool),
            outage: None,
            batch_only: Sampler::default(),
            too_slow: Sampler::default(),
        }
    }

    /// Batches are not stored; `failed` is none if their writer was replaced before.
    pub(super) fn failed(&mut self, failed: Option<Failure>, error: &DatabaseError, now: Instant) {
        if failed == Some(Failure::BatchOnly) {
            if let Some(left_out) = self.batch_only.admit(now) {
                log::error!(
                    "batches from the spool cannot be stored now: {error} ({left_out} such failures since the last such line)"
                );
            }
            return;
        }
        let severity = match error {
            DatabaseError::Unavailable(_) => Severity::Unavailable,
            DatabaseError::Refused(_) => Severity::Refused,
        };
        let logged = self.outage.as_ref().map(|outage| outage.logged);
        if logged < Some(severity) {
            log::error!("messages cannot be stored and {}: {error}", self.instead);
        }
        let first = self.outage.as_ref().map_or(now, |outage| outage.first);
        self.outage = Some(Outage {
            logged: logged.map_or(severity, |logged| logged.max(severity)),
            first,
            last: now,
        });
        self.report(&error.public_text());
    }

    /// Batches are stored.
    pub(super) fn stored(&mut self, now: Instant) {
        let is_over =
            |outage: &mut Outage| now.saturating_duration_since(outage.last) >= RECOVERY_TIME;
        if let Some(outage) = self.outage.take_if(is_over) {
            log::info!(
                "the database is back: no write has failed for {:.0} s; the outage took {:.1} s",
                now.duration_since(outage.last).as_secs_f64(),
                outage.last.duration_since(outage.first).as_secs_f64()
            );
        }
        self.metrics.database_up.set(1);
        self.metrics.set_trouble(None);
    }

    /// All writers have been busy for too long.
    pub(super) fn stalled(&self) {
        self.report("all writers wait for the database");
    }

    /// Sockets have waited for the memory budget.
    pub(super) fn too_slow(&self, now: Instant) {
        if let Some(left_out) = self.too_slow.admit(now) {
            log::warn!(
                "messages arrive faster than the database stores them: some {} ({left_out} such moments since the last such line)",
                self.instead
            );
        }
    }

    fn report(&self, problem: &str) {
        self.metrics.database_up.set(0);
        self.metrics.set_trouble(Some(problem.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged after each of these errors, one a second; `None` is a success.
    fn logged(errors: &[Option<DatabaseError>]) -> Vec<Option<Severity>> {
        let start = Instant::now();
        let mut health = StorageHealth::new(Arc::new(Metrics::new().unwrap()), true);
        let mut logged = Vec::new();
        for (error, second) in errors.iter().zip(0..) {
            let now = start + Duration::from_secs(second);
            match error {
                Some(error) => health.failed(Some(Failure::Outage), error, now),
                None => health.stored(now),
            }
            logged.push(health.outage.as_ref().map(|outage| outage.logged));
        }
        logged
    }

    #[test]
    fn a_worse_state_is_logged_at_once_and_a_recovery_when_it_lasts() {
        let unavailable_error = || Some(DatabaseError::Unavailable(String::new()));
        let refused_error = || Some(DatabaseError::Refused(String::new()));
        let (unavailable, refused) = (Some(Severity::Unavailable), Some(Severity::Refused));
        assert_eq!(
            logged(&[
                None,
                unavailable_error(),
                refused_error(),
                unavailable_error()
            ]),
            [None, unavailable, refused, refused]
        );
        let mut comes_and_goes: Vec<_> =
            (0..30).flat_map(|_| [unavailable_error(), None]).collect();
        assert_eq!(logged(&comes_and_goes), [unavailable; 60]);
        comes_and_goes.extend([const { None }; 9]);
        assert_eq!(logged(&comes_and_goes).last(), Some(&None));
    }
}
