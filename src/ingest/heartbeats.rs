//! Heartbeats of services that came over websockets, the newest of each, until they are kept: a service
//! is judged within seconds, whatever waits for the database before its message.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::telemetry::Heartbeat;

/// Services that wait; further ones are left out, and counted as messages only.
const SERVICES_MAX: usize = 10_000;

/// The newest heartbeats.
#[derive(Debug, Default)]
pub struct Heartbeats(Mutex<HashMap<String, (Instant, Heartbeat)>>);

impl Heartbeats {
    /// Takes one.
    pub(super) fn add(&self, beat: Heartbeat, now: Instant) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < SERVICES_MAX || waiting.contains_key(&beat.service) {
            waiting.insert(beat.service.clone(), (now, beat));
        }
    }

    /// All that wait, to be kept.
    pub fn take(&self) -> Vec<(Instant, Heartbeat)> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting).into_values().collect()
    }

    /// Puts back what could not be kept, unless something newer came.
    pub fn put_back(&self, beats: Vec<(Instant, Heartbeat)>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, beat) in beats {
            if waiting.len() < SERVICES_MAX {
                waiting.entry(beat.service.clone()).or_insert((at, beat));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(service: &str, interval_s: i64) -> Heartbeat {
        let fields = serde_json::json!({"service": service, "interval_s": interval_s});
        Heartbeat::from_fields(fields.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_newest_of_each_service_waits_and_their_number_is_bounded() {
        let beats = Heartbeats::default();
        let now = Instant::now();
        beats.add(beat("a", 1), now);
        beats.add(beat("a", 2), now);
        let taken = beats.take();
        assert_eq!(taken.len(), 1);
        beats.add(beat("a", 3), now);
        beats.put_back(taken);
        assert_eq!(beats.take()[0].1.interval_s, 3, "what is newer stays");
        for number in 0..SERVICES_MAX + 5 {
            beats.add(beat(&number.to_string(), 1), now);
        }
        beats.add(beat("0", 9), now);
        let taken = beats.take();
        assert_eq!(taken.len(), SERVICES_MAX);
        assert!(
            taken
                .iter()
                .any(|(_, one)| one.service == "0" && one.interval_s == 9)
        );
    }
}
