//! The events of an attempt, by what is done with them.

use std::time::Duration;

use super::fate::{Fate, Sent, Unnamed};
use crate::notify::retry;
use crate::store::event_transports::Event;
use crate::store::outbox::Refused;

/// Events that were refused may wait in the outbox; with more the receiver counts as down.
pub(super) const REFUSED_MAX: i64 = 10_000;

/// The events of an attempt.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Taken.
    pub(super) delivered: i64,
    /// Given up.
    pub(super) dead: i64,
    /// What goes into the outbox: to be tried again alone, or given up.
    pub(super) refused: Vec<Refused>,
    /// To be sent again.
    pub(super) left: Vec<Event>,
    /// Why, and the wait that the receiver asked for.
    pub(super) failed: Option<(String, Option<Duration>)>,
    /// Why the receiver is gone.
    pub(super) gone: Option<String>,
    /// What the receiver said of events that it did not name, or that are given up.
    pub(super) said: Option<String>,
}

impl Sorted {
    /// Sorts events; `has_room` says whether the outbox takes more of them.
    pub(super) fn of(events: Vec<Event>, sent: Sent, has_room: bool) -> Self {
        let mut sorted = Self::default();
        if let Some(Unnamed {
            events: count,
            error,
        }) = sent.unnamed
        {
            if count > 0 {
                let taken = events.iter().zip(&sent.fates);
                let among = taken.filter(|(_, fate)| **fate == Fate::Delivered);
                let among = among.map(|(event, _)| event.event_id.as_str());
                sorted.refused.push(unnamed(among.collect(), count, &error));
                sorted.dead = i64::try_from(count).unwrap_or(i64::MAX);
                // They are among those that count as delivered below.
                sorted.delivered = -sorted.dead;
            }
            sorted.said = Some(error);
        }
        for (event, fate) in events.into_iter().zip(sent.fates) {
            match fate {
                Fate::Delivered => sorted.delivered += 1,
                Fate::Refused(error) if has_room => {
                    let wait = retry::scheduled(1, retry::random());
                    sorted.refused.push(refused(&event, error, wait));
                }
                Fate::Forbidden(error) => {
                    sorted.dead += 1;
                    sorted.said = Some(error.clone());
                    sorted.refused.push(refused(&event, error, None));
                }
                Fate::Refused(error) => {
                    let error = format!("it has refused {REFUSED_MAX} events: {error}");
                    sorted.failed.get_or_insert((error, None));
                    sorted.left.push(event);
                }
                Fate::Failed { error, retry_after } => {
                    sorted.failed.get_or_insert((error, retry_after));
                    sorted.left.push(event);
                }
                Fate::Gone(error) => {
                    sorted.failed.get_or_insert((error.clone(), None));
                    sorted.gone.get_or_insert(error);
                    sorted.left.push(event);
                }
            }
        }
        sorted
    }
}

fn refused(event: &Event, error: String, wait: Option<Duration>) -> Refused {
    Refused {
        message_id: event.event_id.clone(),
        payload: serde_json::to_string(event).unwrap_or_default(),
        error,
        wait,
    }
}

/// What is known of events that a receiver refused without a word on which: they are among these.
fn unnamed(among: Vec<&str>, count: usize, error: &str) -> Refused {
    let first = among.first().copied().unwrap_or_default();
    Refused {
        message_id: format!("among_{first}"),
        payload: serde_json::json!({"refused": count, "among": among}).to_string(),
        error: error.to_owned(),
        wait: None,
    }
}
