//! What becomes of each event of a request.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::Transport;
use crate::notify::client::{Answer, Client};
use crate::notify::receiver::{Receiver, Verdict, accepted};
use crate::notify::retry;
use crate::store::event_transports::Event;
use crate::store::outbox::Delivery;

/// Requests of one attempt: what is refused is looked for in halves, and the rest waits for the next attempt.
const REQUESTS_MAX: usize = 64;

/// Something is wrong with the request, not with the receiver: bad, too large, or not to be processed.
const REFUSALS: [u16; 3] = [400, 413, 422];

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The receiver took it.
    Delivered,
    /// The receiver does not take this one.
    Refused(String),
    /// Nor does it want to be asked again.
    Forbidden(String),
    /// The receiver takes nothing now.
    Failed {
        /// Why.
        error: String,
        /// The wait that it asked for.
        retry_after: Option<Duration>,
    },
    /// The receiver is gone for good.
    Gone(String),
}

/// What became of the events of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// Of each, in their order.
    pub(super) fates: Vec<Fate>,
    /// Of those delivered so many were refused, without a word on which; of none of them it is a warning.
    pub(super) unnamed: Option<Unnamed>,
}

impl Sent {
    /// Whether some were refused.
    pub(super) fn is_refused(&self) -> bool {
        let is_refusal = |fate: &Fate| matches!(fate, Fate::Refused(_));
        self.fates.iter().any(is_refusal)
    }
}

/// Refusals that the receiver only counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unnamed {
    pub(super) events: usize,
    pub(super) error: String,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answered {
    /// All events were taken.
    Taken,
    /// What became of each of them.
    Each(Vec<Fate>),
    /// All but so many, and it does not say which.
    TakenBut(Unnamed),
    /// One or several events are at fault.
    Refused(String),
    /// No event is at fault.
    Stopped(Fate),
}

impl Answered {
    /// What an answer means to receivers that tell errors by the usual statuses.
    pub(super) fn of(answer: Result<Answer, String>) -> Self {
        match answer {
            Ok(answer) if accepted(&answer) => Self::Taken,
            Ok(answer) if REFUSALS.contains(&answer.status) => Self::Refused(answer.reason()),
            Ok(answer) => Self::Stopped(Fate::Failed {
                error: answer.reason(),
                retry_after: answer.retry_after,
            }),
            Err(error) => Self::Stopped(Fate::Failed {
                error,
                retry_after: None,
            }),
        }
    }
}

/// Sends so many events in one request, and where that is refused in halves, so that one that is at
/// fault stands alone.
pub(super) fn in_halves(count: usize, mut request: impl FnMut(Range<usize>) -> Answered) -> Sent {
    let mut sent = Sent {
        fates: vec![Fate::Delivered; count],
        unnamed: None,
    };
    let whole = Range {
        start: 0,
        end: count,
    };
    let (mut parts, mut requests, mut stopped) = (vec![whole], 0, None);
    let mut refusal = String::new();
    while let Some(part) = parts.pop() {
        if stopped.is_none() && requests == REQUESTS_MAX {
            stopped = Some(Fate::Failed {
                error: format!("it refuses many events: {refusal}"),
                retry_after: None,
            });
        }
        let fate = match &stopped {
            Some(fate) => Fate::clone(fate),
            None => {
                requests += 1;
                match request(part.clone()) {
                    Answered::Taken => continue,
                    Answered::Each(of) => {
                        let places = sent.fates.get_mut(part).into_iter().flatten();
                        for (place, fate) in places.zip(of) {
                            *place = fate;
                        }
                        continue;
                    }
                    Answered::TakenBut(unnamed) if unnamed.events < part.len() => {
                        let before = sent.unnamed.take().map_or(0, |before| before.events);
                        sent.unnamed = Some(Unnamed {
                            events: before + unnamed.events,
                            ..unnamed
                        });
                        continue;
                    }
                    Answered::TakenBut(Unnamed { error, .. }) => Fate::Forbidden(error),
                    Answered::Refused(error) if part.len() == 1 => Fate::Refused(error),
                    Answered::Refused(error) => {
                        let middle = part.start + part.len() / 2;
                        parts.extend([middle..part.end, part.start..middle]);
                        refusal = error;
                        continue;
                    }
                    Answered::Stopped(fate) => {
                        stopped = Some(fate.clone());
                        fate
                    }
                }
            }
        };
        for place in sent.fates.get_mut(part).into_iter().flatten() {
            *place = fate.clone();
        }
    }
    sent
}

