//! `tetcore-analytics database grant-read ROLE`: makes the role by which Grafana and people read.

use std::io::Read;

use super::ApplicationError;
use super::rebuild::{STATEMENT_TIMEOUT, database_url};
use crate::config::{Config, DatabaseUrl};
use crate::database::{DatabaseError, connect};
use crate::store::reader_role::{self, GrantError, READABLE};

/// Longest password, bytes.
const PASSWORD_BYTES_MAX: u64 = 1_024;

/// Makes the role, or one that exists such a role; `show` gets what was done. With `password` it is
/// read from there, to its end.
///
/// # Errors
/// [`ApplicationError::Command`] if the role cannot be made, or the database cannot be reached.
pub fn grant_read(
    config: &Config,
    role: &str,
    password: Option<&mut dyn Read>,
    mut show: impl FnMut(&str),
) -> Result<(), ApplicationError> {
    let failed = |error: String| ApplicationError::Command(error);
    let verifier = password.map(verifier).transpose().map_err(failed)?;
    let url = database_url(config)?;
    let timeout = config.store.statement_timeout;
    let mut conn = connect(&url, "grant-read", STATEMENT_TIMEOUT)
        .map_err(|error| failed(error.to_string()))?;
    let granted = conn
        .transaction(|conn| reader_role::grant_read(conn, role, timeout, verifier.as_deref()))
        .map_err(|error| failed(explained(error)))?;
    show(&format!(
        "role {role} {}: it can log in, at most {} connections at once, and read {} tables and views, nothing else",
        if granted.is_new {
            "is made"
        } else {
            "exists, and is brought up to date"
        },
        reader_role::CONNECTIONS_MAX,
        READABLE.len()
    ));
    show(&format!(
        "its statements end after {} s (STATEMENT_TIMEOUT_S), and it writes nothing; settings of a role count from its next connection on",
        timeout.as_secs()
    ));
    for warning in &granted.warnings {
        show(&format!("warning: {warning}"));
    }
    match (verifier.is_some(), granted.has_password) {
        (true, _) => show("its password is the one given"),
        (false, Some(true)) => show("its password stays"),
        (false, has) => {
            let state = match has {
                Some(_) => "it has no password yet",
                None => "whether it has a password only a superuser can see",
            };
            show(&format!(
                "{state}; set one: run this with --password-stdin, or in psql: \\password {role}"
            ));
        }
    }
    show(&format!("data source: {}", address(&url, role)));
    Ok(())
}

/// The password that stands there, as PostgreSQL keeps it.
fn verifier(from: &mut dyn Read) -> Result<String, String> {
    let mut password = String::new();
    from.take(PASSWORD_BYTES_MAX + 1)
        .read_to_string(&mut password)
        .map_err(|error| format!("the password cannot be read from standard input: {error}"))?;
    let password = password.trim_end_matches(['\r', '\n']);
    let is_fit = !password.is_empty() && !password.chars().any(char::is_control);
    match is_fit && u64::try_from(password.len()).is_ok_and(|len| len <= PASSWORD_BYTES_MAX) {
        true => Ok(postgres_protocol::password::scram_sha_256(
            password.as_bytes(),
        )),
        false => Err(format!(
            "standard input has to be the password: one line of 1 to {PASSWORD_BYTES_MAX} bytes"
        )),
    }
}

/// Where the role reads: the address of the database with its name instead of that of the server.
fn address(url: &DatabaseUrl, role: &str) -> String {
    let url = url.without_password();
    let place = url.rsplit_once('@').map_or_else(
        || url.split_once("://").map_or(url.as_str(), |(_, rest)| rest),
        |(_, place)| place,
    );
    let role = percent_encoding::utf8_percent_encode(role, percent_encoding::NON_ALPHANUMERIC);
    format!("postgres://{role}@{place}")
}

fn explained(error: GrantError) -> String {
    match error {
        GrantError::Database(error) => {
            let error = DatabaseError::from(error).to_string();
            match error.contains("does not exist") {
                true => format!(
                    "{error}: the schema is older than this program; start the server once, it migrates it"
                ),
                false => error,
            }
        }
        error => error.to_string(),
    }
}
