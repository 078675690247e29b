//! Follows the change stream: sessions and messages of other servers, in parts
//! that are bounded in bytes.
//!
//! A look notes what is new; after that each part is read, and handed to the hub
//! before the next. A part that could not be read stays the next one. What is
//! wanted is read after the look, so that nothing falls between a
//! subscription and its history: what the look missed is in the next one, and what
//! it found is in every history that begins later.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{HubGone, RemoteParts};
use crate::changes::{self, Tail};
use crate::feed::filter::Filter;
use crate::feed::item::Item;
use crate::feed::messages::{Demand, RemoteChanges};
use crate::feed::origin::Origin;
use crate::ids::MessageId;
use crate::messages::{self, MessageRow, Selection};
use crate::metrics::MissReason;
use crate::store::{SessionRow, StoredBatch};
use crate::telemetry::Reading;

/// Batches that are read together, and messages unless one batch has more. A batch
/// has at most 16 MiB and a message, so this is 64 MiB at most.
const BATCHES_TOGETHER: usize = 4;
const MESSAGES_TOGETHER: i64 = 20_000;

/// Sessions that are read together: some 1 kB each.
const SESSIONS_TOGETHER: usize = 5_000;

/// With more sessions than this it is quicker to read all.
const SESSIONS_SELECTED: usize = 1_000;

/// How long the messages of a session may come after its end until it is looked up
/// again.
const MEMORY: Duration = Duration::from_secs(120);

/// Messages that may wait for their session to be stored, their bytes, and how long.
const HELD_MAX: usize = 10_000;
const HELD_BYTES_MAX: usize = 16 << 20;
const HELD_FOR: Duration = Duration::from_secs(60);

/// A part of what is new.
#[derive(Debug, Clone)]
enum Part {
    /// The first look: the newest number of each server.
    Newest(Vec<(String, i64)>),
    /// Sessions, and whether their changes are news to subscribers.
    Sessions(Vec<i64>, bool),
    /// Messages.
    Batches(Vec<StoredBatch>),
    /// Ends come after the last messages of their session.
    Ended(Vec<i64>),
    /// Messages that were too many.
    LeftOut(u64),
    /// All that was new when this was wanted has been handed over.
    Generation(u64),
}

/// How far it has come, and the sessions of other servers.
#[derive(Debug, Default)]
pub(super) struct Follower {
    tail: Option<Tail>,
    parts: VecDeque<Part>,
    /// The open sessions were looked up.
    is_informed: bool,
    sessions: HashMap<i64, Known>,
    held: Held,
}

#[derive(Debug)]
struct Known {
    origin: Arc<Origin>,
    ended_at: Option<Instant>,
}

/// Messages whose session is not stored yet.
#[derive(Debug, Default)]
struct Held {
    rows: VecDeque<(Instant, MessageRow, String)>,
    bytes: usize,
}

impl Follower {
    /// Notes what is new, if all that was new before has been handed over.
    pub(super) async fn look(&mut self, parts: &RemoteParts, generation: u64) {
        if !self.parts.is_empty() {
            return;
        }
        let Some(tail) = self.tail.clone() else {
            let begun = parts.ask(|conn| Ok((Tail::at_end(conn)?, changes::newest_numbers(conn)?)));
            if let Some((tail, newest)) = begun.await {
                self.tail = Some(tail);
                self.parts.push_back(Part::Newest(newest));
            }
            return;
        };
        if parts.demand.borrow().is_empty() {
            let end = parts.ask(Tail::at_end).await;
            // A subscription made meanwhile may need what is older.
            if end.is_some() && parts.demand.borrow().is_empty() {
                self.tail = end;
                self.is_informed = false;
                self.sessions.clear();
                self.held = Held::default();
            }
            return;
        }
        let (server_id, is_informed) = (parts.server_id.clone(), self.is_informed);
        let look = move |conn: &mut _| {
            let (tail, fresh) = tail.advance(conn, &server_id)?;
            let open = match is_informed {
                true => Vec::new(),
                false => changes::open_sessions(conn, &server_id)?,
            };
            Ok((tail, fresh, open))
        };
        let asked_at = Instant::now();
        let Some((tail, fresh, open)) = parts.ask(look).await else {
            return;
        };
        let took = asked_at.elapsed().as_secs_f64();
        parts.metrics.feed.look_seconds.observe(took);
        self.tail = Some(tail);
        self.is_informed = true;
        let changed: HashSet<i64> = fresh.sessions.iter().copied().collect();
        let open: Vec<i64> = open
            .into_iter()
            .filter(|id| !changed.contains(id))
            .collect();
        for (ids, are_news) in [(&open, false), (&fresh.sessions, true)] {
            let pages = ids.chunks(SESSIONS_TOGETHER);
            self.parts
                .extend(pages.map(|page| Part::Sessions(page.to_vec(), are_news)));
        }
        let together = together(fresh.batches);
        self.parts.extend(together.into_iter().map(Part::Batches));
        if fresh.left_out > 0 {
            self.parts.push_back(Part::LeftOut(fresh.left_out));
        }
        self.parts.push_back(Part::Generation(generation));
    }

