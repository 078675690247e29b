//! The projections `software_hours` and `hardware_hours`: how many nodes of a chain ran which
//! software, and on which machines, in each hour.
//!
//! They follow from the sessions: the hours of a chain in which one of them changed are counted
//! anew. Anybody can invent versions and machines: of a chain and hour those with the most
//! nodes have rows of their own, the others are counted together.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};

use super::beside::Table;
use super::hours::{self, Hour, hour_of};
use super::known_sessions::KnownSessions;
use super::{Message, Occasion, Projection};
use crate::cluster::Job;
use crate::store::SessionRow;

/// What is counted.
#[derive(Debug)]
struct Subject {
    name: &'static str,
    job: Job,
    delete: &'static str,
    count: &'static str,
    /// Of a chain and hour so many are kept apart: versions, or values of a fact.
    kept_max: i64,
}

static SOFTWARE: Subject = Subject {
    name: "software_hours",
    job: Job::SoftwareHours,
    delete: "DELETE FROM software_hours s USING unnest($1::text[], $2::timestamptz[]) AS k (genesis_hash, hour) \
             WHERE s.genesis_hash = k.genesis_hash AND s.hour = k.hour",
    count: include_str!("software_hours_count.sql"),
    kept_max: 100,
};

static HARDWARE: Subject = Subject {
    name: "hardware_hours",
    job: Job::HardwareHours,
    delete: "DELETE FROM hardware_hours s USING unnest($1::text[], $2::timestamptz[]) AS k (genesis_hash, hour) \
             WHERE s.genesis_hash = k.genesis_hash AND s.hour = k.hour",
    count: include_str!("hardware_hours_count.sql"),
    kept_max: 30,
};

/// Hours that are counted at once.
const AT_ONCE: usize = 200;

/// One of the projections.
#[derive(Debug)]
pub(super) struct NodeCounts {
    subject: &'static Subject,
    changed: BTreeSet<(String, Hour)>,
    /// Sessions that changed; in a large network hours are counted less often.
    sessions: usize,
    known: KnownSessions,
}

impl NodeCounts {
    /// By implementation and version.
    pub(super) fn of_software() -> Self {
        Self::of(&SOFTWARE)
    }

    /// By what their machines are.
    pub(super) fn of_hardware() -> Self {
        Self::of(&HARDWARE)
    }

    fn of(subject: &'static Subject) -> Self {
        Self {
            subject,
            changed: BTreeSet::new(),
            sessions: 0,
            known: KnownSessions::default(),
        }
    }
}

impl Projection for NodeCounts {
    fn name(&self) -> &'static str {
        self.subject.name
    }

    fn job(&self) -> Job {
        self.subject.job
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[]
    }

    fn interval_max(&self) -> Duration {
        hours::INTERVAL_MAX
    }

    fn fold(&mut self, _message: Message<'_>) {}

    fn session(&mut self, session: &SessionRow, occasion: Occasion) {
        let facts = &session.facts;
        let (Some(genesis_hash), Some(_)) = (&facts.genesis_hash, &facts.peer_id) else {
            return;
        };
        let seen = self.known.take(session);
        // It counts in that hour already.
        if seen.map(hour_of) == Some(hour_of(session.last_seen_at)) {
            return;
        }
        self.sessions += 1;
        let since = occasion.since().map(hour_of);
        let hours = hours::changed(session, occasion, seen);
        let hours = hours.filter(|hour| since.is_none_or(|since| *hour >= since));
        self.changed
            .extend(hours.map(|hour| (genesis_hash.clone(), hour)));
    }

    fn pending(&self) -> usize {
        self.changed.len()
    }

    fn reported(&self) -> usize {
        self.sessions
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        self.sessions = 0;
        let changed: Vec<_> = std::mem::take(&mut self.changed).into_iter().collect();
        for some in changed.chunks(AT_ONCE) {
            with_columns!(self.subject.delete, some, |one|
                one.0.as_str() => Text,
                one.1 => Timestamptz,
            )
            .execute(conn)?;
            with_columns!(self.subject.count, some, |one|
                one.0.as_str() => Text,
                one.1 => Timestamptz,
            )
            .bind::<BigInt, _>(self.subject.kept_max)
            .execute(conn)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        *self = Self::of(self.subject);
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table::of_times(self.subject.name, "hour")]
    }
}
