//! What pages look at: the table of all nodes, and who comes and goes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix::{AsyncContext, Context};
use bytestring::ByteString;
use chrono::Utc;
use serde_json::{Value, json};

use super::Hub;
use crate::feed::board::Board;
use crate::feed::item::Origin;
use crate::feed::sessions::Presence;
use crate::feed::subscribers::{NodesView, Subscriber, Update};

/// Rows of the table in one text.
const CHUNK: usize = 500;

/// Between two parts of a first look, so that others are not kept waiting.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// The table of all nodes, while it is shown.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) board: Board,
    /// What the database knows of it is in it.
    pub(super) is_complete: bool,
    unwatched_since: Option<Instant>,
}

impl Hub {
    pub(super) fn hand_on_presences(&mut self, now: Instant) {
        let presences = std::mem::take(&mut self.presences);
        if presences.is_empty() {
            return;
        }
        for subscriber in self.subscribers.values_mut() {
            let Some(chain) = &subscriber.presence else {
                continue;
            };
            let admitted: Vec<&Presence> = presences
                .iter()
                .filter(|one| chain.as_deref().is_none_or(|chain| one.is_on(chain)))
                .collect();
            if !admitted.is_empty() {
                let text = json!({ "presence": admitted }).to_string();
                subscriber.offer(Update::Text(text.into()), now);
            }
        }
    }

    /// Shows all who look for the first time one more part, and goes on with
    /// the next when it has heard what else there is to do.
    pub(super) fn look_on(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let Some(watched) = &self.board else {
            return;
        };
        let mut has_more = false;
        for subscriber in self.subscribers.values_mut() {
            if let Some(mut view) = subscriber.nodes.take() {
                has_more |= look_on(watched, subscriber, &mut view, now) && !view.left.is_empty();
                subscriber.nodes = Some(view);
            }
        }
        if has_more && !self.is_looking {
            self.is_looking = true;
            ctx.run_later(LOOK_PAUSE, |hub, ctx| {
                hub.is_looking = false;
                hub.look_on(ctx);
            });
        }
    }

    /// Hands on what changed in the table of all nodes.
    pub(super) fn show_nodes(&mut self, now: Instant) {
        let Some(watched) = &mut self.board else {
            return;
        };
        let is_watched = self.subscribers.values().any(|one| one.nodes.is_some());
        if is_watched {
            watched.unwatched_since = None;
        } else if now.duration_since(*watched.unwatched_since.get_or_insert(now))
            >= self.parts.expiry
        {
            self.board = None;
            self.parts.metrics.feed.nodes.set(0);
            return self.show_demand();
        }
        let nodes = i64::try_from(watched.board.len()).unwrap_or(i64::MAX);
        self.parts.metrics.feed.nodes.set(nodes);
        if !is_watched {
            return;
        }
        let changes = watched.board.take_changes();
        let mut texts: HashMap<Option<String>, Vec<ByteString>> = HashMap::new();
        for subscriber in self.subscribers.values_mut() {
            let Some(mut view) = subscriber.nodes.take() else {
                continue;
            };
            if view.is_behind {
                view.left = watched.board.keys(view.chain.as_deref()).into();
                view.is_again = true;
                view.is_behind = false;
            } else {
                let made = texts
                    .entry(view.chain.clone())
                    .or_insert_with(|| changed_rows(&changes, view.chain.as_deref()));
                for rows in made {
                    let text = nodes_text(rows, view.is_complete);
                    view.is_behind |= !subscriber.offer(Update::Text(text), now);
                }
            }
            subscriber.nodes = Some(view);
        }
    }
}

/// The rows that changed on a chain, as JSON, in parts.
fn changed_rows(changes: &[(Origin, Value)], chain: Option<&str>) -> Vec<ByteString> {
    let admitted = changes
        .iter()
        .filter(|(origin, _)| chain.is_none_or(|chain| origin.is_on(chain)));
    let rows: Vec<&Value> = admitted.map(|(_, row)| row).collect();
    rows.chunks(CHUNK)
        .map(|rows| json!(rows).to_string().into())
        .collect()
}

/// Shows one more part of what a first look has still to show; whether it could.
fn look_on(
    watched: &Watched,
    subscriber: &mut Subscriber,
    view: &mut NodesView,
    now: Instant,
) -> bool {
    let count = view.left.len().min(CHUNK);
    let is_last = count == view.left.len();
    let is_complete = is_last && watched.is_complete;
    if count == 0 && view.is_complete == is_complete {
        return false;
    }
    let keys = view.left.iter().take(count);
    let rows = keys.filter_map(|key| watched.board.row(key, view.is_again));
    let rows: Vec<Value> = rows.collect();
    let text = nodes_text(&json!(rows).to_string(), is_complete);
    let has_room = subscriber.offer(Update::Text(text), now);
    if has_room {
        view.left.drain(..count);
        view.is_complete |= is_complete;
    }
    has_room
}

fn nodes_text(rows: &str, is_complete: bool) -> ByteString {
    let now = Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    format!("{{\"nodes\":{rows},\"now\":\"{now}\",\"complete\":{is_complete}}}").into()
}
