//! The right to do a job, for a while.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Text};

use crate::config::TransportName;
use crate::database::{Connection, DatabaseError, statement};
use crate::metrics::{Failure, FailureKind};

/// How long a lease lasts unless it is renewed: three heartbeats.
pub(super) const DURATION: Duration = Duration::from_secs(3);

/// A transaction of a job commits within this time of its last statement, or the
/// database ends it; so a lease that is valid for longer covers the commit.
const COMMIT_MAX: Duration = Duration::from_secs(1);

/// Work that exactly one server of a database does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Makes partitions and drops expired ones.
    Retention,
    /// Ends the sessions of servers that are lost.
    Supervision,
    /// Maintains the projection `nodes`.
    Nodes,
    /// Maintains the projection `node_hours`.
    NodeHours,
    /// Maintains the projection `span_hours`.
    SpanHours,
    /// Maintains the projection `blocks`.
    Blocks,
    /// Maintains the projection `node_identities`.
    NodeIdentities,
    /// Maintains the projection `software_hours`.
    SoftwareHours,
    /// Maintains the projection `hardware_hours`.
    HardwareHours,
    /// Maintains the projection `authorings`.
    Authorings,
    /// Maintains the projection `events`.
    Events,
    /// Judges the status of nodes.
    Status,
    /// Keeps alerts.
    Alerts,
    /// Sends events by a transport.
    Transport(TransportName),
}

impl Job {
    /// The jobs of every server; transports are those of its settings.
    pub const ALL: [Self; 13] = [
        Self::Retention,
        Self::Supervision,
        Self::Nodes,
        Self::NodeHours,
        Self::SpanHours,
        Self::Blocks,
        Self::NodeIdentities,
        Self::SoftwareHours,
        Self::HardwareHours,
        Self::Authorings,
        Self::Events,
        Self::Status,
        Self::Alerts,
    ];

    /// Name of its lease, and label in metrics.
    pub fn name(self) -> Cow<'static, str> {
        let name = match self {
            Self::Retention => "retention",
            Self::Supervision => "supervision",
            Self::Nodes => "projection:nodes",
            Self::NodeHours => "projection:node_hours",
            Self::SpanHours => "projection:span_hours",
            Self::Blocks => "projection:blocks",
            Self::NodeIdentities => "projection:node_identities",
            Self::SoftwareHours => "projection:software_hours",
            Self::HardwareHours => "projection:hardware_hours",
            Self::Authorings => "projection:authorings",
            Self::Events => "projection:events",
            Self::Status => "status",
            Self::Alerts => "alerts",
            Self::Transport(name) => return Cow::Owned(format!("transport:{name}")),
        };
        Cow::Borrowed(name)
    }
}

/// Why work under a lease was not committed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another server has it, or it ends too soon. Nothing was committed.
    #[error("the lease of {0} was lost")]
    Lost(Cow<'static, str>),
    /// The database failed. Nothing was committed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<diesel::result::Error> for LeaseError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Failure for LeaseError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Lost(_) => FailureKind::LeaseLost,
            Self::Database(error) => error.kind(),
        }
    }
}

/// A lease that this server holds.
#[derive(Debug, Clone)]
pub struct Lease {
    job: Job,
    holder: Arc<str>,
    token: i64,
    valid_until: Instant,
}

/// The leases that this server holds; shared by the jobs.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<HashMap<Job, Lease>>>);

#[derive(QueryableByName)]
struct Lost {
    #[diesel(sql_type = Text)]
    name: String,
}

impl Lease {
    pub(super) fn new(job: Job, holder: Arc<str>, token: i64, asked_at: Instant) -> Self {
        Self {
            job,
            holder,
            token,
            valid_until: asked_at + DURATION,
        }
    }

    /// The fencing token: a later holder has a higher one.
    pub fn token(&self) -> i64 {
        self.token
    }

    /// The job.
    pub fn job(&self) -> Job {
        self.job
    }

    /// Runs `work` in one transaction, which commits only while this server
    /// holds the lease. `work` should spend no time outside of statements: the
    /// database ends a transaction that is idle for a second.
    ///
    /// # Errors
    /// [`LeaseError`]; nothing was committed then.
    pub fn transaction<T>(
        &self,
        conn: &mut Connection,
        work: impl FnOnce(&mut PgConnection) -> Result<T, LeaseError>,
    ) -> Result<T, LeaseError> {
        Self::transaction_of(std::slice::from_ref(self), conn, work)
    }

    /// As [`Self::transaction`], under several leases.
    ///
    /// # Errors
    /// As [`Self::transaction`].
    pub fn transaction_of<T>(
        leases: &[Self],
        conn: &mut Connection,
        work: impl FnOnce(&mut PgConnection) -> Result<T, LeaseError>,
    ) -> Result<T, LeaseError> {
        let settings = format!(
            "SET LOCAL idle_in_transaction_session_timeout = {}",
            COMMIT_MAX.as_millis()
        );
        conn.transaction_with(&settings, |conn| {
            let done = work(conn)?;
            Self::confirm(leases, conn)?;
            Ok(done)
        })
    }

    /// Checks that this server holds the leases for long enough to commit. A
    /// server that is paused after it cannot commit late: the database has ended
    /// the idle transaction by then.
    fn confirm(leases: &[Self], conn: &mut PgConnection) -> Result<(), LeaseError> {
        let names: Vec<_> = leases.iter().map(|lease| lease.job.name()).collect();
        let holders: Vec<_> = leases.iter().map(|lease| &*lease.holder).collect();
        let tokens: Vec<_> = leases.iter().map(|lease| lease.token).collect();
        let lost: Option<Lost> = statement(include_str!("confirm.sql"))
            .bind::<Array<Text>, _>(names)
            .bind::<Array<Text>, _>(holders)
            .bind::<Array<BigInt>, _>(tokens)
            .bind::<Double, _>(COMMIT_MAX.as_secs_f64())
            .get_result(conn)
            .optional()?;
        match lost {
            None => Ok(()),
            Some(lost) => Err(LeaseError::Lost(lost.name.into())),
        }
    }
}

impl Leases {
    /// The lease of a job, if this server holds it now.
    pub fn held(&self, job: Job) -> Option<Lease> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = held.get(&job)?;
        (Instant::now() < lease.valid_until).then(|| lease.clone())
    }

    /// Replaces all by those acquired or renewed just now.
    pub(super) fn replace(&self, leases: impl IntoIterator<Item = Lease>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = leases.into_iter().map(|lease| (lease.job, lease)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::jobs::LEASED;

    #[test]
    fn metrics_know_every_job_by_the_name_of_its_lease() {
        assert_eq!(Job::ALL.map(|job| job.name().into_owned()), LEASED);
    }

    #[test]
    fn a_lease_ends_by_itself() {
        let leases = Leases::default();
        assert!(leases.held(Job::Retention).is_none());
        let now = Instant::now();
        let lease = |asked_at| Lease::new(Job::Retention, "server".into(), 7, asked_at);
        leases.replace([lease(now)]);
        assert_eq!(
            leases.held(Job::Retention).map(|lease| lease.token),
            Some(7)
        );
        assert!(leases.held(Job::Nodes).is_none());
        if let Some(long_ago) = now.checked_sub(DURATION) {
            leases.replace([lease(long_ago)]);
            assert!(leases.held(Job::Retention).is_none());
        }
        leases.replace([]);
        assert!(leases.held(Job::Retention).is_none());
    }
}
