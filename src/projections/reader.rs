//! Reads the changes once for all projections that are equally far.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::result::QueryResult;

use super::{Message, NumberMap};
use crate::database::Connection;
use crate::messages::{self, MessageView, Recent, Wanted};
use crate::store::{StoredBatch, partitions};
use crate::telemetry::Reading;

/// How often at most the index on time is brought up to date for reads from the database: what
/// it lacks is read as a whole.
const SUMMARIZE_INTERVAL: Duration = Duration::from_secs(10);

/// The names of kinds, by their number.
pub(super) type Kinds = NumberMap<i16, &'static str>;

/// What the projections of one connection share.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Kinds of which any projection needs the fields.
    wanted: Vec<&'static str>,
    /// Their numbers, once all have one.
    kinds: Kinds,
    recent: Arc<Recent>,
    summarized_at: Option<Instant>,
}

impl Reader {
    /// For projections that need the fields of `wanted`.
    pub(super) fn new(mut wanted: Vec<&'static str>, recent: Arc<Recent>) -> Self {
        wanted.sort_unstable();
        wanted.dedup();
        Self {
            wanted,
            recent,
            ..Self::default()
        }
    }

    /// Gives each message of some batches to `each`, from memory where it still is.
    pub(super) fn read(
        &mut self,
        conn: &mut Connection,
        batches: &[StoredBatch],
        mut each: impl FnMut(Message<'_>),
    ) -> QueryResult<()> {
        if batches.is_empty() {
            return Ok(());
        }
        if self.kinds.len() < self.wanted.len() {
            let numbers = conn.transaction(|conn| messages::numbers(conn, &self.wanted))?;
            self.kinds = numbers.into_iter().collect();
        }
        let numbers: Vec<i16> = self.kinds.keys().copied().collect();
        let wanted = Wanted {
            kinds: &numbers,
            events: true,
        };
        let give = |view: MessageView<'_>| understand(view, &self.kinds, &mut each);
        let others = self.recent.take(batches, wanted, give);
        if !others.is_empty() {
            self.summarize(conn)?;
            let give = |view: MessageView<'_>| understand(view, &self.kinds, &mut each);
            conn.transaction(|conn| messages::of_batches(conn, &others, wanted, give))?;
        }
        Ok(())
    }

    fn summarize(&mut self, conn: &mut Connection) -> QueryResult<()> {
        let is_due = self
            .summarized_at
            .is_none_or(|at| at.elapsed() >= SUMMARIZE_INTERVAL);
        if is_due {
            conn.transaction(|conn| partitions::summarize_newest(conn, Utc::now()))?;
            self.summarized_at = Some(Instant::now());
        }
        Ok(())
    }
}

/// Reads what a message means, once for all that get it.
pub(super) fn understand(view: MessageView<'_>, kinds: &Kinds, mut each: impl FnMut(Message<'_>)) {
    let kind = kinds.get(&view.kind_id).copied().unwrap_or_default();
    let reading = Reading::from_fields(kind, view.fields.as_bytes());
    each(Message {
        id: view.id,
        created_at: view.created_at,
        session: view.session,
        kind,
        target: view.target,
        fields: view.fields,
        node_ts: view.node_ts,
        audit: view.audit,
        reading: reading.as_ref(),
    });
}
