//! A database for each test, cloned from a template that has all migrations.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tetcore_analytics::config::DatabaseUrl;
use tetcore_analytics::database::{self, connect, migrations};

/// Key of the advisory lock under which the template is made.
const LOCK_KEY: i64 = 0x7465_7374;

const TEMPLATE: &str = "tetcore_test_template";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A database that is dropped with this value.
pub struct TestDb {
    name: String,
    /// For questions, which come by the hundred while a test waits.
    asking: Mutex<Option<PgConnection>>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl TestDb {
    /// With all migrations.
    pub fn new() -> Self {
        let mut admin = admin();
        make_template(&mut admin);
        // Copying files takes a third of the time of copying pages through the log; before
        // PostgreSQL 15 there is nothing to choose.
        let has_strategies = diesel::sql_query(
            "SELECT count(*) AS count FROM pg_settings WHERE name = 'server_version_num' AND setting::int >= 150000",
        );
        let strategy = match has_strategies
            .get_result::<Count>(&mut admin)
            .unwrap()
            .count
        {
            0 => "",
            _ => "STRATEGY file_copy",
        };
        Self::create(&mut admin, &format!("TEMPLATE {TEMPLATE} {strategy}"))
    }

    /// Without any table.
    pub fn empty() -> Self {
        Self::create(&mut admin(), "")
    }

    fn create(admin: &mut PgConnection, options: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tetcore_test_{}_{number}", std::process::id());
        admin
            .batch_execute(&format!("CREATE DATABASE {name} {options}"))
            .unwrap();
        Self {
            name,
            asking: Mutex::default(),
        }
    }

    pub fn url(&self) -> String {
        url_of(&self.name)
    }

    pub fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.url()).unwrap()
    }

    /// As the server connects.
    pub fn connection(&self) -> database::Connection {
        connect(&DatabaseUrl::new(self.url()), "tests", super::PATIENCE).unwrap()
    }

    /// The single number that a query gives.
    pub fn count(&self, query: &str) -> i64 {
        let query = format!("SELECT ({query})::bigint AS count");
        let counts: Vec<Count> = self.ask(&query);
        counts[0].count
    }

    /// Makes the database unavailable: refuses connections and terminates open ones.
    pub fn refuse_connections(&self) {
        let name = &self.name;
        admin()
            .batch_execute(&format!(
                "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ))
            .unwrap();
    }

    /// Terminates open connections.
    fn drop_connections(&self) {
        let name = &self.name;
        let drop = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        admin().batch_execute(&drop).unwrap();
    }

    /// As after a fail-over to a replica: new connections are read-only.
    pub fn set_read_only(&self, read_only: bool) {
        let state = if read_only { "on" } else { "off" };
        let name = &self.name;
        admin()
            .batch_execute(&format!(
                "ALTER DATABASE {name} SET default_transaction_read_only = {state}"
            ))
            .unwrap();
        self.drop_connections();
    }

    /// The database is back.
    pub fn allow_connections(&self) {
        let allow = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name);
        admin().batch_execute(&allow).unwrap();
    }

    /// Locks a table and its partitions, until the connection rolls back or ends.
    pub fn lock(&self, table: &str) -> PgConnection {
        let mut locker = self.connect();
        // A partition that is made just now may lead to a deadlock, which the database ends.
        super::wait_until("the table is locked", || {
            let lock = format!("ROLLBACK; BEGIN; LOCK TABLE {table}");
            locker.batch_execute(&lock).is_ok()
        });
        locker
    }

    /// Carries statements out, all or none of them. One that changes a table may meet a job
    /// that changes its partitions: who is chosen to give way in a deadlock tries again.
    pub fn execute(&self, sql: &str) {
        let mut conn = self.connect();
        super::wait_until("statements are carried out", || {
            match conn.batch_execute(sql) {
                Err(error) if error.to_string() == "deadlock detected" => false,
                result => {
                    result.unwrap();
                    true
                }
            }
        });
    }

    /// Makes a past: messages of which the node claims that they are older, by a
    /// second up to a day, are dated as if they had been received then.
    pub fn date_by_nodes(&self) {
        self.execute(
            "UPDATE telemetry_messages
             SET created_at = coalesce(node_ts, created_at + node_delta_us * interval '1 microsecond'),
                 node_ts = NULL, node_delta_us = 0
             WHERE coalesce(node_ts, created_at + node_delta_us * interval '1 microsecond')
                   BETWEEN created_at - interval '1 day' AND created_at - interval '1 second';
             UPDATE peer_connections p SET created_at = first_at
             FROM (SELECT peer_connection_id AS id, min(created_at) AS first_at FROM telemetry_messages GROUP BY 1) m
             WHERE m.id = p.id AND first_at < p.created_at",
        );
    }

    /// All values of a query with one column of text named `value`.
    pub fn texts(&self, query: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let rows: Vec<Row> = self.ask(query);
        rows.into_iter().map(|row| row.value).collect()
    }

    /// The rows of a query, over a connection that is kept as long as it lives.
    fn ask<R>(&self, query: &str) -> Vec<R>
    where
        R: QueryableByName<diesel::pg::Pg> + 'static,
    {
        let kept = self.asking.lock().unwrap().take();
        let answered = kept.and_then(|mut conn| {
            let rows = diesel::sql_query(query).load(&mut conn).ok()?;
            Some((conn, rows))
        });
        let (conn, rows) = answered.unwrap_or_else(|| {
            let mut conn = self.connect();
            let rows = diesel::sql_query(query).load(&mut conn).unwrap();
            (conn, rows)
        });
        *self.asking.lock().unwrap() = Some(conn);
        rows
    }
}

