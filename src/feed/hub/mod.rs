//! The hub: an actor, on a thread of its own, that fans out to subscribers.

mod listen;
mod snapshots;
mod table;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, MessageResult};
use bytestring::ByteString;
use chrono::Utc;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::channels::Channels;
use super::cursor::Positions;
use super::item::{Item, Items};
use super::messages::{Ask, Demand, Departed, Join, RemoteChanges, Seed};
use super::node_table::{NodeChanged, NodeTable};
use super::sessions::{Presence, Sessions};
use super::shared::{Shared, Waiting};
use super::subscribers::{Subscriber, SubscriberId};
use crate::ids::{KindIndex, MessageId};
use crate::metrics::{FeedMetrics, Metrics, MissReason};
use crate::store::{Batch, Kinds, SessionRow, UNLISTED};
use snapshots::Snapshots;
use table::Watched;

/// Batches and requests that may wait for the hub. A batch that waits stays in
/// memory, also when it is stored; most have less than 1 MiB.
const MAILBOX: usize = 32;

/// Messages in one text, unless one is larger: bytes.
const TEXT_BYTES: usize = 1 << 20;

/// Presence changes that may wait for the next update.
const PRESENCES_MAX: usize = 10_000;

/// Batches that may be on their way to the database and are looked through for
/// a subscription with history; the room for messages ends long before.
const RECENT_MAX: usize = 4_096;

/// Updates to a subscriber come so many times in `CACHE_UPDATE_INTERVAL_MS`,
/// for the messages that this server receives.
const TICKS: u32 = 4;

/// Writes rows of the table of all nodes, as a list.
pub type WriteNodes = fn(&[NodeChanged]) -> ByteString;

/// What the hub needs from outside.
#[derive(Debug, Clone)]
pub struct HubParts {
    /// Name of this server.
    pub server_id: Arc<str>,
    /// The dictionary of kinds.
    pub kinds: Arc<Kinds>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// `CACHE_UPDATE_INTERVAL_MS`.
    pub update_interval: Duration,
    /// `CACHE_EXPIRY_S`.
    pub expiry: Duration,
    /// The form of rows for subscribers.
    pub write_nodes: WriteNodes,
}

/// Fans messages out to the subscribers that want them.
#[derive(Debug)]
pub struct Hub {
    parts: HubParts,
    sessions: Sessions,
    channels: Channels,
    subscribers: HashMap<SubscriberId, Subscriber>,
    last_subscriber: u64,
    /// What waits for all of them.
    waiting: Waiting,
    watched: Option<Watched>,
    snapshots: Snapshots,
    presences: Vec<Presence>,
    recent: VecDeque<Weak<Batch>>,
    positions: Positions,
    kind_names: HashMap<i16, Arc<str>>,
    demand: watch::Sender<Demand>,
    /// Of other servers, everything up to it has been handed on.
    remote_generation: u64,
    is_looking: bool,
    tick: u32,
}

