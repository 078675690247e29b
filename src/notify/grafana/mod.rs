//! Uploads dashboards, and what they need, to a Grafana over its HTTP API; understood from 10 to 13, by uids only.
//!
//! | file | holds |
//! | --- | --- |
//! | `api` | requests, and what is wrong in words |
//! | `folder`, `sources`, `dashboard` | what is made there, or taken over |
//! | `report` | what was or would be done, for people |

mod api;
mod dashboard;
mod folder;
mod report;
mod sources;

use crate::config::{GrafanaConfig, NotifyConfig};
use crate::grafana::{self, Dashboard};
use api::Api;
pub use api::GrafanaError;
use report::Report;

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Make what is to be made.
    Upload,
    /// Only say what would be made.
    DryRun,
}

/// Makes folder, data sources and all dashboards, or brings them up to date; `show` gets a line for each.
/// `notify` says how requests are made.
///
/// # Errors
/// [`GrafanaError`], with what to do; what was done before stays.
pub fn provision(
    config: &GrafanaConfig,
    notify: &NotifyConfig,
    mode: Mode,
    show: &mut dyn FnMut(&str),
) -> Result<(), GrafanaError> {
    let api = Api::new(config, notify)?;
    let mut report = Report::new(mode, show);
    let folder = folder::take(&api, &mut report)?;
    let sources = sources::take(&api, config, &mut report)?;
    for dashboard in grafana::all(&config.public_url) {
        dashboard::take(
            &api,
            &folder,
            &dashboard.json(&sources.as_sources()),
            &mut report,
        )?;
    }
    report.end();
    Ok(())
}

/// Makes one dashboard, or brings it up to date, with the data sources that are there.
///
/// # Errors
/// As [`provision`].
pub fn upload(
    config: &GrafanaConfig,
    notify: &NotifyConfig,
    dashboard: &Dashboard,
    show: &mut dyn FnMut(&str),
) -> Result<(), GrafanaError> {
    let api = Api::new(config, notify)?;
    let mut report = Report::new(Mode::Upload, show);
    let folder = folder::take(&api, &mut report)?;
    let sources = sources::find(&api, &mut report)?;
    dashboard::take(
        &api,
        &folder,
        &dashboard.json(&sources.as_sources()),
        &mut report,
    )?;
    report.address(&api.address(&format!("d/{}", dashboard.uid)));
    Ok(())
}
