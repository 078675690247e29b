//! Connections to the database: a pool for queries, a small one for the
//! server's own housekeeping and entries, and one connection for each writer.
//! They are apart, so that no query can hold up ingestion.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection};

use super::StoreError;
use crate::config::{DatabaseUrl, StoreConfig};
use crate::metrics::Metrics;

type PgPool = Pool<ConnectionManager<PgConnection>>;

/// A pooled connection.
pub type Connection = PooledConnection<ConnectionManager<PgConnection>>;

/// Connections for housekeeping (retention, heartbeat) and for entries by HTTP.
const CONTROL_CONNECTIONS: u32 = 3;

/// How long a writer waits for a lock before the batch counts as not stored:
/// long enough for a partition to be dropped, short enough for the queue.
const WRITER_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the database may work on one batch.
const WRITER_STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// What libpq is told about connections: a database that vanished without a
/// word (its machine lost power, a firewall forgot the connection) is noticed
/// within half a minute. Parameters that stand in the URL win.
const CONNECTION_PARAMETERS: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
];

/// Pools for everything but the writers. Connections are made when they are
/// first needed, so pools exist also while the database is away.
#[derive(Debug, Clone)]
pub struct Pools {
    read: PgPool,
    control: PgPool,
}

#[derive(Debug)]
struct OnAcquire(String);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for OnAcquire {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(&self.0)
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

impl Pools {
    /// Pools for the databases of `config`; `url` is where to write.
    pub fn new(url: &DatabaseUrl, config: &StoreConfig) -> Self {
        let read_url = config.read_database_url.as_ref().unwrap_or(url);
        let read_settings = format!(
            // A plan that knows the parameters leaves out all other partitions; the
            // rest keeps PostgreSQL from compiling short queries, and from reading
            // whole tables for fear of disks that turn.
            "SET application_name = 'tetcore-analytics read'; SET statement_timeout = {}; \
             SET plan_cache_mode = force_custom_plan; SET default_transaction_read_only = on; \
             SET jit = off; SET random_page_cost = 1.1",
            config.statement_timeout.as_millis()
        );
        let control_settings = "SET application_name = 'tetcore-analytics control'";
        Self {
            read: pool(
                read_url,
                config.read_pool_size,
                config.read_pool_timeout,
                read_settings,
            ),
            control: pool(
                url,
                CONTROL_CONNECTIONS,
                config.read_pool_timeout,
                control_settings.to_owned(),
            ),
        }
    }

    /// A connection that only reads. Blocks for up to `DB_POOL_TIMEOUT_S`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if none is free in time, or the database is away.
    pub fn read(&self, metrics: &Metrics) -> Result<Connection, StoreError> {
        let asked_at = Instant::now();
        let connection = self.read.get();
        let waited = asked_at.elapsed().as_secs_f64();
        metrics.read_pool_wait_seconds.observe(waited);
        self.show(metrics);
        connection.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// A connection that may write. Blocks for up to `DB_POOL_TIMEOUT_S`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if none is free in time, or the database is away.
    pub fn control(&self) -> Result<Connection, StoreError> {
        let connection = self.control.get();
        connection.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// Shows the read pool in the metrics.
    pub fn show(&self, metrics: &Metrics) {
        let state = self.read.state();
        metrics.read_pool_max.set(i64::from(self.read.max_size()));
        metrics
            .read_pool_connections
            .set(i64::from(state.connections));
        metrics
            .read_pool_idle
            .set(i64::from(state.idle_connections));
    }
}

fn pool(url: &DatabaseUrl, size: u32, timeout: Duration, settings: String) -> PgPool {
    Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .idle_timeout(Some(Duration::from_secs(300)))
        .connection_timeout(timeout)
        .connection_customizer(Box::new(OnAcquire(settings)))
        .build_unchecked(ConnectionManager::new(with_parameters(url)))
}

/// The URL with [`CONNECTION_PARAMETERS`].
fn with_parameters(url: &DatabaseUrl) -> String {
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
    url
}

/// A connection for a writer.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database is away or refuses.
pub fn connect_writer(url: &DatabaseUrl) -> Result<PgConnection, StoreError> {
    let mut conn = <PgConnection as diesel::Connection>::establish(&with_parameters(url))?;
    conn.batch_execute(&format!(
        "SET application_name = 'tetcore-analytics writer'; SET lock_timeout = {}; SET statement_timeout = {}",
        WRITER_LOCK_TIMEOUT.as_millis(),
        WRITER_STATEMENT_TIMEOUT.as_millis()
    ))?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_url_win() {
        let url = DatabaseUrl::new("postgres://h/d?connect_timeout=60&sslmode=require");
        let with = with_parameters(&url);
        assert!(
            with.starts_with(
                "postgres://h/d?connect_timeout=60&sslmode=require&keepalives_idle=10&"
            )
        );
        assert_eq!(with.matches("connect_timeout").count(), 1);
        let plain = with_parameters(&DatabaseUrl::new("postgres://h/d"));
        assert!(plain.starts_with("postgres://h/d?connect_timeout=5&"));
    }
}
