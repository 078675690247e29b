//! The role by which Grafana, psql and notebooks read: what it may see, and what it can cost.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

/// Tables and views that people read; each is described in docs, and by `\d+` in psql.
///
/// `block_reporters` is among them because functions about blocks read it with the rights of the caller.
pub const READABLE: &[&str] = &[
    "alerts",
    "authorings",
    "benchmark_events",
    "benchmarks",
    "block_imports",
    "block_reporters",
    "blocks",
    "chain_hours",
    "chain_status",
    "chains",
    "event_transports",
    "events",
    "finality",
    "hardware_hours",
    "host_systems",
    "job_hours",
    "leases",
    "message_kinds",
    "node_hours",
    "node_identities",
    "node_intervals",
    "node_state",
    "node_status",
    "nodes",
    "peer_connections",
    "peer_reports",
    "profiling_spans",
    "projections",
    "rejected_messages",
    "server_losses",
    "servers",
    "service_heartbeats",
    "services",
    "software_hours",
    "span_hours",
    "status_changes",
    "status_outages",
    "substrate_logs",
    "telemetry_logs",
    "telemetry_rows",
    "tetcore_logs",
    "transaction_pools",
    "version_adoption",
];

/// Connections that it may have at once. Grafana opens up to 100 unless its data source says otherwise, as
/// many as PostgreSQL has for all.
pub const CONNECTIONS_MAX: u32 = 20;

/// Longest name of a role, bytes (`NAMEDATALEN` of PostgreSQL less one).
const NAME_BYTES_MAX: usize = 63;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Whether the role is new.
    pub is_new: bool,
    /// Whether it can log in with a password.
    pub has_password: Option<bool>,
    /// What it may do beyond reading, and how to end that.
    pub warnings: Vec<String>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// No role may be called so.
    #[error(
        "'{0}' cannot be the name of a role: 1 to {NAME_BYTES_MAX} bytes without control characters, which do not begin with pg_"
    )]
    Name(String),
    /// It can do more than read, so it is not turned into a role for reading.
    #[error("role {role} {why}: give a name that is not in use, a new role is made for it")]
    Powerful {
        /// Its name.
        role: String,
        /// What it can do.
        why: &'static str,
    },
    /// The role of the server may not make roles.
    #[error(
        "the role of DATABASE_URL may not make or change role {0}: run this once with a DATABASE_URL of a superuser, or give it the attribute CREATEROLE (ALTER ROLE … CREATEROLE)"
    )]
    MayNot(String),
    /// The database is away, or not migrated.
    #[error("{0}")]
    Database(#[from] diesel::result::Error),
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Bool)]
    is_superuser: bool,
    #[diesel(sql_type = Bool)]
    is_own: bool,
    #[diesel(sql_type = Bool)]
    may_make: bool,
    #[diesel(sql_type = Bool)]
    is_owner: bool,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Holds {
    #[diesel(sql_type = Bool)]
    value: bool,
}

/// Makes a role that can log in and read [`READABLE`] of the current schema, or makes one that exists already so.
///
/// Its statements end after `statement_timeout`. A `verifier` is a password as PostgreSQL keeps it
/// (`SCRAM-SHA-256$…`), so that no log has the password itself.
///
/// # Errors
/// [`GrantError`], with what to do.
pub fn grant_read(
    conn: &mut PgConnection,
    role: &str,
    statement_timeout: Duration,
    verifier: Option<&str>,
) -> Result<Granted, GrantError> {
    if role.is_empty()
        || role.len() > NAME_BYTES_MAX
        || role.starts_with("pg_")
        || role.chars().any(char::is_control)
        || ["public", "none"].contains(&role)
    {
        return Err(GrantError::Name(role.to_owned()));
    }
    let known: Option<Known> = diesel::sql_query(include_str!("reader_role.sql"))
        .bind::<Text, _>(role)
        .get_result(conn)
        .optional()?;
    if let Some(known) = &known {
        refuse_powerful(role, known)?;
    }
    let is_new = known.is_none();
    let name = quoted(role);
    let making = match is_new {
        true => format!("CREATE ROLE {name} LOGIN"),
        false => format!("ALTER ROLE {name} LOGIN"),
    };
    let password = verifier.map(|verifier| format!(" PASSWORD '{}'", verifier.replace('\'', "''")));
    let password = password.unwrap_or_default();
    conn.batch_execute(&format!(
        "{making} CONNECTION LIMIT {CONNECTIONS_MAX}{password};
         ALTER ROLE {name} SET statement_timeout = {};
         ALTER ROLE {name} SET idle_in_transaction_session_timeout = '1min';
         ALTER ROLE {name} SET default_transaction_read_only = on;
         ALTER ROLE {name} SET constraint_exclusion = on;
         ALTER ROLE {name} SET jit = off;
         ALTER ROLE {name} SET timezone = 'UTC'",
        statement_timeout.as_millis()
    ))
    .map_err(|error| may_not(role, error))?;
    let schema: Name =
        diesel::sql_query("SELECT quote_ident(current_schema()) AS value").get_result(conn)?;
    let database: Name =
        diesel::sql_query("SELECT quote_ident(current_database()) AS value").get_result(conn)?;
    let (schema, database) = (schema.value, database.value);
    let readable: Vec<String> = READABLE
        .iter()
        .map(|table| format!("{schema}.{table}"))
        .collect();
    conn.batch_execute(&format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name};
         REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {name};
         REVOKE CREATE ON SCHEMA {schema} FROM {name};
         GRANT CONNECT ON DATABASE {database} TO {name};
         GRANT USAGE ON SCHEMA {schema} TO {name};
         GRANT SELECT ON {} TO {name}",
        readable.join(", ")
    ))?;
    Ok(Granted {
        is_new,
        has_password: has_password(conn, role),
        warnings: warnings(conn, role, &schema)?,
    })
}

