//! Dashboards in a Grafana: at the start of a server, and by `tetcore-analytics grafana`.

use std::time::Duration;

use actix_web::web;

use super::ApplicationError;
use super::rebuild::{STATEMENT_TIMEOUT, database_url};
use crate::config::Config;
use crate::database::connect;
use crate::grafana::{Dashboard, SOURCES, of_chain, of_service};
use crate::notify::grafana::{self, Mode};
use crate::query::dashboard_subjects::{Subject, find, known};

/// How often it is tried at the start while Grafana is away; together they ask for ten minutes.
const TRIES: u32 = 40;

/// Time between two tries.
const PAUSE: Duration = Duration::from_secs(15);

/// Names that are shown where none fits.
const SHOWN_MAX: usize = 30;

/// Uploads everything if the settings name a Grafana. The server runs as well without: what fails is logged.
pub(super) fn start(config: &Config) {
    if config.grafana.target.is_none() {
        return;
    }
    let (config, notify) = (config.grafana.clone(), config.notify.clone());
    actix_web::rt::spawn(async move {
        for tried in 1..=TRIES {
            let config = config.clone();
            let notify = notify.clone();
            let done = web::block(move || {
                let mut log = |line: &str| log::info!("Grafana: {line}");
                grafana::provision(&config, &notify, Mode::Upload, &mut log)
            });
            match done.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) if error.is_passing() && tried < TRIES => {
                    log::info!("dashboards are not uploaded yet: {error}");
                }
                Ok(Err(error)) => {
                    log::warn!("dashboards are not uploaded: {error}");
                    return;
                }
                Err(error) => {
                    log::warn!("dashboards are not uploaded: {error}");
                    return;
                }
            }
            actix_web::rt::time::sleep(PAUSE).await;
        }
    });
}

/// Makes folder, data sources and dashboards in Grafana, or with `is_dry_run` says what would be made.
///
/// # Errors
/// [`ApplicationError::Command`], with what to do.
pub fn provision(
    config: &Config,
    is_dry_run: bool,
    mut show: impl FnMut(&str),
) -> Result<(), ApplicationError> {
    let mode = match is_dry_run {
        true => Mode::DryRun,
        false => Mode::Upload,
    };
    grafana::provision(&config.grafana, &config.notify, mode, &mut show)
        .map_err(|error| ApplicationError::Command(error.to_string()))
}

/// Makes a dashboard for a service or a chain, and uploads it, or shows its JSON.
///
/// # Errors
/// [`ApplicationError::Command`] if nothing is called so, or as [`provision`].
pub fn dashboard(
    config: &Config,
    name: &str,
    is_printed: bool,
    mut show: impl FnMut(&str),
) -> Result<(), ApplicationError> {
    let dashboard = of(config, name)?;
    if is_printed {
        show(dashboard.file(&SOURCES).trim_end());
        return Ok(());
    }
    grafana::upload(&config.grafana, &config.notify, &dashboard, &mut show)
        .map_err(|error| ApplicationError::Command(error.to_string()))
}

fn of(config: &Config, name: &str) -> Result<Dashboard, ApplicationError> {
    let failed = |error: String| ApplicationError::Command(error);
    let url = database_url(config)?;
    let mut conn =
        connect(&url, "dashboard", STATEMENT_TIMEOUT).map_err(|error| failed(error.to_string()))?;
    let (mut found, known) = conn
        .transaction(|conn| Ok((find(conn, name)?, known(conn, SHOWN_MAX)?)))
        .map_err(|error: diesel::result::Error| failed(error.to_string()))?;
    match (found.pop(), found.is_empty()) {
        (Some(Subject::Chain { name, genesis_hash }), true) => {
            Ok(of_chain(&config.grafana.public_url, &name, &genesis_hash))
        }
        (Some(Subject::Service(service)), true) => {
            Ok(of_service(&config.grafana.public_url, &service))
        }
        (Some(last), false) => {
            found.push(last);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            Err(failed(format!(
                "several are called {name}: {}; name a chain by its genesis hash",
                found.join(", ")
            )))
        }
        (None, _) => Err(failed(match known.is_empty() {
            true => format!("there is no service or chain {name}, and no other one yet"),
            false => format!(
                "there is no service or chain {name}; there are: {}",
                known.join(", ")
            ),
        })),
    }
}
