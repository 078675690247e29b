//! What everybody is told while messages cannot be stored: `/health/ready` all
//! the time, the log once. Some connections may work while others do not, so
//! that the database seems to go and come several times a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flow::Failed;
use super::sampler::Sampler;
use crate::metrics::Metrics;
use crate::store::StoreError;

/// What was told of the database.
pub(super) struct Trouble {
    metrics: Arc<Metrics>,
    unavailable: Sampler,
    refused: Sampler,
    alone: Sampler,
    too_slow: Sampler,
    /// The log says that it is away, and not yet that it is back.
    told: Option<Told>,
}

/// From what ends by itself to what does not; none is less than both.
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
            unavailable: Sampler::default(),
            refused: Sampler::default(),
            alone: Sampler::default(),
            too_slow: Sampler::default(),
            told: None,
        }
    }

    /// Batches are not stored; what that means, unless their writer was given up.
    pub(super) fn failed(&mut self, failed: Option<Failed>, error: &StoreError, now: Instant) {
        if failed == Some(Failed::Alone) {
            if let Some(left_out) = self.alone.admit(now) {
                log::error!(
                    "messages that waited on disk cannot be stored just now: {error} ({left_out} such failures since the last such line)"
                );
            }
            return;
        }
        let (news, sampler) = match error {
            StoreError::Unavailable(_) => (Told::Unavailable, &self.unavailable),
            StoreError::Refused(_) => (Told::Refused, &self.refused),
        };
        if self.told < Some(news)
            && let Some(left_out) = sampler.admit(now)
        {
            log::error!(
                "messages cannot be stored and go to disk: {error} ({left_out} such failures since the last such line)"
            );
            self.told = Some(news);
        }
        self.show(&error.to_string());
    }

    /// Batches are stored; how long none could be, if it was so.
    pub(super) fn stored(&mut self, away: Option<Duration>) {
        if let Some(away) = away
            && self.told.take().is_some()
        {
            log::info!("the database is back after {:.1} s", away.as_secs_f64());
        }
        self.metrics.database_up.set(1);
        self.metrics.set_trouble(None);
    }

    /// No writer has been free for long.
    pub(super) fn stuck(&self) {
        self.show("all writers wait for the database");
    }

    /// Sockets have waited for room.
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

    /// What was told after each of these errors, a second between them, when
    /// messages are stored after each `None`.
    fn told(errors: &[Option<StoreError>]) -> Vec<Option<Told>> {
        let start = Instant::now();
        let mut trouble = Trouble::new(Arc::new(Metrics::new().unwrap()));
        let mut told = Vec::new();
        for (error, second) in errors.iter().zip(0..) {
            let now = start + Duration::from_secs(second);
            match error {
                Some(error) => trouble.failed(Some(Failed::Away), error, now),
                None => trouble.stored(Some(Duration::from_secs(1))),
            }
            told.push(trouble.told);
        }
        told
    }

    #[test]
    fn worse_is_told_at_once_and_what_goes_and_comes_is_not_told_each_time() {
        let away = || Some(StoreError::Unavailable(String::new()));
        let refused = || Some(StoreError::Refused(String::new()));
        let both = [Some(Told::Unavailable), Some(Told::Refused)];
        assert_eq!(
            told(&[away(), refused(), away(), None]),
            [both[0], both[1], both[1], None]
        );
        let mut often = vec![away(), None, away()];
        assert_eq!(told(&often), [both[0], None, None]);
        often.extend((0..10).map(|_| away()));
        assert_eq!(told(&often).last(), Some(&both[0]), "it lasts");
    }
}