fn refuse_powerful(role: &str, known: &Known) -> Result<(), GrantError> {
    let reasons = [
        (known.is_own, "is that of the server"),
        (known.is_superuser, "is a superuser"),
        (
            known.is_owner,
            "owns tables of this database, or is a member of a role that does",
        ),
        (
            known.may_make,
            "may make roles or databases, or passes by the rules for rows",
        ),
    ];
    match reasons.into_iter().find(|(holds, _)| *holds) {
        Some((_, why)) => Err(GrantError::Powerful {
            role: role.to_owned(),
            why,
        }),
        None => Ok(()),
    }
}

/// Whether it has a password; only a superuser can see that.
fn has_password(conn: &mut PgConnection, role: &str) -> Option<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_authid WHERE rolname = $1 AND rolpassword IS NOT NULL) AS value";
    // A failure would end the transaction.
    let may_look: Holds =
        diesel::sql_query("SELECT has_table_privilege('pg_authid', 'SELECT') AS value")
            .get_result(conn)
            .ok()?;
    if !may_look.value {
        return None;
    }
    let found: QueryResult<Holds> = diesel::sql_query(query)
        .bind::<Text, _>(role)
        .get_result(conn);
    found.ok().map(|found| found.value)
}

/// What everybody may do in this database, and so the role too.
fn warnings(conn: &mut PgConnection, role: &str, schema: &str) -> QueryResult<Vec<String>> {
    let mut warnings = Vec::new();
    let may_create: Holds =
        diesel::sql_query("SELECT has_schema_privilege($1, current_schema(), 'CREATE') AS value")
            .bind::<Text, _>(role)
            .get_result(conn)?;
    if may_create.value {
        warnings.push(format!(
            "everybody may make tables in schema {schema}, as always before PostgreSQL 15; GRANT CREATE ON SCHEMA {schema} TO the role of the server, then REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC ends it"
        ));
    }
    let others: Vec<Name> = diesel::sql_query(include_str!("reader_role_reads.sql"))
        .bind::<Text, _>(role)
        .bind::<diesel::sql_types::Array<Text>, _>(READABLE)
        .load(conn)?;
    if !others.is_empty() {
        let others: Vec<String> = others.into_iter().map(|other| other.value).collect();
        warnings.push(format!(
            "it may read more, because everybody or a role that it is a member of may: {}; REVOKE SELECT ON … FROM PUBLIC, or REVOKE that role FROM {}, ends it",
            others.join(", "),
            quoted(role)
        ));
    }
    Ok(warnings)
}

fn may_not(role: &str, error: diesel::result::Error) -> GrantError {
    match &error {
        diesel::result::Error::DatabaseError(_, info)
            if info.message().starts_with("permission denied")
                || info.message().starts_with("must be superuser")
                || info.message().starts_with("must have") =>
        {
            GrantError::MayNot(role.to_owned())
        }
        _ => error.into(),
    }
}

/// A name as it stands in SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table of what the role may read, in Markdown, as the documentation has it.
#[must_use]
pub fn readable_markdown() -> String {
    let names: Vec<String> = READABLE.iter().map(|name| format!("`{name}`")).collect();
    format!("{}\n", names.join(", "))
}
