//! A connection on which everything happens in transactions, with settings that end
//! with them. Between two transactions nothing of it is left in the database, so a
//! pooler such as `PgBouncer` in transaction mode may give each transaction another
//! connection, and lose nothing and hand nothing on to others by that. Only where no pooler
//! is between, the connection of a job keeps its statements prepared.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::Connection as _;
use diesel::connection::{AnsiTransactionManager, CacheSize, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel::result::{ConnectionError, Error};
use diesel::sql_types::{Nullable, Text};

use super::DatabaseError;
use super::rounds::Pulse;
use crate::ids::random_number;

/// How soon the database finds out that a client is gone, and releases what that one has
/// locked. It is a property of the connection, whatever is done on it.
const KEEPALIVES: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
     SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000";

/// A setting with which it is found out whether there is a pooler.
const MARK: &str = "tetcore.connection";

/// What each transaction begins with. Compiling a plan costs seconds where there are many
/// partitions, and the estimates that decide on it count them all.
const TRANSACTION_SETTINGS: &str =
    "SET LOCAL idle_in_transaction_session_timeout = '1min'; SET LOCAL jit = off";

/// Prepared statements are planned anew after this time: tables grow, and a plan that was made
/// for few rows may not suit many.
const PLANS_AGE_MAX: Duration = Duration::from_secs(60);

/// A connection to the database.
pub struct Connection {
    link: Link,
    /// Since when plans of prepared statements are kept; none where no statement is.
    plans_since: Option<Instant>,
    /// The statements with which a transaction begins.
    begin: Arc<str>,
    /// By which a watchdog sees how long answers take.
    pulse: Option<Pulse>,
}

enum Link {
    Own(Box<PgConnection>),
    Pooled(PooledConnection<ConnectionManager<PgConnection>>),
}

impl Connection {
    /// Opens a connection whose transactions begin with `settings`, `SET LOCAL` each.
    /// With a `pulse` a watchdog sees how long that and each statement takes.
    pub(super) fn establish(
        url: &str,
        settings: &str,
        pulse: Option<&Pulse>,
    ) -> Result<Self, DatabaseError> {
        if let Some(pulse) = pulse {
            pulse.wait();
        }
        let opened = establish(url);
        if let Some(pulse) = pulse {
            pulse.answered();
            pulse.confirm()?;
        }
        let (mut conn, is_direct) = opened?;
        if let Some(pulse) = pulse {
            conn.set_instrumentation(pulse.clone());
        }
        prepare(&mut conn)?;
        if is_direct {
            conn.set_prepared_statement_cache_size(CacheSize::Unbounded);
        }
        Ok(Self {
            link: Link::Own(Box::new(conn)),
            plans_since: is_direct.then(Instant::now),
            begin: begin(settings).into(),
            pulse: pulse.cloned(),
        })
    }

    /// A connection of a pool, which has been [`prepare`]d.
    pub(super) fn pooled(
        conn: PooledConnection<ConnectionManager<PgConnection>>,
        begin: Arc<str>,
    ) -> Self {
        Self {
            link: Link::Pooled(conn),
            plans_since: None,
            begin,
            pulse: None,
        }
    }

    /// Does something in one transaction.
    ///
    /// # Errors
    /// What `work` says, or the database; nothing is committed then.
    pub fn transaction<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction_with("", work)
    }

    /// As [`Self::transaction`], with further settings: `SET LOCAL` or `SET TRANSACTION`.
    ///
    /// # Errors
    /// As [`Self::transaction`].
    pub fn transaction_with<T, E: From<Error>>(
        &mut self,
        settings: &str,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = format!("{}{}; {settings}", self.discard_old_plans(), self.begin);
        let pulse = self.pulse.clone();
        let confirm = || pulse.as_ref().map_or(Ok(()), Pulse::confirm);
        let conn = self.link();
        if let Err(error) = AnsiTransactionManager::begin_transaction_sql(conn, &begin) {
            // It may have begun, and a later setting failed.
            let ended = conn.batch_execute("ROLLBACK");
            log::debug!("a transaction could not begin: {error}; its end: {ended:?}");
            return Err(error.into());
        }
        match work(conn).and_then(|done| Ok(confirm().map(|()| done)?)) {
            Ok(done) => {
                AnsiTransactionManager::commit_transaction(conn)?;
                // It is committed, but what this thread makes of that must not count.
                confirm()?;
                Ok(done)
            }
            Err(error) => match AnsiTransactionManager::rollback_transaction(conn) {
                // The first error says what led to the second.
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(lost) => Err(lost.into()),
            },
        }
    }

    /// Whether the database still answers on it.
    pub fn is_alive(&mut self) -> bool {
        self.link().batch_execute("SELECT 1").is_ok()
    }

    /// What comes before a transaction when the plans are old.
    fn discard_old_plans(&mut self) -> &'static str {
        match &mut self.plans_since {
            Some(since) if since.elapsed() >= PLANS_AGE_MAX => {
                *since = Instant::now();
                "DISCARD PLANS; "
            }
            _ => "",
        }
    }

    fn link(&mut self) -> &mut PgConnection {
        match &mut self.link {
            Link::Own(conn) => conn,
            Link::Pooled(conn) => conn,
        }
    }
}

#[derive(QueryableByName)]
struct Marked {
    #[diesel(sql_type = Nullable<Text>)]
    mark: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// The statements with which a transaction begins that has these settings.
pub(super) fn begin(settings: &str) -> String {
    format!("BEGIN; {TRANSACTION_SETTINGS}; {settings}")
}

/// Opens a connection, and finds out whether it leads to the database without a pooler.
///
/// It is opened with a setting that only the database itself takes: a pooler refuses it, or
/// leaves it out, for it has no connection of the database to itself. What an address has in
/// `options` stays as it is, without that.
fn establish(url: &str) -> Result<(PgConnection, bool), ConnectionError> {
    let mark = format!("{:016x}", random_number().unwrap_or_default());
    if url.contains("options=") || std::env::var_os("PGOPTIONS").is_some() {
        return Ok((PgConnection::establish(url)?, false));
    }
    let marked = format!("{url}&options=-c%20{MARK}%3D{mark}");
    match PgConnection::establish(&marked) {
        Ok(mut conn) => {
            let found: Marked =
                diesel::sql_query(format!("SELECT current_setting('{MARK}', true) AS mark"))
                    .get_result(&mut conn)
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok((conn, found.mark == Some(mark)))
        }
        // It was answered, and refused: by a pooler, or for another reason, which comes again then.
        Err(error) if error.to_string().contains("FATAL") => {
            Ok((PgConnection::establish(url)?, false))
        }
        Err(error) => Err(error),
    }
}

/// What every new connection needs. A statement that is prepared under a name would stay
/// in one connection of a pooler, so none is, until it is known that there is no pooler.
pub(super) fn prepare(conn: &mut PgConnection) -> QueryResult<()> {
    conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    conn.batch_execute(KEEPALIVES)
}

/// Reads something, and releases the locks that this took before the transaction ends.
///
/// A transaction would keep those of every partition that it has read, and PostgreSQL has
/// room for so many only.
///
/// # Errors
/// What `read` says.
pub fn read_unlocked<T>(
    conn: &mut PgConnection,
    read: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    conn.batch_execute("SAVEPOINT reading")?;
    let found = read(conn)?;
    conn.batch_execute("ROLLBACK TO SAVEPOINT reading; RELEASE SAVEPOINT reading")?;
    Ok(found)
}
