//! One projection: how far it has been read, and what is written when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::build::{Build, BuildParts};
use super::state::{self, Progress, ReadOn};
use super::{Occasion, Projection};
use crate::changes::{self, Awaited, Changes, Position};
use crate::cluster::{Lease, LeaseError};
use crate::database::Connection;
use crate::metrics::Metrics;

/// Rows that may wait to be written.
pub(super) const PENDING_MAX: usize = 50_000;

/// So many rows are written once in the longest interval of their projection, fewer the more
/// often: the cost of a large network stays bounded, and a small one is up to date at once.
const ROWS_PER_INTERVAL: u32 = 4_000;

/// One projection, and how far this server has read for it.
pub(super) struct Follower {
    pub(super) projection: Box<dyn Projection>,
    /// That of its job, if this server holds it in this round.
    pub(super) lease: Option<Lease>,
    metrics: Arc<Metrics>,
    /// As it is in the database; none before it was looked up.
    written: Option<Progress>,
    /// Database cluster of the connection.
    cluster_id: String,
    /// Read, and perhaps not written yet.
    read: Position,
    /// Something was read since the last write.
    has_read: bool,
    /// More could be read at once.
    has_more: bool,
    written_at: Instant,
    build: Build,
}

impl Follower {
    pub(super) fn new(projection: Box<dyn Projection>, metrics: Arc<Metrics>) -> Self {
        Self {
            projection,
            lease: None,
            metrics,
            written: None,
            cluster_id: String::new(),
            read: Position(0),
            has_read: false,
            has_more: false,
            written_at: Instant::now(),
            build: Build::default(),
        }
    }

    /// Whether its tables are being built from the stored messages.
    pub(super) fn is_building(&self) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|written| written.position.is_none())
    }

    /// How long after the last write the next one is due.
    pub(super) fn pace(&self) -> Duration {
        let rows = u32::try_from(self.projection.reported()).unwrap_or(u32::MAX);
        self.projection.interval_max() * rows.min(ROWS_PER_INTERVAL) / ROWS_PER_INTERVAL
    }

    /// Whether it is known how far it is.
    pub(super) fn is_known(&self) -> bool {
        self.written.is_some()
    }

    /// What was not written is read again.
    pub(super) fn forget(&mut self) {
        if self.written.take().is_some() {
            self.projection.reset();
            self.build = Build::default();
            self.has_read = false;
        }
    }

    /// Takes what the database has of it. If another server moved it, what was read here is
    /// read again.
    pub(super) fn take_up(&mut self, found: Option<Progress>, cluster_id: &str) {
        cluster_id.clone_into(&mut self.cluster_id);
        if self.written != found {
            self.forget();
            self.read = Position(found.as_ref().and_then(|found| found.position).unwrap_or(0));
            self.written = found;
        }
    }

    /// From where it follows the changes; none if it cannot: it is to be built.
    pub(super) fn position(&self) -> Option<Position> {
        let written = self.written.as_ref()?;
        let follows = written.position.is_some() && !self.is_foreign(written);
        follows.then_some(self.read)
    }

    /// Whether its position counts in another database cluster.
    fn is_foreign(&self, written: &Progress) -> bool {
        let known = written.cluster_id.as_ref();
        known.is_some_and(|known| *known != self.cluster_id)
    }

    /// Takes the sessions among some changes.
    pub(super) fn take_sessions(&mut self, changes: &Changes) {
        for session in &changes.sessions {
            self.projection.session(session, Occasion::Change);
        }
    }

    /// All of some changes are taken.
    pub(super) fn has_read_to(&mut self, changes: &Changes) {
        self.read = changes.next;
        self.has_read |= !changes.batches.is_empty() || !changes.sessions.is_empty();
        self.has_more = changes.has_more;
    }

    /// Writes what was read if it is time, or goes on building; whether there is more.
    pub(super) fn step(
        &mut self,
        conn: &mut Connection,
        awaited: &Awaited,
    ) -> Result<bool, LeaseError> {
        let name = self.projection.name();
        let lost = || LeaseError::Lost(name.into());
        let lease = self.lease.clone().ok_or_else(lost)?;
        let found = self.written.clone().ok_or_else(lost)?;
        if self.is_foreign(&found) {
            log::warn!(
                "projection {name}: the database was restored into another cluster, so it is rebuilt"
            );
            let after = Progress::to_be_built(found.build_from);
            lease.transaction(conn, |conn| {
                state::advance(conn, name, &lease, &found, &after)?;
                Ok(changes::adopt(conn)?)
            })?;
            return Ok(true);
        }
        let Some(position) = found.position else {
            let after = self.build.step(BuildParts {
                projection: &mut *self.projection,
                conn,
                lease: &lease,
                found: &found,
                cluster_id: &self.cluster_id,
            })?;
            self.read = Position(after.position.unwrap_or(0));
            self.has_written(after);
            return Ok(true);
        };
        let is_due = self.written_at.elapsed() >= self.pace()
            || self.projection.pending() >= PENDING_MAX
            || awaited.is_beyond(Position(position));
        if self.has_read && is_due {
            let after = found.at(self.read, self.cluster_id.clone());
            self.write(conn, &lease, &found, after)?;
        }
        Ok(std::mem::take(&mut self.has_more))
    }

    /// Its move in the changes, if it found nothing to write.
    fn read_on(&self) -> Option<(Lease, ReadOn, Progress)> {
        let (lease, found) = (self.lease.clone()?, self.written.as_ref()?);
        let found_nothing = self.has_read && self.projection.is_idle();
        self.position().filter(|_| found_nothing)?;
        let moves = ReadOn {
            name: self.projection.name(),
            token: lease.token(),
            position: found.position?,
            next: self.read.0,
            cluster_id: self.cluster_id.clone(),
        };
        Some((lease, moves, found.at(self.read, self.cluster_id.clone())))
    }

    fn write(
        &mut self,
        conn: &mut Connection,
        lease: &Lease,
        before: &Progress,
        after: Progress,
    ) -> Result<(), LeaseError> {
        let projection = &mut self.projection;
        lease.transaction(conn, |conn| {
            state::advance(conn, projection.name(), lease, before, &after)?;
            Ok(projection.write(conn)?)
        })?;
        self.has_written(after);
        Ok(())
    }

    /// It is committed.
    fn has_written(&mut self, after: Progress) {
        self.projection.written(&self.metrics);
        self.written_at = Instant::now();
        self.has_read = false;
        self.written = Some(after);
    }
}

/// Moves those on that found nothing to write in what they read, in one transaction: most
/// projections find nothing in most messages.
pub(super) fn read_on(conn: &mut Connection, held: &mut [&mut Follower]) -> Result<(), LeaseError> {
    let (mut idle, mut leases, mut moves, mut after) = (vec![], vec![], vec![], vec![]);
    for follower in held {
        if let Some((lease, one, progress)) = follower.read_on() {
            idle.push(follower);
            leases.push(lease);
            moves.push(one);
            after.push(progress);
        }
    }
    if idle.is_empty() {
        return Ok(());
    }
    Lease::transaction_of(&leases, conn, |conn| state::read_on(conn, &moves))?;
    for (follower, after) in idle.into_iter().zip(after) {
        follower.has_written(after);
    }
    Ok(())
}
