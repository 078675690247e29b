//! Reads the changes once for all projections that are equally far.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::PgConnection;
use diesel::result::QueryResult;

use crate::changes::{self, Changes, Position};
use crate::messages::{self, MessageRow};
use crate::store::partitions;

/// How often the index on time is brought up to date: what it lacks is read as a whole.
const SUMMARIZE_INTERVAL: Duration = Duration::from_secs(10);

/// Changes, and the messages of their batches.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) changes: Changes,
    pub(super) rows: Vec<MessageRow>,
    /// The kinds whose fields were read, by number.
    pub(super) kinds: HashMap<i16, &'static str>,
}

/// What the projections of one connection share.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Kinds of which any projection needs the fields.
    kinds: Vec<&'static str>,
    /// What was read last in this round, and from where.
    last: Option<(Position, Rc<Read>)>,
    cluster_id: Option<String>,
    summarized_at: Option<Instant>,
}

impl Reader {
    /// For projections that need the fields of `kinds`.
    pub(super) fn new(mut kinds: Vec<&'static str>) -> Self {
        kinds.sort_unstable();
        kinds.dedup();
        Self {
            kinds,
            ..Self::default()
        }
    }

    /// What is read from now on is new.
    pub(super) fn begin_round(&mut self) {
        self.last = None;
    }

    /// The connection is another one now.
    pub(super) fn reconnect(&mut self) {
        self.last = None;
        self.cluster_id = None;
    }

    /// Names the database cluster of the connection.
    pub(super) fn cluster_id(&mut self, conn: &mut PgConnection) -> QueryResult<String> {
        if let Some(known) = &self.cluster_id {
            return Ok(known.clone());
        }
        let found = changes::cluster_id(conn)?;
        Ok(self.cluster_id.insert(found).clone())
    }

    /// The changes from a position on.
    pub(super) fn read(
        &mut self,
        conn: &mut PgConnection,
        from: Position,
    ) -> QueryResult<Rc<Read>> {
        if let Some((start, read)) = &self.last
            && *start == from
        {
            return Ok(read.clone());
        }
        let changes = changes::read(conn, from)?;
        let (mut rows, mut kinds) = (Vec::new(), HashMap::new());
        if !changes.batches.is_empty() {
            self.summarize(conn)?;
            kinds = messages::numbers(conn, &self.kinds)?;
            let numbers: Vec<i16> = kinds.keys().copied().collect();
            rows = messages::of_batches(conn, &changes.batches, &numbers)?;
        }
        let read = Rc::new(Read {
            changes,
            rows,
            kinds,
        });
        self.last = Some((from, read.clone()));
        Ok(read)
    }

    fn summarize(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let is_due = self
            .summarized_at
            .is_none_or(|at| at.elapsed() >= SUMMARIZE_INTERVAL);
        if is_due {
            partitions::summarize_newest(conn, Utc::now())?;
            self.summarized_at = Some(Instant::now());
        }
        Ok(())
    }
}