impl Hub {
    /// Starts it, on its own thread.
    pub fn start_in(arbiter: &Arbiter, parts: HubParts) -> (Addr<Self>, watch::Receiver<Demand>) {
        let (demand, demanded) = watch::channel(Demand::default());
        let hub = Self::start_in_arbiter(&arbiter.handle(), move |ctx: &mut Context<Self>| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self {
                parts,
                sessions: Sessions::default(),
                channels: Channels::default(),
                subscribers: HashMap::new(),
                last_subscriber: 0,
                waiting: Waiting::default(),
                watched: None,
                snapshots: Snapshots::default(),
                presences: Vec::new(),
                recent: VecDeque::new(),
                positions: Positions::default(),
                kind_names: HashMap::new(),
                demand,
                remote_generation: 0,
                is_looking: false,
                tick: 0,
            }
        });
        (hub, demanded)
    }

    fn metrics(&self) -> &FeedMetrics {
        &self.parts.metrics.feed
    }

    /// Takes over sessions that began or changed, or those that ended.
    fn take_over<'a>(&mut self, rows: impl IntoIterator<Item = &'a SessionRow>, are_news: bool) {
        let now = Instant::now();
        for row in rows {
            let presence = self.sessions.apply(row, now);
            if let Some(watched) = &mut self.watched {
                watched.table.session(row);
            }
            let is_wanted = are_news && self.presences.len() < PRESENCES_MAX;
            if is_wanted && self.demand.borrow().presence > 0 {
                self.presences.extend(presence);
            }
        }
    }

    /// Gives the messages of a batch to the channels that want them, or to one
    /// channel only.
    fn sort(&mut self, batch: &Batch, only: Option<u64>) {
        let mut last = None;
        for group in &batch.groups {
            for (row, pending) in group.rows.views() {
                last = last.max(Some(row.id));
                let wants_nodes = self.watched.is_some() && only.is_none();
                if self.channels.is_empty() && !wants_nodes {
                    continue;
                }
                let Some((known, wanting)) = self.sessions.find(row.session, &self.channels) else {
                    continue;
                };
                if wanting.is_empty() && !wants_nodes {
                    continue;
                }
                let kind = kind_name(
                    &self.parts.kinds,
                    &mut self.kind_names,
                    row.kind_id,
                    pending,
                    row.logs,
                );
                if let Some(watched) = self.watched.as_mut().filter(|_| wants_nodes)
                    && NodeTable::wants(&kind)
                {
                    let (at, received_at) = (row.created_at, Some(group.received_at));
                    watched
                        .table
                        .message(&known.origin, &kind, row.logs, at, received_at);
                }
                let mut made: Option<Item> = None;
                for number in wanting
                    .iter()
                    .filter(|number| only.is_none_or(|only| only == **number))
                {
                    let Some(channel) = self.channels.get_mut(*number) else {
                        continue;
                    };
                    if channel.filter.admits_kind(&kind) {
                        let item = made.get_or_insert_with(|| Item {
                            id: row.id,
                            origin: known.origin.clone(),
                            kind: kind.clone(),
                            created_at: row.created_at,
                            received_at: Some(group.received_at),
                            fields: String::from_utf8_lossy(row.logs).into(),
                        });
                        channel.push(item.clone());
                    }
                }
            }
        }
        if let Some(last) = last.filter(|_| only.is_none()) {
            self.positions.reach(&self.parts.server_id, last);
        }
    }

    /// Gives messages of other servers to the channels that want them.
    fn sort_remote(&mut self, items: Vec<Item>) {
        for item in items {
            self.positions.reach(&item.origin.server_id, item.id);
            if let Some(watched) = &mut self.watched
                && NodeTable::wants(&item.kind)
            {
                let at = item.created_at;
                let fields = item.fields.as_bytes();
                watched
                    .table
                    .message(&item.origin, &item.kind, fields, at, item.received_at);
            }
            for number in self.channels.wanting(&item.origin) {
                let channel = self.channels.get_mut(number);
                if let Some(channel) = channel.filter(|one| one.filter.admits_kind(&item.kind)) {
                    channel.push(item.clone());
                }
            }
        }
    }

    /// Hands on what waits for the listeners of a channel, in texts of bounded size;
    /// the last one has the place after all of them.
    fn flush(&mut self, number: u64, now: Instant) {
        let Some(channel) = self.channels.get_mut(number) else {
            return;
        };
        let list = channel.take_pending();
        let missed = std::mem::take(&mut channel.missed);
        let metrics = &self.parts.metrics.feed;
        if let Some(received_at) = list.iter().find_map(|item| item.received_at) {
            let delay = now.saturating_duration_since(received_at);
            metrics.delay_seconds.observe(delay.as_secs_f64());
        }
        let cursor = self.positions.cursor(Utc::now());
        let texts = Items::in_texts(list, cursor, TEXT_BYTES);
        let texts: Vec<_> = texts
            .into_iter()
            .map(|items| Shared::new(items, &self.waiting))
            .collect();
        for (subscriber, subscription) in &channel.listeners {
            let Some(subscriber) = self.subscribers.get_mut(subscriber) else {
                continue;
            };
            if missed > 0 {
                metrics.missed(MissReason::HubBusy, missed);
                subscriber.missed(*subscription, missed);
            }
            for items in &texts {
                subscriber.offer_messages(*subscription, items, false, now, metrics);
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for number in self.channels.numbers() {
            self.flush(number, now);
        }
        self.hand_on_presences(now);
        self.catch_up(now);
        self.tick = (self.tick + 1) % TICKS;
        let has_due = |watched: &Watched| watched.table.has_due();
        if self.tick == 0 || self.watched.as_ref().is_some_and(has_due) {
            self.show_nodes(now);
        }
        let lost: Vec<SubscriberId> = self
            .subscribers
            .iter()
            .filter(|(_, subscriber)| subscriber.is_lost(now))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            if self
                .subscribers
                .get(&id)
                .is_some_and(|one| one.is_stalled(now))
            {
                self.metrics().subscribers_dropped.inc();
                log::warn!(
                    "a subscriber of the live feed has stopped reading: its connection is closed"
                );
            }
            self.leave(id);
        }
        self.sessions.sweep(now);
        self.positions.sweep(now);
        self.recent.retain(|batch| batch.strong_count() > 0);
    }

    /// Sends what subscribers wait for: after all that came before.
    fn catch_up(&mut self, now: Instant) {
        let cursor = self.positions.cursor(Utc::now());
        for subscriber in self.subscribers.values_mut() {
            subscriber.catch_up(self.remote_generation, &cursor, now);
        }
    }
}

