//! Connections to the database: a pool for queries, a small one for
//! housekeeping and what users enter, and one connection for each writer.
//! They are separate, so that no query can hold up ingestion.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::DatabaseError;
use super::connection::{Connection, begin};
use super::replica::ReadFrom;
use super::resilient_pool::{PoolOptions, ResilientPool};
use super::rounds::Pulse;
use crate::config::{DatabaseUrl, StoreConfig};
use crate::ids::random_number;
use crate::metrics::Metrics;

/// Connections for housekeeping (retention, heartbeat) and for rows written by HTTP.
const CONTROL_CONNECTIONS: u32 = 3;

/// Longest time that these usually hold a connection. A longer purge only costs
/// a few more connections.
const CONTROL_BUSY_MAX: Duration = Duration::from_secs(120);

/// Time to open a connection: `connect_timeout` and a margin.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(6);

/// How long a writer waits for a lock before the batch counts as not stored:
/// long enough for a partition to be dropped, short enough for the queue.
pub const WRITER_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Parameters of libpq that detect a dead connection (power loss of the database's
/// machine, a firewall that dropped its state) within 30 s. Parameters given in the
/// URL take precedence.
const CONNECTION_PARAMETERS: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
];

/// Distinguishes the writers of this process from those of others.
static PROCESS: LazyLock<String> =
    LazyLock::new(|| format!("{:016x}", random_number().unwrap_or_default()));

/// Pools for everything but the writers. Connections are opened on demand, so
/// the pools exist while the database is unavailable.
#[derive(Debug, Clone)]
pub struct Pools {
    read: Arc<ResilientPool>,
    /// For queries that a late replica cannot answer; the same without one.
    read_primary: Arc<ResilientPool>,
    control: Arc<ResilientPool>,
}

impl Pools {
    /// Pools for the databases of `config`; `url` is where to write.
    pub fn new(url: &DatabaseUrl, config: &StoreConfig) -> Self {
        let read = |url: &DatabaseUrl| {
            let options = PoolOptions {
                purpose: "queries",
                url: with_parameters(url, "read"),
                // Random reads of an SSD cost about as much as sequential ones.
                begin: begin(&format!(
                    "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {}; \
                     SET LOCAL random_page_cost = 1.1",
                    config.statement_timeout.as_millis()
                ))
                .into(),
                size: config.read_pool_size,
                wait_max: config.read_pool_timeout,
                // A query of several statements starts the last one within the time of one.
                busy_max: config.read_pool_timeout
                    + config.statement_timeout * 2
                    + CONNECT_TIME_MAX,
            };
            Arc::new(ResilientPool::new(options))
        };
        let read_primary = read(url);
        let control = PoolOptions {
            purpose: "housekeeping",
            url: with_parameters(url, "control"),
            begin: begin("").into(),
            size: CONTROL_CONNECTIONS,
            wait_max: config.read_pool_timeout,
            busy_max: CONTROL_BUSY_MAX,
        };
        Self {
            read: match &config.read_database_url {
                Some(replica) => read(replica),
                None => read_primary.clone(),
            },
            read_primary,
            control: Arc::new(ResilientPool::new(control)),
        }
    }

    /// A read-only connection. Blocks for up to `DB_POOL_TIMEOUT_S`, longer if the
    /// database stops answering: see [`Self::read_time_max`].
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] if none is free in time, or the database is down.
    pub fn read(&self, from: ReadFrom, metrics: &Metrics) -> Result<Connection, DatabaseError> {
        let asked_at = Instant::now();
        let connection = match from {
            ReadFrom::Replica => self.read.get(),
            ReadFrom::Primary => self.read_primary.get(),
        };
        let waited = asked_at.elapsed().as_secs_f64();
        metrics.read_pool_wait_seconds.observe(waited);
        self.show(metrics);
        connection
    }

    /// Longest regular time from requesting a read connection to returning it; beyond
    /// it the connection counts as hung.
    pub fn read_time_max(&self) -> Duration {
        self.read.options().busy_max
    }

    /// A connection that may write. Blocks as [`Self::read`] does.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] if none is free in time, or the database is down.
    pub fn control(&self) -> Result<Connection, DatabaseError> {
        self.control.get()
    }

    /// Does something in one transaction that may write, on a thread that may block, and
    /// waits for its answer for `time_max` at most: one that was lost never comes.
    ///
    /// # Errors
    /// [`DatabaseError`] without an answer in time, or if the database is down or refuses.
    pub async fn housekeep<T: Send + 'static>(
        &self,
        time_max: Duration,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let pools = self.clone();
        let work = move || -> Result<T, DatabaseError> { Ok(pools.control()?.transaction(work)?) };
        match tokio::time::timeout(time_max, tokio::task::spawn_blocking(work)).await {
            Ok(Ok(done)) => done,
            Ok(Err(panicked)) => Err(DatabaseError::Unavailable(panicked.to_string())),
            Err(late) => Err(DatabaseError::Unavailable(late.to_string())),
        }
    }

    /// Sets the metrics of the read pool.
    pub fn show(&self, metrics: &Metrics) {
        let state = self.read.state();
        let most = i64::from(self.read.options().size);
        metrics.read_pool_max.set(most);
        metrics
            .read_pool_connections
            .set(i64::from(state.connections));
        metrics
            .read_pool_idle
            .set(i64::from(state.idle_connections));
    }
}

