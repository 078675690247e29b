//! What pages show: the table of all nodes, and presence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{AsyncContext, Context};
use bytestring::ByteString;

use super::{Hub, WriteNodes};
use crate::feed::node_table::{NodeChanged, NodeTable};
use crate::feed::sessions::Presence;
use crate::feed::shared::{Shared, Waiting};
use crate::feed::subscribers::Update;

/// Rows of the table in one text.
pub(super) const CHUNK: usize = 500;

/// Rows of one update: more take longer to write than the hub can be kept from its other work.
/// A row that changes while it is due is sent once.
const CHANGES_MAX: usize = 4 * CHUNK;

/// Between two turns of snapshots, so that others are served in between.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// Until it goes on where no subscriber had room for the next part.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// Rows for several subscribers.
pub(super) type Rows = Arc<Shared<ByteString>>;

/// The table of all nodes, while it is shown.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) table: NodeTable,
    /// All that the database has of it is in it.
    pub(super) is_complete: bool,
    unwatched_since: Option<Instant>,
    /// The nodes of each chain that was asked for, as they were after the last update.
    lists: HashMap<Option<String>, Keys>,
}

/// Nodes, in the order in which they are sent.
type Keys = Arc<[Arc<str>]>;

impl Watched {
    /// The nodes of a chain, or all, and whether they had to be looked for. What joins them later
    /// is among the changes of the next update, which all get.
    pub(super) fn keys(&mut self, chain: Option<&str>) -> (Keys, bool) {
        let chain = chain.map(str::to_owned);
        if let Some(keys) = self.lists.get(&chain) {
            return (keys.clone(), false);
        }
        let keys: Keys = self.table.keys(chain.as_deref()).into();
        self.lists.insert(chain, keys.clone());
        (keys, true)
    }
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

    /// Sends the next parts of their snapshots to subscribers that are not through with
    /// them; the parts after those follow once other requests had their turn.
    pub(super) fn look_on(&mut self, ctx: &mut Context<Self>) {
        let Some(watched) = self.watched.as_mut().filter(|_| !self.is_looking) else {
            return;
        };
        if self.snapshots.is_empty() {
            return;
        }
        let now = Instant::now();
        let (snapshots, subscribers) = (&mut self.snapshots, &mut self.subscribers);
        let turn = snapshots.turn(
            subscribers,
            watched,
            self.parts.write_nodes,
            &self.waiting,
            now,
        );
        if turn.has_more {
            self.is_looking = true;
            let pause = if turn.has_sent() {
                LOOK_PAUSE
            } else {
                FULL_PAUSE
            };
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
        let changes = watched.table.take_changes(CHANGES_MAX);
        watched.lists.clear();
        let mut of_chains: HashMap<Option<String>, Vec<Rows>> = HashMap::new();
        for (id, subscriber) in &mut self.subscribers {
            let Some(mut view) = subscriber.nodes.take() else {
                continue;
            };
            if view.is_behind {
                view.keys = None;
                view.is_again = true;
                view.is_behind = false;
                self.snapshots.add(*id, subscriber);
            } else {
                let parts = of_chains.entry(view.chain.clone()).or_insert_with(|| {
                    in_parts(
                        &changes,
                        view.chain.as_deref(),
                        self.parts.write_nodes,
                        &self.waiting,
                    )
                });
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
fn in_parts(
    changes: &[NodeChanged],
    chain: Option<&str>,
    write: WriteNodes,
    waiting: &Waiting,
) -> Vec<Rows> {
    let is_on = |one: &&NodeChanged| chain.is_none_or(|chain| one.node.is_on(chain));
    let admitted: Vec<NodeChanged> = changes.iter().filter(is_on).cloned().collect();
    admitted
        .chunks(CHUNK)
        .map(|rows| Shared::new(write(rows), waiting))
        .collect()
}
