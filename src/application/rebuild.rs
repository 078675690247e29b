//! `tetcore-analytics rebuild NAME`: requests a rebuild of a projection by the server that
//! maintains it, and shows its progress.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::ApplicationError;
use crate::config::{Config, DatabaseUrl};
use crate::database::{DatabaseError, connect};
use crate::postgres::running_url;
use crate::projections;

/// How often progress is shown.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Limit of each statement.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests a rebuild and waits for its end; `show` gets a line whenever there is
/// progress.
///
/// # Errors
/// [`ApplicationError::Command`] if there is no such projection, or the database
/// cannot be reached.
pub fn rebuild(
    config: &Config,
    name: &str,
    from: Option<DateTime<Utc>>,
    mut show: impl FnMut(&str),
) -> Result<(), ApplicationError> {
    let url = database_url(config)?;
    let failed = |error: DatabaseError| ApplicationError::Command(error.to_string());
    let failed_query = |error: diesel::result::Error| failed(error.into());
    let mut conn = connect(&url, "rebuild", STATEMENT_TIMEOUT).map_err(failed)?;
    let asked = conn.transaction(|conn| projections::request_rebuild(conn, name, from));
    if !asked.map_err(failed_query)? {
        let known: Vec<&str> = projections::all(Duration::MAX)
            .iter()
            .map(|one| one.name())
            .collect();
        let known = known.join(", ");
        return Err(ApplicationError::Command(format!(
            "there is no projection {name}; there are: {known}"
        )));
    }
    show("a running server builds it now; if none runs, it begins when one starts");
    let mut shown = None;
    loop {
        std::thread::sleep(LOOK_INTERVAL);
        let progress = conn
            .transaction(|conn| projections::progress(conn, name))
            .map_err(failed_query)?;
        let Some(progress) = progress.filter(|progress| progress.position.is_none()) else {
            show(&format!("{name} is built"));
            return Ok(());
        };
        if progress.built_until != shown {
            shown = progress.built_until;
            match shown {
                Some(until) if until <= Utc::now() => {
                    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
                    show(&format!("contains messages up to {until}"));
                }
                Some(_) => show("contains all messages, and replaces what was there before"),
                None => {}
            }
        }
    }
}

/// The database that a subcommand works on.
///
/// # Errors
/// If none is set, and none of the server's own runs.
pub(super) fn database_url(config: &Config) -> Result<DatabaseUrl, ApplicationError> {
    match &config.store.database_url {
        Some(url) => Ok(url.clone()),
        None => running_url(&config.store.data_dir)
            .map(|url| DatabaseUrl::new(&url))
            .ok_or_else(|| {
                let problem = "DATABASE_URL is not set, and no PostgreSQL runs in DATA_DIR: start the server first";
                ApplicationError::Command(problem.to_owned())
            }),
    }
}