/// The URL with [`CONNECTION_PARAMETERS`], and the purpose in the name by which the
/// database shows the connection. Of a parameter that is given twice the last one counts.
fn with_parameters(url: &DatabaseUrl, purpose: &str) -> String {
    let mut url = url.expose().to_owned();
    for (name, value) in CONNECTION_PARAMETERS {
        let query = url.split_once('?').map(|(_, query)| query);
        let is_given = query.is_some_and(|query| {
            query
                .split('&')
                .any(|given| given.starts_with(&format!("{name}=")))
        });
        if !is_given {
            let separator = if query.is_some() { '&' } else { '?' };
            url.push(separator);
            url.push_str(&format!("{name}={value}"));
        }
    }
    let name = application_name(purpose).replace(' ', "%20");
    format!("{url}&application_name={name}")
}

fn application_name(purpose: &str) -> String {
    format!("tetcore-analytics {purpose}")
}

/// A connection of its own for something that must not wait for a pool, with
/// `timeout` for one statement.
///
/// # Errors
/// [`DatabaseError`] if the database is down or refuses.
pub fn connect(
    url: &DatabaseUrl,
    purpose: &str,
    timeout: Duration,
) -> Result<Connection, DatabaseError> {
    connect_with(url, purpose, timeout, None)
}

/// As [`connect`], with a pulse for a watchdog.
pub(super) fn connect_with(
    url: &DatabaseUrl,
    purpose: &str,
    timeout: Duration,
    pulse: Option<&Pulse>,
) -> Result<Connection, DatabaseError> {
    let settings = format!(
        "SET LOCAL lock_timeout = {0}; SET LOCAL statement_timeout = {0}",
        timeout.as_millis()
    );
    Connection::establish(&with_parameters(url, purpose), &settings, pulse)
}

/// A connection for writer `number`, with `timeout` for one statement.
///
/// Terminates the previous connection of that writer: the database may not have
/// noticed its end, and its open transaction would lock the batch that is sent again.
///
/// # Errors
/// [`DatabaseError`] if the database is down or refuses.
pub fn connect_writer(
    url: &DatabaseUrl,
    number: usize,
    timeout: Duration,
) -> Result<Connection, DatabaseError> {
    let purpose = format!("writer {number} {}", *PROCESS);
    let settings = format!(
        "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}",
        WRITER_LOCK_TIMEOUT.as_millis(),
        timeout.as_millis()
    );
    let mut conn = Connection::establish(&with_parameters(url, &purpose), &settings, None)?;
    conn.transaction(|conn| {
        diesel::sql_query(include_str!("take_over_writer.sql"))
            .bind::<Text, _>(application_name(&purpose))
            .execute(conn)
    })?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_url_win() {
        let url = DatabaseUrl::new("postgres://h/d?connect_timeout=60&sslmode=require");
        let with = with_parameters(&url, "read");
        assert!(
            with.starts_with(
                "postgres://h/d?connect_timeout=60&sslmode=require&keepalives_idle=10&"
            )
        );
        assert_eq!(with.matches("connect_timeout").count(), 1);
        let plain = with_parameters(&DatabaseUrl::new("postgres://h/d"), "read");
        assert!(plain.starts_with("postgres://h/d?connect_timeout=5&"));
        assert!(plain.ends_with("&application_name=tetcore-analytics%20read"));
    }
}