/// The name of a kind; that of one beyond the limit is in the message.
fn kind_name(
    kinds: &Kinds,
    names: &mut HashMap<i16, Arc<str>>,
    kind_id: i16,
    pending: Option<KindIndex>,
    fields: &[u8],
) -> Arc<str> {
    if let Some(index) = pending {
        return kinds.name_of(index).into();
    }
    if kind_id == UNLISTED {
        let fields: Value = serde_json::from_slice(fields).unwrap_or_default();
        let name = fields.get("msg").and_then(Value::as_str);
        return name.unwrap_or_default().into();
    }
    let name = names.entry(kind_id);
    name.or_insert_with(|| kinds.name(kind_id).into()).clone()
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.update_interval / TICKS, |hub, ctx| {
            hub.tick();
            hub.look_on(ctx);
        });
    }
}

impl Handler<Departed> for Hub {
    type Result = ();

    fn handle(&mut self, departed: Departed, _ctx: &mut Self::Context) {
        let batch = departed.batch;
        let weak = Arc::downgrade(&batch);
        // One that could not be stored leaves again.
        if self.recent.iter().any(|known| known.ptr_eq(&weak)) {
            return;
        }
        let all = || {
            let groups = batch.groups.iter().flat_map(|group| &group.sessions);
            departed.sessions.iter().chain(groups)
        };
        // Ends come after the last messages of their session.
        self.take_over(all().filter(|row| row.disconnected_at.is_none()), true);
        self.sort(&batch, None);
        self.take_over(all().filter(|row| row.disconnected_at.is_some()), true);
        for channel in self.channels.iter_mut() {
            channel.missed += departed.missed;
        }
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(weak);
    }
}

impl Handler<RemoteChanges> for Hub {
    type Result = ();

    fn handle(&mut self, changes: RemoteChanges, _ctx: &mut Self::Context) {
        let count = u64::try_from(changes.items.len()).unwrap_or(u64::MAX);
        self.metrics().messages_relayed.inc_by(count);
        for (server_id, last) in changes.newest {
            self.positions.reach(&server_id.into(), MessageId(last));
        }
        self.take_over(&changes.sessions, changes.are_news);
        self.sort_remote(changes.items);
        for channel in self.channels.iter_mut() {
            channel.missed += changes.left_out;
        }
        self.remote_generation = self.remote_generation.max(changes.generation);
    }
}

impl Handler<Seed> for Hub {
    type Result = ();

    fn handle(&mut self, seed: Seed, _ctx: &mut Self::Context) {
        if let Some(watched) = &mut self.watched {
            for (row, values) in seed.nodes {
                watched.table.seed(&row, values);
            }
            watched.is_complete |= seed.is_complete;
        }
    }
}

impl Handler<Join> for Hub {
    type Result = MessageResult<Join>;

    fn handle(&mut self, Join(mailbox): Join, _ctx: &mut Self::Context) -> Self::Result {
        self.last_subscriber += 1;
        let id = SubscriberId(self.last_subscriber);
        let (alive, given_up) = oneshot::channel();
        let subscriber = Subscriber::new(mailbox, alive, self.waiting.clone());
        self.subscribers.insert(id, subscriber);
        self.metrics().subscribers.inc();
        self.metrics().subscribers_opened.inc();
        MessageResult((id, given_up))
    }
}

impl Handler<Ask> for Hub {
    type Result = MessageResult<Ask>;

    fn handle(&mut self, Ask { subscriber, what }: Ask, ctx: &mut Self::Context) -> Self::Result {
        let sessions = self.answer(subscriber, what);
        self.look_on(ctx);
        MessageResult(sessions)
    }
}
