//! The projection `software_hours`: how many nodes of a chain ran which software in each hour.
//!
//! It follows from the sessions: the hours of a chain in which one of them changed are counted
//! anew. Anybody can invent versions: of a chain and hour the [`VERSIONS_MAX`] with the most
//! nodes have rows of their own, the others are counted together.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::hours::{self, Hour, hour_of};
use super::{Message, Occasion, Projection};
use crate::cluster::Job;
use crate::store::SessionRow;

/// Versions of a chain and hour that are kept apart.
const VERSIONS_MAX: i64 = 100;

/// Hours of one session that are looked up: a year.
const HOURS_MAX: i64 = 8_784;

/// Hours that are counted at once.
const AT_ONCE: usize = 200;

/// The projection.
#[derive(Debug, Default)]
pub(super) struct SoftwareHours {
    changed: BTreeSet<(String, Hour)>,
    /// Sessions that changed; in a large network hours are counted less often.
    sessions: usize,
}

impl Projection for SoftwareHours {
    fn name(&self) -> &'static str {
        "software_hours"
    }

    fn job(&self) -> Job {
        Job::SoftwareHours
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
        self.sessions += 1;
        let last = hour_of(session.disconnected_at.unwrap_or(session.last_seen_at));
        let first = hour_of(session.created_at).max(last - TimeDelta::hours(HOURS_MAX));
        // While it is open only its end moves; before that were looked up then.
        let moves = session.revision > 1 && session.disconnected_at.is_none();
        let from = match occasion == Occasion::Change && moves {
            true => first.max(last - TimeDelta::hours(2)),
            false => first,
        };
        let mut hour = from.max(occasion.since().map_or(from, hour_of));
        while hour <= last {
            self.changed.insert((genesis_hash.clone(), hour));
            hour += TimeDelta::hours(1);
        }
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
            with_columns!(
                "DELETE FROM software_hours s USING unnest($1::text[], $2::timestamptz[]) AS k (genesis_hash, hour) \
                 WHERE s.genesis_hash = k.genesis_hash AND s.hour = k.hour",
                some, |one|
                one.0.as_str() => Text,
                one.1 => Timestamptz,
            )
            .execute(conn)?;
            with_columns!(include_str!("software_hours_count.sql"), some, |one|
                one.0.as_str() => Text,
                one.1 => Timestamptz,
            )
            .bind::<BigInt, _>(VERSIONS_MAX)
            .execute(conn)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn build_start(
        &self,
        conn: &mut PgConnection,
        asked: Option<DateTime<Utc>>,
    ) -> QueryResult<Option<DateTime<Utc>>> {
        hours::build_start(conn, asked)
    }

    fn clear(&self, conn: &mut PgConnection, start: Option<DateTime<Utc>>) -> QueryResult<()> {
        diesel::sql_query("DELETE FROM software_hours WHERE $1::timestamptz IS NULL OR hour >= $1")
            .bind::<Nullable<Timestamptz>, _>(start)
            .execute(conn)?;
        Ok(())
    }
}
