//! The batch that a transport has in memory.

use std::time::Instant;

use crate::config::BatchLimits;
use crate::store::event_transports::{Event, Read};

/// Events that were read and wait for others, for a request, or for the next attempt.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) events: Vec<Event>,
    /// All events up to this number are among them, are done, or do not pass the filter.
    pub(super) upto: i64,
    /// Since when the first waits.
    since: Option<Instant>,
    /// Bytes of their texts.
    bytes: usize,
}

impl Gathered {
    /// Nothing yet, after a number.
    pub(super) fn after(id: i64) -> Self {
        Self {
            upto: id,
            ..Self::default()
        }
    }

    /// What may be added: events and bytes of text; none if it is full.
    pub(super) fn room(&self, limits: BatchLimits) -> Option<(usize, usize)> {
        let events = limits.events.saturating_sub(self.events.len());
        let bytes = limits.bytes.saturating_sub(self.bytes);
        (events > 0 && bytes > 0).then_some((events, bytes))
    }

    /// Whether it leaves: it is full, or its first event has waited for long enough.
    pub(super) fn is_due(&self, limits: BatchLimits, now: Instant) -> bool {
        let is_old = |since: Instant| now.saturating_duration_since(since) >= limits.age;
        !self.events.is_empty() && (self.room(limits).is_none() || self.since.is_some_and(is_old))
    }

    /// Adds what was read.
    pub(super) fn add(&mut self, read: Read, now: Instant) {
        let bytes = read.events.iter().map(|event| event.data.get().len());
        self.bytes = bytes.fold(self.bytes, usize::saturating_add);
        if !read.events.is_empty() {
            self.since.get_or_insert(now);
        }
        self.events.extend(read.events);
        self.upto = read.upto;
    }

    /// Keeps what is left of it after an attempt.
    pub(super) fn keep(&mut self, left: Vec<Event>) {
        self.bytes = left.iter().map(|event| event.data.get().len()).sum();
        if left.is_empty() {
            self.since = None;
        }
        self.events = left;
    }

    /// Events up to this number are done.
    pub(super) fn done(&self) -> i64 {
        self.events.first().map_or(self.upto, |first| first.id - 1)
    }

    /// Bytes that its events take in the database.
    pub(super) fn stored_bytes(&self) -> i64 {
        self.events.iter().map(|event| event.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use serde_json::value::RawValue;

    use super::*;

    fn read(ids: std::ops::RangeInclusive<i64>) -> Read {
        let event = |id| Event {
            id,
            bytes: 300,
            event_id: format!("e{id}"),
            source: "a".to_owned(),
            peer_id: None,
            genesis_hash: None,
            chain: None,
            name: None,
            severity: "info".to_owned(),
            time: DateTime::UNIX_EPOCH,
            received_at: DateTime::UNIX_EPOCH,
            data: RawValue::from_string(r#"{"a":1}"#.to_owned()).unwrap(),
        };
        Read {
            upto: *ids.end(),
            events: ids.map(event).collect(),
        }
    }

    #[test]
    fn a_batch_leaves_when_it_is_full_or_old() {
        let age = Duration::from_secs(1);
        let limits = |events, bytes| BatchLimits { events, bytes, age };
        let now = Instant::now();
        let mut batch = Gathered::after(7);
        assert_eq!(batch.done(), 7);
        assert!(!batch.is_due(limits(2, 100), now + age), "it is empty");
        batch.add(read(8..=9), now);
        assert!(batch.is_due(limits(2, 100), now), "so many events");
        assert!(batch.is_due(limits(9, 14), now), "so many bytes");
        assert!(!batch.is_due(limits(9, 100), now));
        assert!(batch.is_due(limits(9, 100), now + age), "so old");
        assert_eq!(batch.room(limits(9, 100)), Some((7, 86)));
        assert_eq!(
            (batch.done(), batch.upto, batch.stored_bytes()),
            (7, 9, 600)
        );
        let left = batch.events.split_off(1);
        batch.keep(left);
        assert_eq!(
            (batch.done(), batch.room(limits(9, 100))),
            (8, Some((8, 93)))
        );
        batch.keep(Vec::new());
        assert_eq!(batch.done(), 9);
        batch.add(read(10..=10), now + age);
        assert!(!batch.is_due(limits(9, 100), now + age), "a new one");
    }
}
