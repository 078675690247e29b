//! Messages that were posted over HTTP: they take the same way as those of nodes, spool included,
//! and the answer comes when they are in the database or on disk.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::Notify;

use super::Ingest;
use super::batcher::{Append, MemoryPressure};
use super::memory_budget::Reservation;
use crate::ids::SessionId;
use crate::metrics::DropReason;
use crate::store::{Group, NewRow, NodeTime, RowBuffer, RowKind, UNLISTED};
use crate::telemetry::write_with_kind;

/// Bytes of messages that go together; a request may have several times as much.
const GROUP_BYTES: usize = 1 << 20;

/// Longest wait until messages are in the database or on disk: far longer than either takes.
const KEPT_WAIT: Duration = Duration::from_secs(30);

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedMessage {
    /// Its kind.
    pub kind: &'static str,
    /// That of its source.
    pub session: SessionId,
    /// When it was said, as the source says.
    pub time: Option<DateTime<Utc>>,
    /// Field `target`.
    pub target: Option<String>,
    /// Its fields, the members of a JSON object that the database takes.
    pub fields: Vec<u8>,
}

/// Why messages were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Neither the database nor the disk takes them, and the memory is full.
    #[error("the server has no room for messages at present")]
    NoRoom,
    /// It is not known whether they are kept.
    #[error("neither the database nor the disk has taken the messages in time")]
    NotKept,
    /// The server stops.
    #[error("the server stops")]
    Stopping,
}

impl Ingest {
    /// Takes messages, and waits until all of them are in the database or on disk.
    ///
    /// # Errors
    /// If they may not be kept: send them again.
    pub async fn post(&self, messages: &[PostedMessage]) -> Result<(), PostError> {
        let mut waiting = Vec::new();
        let mut rest = messages;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|message| {
                bytes += message.fields.len();
                bytes <= GROUP_BYTES
            });
            let (some, others) = rest.split_at(fits.count().max(1).min(rest.len()));
            waiting.push(self.append_posted(some).await?);
            rest = others;
        }
        let kept = futures::future::join_all(waiting.iter().map(|kept| kept.notified()));
        match tokio::time::timeout(KEPT_WAIT, kept).await {
            Ok(_kept) => Ok(()),
            Err(_late) => Err(PostError::NotKept),
        }
    }

    async fn append_posted(&self, messages: &[PostedMessage]) -> Result<Arc<Notify>, PostError> {
        let now = Utc::now().trunc_subsecs(6);
        let mut rows = RowBuffer::default();
        for message in messages {
            self.write_posted(message, now, &mut rows);
        }
        let count = rows.count();
        let reservation = Reservation {
            rows: count,
            bytes: rows.len(),
            is_priority: false,
        };
        let report_pressure = || {
            if self.batcher.try_send(MemoryPressure).is_err() {
                log::debug!("the batcher's mailbox is full, or it has ended");
            }
        };
        let wait = self.config.ingest.hold_back;
        let has_room = self.budget.try_reserve(reservation)
            || self
                .budget
                .reserve(reservation, wait, report_pressure)
                .await;
        if !has_room {
            return Err(PostError::NoRoom);
        }
        let metrics = &self.metrics;
        let counted = u64::try_from(count).unwrap_or(0);
        metrics.messages_received.inc_by(counted);
        let bytes: usize = messages.iter().map(|message| message.fields.len()).sum();
        let bytes = u64::try_from(bytes).unwrap_or(0);
        metrics.received_bytes.inc_by(bytes);
        let kept = Arc::new(Notify::new());
        let group = Group {
            rows,
            sessions: Vec::new(),
            audit: false,
            received_at: Instant::now(),
            kept: Some(kept.clone()),
        };
        let pending = i64::try_from(count).unwrap_or(i64::MAX);
        metrics.pending.add(pending);
        if self
            .batcher
            .try_send(Append { group, reservation })
            .is_err()
        {
            metrics.pending.sub(pending);
            self.budget.release(reservation);
            metrics.messages_dropped(DropReason::Shutdown, counted);
            return Err(PostError::Stopping);
        }
        Ok(kept)
    }

    fn write_posted(&self, message: &PostedMessage, now: DateTime<Utc>, rows: &mut RowBuffer) {
        let kind = self.kinds.find(message.kind);
        let number = match kind {
            RowKind::Stored(number) => Some(number),
            RowKind::Pending(_) => None,
        };
        self.kind_counts.count(number, message.kind);
        let created_at = {
            let mut arrivals = self.post_arrivals.lock();
            let arrivals = arrivals
                .as_mut()
                .unwrap_or_else(|poisoned: &mut PoisonError<_>| poisoned.get_mut());
            arrivals.next(now)
        };
        let row = NewRow {
            created_at,
            session: message.session,
            kind,
            node_time: NodeTime::of(message.time, created_at),
            target: message.target.as_deref(),
        };
        rows.push(&row, |out| match kind {
            RowKind::Stored(UNLISTED) => {
                write_with_kind(
                    message.kind,
                    |out| out.extend_from_slice(&message.fields),
                    out,
                );
            }
            _ => {
                out.push(b'{');
                out.extend_from_slice(&message.fields);
                out.push(b'}');
            }
        });
    }
}
