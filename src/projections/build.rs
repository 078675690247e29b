//! How the tables of a projection are built from the stored messages: beside those that readers
//! see, which are replaced at the end.
//!
//! ```text
//! rows to keep ──► sessions ──► messages, span by span ──► tables beside ──► tables
//! ```
//!
//! From the sessions on each step is committed with its progress, so another server goes on with it.
//! Replacing begins again then: rows that are replaced already are alike.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use diesel::result::QueryResult;

use super::beside::{self, Table, Walk};
use super::follower::PENDING_MAX;
use super::reader::{Kinds, understand};
use super::state::{self, Progress};
use super::{Occasion, Projection};
use crate::changes::{self, Position};
use crate::cluster::{Lease, LeaseError};
use crate::database::Connection;
use crate::messages::{self, StreamedMessage, Wanted};

/// A build goes on so far into the future: clocks of servers differ.
const BUILD_PAST_NOW: TimeDelta = TimeDelta::hours(1);

/// Span of messages that a build reads at once: from the first to the longest.
const SPAN_FIRST: TimeDelta = TimeDelta::seconds(10);
const SPAN_MAX: TimeDelta = TimeDelta::days(1);

/// A span of a build with more messages is followed by one half as long, with fewer
/// than an eighth by one four times as long.
const SPAN_MESSAGES: usize = 100_000;

/// A build, as far as this server remembers it.
#[derive(Debug)]
pub(super) struct Build {
    part: Part,
    span: TimeDelta,
}

/// What it does now.
#[derive(Debug)]
enum Part {
    /// It is to be looked up.
    Unknown,
    /// Copies rows of times before its start.
    Copies {
        start: Option<DateTime<Utc>>,
        walk: Walk,
    },
    /// Takes the messages.
    Folds,
    /// Replaces the tables that readers see.
    Replaces(Walk),
}

/// What a step of a build needs.
pub(super) struct BuildParts<'a> {
    pub(super) projection: &'a mut dyn Projection,
    pub(super) conn: &'a mut Connection,
    pub(super) lease: &'a Lease,
    /// As it is in the database.
    pub(super) found: &'a Progress,
    /// Database cluster of the connection.
    pub(super) cluster_id: &'a str,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            part: Part::Unknown,
            span: SPAN_FIRST,
        }
    }
}

impl Build {
    /// One part of building the tables from the stored messages; returns how far it is. What is
    /// stored from now on comes through the changes afterwards, and is left out here.
    pub(super) fn step(&mut self, mut parts: BuildParts<'_>) -> Result<Progress, LeaseError> {
        let found = parts.found;
        let Some((end, until)) = found.build_end.zip(found.built_until) else {
            return self.begin(&mut parts);
        };
        match &mut self.part {
            Part::Unknown | Part::Copies { .. } => {
                self.part = Part::Folds;
                parts.take_over()
            }
            Part::Folds if until <= Utc::now() + BUILD_PAST_NOW => {
                parts.fold(&mut self.span, Position(end), until)
            }
            Part::Folds => {
                let name = parts.projection.name();
                log::info!("projection {name}: built, and replaces what was there before");
                self.part = Part::Replaces(Walk::through(parts.projection.tables()));
                Ok(found.clone())
            }
            Part::Replaces(walk) if walk.is_over() => parts.end(Position(end)),
            Part::Replaces(walk) => {
                let replaced = |conn: &mut _| Ok(walk.replace(conn)?);
                parts.lease.transaction(parts.conn, replaced)?;
                Ok(found.clone())
            }
        }
    }

    /// Makes the tables beside, and takes into them what is kept, and the sessions.
    fn begin(&mut self, parts: &mut BuildParts<'_>) -> Result<Progress, LeaseError> {
        let BuildParts {
            projection,
            conn,
            lease,
            found,
            ..
        } = parts;
        let Part::Copies { start, walk } = &mut self.part else {
            let tables = projection.tables();
            let end = conn.transaction(changes::end)?;
            if conn.transaction(|conn| is_nothing(conn, &tables))? {
                return parts.end(end);
            }
            let name = projection.name();
            log::info!("projection {name}: building it from the stored messages");
            let start = conn.transaction(|conn| projection.build_start(conn, found.build_from))?;
            lease.transaction(conn, |conn| {
                beside::create(conn, &tables)?;
                Ok(projection.build_begins(conn)?)
            })?;
            let walk = Walk::through(tables);
            self.part = Part::Copies { start, walk };
            return Ok(found.clone());
        };
        let start = *start;
        if !walk.is_over() {
            lease.transaction(conn, |conn| Ok(walk.copy(conn, start)?))?;
            return Ok(found.clone());
        }
        let after = parts.take_sessions(start)?;
        self.part = Part::Folds;
        self.span = SPAN_FIRST;
        Ok(after)
    }
}

/// Whether nothing is stored, and nothing was built: the database is new.
fn is_nothing(conn: &mut PgConnection, tables: &[Table]) -> QueryResult<bool> {
    Ok(messages::earliest(conn, None)?.is_none()
        && changes::sessions_after(conn, i64::MIN)?.is_empty()
        && beside::are_empty(conn, tables)?)
}

