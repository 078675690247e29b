//! What waits for a transport behind the batch in memory: counted, bounded, and dropped where it
//! is too much or expired.

use std::time::{Duration, Instant};

use super::gathered::Gathered;
use crate::cluster::{Lease, LeaseError};
use crate::config::EventFilter;
use crate::database::Connection;
use crate::store::event_transports::{self, Pending, Span};

/// Statements of one look: the rest is for the next one.
const STATEMENTS_MAX: usize = 20;

/// How often is looked whether events have expired.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// Events after those in memory.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Those that pass the filter, as far as they are counted.
    pub(super) events: i64,
    /// Bytes that they take in the database.
    pub(super) bytes: i64,
    /// Events up to this number are counted.
    upto: i64,
    first_day: Option<String>,
    expiry_at: Option<Instant>,
    /// What is kept of it.
    shown: Pending,
}

/// A transport, and how far it is.
pub(super) struct Place<'a> {
    pub(super) label: &'a str,
    pub(super) filter: &'a EventFilter,
    pub(super) lease: &'a Lease,
    pub(super) cursor: &'a mut i64,
    pub(super) gathered: &'a mut Gathered,
}

impl Backlog {
    /// Nothing is counted yet, after a number.
    pub(super) fn after(id: i64) -> Self {
        Self {
            events: 0,
            bytes: 0,
            upto: id,
            first_day: None,
            expiry_at: None,
            shown: Pending {
                events: -1,
                ..Pending::default()
            },
        }
    }

    /// Events were taken into memory, up to a number.
    pub(super) fn taken(&mut self, events: &[event_transports::Event], upto: i64) {
        for event in events.iter().filter(|event| event.id <= self.upto) {
            self.events -= 1;
            self.bytes -= event.bytes;
        }
        self.upto = self.upto.max(upto);
    }

    /// Counts what is new; where some of what was counted is not there any more, all of it anew.
    /// Returns how many events have expired meanwhile.
    pub(super) fn count(
        &mut self,
        conn: &mut Connection,
        filter: &EventFilter,
        gathered: &Gathered,
    ) -> Result<i64, LeaseError> {
        let mut expired = 0;
        if self
            .expiry_at
            .is_none_or(|at| at.elapsed() >= EXPIRY_INTERVAL)
        {
            let first_day = conn.transaction(event_transports::first_day)?;
            if self.first_day != first_day && self.events > 0 {
                expired = self.count_anew(conn, filter, gathered)?;
            }
            self.first_day = first_day;
            self.expiry_at = Some(Instant::now());
        }
        for _ in 0..STATEMENTS_MAX {
            let span = Span::after(self.upto);
            let found = conn.transaction(|conn| event_transports::count(conn, &span, filter))?;
            self.events += found.events;
            self.bytes += found.bytes;
            self.upto = found.upto;
            if found.looked_at < event_transports::LOOKED_AT_MAX {
                break;
            }
        }
        Ok(expired)
    }

    /// Counts what was counted once more; returns how many events are not there any more.
    pub(super) fn count_anew(
        &mut self,
        conn: &mut Connection,
        filter: &EventFilter,
        gathered: &Gathered,
    ) -> Result<i64, LeaseError> {
        let (mut events, mut bytes, mut after) = (0, 0, gathered.upto);
        while after < self.upto {
            let span = Span {
                until: Some(self.upto),
                ..Span::after(after)
            };
            let found = conn.transaction(|conn| event_transports::count(conn, &span, filter))?;
            events += found.events;
            bytes += found.bytes;
            after = found.upto;
            if found.looked_at < event_transports::LOOKED_AT_MAX {
                break;
            }
        }
        let gone = self.events - events;
        (self.events, self.bytes) = (events, bytes);
        Ok(gone)
    }

    /// Drops the oldest events while there are more bytes than `bytes_max`; returns how many.
    pub(super) fn bound(
        &mut self,
        conn: &mut Connection,
        bytes_max: i64,
        place: &mut Place<'_>,
    ) -> Result<i64, LeaseError> {
        let mut excess = self.bytes + place.gathered.stored_bytes() - bytes_max;
        if excess <= 0 {
            return Ok(0);
        }
        // What is in memory is the oldest.
        let mut dropped = i64::try_from(place.gathered.events.len()).unwrap_or(i64::MAX);
        excess -= place.gathered.stored_bytes();
        let mut upto = place.gathered.upto;
        while excess > 0 && upto < self.upto {
            let found = conn.transaction(|conn| {
                event_transports::oldest_of(conn, upto, excess, place.filter)
            })?;
            dropped += found.events;
            excess -= found.bytes;
            self.events -= found.events;
            self.bytes -= found.bytes;
            upto = found.upto;
            if found.looked_at == 0 {
                break;
            }
        }
        place.lease.transaction(conn, |conn| {
            Ok(event_transports::drop_to(conn, place.label, upto, dropped)?)
        })?;
        *place.cursor = upto;
        *place.gathered = Gathered::after(upto);
        self.upto = self.upto.max(upto);
        Ok(dropped)
    }

    /// Keeps what waits, with what is in memory, for people.
    pub(super) fn show(
        &mut self,
        conn: &mut Connection,
        place: &Place<'_>,
    ) -> Result<Pending, LeaseError> {
        let gathered = i64::try_from(place.gathered.events.len()).unwrap_or(i64::MAX);
        let events = self.events + gathered;
        let oldest_at = match place.gathered.events.first() {
            Some(first) => Some(first.received_at),
            None if events == 0 => None,
            None => conn.transaction(|conn| {
                event_transports::first_arrival(conn, place.gathered.upto, place.filter)
            })?,
        };
        let pending = Pending {
            events,
            bytes: self.bytes + place.gathered.stored_bytes(),
            oldest_at,
        };
        if self.shown != pending {
            place.lease.transaction(conn, |conn| {
                Ok(event_transports::show(conn, place.label, &pending)?)
            })?;
            self.shown = pending;
        }
        Ok(pending)
    }
}