/// Sends events that were refused again, each alone.
pub(super) struct Again(pub(super) Arc<dyn Transport>);

impl Receiver for Again {
    fn batch_max(&self) -> i64 {
        8
    }

    fn send(&self, client: &Client, deliveries: &[Delivery]) -> Vec<Verdict> {
        let verdicts = deliveries.iter().map(|delivery| {
            let event: Event = match serde_json::from_str(&delivery.payload) {
                Ok(event) => event,
                Err(error) => return Verdict::Dead(format!("it cannot be read: {error}")),
            };
            let sent = self.0.send(client, &[event]);
            let (error, retry_after) = match sent.fates.into_iter().next() {
                Some(Fate::Delivered) | None => return Verdict::Delivered,
                Some(Fate::Gone(error)) => return Verdict::Gone(error),
                Some(Fate::Forbidden(error)) => return Verdict::Dead(error),
                Some(Fate::Refused(error)) => (error, None),
                Some(Fate::Failed { error, retry_after }) => (error, retry_after),
            };
            match retry::scheduled(delivery.attempts, retry::random()) {
                Some(wait) => Verdict::Retry {
                    wait: retry::asked(wait, retry_after),
                    error,
                },
                None => Verdict::Dead(error),
            }
        });
        verdicts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(sent: &Sent) -> usize {
        let delivered = sent.fates.iter().filter(|fate| **fate == Fate::Delivered);
        delivered.count()
    }

    #[test]
    fn what_is_refused_stands_alone_and_costs_few_requests() {
        let (bad, mut requests, mut taken) = (700, 0, Vec::new());
        let sent = in_halves(1_000, |part| {
            requests += 1;
            match part.contains(&bad) {
                true => Answered::Refused("bad".to_owned()),
                false => {
                    taken.extend(part);
                    Answered::Taken
                }
            }
        });
        assert_eq!(sent.fates[bad], Fate::Refused("bad".to_owned()));
        assert_eq!((delivered(&sent), taken.len()), (999, 999), "each once");
        assert!(requests <= 21, "{requests}");
    }

    #[test]
    fn a_receiver_that_refuses_everything_is_asked_so_often_and_no_more() {
        let mut requests = 0;
        let sent = in_halves(1_000, |_| {
            requests += 1;
            Answered::Refused("bad".to_owned())
        });
        assert_eq!(requests, REQUESTS_MAX);
        assert_eq!(delivered(&sent), 0);
        let failed = sent
            .fates
            .iter()
            .filter(|fate| matches!(fate, Fate::Failed { .. }));
        assert!(failed.count() > 900);
    }

    #[test]
    fn what_a_receiver_took_before_it_failed_is_delivered() {
        let mut requests = 0;
        let failed = Fate::Failed {
            error: "down".to_owned(),
            retry_after: None,
        };
        let sent = in_halves(8, |_| {
            requests += 1;
            match requests {
                1 => Answered::Refused("bad".to_owned()),
                2 => Answered::Taken,
                _ => Answered::Stopped(failed.clone()),
            }
        });
        assert_eq!(requests, 3);
        assert_eq!(delivered(&sent), 4);
        assert_eq!(sent.fates[4..], vec![failed; 4]);
    }

    #[test]
    fn refusals_without_names_are_counted_and_those_of_all_are_given_up_by_name() {
        let unnamed = |events| {
            let error = "bad".to_owned();
            Answered::TakenBut(Unnamed { events, error })
        };
        let some = in_halves(5, |_| unnamed(2));
        assert_eq!(delivered(&some), 5);
        assert_eq!(some.unnamed.unwrap().events, 2);
        let all = in_halves(2, |_| unnamed(2));
        assert_eq!(all.fates, vec![Fate::Forbidden("bad".to_owned()); 2]);
        assert_eq!(all.unnamed, None);
    }
}
