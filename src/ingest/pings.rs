//! Pings of one connection: which to answer, and when to send one. Pure: time is
//! passed in.
//!
//! Nodes since 2021 write and never read, so they answer no ping. Pings go only to
//! nodes of the flat format, and only while they answer.

use std::time::{Duration, Instant};

/// Shortest time between two pongs.
const PONG_INTERVAL: Duration = Duration::from_millis(500);

/// What is known about a peer and pings.
#[derive(Debug, Default)]
pub(super) struct Pings {
    answers: Answers,
    ponged_at: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// It was not pinged.
    #[default]
    Unknown,
    /// It was pinged once.
    Asked,
    /// It has answered before, so it will again.
    Given,
}

/// What to do at a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Ping again.
    Ask,
    /// The peer is gone.
    GiveUp,
    /// Nothing: endless pings would fill the buffer of a node that never reads.
    Rest,
}

impl Pings {
    /// Whether a peer that may answer is to be pinged for the first time.
    pub(super) fn ask_first(&mut self) -> bool {
        let is_first = self.answers == Answers::Unknown;
        if is_first {
            self.answers = Answers::Asked;
        }
        is_first
    }

    /// A pong has come.
    pub(super) fn answered(&mut self) {
        self.answers = Answers::Given;
    }

    /// What to do after so much silence.
    pub(super) fn beat(&self, silence: Duration, timeout: Duration) -> Beat {
        match self.answers {
            Answers::Given if silence >= timeout => Beat::GiveUp,
            Answers::Given => Beat::Ask,
            Answers::Unknown | Answers::Asked => Beat::Rest,
        }
    }

    /// Whether to answer a ping. A flood is answered now and then, as RFC 6455
    /// (5.5.3) allows: a client that reads none of it would stop its socket.
    pub(super) fn may_pong(&mut self, now: Instant) -> bool {
        let may = self
            .ponged_at
            .is_none_or(|ponged_at| now.duration_since(ponged_at) >= PONG_INTERVAL);
        if may {
            self.ponged_at = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_asked_once_and_again_only_if_it_answers() {
        let (silence, timeout) = (Duration::from_secs(9), Duration::from_secs(10));
        let mut pings = Pings::default();
        assert_eq!(pings.beat(timeout, timeout), Beat::Rest);
        assert!(pings.ask_first());
        assert!(!pings.ask_first());
        assert_eq!(pings.beat(timeout, timeout), Beat::Rest);
        pings.answered();
        assert_eq!(pings.beat(silence, timeout), Beat::Ask);
        assert_eq!(pings.beat(timeout, timeout), Beat::GiveUp);
    }

    #[test]
    fn a_flood_of_pings_is_answered_now_and_then() {
        let start = Instant::now();
        let mut pings = Pings::default();
        let pongs = (0..1_000).filter(|ms| pings.may_pong(start + Duration::from_millis(*ms)));
        assert_eq!(pongs.count(), 2);
    }
}
