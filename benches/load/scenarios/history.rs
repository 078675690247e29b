//! Days of messages from the past, made in the database itself.

use chrono::{DateTime, Days, NaiveTime, Utc};

use crate::Outcome;
use crate::database::Database;

const SEED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/load/scenarios/seed_day.sql"
);

/// Nodes that sent the messages.
pub(super) const NODES: u64 = 1_000;
/// Messages of a day.
pub(super) const DAY_MESSAGES: u64 = 1_000_000;

/// A day in UTC, as far as it is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) start: DateTime<Utc>,
    /// Midnight after it.
    next: DateTime<Utc>,
}

impl Day {
    /// The day that began so many days before today.
    pub(super) fn ago(days: u64) -> Self {
        let midnight = Utc::now()
            .with_time(NaiveTime::MIN)
            .earliest()
            .unwrap_or_default();
        let start = midnight - Days::new(days);
        Self {
            start,
            next: start + Days::new(1),
        }
    }

    /// The bounds of a partition that holds the day.
    pub(super) fn bounds(&self) -> String {
        format!(
            "FOR VALUES FROM ('{}') TO ('{}')",
            self.start.to_rfc3339(),
            self.next.to_rfc3339()
        )
    }

    /// Fills a table, a partition or the whole, with messages of this day.
    pub(super) fn seed(&self, database: &Database, table: &str, rows: u64) -> Outcome<()> {
        let end = self.next.min(Utc::now());
        database.run_file(
            SEED,
            &[
                format!("table={table}"),
                format!("day_start={}", self.start.to_rfc3339()),
                format!("day_end={}", end.to_rfc3339()),
                format!("rows={rows}"),
                format!("nodes={NODES}"),
            ],
        )
    }
}
