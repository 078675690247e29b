//! What other servers of the same database stored since the last time.
//!
//! Batches are committed in another order than they began, so "since the last
//! time" is told by transactions: those that the last look could not see yet,
//! or did not see. Each batch is looked at once, however late it comes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz};

use crate::feed::{Demand, Filter, Item, Origin, Relayed};
use crate::ids::{MessageId, SessionId};
use crate::store::SessionRow;

/// How long a transaction may take until its batch is not looked for any more.
const LATEST: Duration = Duration::from_secs(600);

/// Batches whose times are so near to each other are asked for together.
const TOGETHER: TimeDelta = TimeDelta::minutes(1);

/// Messages of one question; what is more is left out, and logged.
const ROWS_MAX: i64 = 100_000;

/// With more sessions than this it is quicker to read all.
const SESSIONS_MAX: usize = 1_000;

/// How long the messages of a session may be on their way after its end.
const MEMORY: Duration = Duration::from_secs(120);

/// The kinds that change the table of all nodes.
const BOARD_KINDS: [&str; 3] = ["system.interval", "block.import", "notify.finalized"];

/// What is known of the other servers.
#[derive(Debug, Default)]
pub(super) struct Poll {
    /// Transactions below it were seen; none before the first look.
    floor: Option<i64>,
    /// Batches that were seen, of transactions above.
    seen: HashMap<i64, i64>,
    sessions: HashMap<i64, Known>,
    filters: HashSet<Filter>,
}

#[derive(Debug)]
struct Known {
    revision: i64,
    origin: Arc<Origin>,
    ended_at: Option<Instant>,
}

#[derive(QueryableByName)]
struct ThereAre {
    #[diesel(sql_type = Bool)]
    there_are: bool,
}

#[derive(Debug, Clone, QueryableByName)]
struct StoredBatch {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    last_id: i64,
    #[diesel(sql_type = Timestamptz)]
    first_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    last_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    transaction_id: i64,
    #[diesel(sql_type = Bool)]
    is_recent: bool,
    #[diesel(sql_type = BigInt)]
    floor: i64,
}

#[derive(QueryableByName)]
struct OpenSession {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

#[derive(QueryableByName)]
struct SessionText {
    #[diesel(sql_type = Text)]
    session: String,
}

#[derive(QueryableByName)]
struct MessageRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    peer_connection_id: i64,
    #[diesel(sql_type = Text)]
    msg: String,
    #[diesel(sql_type = Text)]
    logs: String,
}

impl Poll {
    /// What is new.
    ///
    /// # Errors
    /// If the database cannot be read; then nothing counts as seen.
    pub(super) fn ask(
        &mut self,
        conn: &mut PgConnection,
        server_id: &str,
        wanted: &Demand,
    ) -> QueryResult<Vec<Relayed>> {
        let there_are: ThereAre = diesel::sql_query(include_str!("other_servers.sql"))
            .bind::<Text, _>(server_id)
            .get_result(conn)?;
        if !there_are.there_are {
            *self = Self::default();
            return Ok(vec![Relayed::nothing(wanted.generation)]);
        }
        let is_first = self.floor.is_none();
        let batches = self.batches(conn, server_id)?;
        let sessions = self.changed_sessions(conn, server_id)?;
        let (new, old): (Vec<_>, Vec<_>) = batches
            .iter()
            .cloned()
            .partition(|batch| !is_first && !self.seen.contains_key(&batch.id));
        // A new subscription may have read its history just before; what it got
        // from there already it recognises.
        let mut filters: HashSet<Filter> = wanted.filters.iter().cloned().collect();
        let fresh: Vec<Filter> = filters.difference(&self.filters).cloned().collect();
        let recent: Vec<_> = old.into_iter().filter(|batch| batch.is_recent).collect();
        let early = match fresh.is_empty() {
            true => Vec::new(),
            false => self.messages(conn, server_id, recent, &fresh, false)?,
        };
        let items = self.messages(conn, server_id, new, &wanted.filters, wanted.board)?;
        self.remember(&batches);
        std::mem::swap(&mut self.filters, &mut filters);
        Ok(vec![
            Relayed {
                sessions,
                are_news: !is_first,
                items: early,
                early: true,
                generation: 0,
            },
            Relayed {
                sessions: Vec::new(),
                are_news: true,
                items,
                early: false,
                generation: wanted.generation,
            },
        ])
    }

    fn batches(&self, conn: &mut PgConnection, server_id: &str) -> QueryResult<Vec<StoredBatch>> {
        diesel::sql_query(include_str!("batches.sql"))
            .bind::<Text, _>(server_id)
            .bind::<BigInt, _>(self.floor.unwrap_or(0))
            .bind::<Double, _>(LATEST.as_secs_f64())
            .load(conn)
    }

    fn remember(&mut self, batches: &[StoredBatch]) {
        for batch in batches {
            self.seen.insert(batch.id, batch.transaction_id);
        }
        let floor = batches.first().map(|batch| batch.floor);
        let floor = floor.or(self.floor).unwrap_or(0);
        self.floor = Some(floor);
        self.seen.retain(|_, transaction| *transaction >= floor);
    }

