//! The role for reading sees what is there for people, and nothing else.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error;
use tetcore_analytics::store::reader_role::READABLE;

use crate::support::TestDb;

const PASSWORD: &str = "geheim 'und\" \\ lang";

/// A role of a database, made as an operator makes it; it is dropped with this value.
pub struct Reader<'a> {
    db: &'a TestDb,
    name: String,
}

impl<'a> Reader<'a> {
    pub fn of(db: &'a TestDb) -> Self {
        let database = db.url().rsplit_once('/').unwrap().1.to_owned();
        let reader = Self {
            db,
            name: format!("reader \"of\" {database}"),
        };
        let output = grant(db, &reader.name, Some(PASSWORD));
        assert!(output.status.success(), "{}", said(&output));
        reader
    }

    /// A connection as this role.
    pub fn connect(&self) -> PgConnection {
        let url = self.db.url();
        let (_, place) = url.rsplit_once('@').unwrap();
        let escaped = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let (name, password) = (escaped(&self.name), escaped(PASSWORD));
        PgConnection::establish(&format!("postgres://{name}:{password}@{place}")).unwrap()
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let name = self.name.replace('"', "\"\"");
        let drop = format!("DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\"");
        self.db.execute(&drop);
    }
}

fn grant(db: &TestDb, role: &str, password: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"));
    command
        .args(["database", "grant-read", role])
        .env("DATABASE_URL", db.url())
        .env("STATEMENT_TIMEOUT_S", "7")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if password.is_some() {
        command.arg("--password-stdin");
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", password.unwrap_or_default()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_role_reads_what_is_documented_and_nothing_else() {
    let db = TestDb::new();
    let reader = Reader::of(&db);
    let mut conn = reader.connect();
    for table in READABLE {
        conn.batch_execute(&format!("SELECT * FROM {table} LIMIT 1"))
            .unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    conn.batch_execute(
        "SELECT * FROM block_propagation(now() - interval '1 hour', now()); SELECT * FROM finality_lag(now() - interval '1 hour', now());
         SELECT * FROM authored_blocks(now() - interval '1 hour', now()); SELECT * FROM block_authoring(now() - interval '1 hour', now());
         SELECT * FROM node_uptime(now() - interval '1 hour', now()); SELECT chain_blocks(1, now() - interval '1 hour', now());
         SELECT count(*) FROM telemetry_logs WHERE within_last(created_at, '1 hour')",
    )
    .unwrap();

    // Everything that is there, partitions too.
    let tables = db.texts(
        "SELECT relname::text AS value FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')",
    );
    let mut refused = 0;
    for table in tables
        .iter()
        .filter(|table| !READABLE.contains(&table.as_str()))
    {
        let error = conn.batch_execute(&format!("SELECT FROM \"{table}\" LIMIT 1"));
        let error = error.expect_err(table).to_string();
        assert!(error.contains("permission denied"), "{table}: {error}");
        refused += 1;
    }
    assert!(refused > 10, "{refused}");
    for table in [
        "outbox",
        "notify_targets",
        "telemetry_messages",
        "__diesel_schema_migrations",
    ] {
        assert!(tables.iter().any(|known| known == table), "{table}");
    }

    // It cannot write, whatever it says of itself.
    for statement in [
        "SET default_transaction_read_only = off; DELETE FROM nodes",
        "SET default_transaction_read_only = off; UPDATE benchmarks SET description = ''",
        "SET default_transaction_read_only = off; SELECT nextval('alerts_id_seq')",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE TABLE own (i int)",
    ] {
        assert!(conn.batch_execute(statement).is_err(), "{statement}");
    }
    let mut conn = reader.connect();
    for (setting, value) in [
        ("statement_timeout", "7s"),
        ("constraint_exclusion", "on"),
        ("default_transaction_read_only", "on"),
        ("timezone", "UTC"),
    ] {
        let shown: String = diesel::dsl::sql::<diesel::sql_types::Text>(&format!(
            "SELECT current_setting('{setting}')"
        ))
        .get_result(&mut conn)
        .unwrap();
        assert_eq!((setting, shown.as_str()), (setting, value));
    }
    let too_long = conn.batch_execute("SET statement_timeout = 50; SELECT pg_sleep(60)");
    assert!(
        matches!(too_long, Err(Error::DatabaseError(..))),
        "{too_long:?}"
    );
}

#[test]
fn a_role_is_brought_up_to_date_and_a_powerful_one_is_left_alone() {
    let db = TestDb::new();
    let reader = Reader::of(&db);
    // What it got otherwise is taken away, and what it lacks is given.
    let name = reader.name.replace('"', "\"\"");
    db.execute(&format!(
        "GRANT SELECT ON outbox TO \"{name}\"; GRANT INSERT ON nodes TO \"{name}\"; REVOKE SELECT ON blocks FROM \"{name}\"; GRANT SELECT ON leases, outbox TO PUBLIC"
    ));
    let output = grant(&db, &reader.name, None);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for part in [
        "exists, and is brought up to date",
        "its password stays",
        "STATEMENT_TIMEOUT_S",
        "warning: it may read more, because everybody",
        ": outbox;",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(!text.contains(PASSWORD), "{text}");
    db.execute("REVOKE SELECT ON outbox FROM PUBLIC");
    let mut conn = reader.connect();
    conn.batch_execute("SELECT FROM blocks LIMIT 1").unwrap();
    assert!(conn.batch_execute("SELECT FROM outbox LIMIT 1").is_err());
    let may_insert = db.texts(&format!(
        "SELECT has_table_privilege('{}', 'nodes', 'INSERT')::text AS value",
        reader.name
    ));
    assert_eq!(may_insert, ["false"]);

    let own = db.texts("SELECT current_user::text AS value").remove(0);
    for (role, cause) in [
        (
            own.as_str(),
            "is that of the server: give a name that is not in use",
        ),
        ("pg_monitor", "cannot be the name of a role"),
        ("", "cannot be the name of a role"),
    ] {
        let output = grant(&db, role, None);
        assert!(!output.status.success(), "{role}");
        assert!(said(&output).contains(cause), "{role}: {}", said(&output));
    }
    let output = grant(&db, "somebody", Some(""));
    assert!(
        said(&output).contains("standard input has to be the password"),
        "{}",
        said(&output)
    );
    assert_eq!(
        db.count("SELECT count(*) FROM pg_roles WHERE rolname = 'somebody'"),
        0
    );
    let empty = TestDb::empty();
    let output = grant(&empty, "somebody", None);
    assert!(
        said(&output).contains("start the server once, it migrates it"),
        "{}",
        said(&output)
    );
}
