//! Reads the changes once for all projections that are equally far.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::result::QueryResult;

use super::Message;
use crate::changes::{self, Changes, Position};
use crate::database::Connection;
use crate::ids::SessionId;
use crate::messages::{self, Recent, StreamedMessage, Wanted};
use crate::store::partitions;
use crate::telemetry::Reading;

/// How often the index on time is brought up to date: what it lacks is read as a whole.
const SUMMARIZE_INTERVAL: Duration = Duration::from_secs(10);

/// Changes, and the messages of their batches.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) changes: Changes,
    pub(super) messages: Vec<ReadMessage>,
}

/// A stored message, and what it means.
#[derive(Debug)]
pub(super) struct ReadMessage {
    streamed: StreamedMessage,
    kind: &'static str,
    reading: Option<Reading>,
}

impl ReadMessage {
    /// Reads the fields of messages of some kinds, by number.
    pub(super) fn all(rows: Vec<StreamedMessage>, kinds: &HashMap<i16, &'static str>) -> Vec<Self> {
        let rows = rows.into_iter().map(|streamed| {
            let row = &streamed.message;
            let kind = kinds.get(&row.kind_id).copied().unwrap_or_default();
            let reading = Reading::from_fields(kind, row.fields().as_bytes());
            Self {
                streamed,
                kind,
                reading,
            }
        });
        rows.collect()
    }

    /// As a projection sees it.
    pub(super) fn message(&self) -> Message<'_> {
        let StreamedMessage {
            message: row,
            node_ts,
            audit,
        } = &self.streamed;
        Message {
            id: row.id,
            created_at: row.created_at,
            session: SessionId(row.peer_connection_id),
            kind: self.kind,
            target: row.target.as_deref(),
            fields: row.fields(),
            node_ts: *node_ts,
            audit: *audit,
            reading: self.reading.as_ref(),
        }
    }
}

/// What the projections of one connection share.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Kinds of which any projection needs the fields.
    kinds: Vec<&'static str>,
    /// Their numbers, once all have one.
    numbers: HashMap<i16, &'static str>,
    recent: Arc<Recent>,
    /// What was read last in this round, and from where.
    last: Option<(Position, Rc<Read>)>,
    cluster_id: Option<String>,
    summarized_at: Option<Instant>,
}

impl Reader {
    /// For projections that need the fields of `kinds`.
    pub(super) fn new(mut kinds: Vec<&'static str>, recent: Arc<Recent>) -> Self {
        kinds.sort_unstable();
        kinds.dedup();
        Self {
            kinds,
            recent,
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
        self.numbers.clear();
    }

    /// Names the database cluster of the connection.
    pub(super) fn cluster_id(&mut self, conn: &mut Connection) -> QueryResult<String> {
        if let Some(known) = &self.cluster_id {
            return Ok(known.clone());
        }
        let found = conn.transaction(changes::cluster_id)?;
        Ok(self.cluster_id.insert(found).clone())
    }

    /// The changes from a position on.
    pub(super) fn read(&mut self, conn: &mut Connection, from: Position) -> QueryResult<Rc<Read>> {
        if let Some((start, read)) = &self.last
            && *start == from
        {
            return Ok(read.clone());
        }
        let changes = conn.transaction(|conn| changes::read(conn, from))?;
        let mut messages = Vec::new();
        if !changes.batches.is_empty() {
            self.summarize(conn)?;
            let rows = conn.transaction(|conn| {
                if self.numbers.len() < self.kinds.len() {
                    self.numbers = messages::numbers(conn, &self.kinds)?;
                }
                let kinds: Vec<i16> = self.numbers.keys().copied().collect();
                let wanted = Wanted {
                    kinds: &kinds,
                    events: true,
                };
                messages::of_batches(conn, &changes.batches, wanted, &self.recent)
            })?;
            messages = ReadMessage::all(rows, &self.numbers);
        }
        let read = Rc::new(Read { changes, messages });
        self.last = Some((from, read.clone()));
        Ok(read)
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