    /// Sessions of other servers that began, changed or ended.
    fn changed_sessions(
        &mut self,
        conn: &mut PgConnection,
        server_id: &str,
    ) -> QueryResult<Vec<SessionRow>> {
        let open: Vec<OpenSession> = diesel::sql_query(include_str!("sessions.sql"))
            .bind::<Text, _>(server_id)
            .load(conn)?;
        let ids: HashSet<i64> = open.iter().map(|session| session.id).collect();
        let changed = open.iter().filter(|session| {
            let known = self.sessions.get(&session.id);
            known.is_none_or(|known| known.revision < session.revision)
        });
        let ended = self
            .sessions
            .iter()
            .filter(|(id, known)| known.ended_at.is_none() && !ids.contains(id));
        let asked: Vec<i64> = changed
            .map(|session| session.id)
            .chain(ended.map(|(id, _)| *id))
            .collect();
        let found: Vec<SessionText> = match asked.is_empty() {
            true => Vec::new(),
            false => diesel::sql_query(
                "SELECT row_to_json(p)::text AS session FROM peer_connections p WHERE id = ANY($1)",
            )
            .bind::<Array<BigInt>, _>(&asked)
            .load(conn)?,
        };
        let rows: Vec<SessionRow> = found
            .iter()
            .filter_map(|found| session(&found.session))
            .collect();
        let now = Instant::now();
        for row in &rows {
            let known = Known {
                revision: row.revision,
                origin: Arc::new(Origin::of(row)),
                ended_at: row.disconnected_at.map(|_| now),
            };
            self.sessions.insert(row.id.0, known);
        }
        self.sessions.retain(|_, known| {
            known
                .ended_at
                .is_none_or(|at| now.duration_since(at) < MEMORY)
        });
        Ok(rows)
    }

    /// The messages of some batches that the filters, or the table of all nodes, want.
    fn messages(
        &self,
        conn: &mut PgConnection,
        server_id: &str,
        mut batches: Vec<StoredBatch>,
        filters: &[Filter],
        board: bool,
    ) -> QueryResult<Vec<Item>> {
        let admitted = |known: &Known| {
            board
                || filters
                    .iter()
                    .any(|filter| filter.admits_node(&known.origin))
        };
        let sessions = self.sessions.iter().filter(|(_, known)| admitted(known));
        let sessions: Vec<i64> = sessions.map(|(id, _)| *id).collect();
        if sessions.is_empty() || batches.is_empty() {
            return Ok(Vec::new());
        }
        let sessions = (sessions.len() <= SESSIONS_MAX).then_some(sessions);
        let kinds = kinds(filters, board);
        batches.sort_by_key(|batch| batch.first_at);
        let mut items = Vec::new();
        for together in together(&batches) {
            let ids = |id: fn(&StoredBatch) -> i64| together.iter().map(id).collect::<Vec<i64>>();
            let first_at = together.iter().map(|batch| batch.first_at).min();
            let last_at = together.iter().map(|batch| batch.last_at).max();
            let rows: Vec<MessageRow> = diesel::sql_query(include_str!("messages.sql"))
                .bind::<Array<BigInt>, _>(ids(|batch| batch.id))
                .bind::<Array<BigInt>, _>(ids(|batch| batch.last_id))
                .bind::<Nullable<Timestamptz>, _>(first_at)
                .bind::<Nullable<Timestamptz>, _>(last_at)
                .bind::<Nullable<Array<BigInt>>, _>(sessions.as_deref())
                .bind::<Nullable<Array<Text>>, _>(kinds.as_deref())
                .bind::<Text, _>(server_id)
                .bind::<BigInt, _>(ROWS_MAX)
                .load(conn)?;
            if i64::try_from(rows.len()).unwrap_or(0) >= ROWS_MAX {
                log::warn!(
                    "the live feed leaves out what other servers received: more than {ROWS_MAX} messages at once"
                );
            }
            items.extend(rows.into_iter().filter_map(|row| self.item(row)));
        }
        Ok(items)
    }

    fn item(&self, row: MessageRow) -> Option<Item> {
        let known = self.sessions.get(&row.peer_connection_id)?;
        Some(Item {
            id: MessageId(row.id),
            origin: known.origin.clone(),
            kind: row.msg.into(),
            created_at: row.created_at,
            received_at: None,
            fields: row.logs.into(),
        })
    }
}

/// The kinds that are wanted; none for all.
fn kinds(filters: &[Filter], board: bool) -> Option<Vec<String>> {
    let mut kinds: Vec<String> = filters
        .iter()
        .map(|filter| filter.msg.clone())
        .collect::<Option<_>>()?;
    if board {
        kinds.extend(BOARD_KINDS.map(str::to_owned));
    }
    Some(kinds)
}

/// Batches, sorted by time, in runs that are near to each other.
fn together(batches: &[StoredBatch]) -> impl Iterator<Item = &[StoredBatch]> {
    batches.chunk_by(|one, next| next.last_at - one.first_at < TOGETHER)
}

/// A session as the database writes it.
pub(super) fn session(text: &str) -> Option<SessionRow> {
    let read = serde_json::from_str::<SessionRow>(text);
    if let Err(error) = &read {
        log::debug!("a session of the database cannot be read: {error}");
    }
    read.ok().filter(|row| row.id != SessionId(0))
}
