//! What a subscription to the live feed begins with: the messages since a time
//! or a place, oldest first, window by window, so that each step is short and
//! the whole may be long.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::time_windows::SLACK;
use super::{Limits, QueryError};
use crate::feed::{Cursor, Filter, Item, Origin, Since};
use crate::ids::{MessageId, SessionId};
use crate::messages::{self, KindFilter, MessageRow, Oldest, Window};

/// Messages of one step.
const STEP_ROWS: i64 = 5_000;

/// Bytes of a step: the message that reaches them is its last.
const STEP_BYTES: usize = 4 << 20;

/// A window that holds fewer messages is followed by a wider one.
const FEW_ROWS: i64 = STEP_ROWS / 4;

/// Windows, from the narrowest to the first one for a single node.
const WIDTH_MIN: TimeDelta = TimeDelta::seconds(10);
const WIDTH_FIRST: TimeDelta = TimeDelta::hours(1);

/// Messages of a whole history: a day of a node that sends ten a second.
const ROWS_MAX: u64 = 1_000_000;

/// A history that is being read.
#[derive(Debug)]
pub struct History {
    msg: Option<String>,
    origins: HashMap<i64, Arc<Origin>>,
    sessions: Vec<i64>,
    after: Vec<i64>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    width: TimeDelta,
    width_max: TimeDelta,
    /// Row after which the next page of a window begins.
    last: Option<(DateTime<Utc>, i64)>,
    rows: u64,
}

#[derive(QueryableByName)]
struct HistorySession {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    server_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    peer_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    chain: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    genesis_hash: Option<String>,
}

impl History {
    /// The history of what `filter` admits, of the sessions that are stored and
    /// of those that are `known` otherwise: a session may be stored later than
    /// its messages. Nothing is read yet but the sessions.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn begin(
        conn: &mut PgConnection,
        filter: &Filter,
        since: &Since,
        known: Vec<Arc<Origin>>,
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        // What was sent after a place may have arrived before it.
        let start = match since {
            Since::Now => limits.now,
            Since::Time(time) => *time,
            Since::Cursor(cursor) => cursor.begin(),
        };
        let found: Vec<HistorySession> = diesel::sql_query(include_str!("history_sessions.sql"))
            .bind::<Nullable<Text>, _>(&filter.peer_id)
            .bind::<Nullable<Text>, _>(&filter.chain)
            .bind::<Timestamptz, _>(start.checked_sub_signed(SLACK).unwrap_or(start))
            .load(conn)?;
        // What the feed has is never older than what is stored.
        let mut origins: HashMap<i64, Arc<Origin>> = found
            .into_iter()
            .map(|row| (row.id, Arc::new(row.into_origin())))
            .collect();
        origins.extend(known.into_iter().map(|origin| (origin.session.0, origin)));
        let after = |origin: &Origin| match since {
            Since::Cursor(cursor) => after(cursor, &origin.server_id),
            Since::Now | Since::Time(_) => i64::MIN,
        };
        let nodes = i32::try_from(origins.len()).unwrap_or(i32::MAX);
        Ok(Self {
            msg: filter.msg.clone(),
            sessions: origins.keys().copied().collect(),
            after: origins.values().map(|origin| after(origin)).collect(),
            origins,
            start,
            end: limits.now + SLACK,
            width: (WIDTH_FIRST / (1 + nodes / 3)).max(WIDTH_MIN),
            width_max: limits.window_max,
            last: None,
            rows: 0,
        })
    }

    /// The next messages, possibly none; `None` at the end.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] if there are more than a history may have;
    /// otherwise if the database cannot be read.
    pub fn next(&mut self, conn: &mut PgConnection) -> Result<Option<Vec<Item>>, QueryError> {
        if self.start >= self.end || self.sessions.is_empty() {
            return Ok(None);
        }
        let end = self.start.checked_add_signed(self.width);
        let end = end.map_or(self.end, |end| end.min(self.end));
        let page = Oldest {
            sessions: &self.sessions,
            after_ids: &self.after,
            window: Window {
                from: self.start,
                until: end,
            },
            after: self.last,
            kind: &KindFilter::find(conn, self.msg.as_deref())?,
            rows: STEP_ROWS,
            bytes: STEP_BYTES,
        };
        let rows = messages::oldest(conn, &page)?;
        let kinds = messages::names(conn, &rows)?;
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let bytes: usize = rows.iter().map(|row| row.fields().len()).sum();
        self.rows += count.unsigned_abs();
        if self.rows > ROWS_MAX {
            return Err(QueryError::invalid(
                "start_time",
                format!("is too early: a history has at most {ROWS_MAX} messages"),
            ));
        }
        match rows.last() {
            Some(row) if count >= STEP_ROWS || bytes >= STEP_BYTES => {
                // The window goes on where this page ends, and the next is narrower.
                self.last = Some((row.created_at, row.id));
                self.start = row.created_at;
                self.width = (self.width / 2).max(WIDTH_MIN);
            }
            _ => {
                (self.start, self.last) = (end, None);
                if count < FEW_ROWS {
                    self.width = (self.width * 4).min(self.width_max);
                }
            }
        }
        let items = rows.into_iter().filter_map(|row| self.item(row, &kinds));
        Ok(Some(items.collect()))
    }

    fn item(&self, row: MessageRow, kinds: &HashMap<i16, String>) -> Option<Item> {
        let origin = self.origins.get(&row.peer_connection_id)?;
        let kind = messages::unlisted_name(&row).or_else(|| kinds.get(&row.kind_id).cloned())?;
        Some(Item {
            id: MessageId(row.id),
            origin: origin.clone(),
            kind: kind.into(),
            created_at: row.created_at,
            received_at: None,
            fields: row.logs.unwrap_or_default().into(),
        })
    }
}

/// The number after which the messages of a server are missing.
fn after(cursor: &Cursor, server_id: &str) -> i64 {
    cursor.last.get(server_id).map_or(i64::MIN, |last| last.0)
}

impl HistorySession {
    fn into_origin(self) -> Origin {
        Origin {
            session: SessionId(self.id),
            server_id: self.server_id.into(),
            peer_id: self.peer_id,
            name: self.name,
            chain: self.chain,
            genesis_hash: self.genesis_hash,
        }
    }
}