impl BuildParts<'_> {
    /// Goes on with what another server has built; begins anew if the tables were changed since.
    fn take_over(&mut self) -> Result<Progress, LeaseError> {
        let tables = self.projection.tables();
        if self.conn.transaction(|conn| beside::fit(conn, &tables))? {
            return Ok(self.found.clone());
        }
        self.advance(Progress::to_be_built(self.found.build_from))
    }

    /// Takes the sessions, which are few beside the messages, before these.
    fn take_sessions(&mut self, start: Option<DateTime<Utc>>) -> Result<Progress, LeaseError> {
        // Before the sessions are read: what changes meanwhile comes again.
        let end = self.conn.transaction(changes::end)?;
        let first = self
            .conn
            .transaction(|conn| messages::earliest(conn, start))?;
        let mut after = i64::MIN;
        loop {
            let page = self
                .conn
                .transaction(|conn| changes::sessions_after(conn, after))?;
            let Some(last) = page.last() else { break };
            after = last.id.0;
            let last = page.len() - 1;
            for (place, session) in page.iter().enumerate() {
                let projection = &mut self.projection;
                projection.session(session, Occasion::Build(start));
                if place == last || projection.pending() >= PENDING_MAX {
                    self.lease.transaction(self.conn, |conn| {
                        beside::enter(conn)?;
                        Ok(projection.write(conn)?)
                    })?;
                }
            }
        }
        let read_from = match start {
            Some(start) => Some(start),
            None => self.conn.transaction(messages::complete_since)?,
        };
        let mut walk = Walk::through(self.projection.tables());
        while !walk.is_over() {
            self.lease
                .transaction(self.conn, |conn| Ok(walk.keep(conn, read_from)?))?;
        }
        self.advance(Progress {
            build_end: Some(end.0),
            built_until: Some(first.unwrap_or_else(Utc::now)),
            cluster_id: Some(self.cluster_id.to_owned()),
            ..self.found.clone()
        })
    }

    /// Takes the messages of the next span, whose length follows how many they are.
    fn fold(
        &mut self,
        span: &mut TimeDelta,
        end: Position,
        from: DateTime<Utc>,
    ) -> Result<Progress, LeaseError> {
        let until = from + *span;
        let projection = &mut self.projection;
        let (kinds, rows, later) = self.conn.transaction(|conn| {
            let kinds = messages::numbers(conn, projection.kinds())?;
            let kinds: Kinds = kinds.into_iter().collect();
            let numbers: Vec<i16> = kinds.keys().copied().collect();
            let wanted = Wanted {
                kinds: &numbers,
                events: projection.wants_events(),
            };
            let rows = messages::of_span(conn, from, until, wanted)?;
            // After the messages: a batch is visible with them, or before.
            let later = changes::visible_from(conn, end)?;
            QueryResult::Ok((kinds, rows, later))
        })?;
        let mut later: Vec<(i64, i64)> = later
            .iter()
            .map(|batch| (batch.id, batch.last_id))
            .collect();
        later.sort_unstable();
        let comes_later = |id: i64| {
            let after = later.partition_point(|(first, _)| *first <= id);
            let before = after.checked_sub(1).and_then(|place| later.get(place));
            before.is_some_and(|(_, last)| id <= *last)
        };
        let count = rows.len();
        for message in rows.iter().map(StreamedMessage::view) {
            if !comes_later(message.id) {
                understand(message, &kinds, |message| projection.fold(message));
            }
        }
        if count > SPAN_MESSAGES {
            *span = (*span / 2).max(TimeDelta::milliseconds(100));
        } else if count < SPAN_MESSAGES / 8 {
            *span = (*span * 4).min(SPAN_MAX);
        }
        // A log with long gaps is built as quickly as one without.
        let built_until = match count {
            0 => self
                .conn
                .transaction(|conn| messages::earliest(conn, Some(until)))?,
            _ => Some(until),
        };
        self.advance(Progress {
            built_until: built_until.or(Some(Utc::now() + BUILD_PAST_NOW * 2)),
            ..self.found.clone()
        })
    }

    /// All is replaced: the projection follows the changes.
    fn end(&mut self, end: Position) -> Result<Progress, LeaseError> {
        let name = self.projection.name();
        let tables = self.projection.tables();
        let after = self.found.at(end, self.cluster_id.to_owned());
        self.lease.transaction(self.conn, |conn| {
            state::advance(conn, name, self.lease, self.found, &after)?;
            Ok(beside::drop(conn, &tables)?)
        })?;
        log::info!("projection {name}: built");
        Ok(after)
    }

    /// Commits what was folded, and how far it is.
    fn advance(&mut self, after: Progress) -> Result<Progress, LeaseError> {
        let projection = &mut self.projection;
        self.lease.transaction(self.conn, |conn| {
            state::advance(conn, projection.name(), self.lease, self.found, &after)?;
            beside::enter(conn)?;
            Ok(projection.write(conn)?)
        })?;
        Ok(after)
    }
}
