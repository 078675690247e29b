//! Limits of a query of several statements.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::QueryError;
use crate::config::Config;
use crate::messages::Window;

/// The same for all queries.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// When it began.
    pub now: DateTime<Utc>,
    /// How long its statements may take altogether.
    pub time_max: Duration,
    /// Longest span of messages of one statement, so that it locks few partitions.
    pub window_max: TimeDelta,
}

impl Limits {
    /// Those of `config`, for a query that begins now.
    pub fn new(config: &Config) -> Self {
        let width = TimeDelta::from_std(config.retention.partition_width);
        let width = width.unwrap_or(WINDOW_MAX).min(WINDOW_MAX);
        Self {
            now: Utc::now(),
            time_max: config.store.statement_timeout,
            window_max: Window::length_max(width).min(WINDOW_MAX),
        }
    }

    /// The time begins.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline {
            since: Instant::now(),
            time_max: self.time_max,
        }
    }
}

/// However wide partitions are: keeps the rows of one statement in bounds.
pub(super) const WINDOW_MAX: TimeDelta = TimeDelta::days(30);

/// When the statements of a query have to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    since: Instant,
    time_max: Duration,
}

impl Deadline {
    /// Before each statement; `advice` says what takes so long, and what helps.
    pub(super) fn check(&self, advice: &str) -> Result<(), QueryError> {
        if self.since.elapsed() > self.time_max {
            return Err(QueryError::Unavailable(advice.to_owned()));
        }
        Ok(())
    }
}
