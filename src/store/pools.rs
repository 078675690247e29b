//! Connections to the database: a pool for queries, a small one for the
//! server's own housekeeping and entries, and one connection for each writer.
//! They are apart, so that no query can hold up ingestion.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::StoreError;
use super::lane::{Connection, Lane, LaneOptions};
use crate::config::{DatabaseUrl, StoreConfig};
use crate::metrics::Metrics;

/// Connections for housekeeping (retention, heartbeat) and for entries by HTTP.
const CONTROL_CONNECTIONS: u32 = 3;

/// Longest time that these usually keep a connection. A purge that takes longer
/// costs the others a few more connections.
const CONTROL_BUSY_MAX: Duration = Duration::from_secs(120);

/// Time for making a connection, and a little more.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(6);

/// How long a writer waits for a lock before the batch counts as not stored:
/// long enough for a partition to be dropped, short enough for the queue.
pub(super) const WRITER_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

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

/// What the database is told about connections, so that it too notices within
/// half a minute that nobody is there any more, and lets go of what he held.
const SESSION_SETTINGS: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
     SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000; \
     SET idle_in_transaction_session_timeout = '1min'";

/// Tells the writers of this process from those of others.
static PROCESS: LazyLock<String> =
    LazyLock::new(|| format!("{:016x}", RandomState::new().build_hasher().finish()));

/// Pools for everything but the writers. Connections are made when they are
/// first needed, so pools exist also while the database is away.
#[derive(Debug, Clone)]
pub struct Pools {
    read: Arc<Lane>,
    control: Arc<Lane>,
}

impl Pools {
    /// Pools for the databases of `config`; `url` is where to write.
    pub fn new(url: &DatabaseUrl, config: &StoreConfig) -> Self {
        let read = LaneOptions {
            what_for: "queries",
            url: with_parameters(config.read_database_url.as_ref().unwrap_or(url)),
            settings: format!(
                // A plan that knows the parameters leaves out all other partitions; the
                // rest keeps PostgreSQL from compiling short queries, and from reading
                // whole tables for fear of disks that turn.
                "SET application_name = 'tetcore-analytics read'; SET statement_timeout = {}; \
                 SET plan_cache_mode = force_custom_plan; SET default_transaction_read_only = on; \
                 SET jit = off; SET random_page_cost = 1.1; {SESSION_SETTINGS}",
                config.statement_timeout.as_millis()
            ),
            size: config.read_pool_size,
            wait_max: config.read_pool_timeout,
            // A question of several statements begins the last one within the time of one.
            busy_max: config.read_pool_timeout + config.statement_timeout * 2 + CONNECT_TIME_MAX,
        };
        let control = LaneOptions {
            what_for: "housekeeping",
            url: with_parameters(url),
            settings: format!(
                // A session that holds the lock of purging must not outlive us; servers
                // before 14 do not know that limit.
                "SET application_name = 'tetcore-analytics control'; {SESSION_SETTINGS}; \
                 SELECT set_config(name, '15min', false) FROM pg_settings \
                 WHERE name = 'idle_session_timeout'"
            ),
            size: CONTROL_CONNECTIONS,
            wait_max: config.read_pool_timeout,
            busy_max: CONTROL_BUSY_MAX,
        };
        Self {
            read: Arc::new(Lane::new(read)),
            control: Arc::new(Lane::new(control)),
        }
    }

    /// A connection that only reads. Blocks for up to `DB_POOL_TIMEOUT_S`, and
    /// longer if the database has fallen silent, see [`Self::read_time_max`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if none is free in time, or the database is away.
    pub fn read(&self, metrics: &Metrics) -> Result<Connection, StoreError> {
        let asked_at = Instant::now();
        let connection = self.read.get();
        let waited = asked_at.elapsed().as_secs_f64();
        metrics.read_pool_wait_seconds.observe(waited);
        self.show(metrics);
        connection
    }

    /// Longest time from asking for a connection that reads to giving it back:
    /// whoever takes longer waits for an answer that was lost on its way.
    pub fn read_time_max(&self) -> Duration {
        self.read.options().busy_max
    }

    /// A connection that may write. Blocks as [`Self::read`] does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if none is free in time, or the database is away.
    pub fn control(&self) -> Result<Connection, StoreError> {
        self.control.get()
    }

    /// Shows the read pool in the metrics.
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

/// A connection for a writer; the database may work for `timeout` on one statement.
///
/// Whoever had that number before in this process is thrown out: the database
/// may not know yet that nobody is there any more, and a transaction that was
/// left open would lock the batch that is now sent again.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database is away or refuses.
pub fn connect_writer(
    url: &DatabaseUrl,
    number: usize,
    timeout: Duration,
) -> Result<PgConnection, StoreError> {
    let mut conn = <PgConnection as diesel::Connection>::establish(&with_parameters(url))?;
    diesel::sql_query(include_str!("take_over_writer.sql"))
        .bind::<Text, _>(format!("tetcore-analytics writer {number} {}", *PROCESS))
        .execute(&mut conn)?;
    conn.batch_execute(&format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; {SESSION_SETTINGS}",
        WRITER_LOCK_TIMEOUT.as_millis(),
        timeout.as_millis()
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
