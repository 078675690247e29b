//! What everybody is told while messages cannot be stored: `/health/ready` all
//! the time, the log once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flow::Failed;
use super::sampler::Sampler;
use crate::database::DatabaseError;
use crate::metrics::Metrics;

/// Without a failure for so long, the database is back. Some connections may work
/// while others do not: then it goes and comes several times a second.
const CALM: Duration = Duration::from_secs(10);

/// What was told of the database.
pub(super) struct Trouble {
    metrics: Arc<Metrics>,
    outage: Option<Outage>,
    alone: Sampler,
    too_slow: Sampler,
}

/// The log says that the database is away, and not yet that it is back.
#[derive(Debug)]
struct Outage {
    told: Told,
    /// The first failure and the last.
    first: Instant,
    last: Instant,
}

/// From what ends by itself to what does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Unavailable,
    Refused,
}

impl Trouble {
    /// None yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            outage: None,
            alone: Sampler::default(),
            too_slow: Sampler::default(),
        }
    }

    /// Batches are not stored; what that means, unless their writer was given up.
    pub(super) fn failed(&mut self, failed: Option<Failed>, error: &DatabaseError, now: Instant) {
        if failed == Some(Failed::Alone) {
            if let Some(left_out) = self.alone.admit(now) {
                log::error!(
                    "messages that waited on disk cannot be stored just now: {error} ({left_out} such failures since the last such line)"
                );
            }
            return;
        }
        let news = match error {
            DatabaseError::Unavailable(_) => Told::Unavailable,
            DatabaseError::Refused(_) => Told::Refused,
        };
        let known = self.outage.as_ref().map(|outage| outage.told);
        if known < Some(news) {
            log::error!("messages cannot be stored and go to disk: {error}");
        }
        let first = self.outage.as_ref().map_or(now, |outage| outage.first);
        self.outage = Some(Outage {
            told: known.map_or(news, |known| known.max(news)),
            first,
            last: now,
        });
        self.show(&error.to_string());
    }

    /// Batches are stored.
    pub(super) fn stored(&mut self, now: Instant) {
        let is_over = |outage: &mut Outage| now.saturating_duration_since(outage.last) >= CALM;
        if let Some(outage) = self.outage.take_if(is_over) {
            log::info!(
                "the database is back: nothing has failed for {:.0} s; it was away for {:.1} s",
                now.duration_since(outage.last).as_secs_f64(),
                outage.last.duration_since(outage.first).as_secs_f64()
            );
        }
        self.metrics.database_up.set(1);
        self.metrics.set_trouble(None);
    }

    /// No writer has been free for long.
    pub(super) fn stuck(&self) {
        self.show("all writers wait for the database");
    }

    /// Sockets have waited for the memory budget.
    pub(super) fn too_slow(&self, now: Instant) {
        if let Some(left_out) = self.too_slow.admit(now) {
            log::warn!(
                "messages come faster than the database stores them, and go to disk too ({left_out} such moments since the last such line)"
            );
        }
    }

    fn show(&self, trouble: &str) {
        self.metrics.database_up.set(0);
        self.metrics.set_trouble(Some(trouble.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the log says after each of these errors, a second between them, when
    /// messages are stored after each `None`.
    fn told(errors: &[Option<DatabaseError>]) -> Vec<Option<Told>> {
        let start = Instant::now();
        let mut trouble = Trouble::new(Arc::new(Metrics::new().unwrap()));
        let mut told = Vec::new();
        for (error, second) in errors.iter().zip(0..) {
            let now = start + Duration::from_secs(second);
            match error {
                Some(error) => trouble.failed(Some(Failed::Away), error, now),
                None => trouble.stored(now),
            }
            told.push(trouble.outage.as_ref().map(|outage| outage.told));
        }
        told
    }

    #[test]
    fn worse_is_told_at_once_and_better_when_it_lasts() {
        let away = || Some(DatabaseError::Unavailable(String::new()));
        let refused = || Some(DatabaseError::Refused(String::new()));
        let (unavailable, worse) = (Some(Told::Unavailable), Some(Told::Refused));
        assert_eq!(
            told(&[None, away(), refused(), away()]),
            [None, unavailable, worse, worse]
        );
        let mut comes_and_goes: Vec<_> = (0..30).flat_map(|_| [away(), None]).collect();
        assert_eq!(told(&comes_and_goes), [unavailable; 60]);
        comes_and_goes.extend([const { None }; 9]);
        assert_eq!(told(&comes_and_goes).last(), Some(&None));
    }
}
