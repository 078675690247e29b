//! One subscription to messages, from its history to what comes live. Pure: what
//! comes in is passed in, and texts come out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use chrono::{DateTime, TimeDelta, Utc};

use super::feed_dialect::FeedDialect;
use crate::feed::{
    Aggregate, Cursor, Filter, Item, Items, MessagesRequest, Shared, Since, Windows,
};

/// Messages that are held while the history is read, and their bytes; what is more is
/// missed.
const HELD_MAX: usize = 1 << 16;
const HELD_BYTES_MAX: usize = 32 << 20;

/// Messages in one text.
const CHUNK: usize = 1_000;

/// Longer than a message is usually on its way from a socket to the database and
/// to subscribers, also from another server.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(10);

/// What a window waits for beside the update interval: the way of a message that
/// waits for a writer, or is stored by another server.
const WINDOW_GRACE: TimeDelta = TimeDelta::seconds(1);

/// A subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) filter: Filter,
    since: Since,
    windows: Option<Windows>,
    /// While the history is read.
    held: Option<Held>,
}

/// What came while the history was read.
#[derive(Debug)]
struct Held {
    items: Vec<(Arc<Shared<Items>>, bool)>,
    count: usize,
    bytes: usize,
    missed: u64,
    /// Messages of the history that may come live as well.
    seen: HashSet<i64>,
    /// No message that arrived earlier does.
    seen_from: DateTime<Utc>,
}

impl Subscription {
    /// A subscription that begins now, where messages are handed on each
    /// `update_interval`.
    pub(super) fn new(
        request: MessagesRequest,
        now: DateTime<Utc>,
        update_interval: Duration,
    ) -> Self {
        let interval = TimeDelta::from_std(update_interval).unwrap_or(TimeDelta::zero());
        let grace = WINDOW_GRACE + interval;
        let windows = |aggregate: &Aggregate, from| Windows::new(aggregate.clone(), from, grace);
        // The first window is whole as well.
        let since = match (&request.aggregate, request.since) {
            (Some(aggregate), Since::Now) => Since::Time(aggregate.window_of(now)),
            (Some(aggregate), Since::Time(time)) => Since::Time(aggregate.window_of(time)),
            (_, since) => since,
        };
        let from = match &since {
            Since::Time(time) => *time,
            Since::Now | Since::Cursor(_) => now,
        };
        Self {
            filter: request.filter,
            windows: request
                .aggregate
                .as_ref()
                .map(|aggregate| windows(aggregate, from)),
            held: (since != Since::Now).then(|| Held {
                items: Vec::new(),
                count: 0,
                bytes: 0,
                missed: 0,
                seen: HashSet::new(),
                seen_from: now - ON_ITS_WAY,
            }),
            since,
        }
    }

    /// Whether a request names this subscription.
    pub(super) fn is_of(&self, request: &MessagesRequest) -> bool {
        self.filter == request.filter
            && self.windows.as_ref().map(Windows::aggregate) == request.aggregate.as_ref()
    }

    /// Where its history begins, if it has one.
    pub(super) fn history_since(&self) -> Option<Since> {
        self.held.as_ref().map(|_| self.since.clone())
    }

    /// The next part of the history.
    pub(super) fn history(&mut self, items: &[Item], dialect: FeedDialect) -> Vec<ByteString> {
        if let Some(held) = &mut self.held {
            let may_come_again = items
                .iter()
                .filter(|item| item.created_at >= held.seen_from);
            held.seen.extend(may_come_again.map(|item| item.id.0));
        }
        if let Some(windows) = &mut self.windows {
            for item in items {
                windows.add(item.created_at, &item.object());
            }
            return Vec::new();
        }
        let chunks = items.chunks(CHUNK);
        chunks
            .map(|items| dialect.page(&self.filter, items, None))
            .collect()
    }

    /// Messages that came live; `early` ones came before the subscription.
    pub(super) fn live(
        &mut self,
        items: &Arc<Shared<Items>>,
        early: bool,
        dialect: FeedDialect,
    ) -> Option<ByteString> {
        if let Some(held) = &mut self.held {
            let bytes: usize = items.list.iter().map(Item::bytes).sum();
            if held.count + items.list.len() > HELD_MAX || held.bytes + bytes > HELD_BYTES_MAX {
                held.missed += u64::try_from(items.list.len()).unwrap_or(u64::MAX);
            } else {
                held.count += items.list.len();
                held.bytes += bytes;
                held.items.push((items.clone(), early));
            }
            return None;
        }
        if early {
            return None;
        }
        if let Some(windows) = &mut self.windows {
            for item in &items.list {
                windows.add(item.created_at, &item.object());
            }
            return None;
        }
        Some(dialect.messages(&self.filter, items))
    }

    /// The history is complete, and so is what was held: what of it was not in
    /// the history, and how many messages were missed.
    pub(super) fn synced(
        &mut self,
        cursor: &Cursor,
        dialect: FeedDialect,
    ) -> (Vec<ByteString>, u64) {
        let Some(mut held) = self.held.take() else {
            return (Vec::new(), 0);
        };
        let mut fresh = Vec::new();
        for (items, early) in &held.items {
            let admitted = items
                .list
                .iter()
                .filter(|item| !early || self.admits_early(item));
            fresh.extend(admitted.filter(|item| held.seen.insert(item.id.0)));
        }
        fresh.sort_by_key(|item| (item.created_at, item.id));
        if let Some(windows) = &mut self.windows {
            for item in fresh {
                windows.add(item.created_at, &item.object());
            }
            return (Vec::new(), held.missed);
        }
        let mut texts = Vec::new();
        let mut chunks = fresh.chunks(CHUNK).peekable();
        if chunks.peek().is_none() {
            texts.push(dialect.page(&self.filter, [], Some(cursor)));
        }
        while let Some(items) = chunks.next() {
            let end = chunks.peek().is_none().then_some(cursor);
            let items = items.iter().copied();
            texts.push(dialect.page(&self.filter, items, end));
        }
        (texts, held.missed)
    }

    /// The windows that are over, and how many messages came too late for theirs.
    pub(super) fn close_windows(
        &mut self,
        now: DateTime<Utc>,
        dialect: FeedDialect,
    ) -> (Option<ByteString>, u64) {
        let Some(windows) = self.windows.as_mut().filter(|_| self.held.is_none()) else {
            return (None, 0);
        };
        let rows = windows.close(now);
        let late = windows.take_left_out();
        let text =
            (!rows.is_empty()).then(|| dialect.windows(&self.filter, windows.aggregate(), rows));
        (text, late)
    }

    /// Whether a message that came before the subscription belongs to it.
    fn admits_early(&self, item: &Item) -> bool {
        match &self.since {
            Since::Now => false,
            Since::Time(time) => item.created_at >= *time,
            Since::Cursor(cursor) => cursor.is_before(&item.origin.server_id, item.id),
        }
    }
}
