//! A batch: messages and sessions that are stored in one transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Timestamptz};
use tokio::sync::Notify;

use super::{IdBlocks, RowBuffer, SessionRow};
use crate::ids::{KindIndex, MessageId, SessionId};
use crate::metrics::DisconnectReason;

/// Messages that one connection read together, and the sessions that changed
/// with them.
#[derive(Debug, Clone)]
pub struct Group {
    /// The messages.
    pub rows: RowBuffer,
    /// Sessions that began, changed or ended.
    pub sessions: Vec<SessionRow>,
    /// From `/audit`: kept for good.
    pub audit: bool,
    /// When the messages were read.
    pub received_at: Instant,
    /// Notified when the messages are in the database or on disk, for one who waits for that.
    pub kept: Option<Arc<Notify>>,
}

/// What is stored in one transaction.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Messages, as they were read.
    pub groups: Vec<Group>,
}

/// A stored batch: its messages have consecutive numbers.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct StoredBatch {
    /// Number of the batch and of its first message.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Number of its last message.
    #[diesel(sql_type = BigInt)]
    pub last_id: i64,
    /// Earliest arrival of its messages.
    #[diesel(sql_type = Timestamptz)]
    pub first_at: DateTime<Utc>,
    /// Latest arrival of its messages.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
    /// Transaction that stored it.
    #[diesel(sql_type = BigInt)]
    pub transaction_id: i64,
}

/// The first and the last number and time of some messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchRange {
    pub(super) ids: (MessageId, MessageId),
    pub(super) times: (DateTime<Utc>, DateTime<Utc>),
}

impl Batch {
    /// A batch of these groups. Rows of neighbouring sessions come together, so
    /// that they go to neighbouring places of the index.
    pub fn new(mut groups: Vec<Group>) -> Self {
        groups.sort_by_key(|group| group.rows.first_session());
        Self { groups }
    }

    /// As [`Self::new`]; its messages get consecutive numbers in the order of the
    /// groups, by which they are found when only the batch is known.
    pub fn numbered(mut groups: Vec<Group>, ids: &IdBlocks) -> Self {
        let rows = groups.iter().map(|group| group.rows.count()).sum();
        let mut numbers = ids.next_messages(rows);
        for group in &mut groups {
            group.rows.number(|| numbers.next().unwrap_or(MessageId(0)));
        }
        Self::new(groups)
    }

    /// Where its messages lie; none if it has none. The lowest number is that of
    /// the batch, for its messages are in no other one: a batch that is sent
    /// again is recognised by it. One without messages needs none, for its
    /// sessions may be stored any number of times.
    pub(super) fn span(&self) -> Option<BatchRange> {
        let mut rows = self.groups.iter().flat_map(|group| group.rows.views());
        let (first, _) = rows.next()?;
        let mut span = BatchRange {
            ids: (first.id, first.id),
            times: (first.created_at, first.created_at),
        };
        for (row, _) in rows {
            span.ids = (span.ids.0.min(row.id), span.ids.1.max(row.id));
            let (from, to) = span.times;
            span.times = (from.min(row.created_at), to.max(row.created_at));
        }
        Some(span)
    }

    /// Numbers of its first and its last message; none if it has no messages.
    pub fn ids(&self) -> Option<(i64, i64)> {
        self.span().map(|span| (span.ids.0.0, span.ids.1.0))
    }

    /// Number of messages.
    pub fn rows(&self) -> usize {
        self.groups.iter().map(|group| group.rows.count()).sum()
    }

    /// Bytes of the messages.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len()).sum()
    }

    /// Tells those who wait that the messages are in the database or on disk.
    pub fn notify_kept(&self) {
        let waiting = self.groups.iter().filter_map(|group| group.kept.as_ref());
        waiting.for_each(|kept| kept.notify_one());
    }

    /// Ends sessions that are still open in a batch of an earlier run: the end
    /// was in the memory of a server that is gone.
    pub(super) fn end_open_sessions(&mut self) {
        for session in self.groups.iter_mut().flat_map(|group| &mut group.sessions) {
            if session.disconnected_at.is_none() {
                session.disconnected_at = Some(session.last_seen_at);
                session.disconnect_reason = Some(DisconnectReason::ServerLost.label().into());
            }
        }
    }

    /// Kinds that the database has no number for yet, each once.
    pub(super) fn pending_kinds(&self) -> Vec<KindIndex> {
        let groups = self.groups.iter();
        let mut kinds: Vec<_> = groups
            .flat_map(|group| group.rows.pending_kinds())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The newest state of each session in some batches, in the order of their
    /// numbers, so that two transactions never wait for each other in a circle.
    pub(super) fn newest_sessions(batches: &[&Self]) -> Vec<SessionRow> {
        let mut newest: HashMap<SessionId, &SessionRow> = HashMap::new();
        let groups = batches.iter().flat_map(|batch| &batch.groups);
        for session in groups.flat_map(|group| &group.sessions) {
            let entry = newest.entry(session.id).or_insert(session);
            if entry.revision < session.revision {
                *entry = session;
            }
        }
        let mut sessions: Vec<_> = newest.into_values().cloned().collect();
        sessions.sort_unstable_by_key(|session| session.id);
        sessions
    }
}
