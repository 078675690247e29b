//! Everything that only reads.
//!
//! One file for each query, with its statement in a `.sql` file beside it.
//! `params` checks the parameters, `time_windows` go back through the time of a
//! peer's sessions, and [`Queries`] decides how many queries run at once.

pub mod alerts;
pub mod benchmarks;
mod buckets;
pub mod chains;
pub mod dashboard_subjects;
pub mod event_transports;
pub mod events;
pub mod history;
pub mod host_systems;
mod last_values;
mod limits;
pub mod log_stats;
pub mod node_errors;
pub mod node_list;
pub mod node_logs;
pub mod node_telemetry;
pub mod nodes;
mod page;
pub mod params;
pub mod peer_sessions;
mod presence;
pub mod profiling;
mod profiling_hours;
pub mod ready;
pub mod reputation;
pub mod series;
mod series_hours;
pub mod servers;
pub mod services;
pub mod stats;
pub mod status;
mod time_windows;

pub use limits::Limits;
pub use page::{Page, PageCursor};

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use tokio::sync::Semaphore;

use crate::config::StoreConfig;
use crate::database::{Connection, DatabaseError, Pools, ReadFrom};
use crate::ids::RequestId;
use crate::metrics::Metrics;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A parameter is wrong.
    #[error("{parameter} {message}")]
    Invalid {
        /// Name of the parameter.
        parameter: &'static str,
        /// What is wrong with it, and what is allowed.
        message: String,
    },
    /// There are as many as there may be; the text says how many that are, and what to do.
    #[error("{0}")]
    Full(String),
    /// The parameter names nothing that is stored.
    #[error("{}", unknown(parameter))]
    NotFound {
        /// Name of the parameter.
        parameter: &'static str,
    },
    /// The database is unavailable, too busy or too slow. Retry.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A bug; the cause is in the log.
    #[error("a query failed: {0}")]
    Internal(String),
}

/// The message of [`QueryError::NotFound`].
fn unknown(parameter: &str) -> String {
    match parameter {
        "peer_id" => "no node with this peer_id has connected".to_owned(),
        other => format!("unknown {other}"),
    }
}

impl QueryError {
    /// A parameter is wrong; `message` says what is allowed.
    pub fn invalid(parameter: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            parameter,
            message: message.into(),
        }
    }
}

impl From<DatabaseError> for QueryError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(cause) | DatabaseError::Refused(cause) => {
                Self::Unavailable(cause)
            }
        }
    }
}

impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        match &error {
            Error::DatabaseError(kind, _) if concerns_connection(kind) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Internal(error.to_string()),
        }
    }
}

/// Whether the connection is lost, or a replica could not go on with the query.
fn concerns_connection(kind: &DatabaseErrorKind) -> bool {
    matches!(
        kind,
        DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::SerializationFailure
    )
}

/// Lets `NUM_THREADS` queries run at once; the others wait for
/// `DB_POOL_TIMEOUT_S`.
#[derive(Debug, Clone)]
pub struct Queries {
    places: Arc<Semaphore>,
    wait_max: Duration,
    statement_max: Duration,
}

impl Queries {
    /// With the limits of `config`.
    pub fn new(config: &StoreConfig) -> Self {
        Self {
            places: Arc::new(Semaphore::new(config.read_threads)),
            wait_max: config.read_pool_timeout,
            statement_max: config.statement_timeout,
        }
    }

    /// Runs a query on a thread that may block.
    ///
    /// # Errors
    /// Those of `work`; [`QueryError::Unavailable`] if there is no place or no
    /// connection in time, if the database is unavailable, or if it takes longer than
    /// `STATEMENT_TIMEOUT_S`.
    pub async fn run<T, F>(
        &self,
        from: ReadFrom,
        pools: &Pools,
        metrics: &Arc<Metrics>,
        work: F,
    ) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    {
        let time_max = pools.read_time_max();
        let (pools, metrics, statement_max) = (pools.clone(), metrics.clone(), self.statement_max);
        self.in_place(time_max, move || {
            let mut conn = pools.read(from, &metrics)?;
            let started_at = Instant::now();
            conn.transaction(work)
                .map_err(|error| judge(error, &mut conn, started_at, statement_max))
        })
        .await
    }

    /// Writes to the database, on a thread that may block.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn enter<T, F>(&self, pools: &Pools, work: F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    {
        let time_max = pools.read_time_max();
        let (pools, statement_max) = (pools.clone(), self.statement_max);
        self.in_place(time_max, move || {
            let mut conn = pools.control()?;
            let started_at = Instant::now();
            conn.transaction(work)
                .map_err(|error| judge(error, &mut conn, started_at, statement_max))
        })
        .await
    }

    /// A place is held until the work ends, also when its request is gone;
    /// but not for longer than `time_max`, for an answer may be lost.
    async fn in_place<T, F>(&self, time_max: Duration, work: F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, QueryError> + Send + 'static,
    {
        let waiting = self.places.clone().acquire_owned();
        let place = match tokio::time::timeout(self.wait_max, waiting).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) | Err(_) => {
                return Err(QueryError::Unavailable("all queries are busy".to_owned()));
            }
        };
        let request = RequestId::current();
        let work = move || RequestId::scope_blocking(request, work);
        let done = actix_web::rt::spawn(async move {
            let done = tokio::time::timeout(time_max, actix_web::web::block(work)).await;
            drop(place);
            done
        });
        match done.await {
            Ok(Ok(Ok(result))) => result,
            Ok(Ok(Err(error))) => Err(QueryError::Internal(error.to_string())),
            Ok(Err(_late)) => Err(QueryError::Unavailable("it does not answer".to_owned())),
            Err(error) => Err(QueryError::Internal(error.to_string())),
        }
    }
}

/// diesel does not pass on the SQLSTATE by which PostgreSQL gives up or shuts down: it
/// is judged by the time that passed and by the connection.
fn judge(
    error: QueryError,
    conn: &mut Connection,
    started_at: Instant,
    statement_max: Duration,
) -> QueryError {
    match error {
        QueryError::Internal(cause) => {
            let was_slow = started_at.elapsed() >= statement_max;
            if was_slow || !conn.is_alive() {
                QueryError::Unavailable(cause)
            } else {
                QueryError::Internal(cause)
            }
        }
        known => known,
    }
}