impl Drop for TestDb {
    /// Waits for this for a moment only: the end of files needs a sign from every connection of
    /// the cluster, and one whose client reads nothing, as some tests have them, gives none. What
    /// is left then goes with the cluster.
    fn drop(&mut self) {
        let mut admin = admin();
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropped = admin
            .batch_execute("SET statement_timeout = '2s'")
            .and_then(|()| admin.batch_execute(&drop));
        if let Err(error) = dropped {
            eprintln!("{drop}: {error}");
        }
    }
}

/// Gives a database another name, for which it may have no connection.
pub fn rename_database(from: &str, to: &str) {
    let mut admin = admin();
    let drop = format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{from}'"
    );
    admin.batch_execute(&drop).unwrap();
    let rename = format!("ALTER DATABASE {from} RENAME TO {to}");
    admin.batch_execute(&rename).unwrap();
}

/// A connection to the cluster as a whole.
fn admin() -> PgConnection {
    PgConnection::establish(&cluster_url()).unwrap()
}

fn make_template(admin: &mut PgConnection) {
    diesel::sql_query(format!("SELECT pg_advisory_lock({LOCK_KEY})"))
        .execute(admin)
        .unwrap();
    let ready: Count = diesel::sql_query(format!(
        "SELECT count(*) AS count FROM pg_database WHERE datname = '{TEMPLATE}' AND NOT datallowconn"
    ))
    .get_result(admin)
    .unwrap();
    if ready.count == 0 {
        admin
            .batch_execute(&format!("DROP DATABASE IF EXISTS {TEMPLATE}"))
            .unwrap();
        admin
            .batch_execute(&format!("CREATE DATABASE {TEMPLATE}"))
            .unwrap();
        let url = DatabaseUrl::new(url_of(TEMPLATE));
        migrations::run(&mut connect(&url, "tests", super::PATIENCE).unwrap()).unwrap();
        let finish = format!("ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false");
        admin.batch_execute(&finish).unwrap();
    }
    diesel::sql_query(format!("SELECT pg_advisory_unlock({LOCK_KEY})"))
        .execute(admin)
        .unwrap();
}

fn cluster_url() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("run the tests with `make test`: it starts a PostgreSQL for them")
}

fn url_of(database: &str) -> String {
    let cluster = cluster_url();
    let (server, _database) = cluster.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}
