//! What pages show: the table of all nodes, and presence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{AsyncContext, Context};

use super::Hub;
use crate::feed::node_table::{NodeChanged, NodeTable};
use crate::feed::sessions::Presence;
use crate::feed::shared::{Shared, Waiting};
use crate::feed::subscribers::{NodesView, Subscriber, Update};

/// Rows of the table in one text.
const CHUNK: usize = 500;

/// Between two parts of a snapshot, so that others are served in between.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// Until it goes on where no subscriber had room for the next part.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// Rows for several subscribers.
type Rows = Arc<Shared<Vec<NodeChanged>>>;

/// The table of all nodes, while it is shown.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) table: NodeTable,
    /// All that the database has of it is in it.
    pub(super) is_complete: bool,
    unwatched_since: Option<Instant>,
}

impl Hub {
    pub(super) fn hand_on_presences(&mut self, now: Instant) {
        let presences = std::mem::take(&mut self.presences);
        if presences.is_empty() {
            return;
        }
        let mut of_chains: HashMap<Option<String>, Arc<Shared<Vec<Presence>>>> = HashMap::new();
        for subscriber in self.subscribers.values_mut() {
            let Some(chain) = &subscriber.presence else {
                continue;
            };
            let shared = of_chains.entry(chain.clone()).or_insert_with(|| {
                let is_on = |one: &&Presence| chain.as_deref().is_none_or(|chain| one.is_on(chain));
                let admitted = presences.iter().filter(is_on).cloned().collect();
                Shared::new(admitted, &self.waiting)
            });
            if !shared.is_empty() {
                subscriber.offer(Update::Presence(shared.clone()), now);
            }
        }
    }

    /// Sends the next part of their snapshot to subscribers that are not through with
    /// it; the part after it follows once other requests had their turn.
    pub(super) fn look_on(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let Some(watched) = &self.watched else {
            return;
        };
        let (mut has_more, mut has_room) = (false, false);
        for subscriber in self.subscribers.values_mut() {
            if let Some(mut view) = subscriber.nodes.take() {
                has_room |= look_on(watched, subscriber, &mut view, &self.waiting, now);
                has_more |= !view.left.is_empty();
                subscriber.nodes = Some(view);
            }
        }
        if has_more && !self.is_looking {
            self.is_looking = true;
            let pause = if has_room { LOOK_PAUSE } else { FULL_PAUSE };
            ctx.run_later(pause, |hub, ctx| {
                hub.is_looking = false;
                hub.look_on(ctx);
            });
        }
    }

    /// Sends what changed in the table of all nodes.
    pub(super) fn show_nodes(&mut self, now: Instant) {
        let Some(watched) = &mut self.watched else {
            return;
        };
        let is_watched = self.subscribers.values().any(|one| one.nodes.is_some());
        if is_watched {
            watched.unwatched_since = None;
        } else if now.duration_since(*watched.unwatched_since.get_or_insert(now))
            >= self.parts.expiry
        {
            self.watched = None;
            self.parts.metrics.feed.nodes.set(0);
            self.demand.send_modify(|demand| demand.nodes = false);
            return;
        }
        let nodes = i64::try_from(watched.table.len()).unwrap_or(i64::MAX);
        self.parts.metrics.feed.nodes.set(nodes);
        if !is_watched {
            return;
        }
        let changes = watched.table.take_changes();
        let mut of_chains: HashMap<Option<String>, Vec<Rows>> = HashMap::new();
        for subscriber in self.subscribers.values_mut() {
            let Some(mut view) = subscriber.nodes.take() else {
                continue;
            };
            if view.is_behind {
                view.left = watched.table.keys(view.chain.as_deref()).into();
                view.is_again = true;
                view.is_behind = false;
            } else {
                let parts = of_chains
                    .entry(view.chain.clone())
                    .or_insert_with(|| in_parts(&changes, view.chain.as_deref(), &self.waiting));
                for rows in parts {
                    let update = Update::Nodes {
                        rows: rows.clone(),
                        is_complete: view.is_complete,
                    };
                    view.is_behind |= !subscriber.offer(update, now);
                }
            }
            subscriber.nodes = Some(view);
        }
    }
}

/// The rows that changed on a chain, in parts.
fn in_parts(changes: &[NodeChanged], chain: Option<&str>, waiting: &Waiting) -> Vec<Rows> {
    let is_on = |one: &&NodeChanged| chain.is_none_or(|chain| one.node.is_on(chain));
    let admitted: Vec<NodeChanged> = changes.iter().filter(is_on).cloned().collect();
    admitted
        .chunks(CHUNK)
        .map(|rows| Shared::new(rows.to_vec(), waiting))
        .collect()
}

/// Sends the next part of a snapshot; whether there was room.
fn look_on(
    watched: &Watched,
    subscriber: &mut Subscriber,
    view: &mut NodesView,
    waiting: &Waiting,
    now: Instant,
) -> bool {
    let count = view.left.len().min(CHUNK);
    let is_last = count == view.left.len();
    // A client that stops there has all nodes, also those that came meanwhile.
    let has_all = watched.is_complete && !watched.table.has_new() && !view.is_behind;
    let is_complete = view.is_complete || (is_last && has_all);
    if count == 0 && view.is_complete == is_complete {
        return false;
    }
    let keys = view.left.iter().take(count);
    let rows: Vec<NodeChanged> = keys
        .filter_map(|key| watched.table.row(key, view.is_again))
        .collect();
    let update = Update::Nodes {
        rows: Shared::new(rows, waiting),
        is_complete,
    };
    let has_room = subscriber.offer(update, now);
    if has_room {
        view.left.drain(..count);
        view.is_complete |= is_complete;
    }
    has_room
}
