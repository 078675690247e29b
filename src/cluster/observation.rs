//! Which servers are lost. Pure: time is passed in.
//!
//! A server is lost when its heartbeat has not changed for a while during which
//! this server could read and write the database without a break. Clocks are not
//! compared, and an outage of the database, however long, proves nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// Without a heartbeat for so long a server is lost: long enough for a fail-over
/// of its way to the database, after which nodes reconnect elsewhere.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// The same for versions that send a heartbeat each minute.
const LOST_AFTER_SELDOM: Duration = Duration::from_secs(300);

/// A longer break between two looks interrupts the watch.
const BREAK_MAX: Duration = Duration::from_secs(5);

/// A server, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) heartbeat_at: DateTime<Utc>,
    /// It sends a heartbeat each second.
    pub(super) is_frequent: bool,
}

/// What was seen of the other servers so far.
#[derive(Debug, Default)]
pub(super) struct Observation {
    last_look: Option<Instant>,
    /// The last heartbeat of each, and when it was first seen here.
    since: HashMap<String, (DateTime<Utc>, Instant)>,
}

impl Observation {
    /// Looks at the other servers. Returns those that are lost.
    pub(super) fn look(&mut self, servers: Vec<Seen>, now: Instant) -> Vec<String> {
        let is_break = self
            .last_look
            .is_none_or(|last| now.duration_since(last) > BREAK_MAX);
        if is_break {
            self.since.clear();
        }
        self.last_look = Some(now);
        let mut since = HashMap::new();
        let mut lost = Vec::new();
        for server in servers {
            let first_seen = match self.since.get(&server.id) {
                Some((heartbeat_at, first_seen)) if *heartbeat_at == server.heartbeat_at => {
                    *first_seen
                }
                _ => now,
            };
            let lost_after = match server.is_frequent {
                true => LOST_AFTER,
                false => LOST_AFTER_SELDOM,
            };
            if now.duration_since(first_seen) >= lost_after {
                lost.push(server.id.clone());
            }
            since.insert(server.id, (server.heartbeat_at, first_seen));
        }
        self.since = since;
        lost
    }

    /// The database did not answer: the watch begins anew.
    pub(super) fn interrupt(&mut self) {
        self.last_look = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen(id: &str, heartbeat_s: i64, is_frequent: bool) -> Seen {
        Seen {
            id: id.to_owned(),
            heartbeat_at: DateTime::from_timestamp(heartbeat_s, 0).unwrap(),
            is_frequent,
        }
    }

    #[test]
    fn a_server_whose_heartbeat_stands_still_is_lost() {
        let start = Instant::now();
        let mut observation = Observation::default();
        for second in 0..30 {
            let now = start + SECOND * second;
            let servers = vec![
                seen("dead", 5, true),
                seen("alive", i64::from(second), true),
            ];
            assert!(observation.look(servers, now).is_empty(), "{second}");
        }
        let servers = vec![seen("dead", 5, true), seen("alive", 30, true)];
        assert_eq!(observation.look(servers, start + SECOND * 30), ["dead"]);
    }

    #[test]
    fn versions_with_a_heartbeat_each_minute_are_given_five() {
        let start = Instant::now();
        let mut observation = Observation::default();
        for second in 0..300 {
            let lost = observation.look(vec![seen("old", 5, false)], start + SECOND * second);
            assert!(lost.is_empty(), "{second}");
        }
        let lost = observation.look(vec![seen("old", 5, false)], start + SECOND * 300);
        assert_eq!(lost, ["old"]);
    }

    #[test]
    fn an_outage_of_six_minutes_makes_no_server_lost() {
        let start = Instant::now();
        let mut observation = Observation::default();
        let other = || vec![seen("other", 5, true)];
        assert!(observation.look(other(), start).is_empty());
        observation.interrupt();
        // Back: the other has not managed to send a heartbeat yet.
        let back = start + SECOND * 360;
        assert!(observation.look(other(), back).is_empty());
        assert!(observation.look(other(), back + SECOND).is_empty());
        let alive = vec![seen("other", 366, true)];
        assert!(observation.look(alive, back + SECOND * 2).is_empty());
    }

    #[test]
    fn a_pause_of_this_server_proves_nothing() {
        let start = Instant::now();
        let mut observation = Observation::default();
        assert!(
            observation
                .look(vec![seen("other", 5, true)], start)
                .is_empty()
        );
        let resumed = start + SECOND * 40;
        assert!(
            observation
                .look(vec![seen("other", 5, true)], resumed)
                .is_empty()
        );
    }
}