    /// Hands over what was noted, part by part, as far as the database answers.
    pub(super) async fn hand_over(&mut self, parts: &RemoteParts) -> Result<(), HubGone> {
        while let Some(part) = self.parts.front().cloned() {
            let Some(changes) = self.read(parts, part).await else {
                return Ok(());
            };
            self.parts.pop_front();
            parts.hub.send(changes).await.map_err(|_gone| HubGone)?;
        }
        let now = Instant::now();
        let is_kept = |known: &Known| {
            let ended_at = known.ended_at;
            ended_at.is_none_or(|at| now.duration_since(at) < MEMORY)
        };
        self.sessions.retain(|_, known| is_kept(known));
        let given_up = self.held.give_up(now);
        parts.metrics.feed.missed(MissReason::NoSession, given_up);
        Ok(())
    }

    async fn read(&mut self, parts: &RemoteParts, part: Part) -> Option<RemoteChanges> {
        let mut changes = RemoteChanges::default();
        match part {
            Part::Newest(newest) => changes.newest = newest,
            Part::Sessions(ids, are_news) => {
                let rows = parts
                    .ask(move |conn| changes::sessions_of(conn, &ids))
                    .await?;
                self.learn(&rows);
                let wanted = parts.demand.borrow().clone();
                changes.items = self.release(&wanted);
                changes.are_news = are_news;
                let (ended, begun): (Vec<_>, Vec<_>) = rows
                    .into_iter()
                    .partition(|row| row.disconnected_at.is_some());
                changes.sessions = begun;
                self.note_ended(ended.into_iter().map(|row| row.id.0).collect());
            }
            Part::Batches(batches) => changes.items = self.messages(parts, batches).await?,
            Part::Ended(ids) => {
                let rows = parts.ask(move |conn| changes::sessions_of(conn, &ids));
                changes.sessions = rows.await?;
                changes.are_news = true;
            }
            Part::LeftOut(count) => changes.left_out = count,
            Part::Generation(generation) => changes.generation = generation,
        }
        Some(changes)
    }

    /// Ends are handed over after the messages.
    fn note_ended(&mut self, ids: Vec<i64>) {
        if !ids.is_empty() {
            let last = self.parts.len().saturating_sub(1);
            self.parts.insert(last, Part::Ended(ids));
        }
    }

    fn learn(&mut self, rows: &[SessionRow]) {
        let now = Instant::now();
        for row in rows {
            let known = Known {
                origin: Arc::new(Origin::of(row)),
                ended_at: row.disconnected_at.map(|_| now),
            };
            self.sessions.insert(row.id.0, known);
        }
    }

    /// The messages of some batches that are wanted now.
    async fn messages(
        &mut self,
        parts: &RemoteParts,
        batches: Vec<StoredBatch>,
    ) -> Option<Vec<Item>> {
        let wanted = parts.demand.borrow().clone();
        if wanted.filters.is_empty() && !wanted.nodes {
            return Some(Vec::new());
        }
        let selection = self.selection(&wanted);
        let read = move |conn: &mut _| {
            messages::keep_in_place(conn)?;
            messages::selected(conn, &batches, &selection)
        };
        let rows = parts.ask(read).await?;
        let unknown: HashSet<i64> = rows
            .iter()
            .map(|(row, _)| row.peer_connection_id)
            .filter(|session| !self.sessions.contains_key(session))
            .collect();
        if !unknown.is_empty() {
            let ids = Vec::from_iter(unknown);
            let found = parts
                .ask(move |conn| changes::sessions_of(conn, &ids))
                .await?;
            self.learn(&found);
        }
        let mut items = Vec::with_capacity(rows.len());
        let now = Instant::now();
        for (row, kind) in rows {
            match self.sessions.get(&row.peer_connection_id) {
                Some(known) if is_wanted(&wanted, &known.origin) => {
                    items.push(item(row, kind, &known.origin));
                }
                Some(_) => {}
                None => {
                    let given_up = self.held.push(now, row, kind);
                    parts.metrics.feed.missed(MissReason::NoSession, given_up);
                }
            }
        }
        Some(items)
    }

    /// Which messages are read.
    fn selection(&self, wanted: &Demand) -> Selection {
        let known = self.sessions.iter();
        let admitted = known.filter(|(_, known)| is_wanted(wanted, &known.origin));
        let sessions: Vec<i64> = admitted.map(|(id, _)| *id).collect();
        let is_few = sessions.len() <= SESSIONS_SELECTED;
        let kinds = wanted
            .filters
            .iter()
            .map(|filter: &Filter| filter.msg.clone());
        let kinds: Option<Vec<String>> = kinds.collect();
        let of_nodes = Reading::KINDS.map(str::to_owned);
        Selection {
            sessions: is_few.then_some(sessions),
            kinds: kinds.map(|mut kinds| {
                kinds.extend(of_nodes.into_iter().filter(|_| wanted.nodes));
                Vec::from_iter(kinds)
            }),
        }
    }

    /// What was held for sessions that are known now.
    fn release(&mut self, wanted: &Demand) -> Vec<Item> {
        if self.held.rows.is_empty() {
            return Vec::new();
        }
        let mut items = Vec::new();
        let rows = std::mem::take(&mut self.held).rows;
        for (at, row, kind) in rows {
            match self.sessions.get(&row.peer_connection_id) {
                Some(known) if is_wanted(wanted, &known.origin) => {
                    items.push(item(row, kind, &known.origin));
                }
                Some(_) => {}
                None => {
                    self.held.push(at, row, kind);
                }
            }
        }
        items
    }
}

impl Held {
    /// Holds a message; the number of messages that had to make room.
    fn push(&mut self, at: Instant, row: MessageRow, kind: String) -> u64 {
        self.bytes += row.fields().len();
        self.rows.push_back((at, row, kind));
        let mut given_up = 0;
        while self.rows.len() > HELD_MAX || self.bytes > HELD_BYTES_MAX {
            self.pop();
            given_up += 1;
        }
        given_up
    }

    /// Gives up what was held for too long; how many messages.
    fn give_up(&mut self, now: Instant) -> u64 {
        let mut given_up = 0;
        while let Some((at, ..)) = self.rows.front()
            && now.duration_since(*at) >= HELD_FOR
        {
            self.pop();
            given_up += 1;
        }
        given_up
    }

    fn pop(&mut self) {
        if let Some((_, row, _)) = self.rows.pop_front() {
            self.bytes = self.bytes.saturating_sub(row.fields().len());
        }
    }
}

fn is_wanted(wanted: &Demand, origin: &Origin) -> bool {
    let mut filters = wanted.filters.iter();
    wanted.nodes || filters.any(|filter| filter.admits_node(origin))
}

fn item(row: MessageRow, kind: String, origin: &Arc<Origin>) -> Item {
    Item {
        id: MessageId(row.id),
        origin: origin.clone(),
        kind: kind.into(),
        created_at: row.created_at,
        received_at: None,
        fields: row.logs.unwrap_or_default().into(),
    }
}

/// Batches in parts that are read together.
fn together(batches: Vec<StoredBatch>) -> Vec<Vec<StoredBatch>> {
    let mut parts: Vec<Vec<StoredBatch>> = Vec::new();
    let mut messages = 0;
    for batch in batches {
        messages += batch.last_id - batch.id + 1;
        match parts.last_mut() {
            Some(part) if part.len() < BATCHES_TOGETHER && messages <= MESSAGES_TOGETHER => {
                part.push(batch);
            }
            _ => {
                messages = batch.last_id - batch.id + 1;
                parts.push(vec![batch]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn row(id: i64, bytes: usize) -> MessageRow {
        MessageRow {
            id,
            created_at: DateTime::UNIX_EPOCH,
            peer_connection_id: 7,
            kind_id: 1,
            target: None,
            logs: Some("x".repeat(bytes)),
        }
    }

    #[test]
    fn parts_are_bounded() {
        let batch = |messages| StoredBatch {
            id: 1,
            last_id: messages,
            first_at: DateTime::UNIX_EPOCH,
            last_at: DateTime::UNIX_EPOCH,
            transaction_id: 1,
        };
        let sizes = [30_000, 100, 100, 100, 100, 100, 19_000, 2_000];
        let parts = together(sizes.into_iter().map(batch).collect());
        let counts: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 4, 2, 1]);
    }

    #[test]
    fn messages_without_a_session_are_bounded_in_number_bytes_and_time() {
        let mut held = Held::default();
        let start = Instant::now();
        let later = start + HELD_FOR / 2;
        assert_eq!(
            held.push(start, row(1, HELD_BYTES_MAX / 2), String::new()),
            0
        );
        assert_eq!(
            held.push(later, row(2, HELD_BYTES_MAX / 2), String::new()),
            0
        );
        assert_eq!(held.push(later, row(3, 1), String::new()), 1);
        assert_eq!(held.give_up(start + HELD_FOR), 0);
        assert_eq!(held.give_up(later + HELD_FOR), 2);
        assert_eq!((held.rows.len(), held.bytes), (0, 0));
        for id in 0..=i64::try_from(HELD_MAX).unwrap() {
            held.push(start, row(id, 1), String::new());
        }
        assert_eq!((held.rows.len(), held.bytes), (HELD_MAX, HELD_MAX));
    }
}
