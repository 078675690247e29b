//! Dashboards for Grafana, as data: what each panel asks, of which source, in which unit.
//!
//! The files under `deploy/grafana/dashboards` are written from here (`UPDATE_DOCS=1` with the tests of
//! `tidy`), and `notify::grafana` uploads the same.
//!
//! | file | holds |
//! | --- | --- |
//! | `dashboard` | a dashboard in the JSON of Grafana |
//! | `panel`, `field` | one panel, and how its columns look |
//! | `variable` | what is chosen at the top, and marks on the time axis |
//! | `link` | where a click leads |
//! | the others | one dashboard each |

mod benchmarks;
mod chain;
mod dashboard;
mod events;
mod field;
mod fleet;
mod link;
mod node;
mod panel;
mod postgresql;
mod server;
mod variable;

pub use dashboard::{Dashboard, Sources};

/// Uid of the folder of the dashboards, in a Grafana that has no folder of its name.
pub const FOLDER_UID: &str = "tetcore-analytics";

/// Title of that folder.
pub const FOLDER_TITLE: &str = "tetcore-analytics";

/// Data sources under their usual uids, as `deploy/grafana/provisioning` makes them.
pub const SOURCES: Sources<'static> = Sources {
    postgresql: "tetcore-postgresql",
    prometheus: "tetcore-prometheus",
    loki: "tetcore-loki",
};

/// Address of a server that nobody set, for links from dashboards to its pages.
pub const SERVER_URL: &str = "http://localhost:8080";

/// All dashboards; `server_url` is where people reach the server.
#[must_use]
pub fn all(server_url: &str) -> Vec<Dashboard> {
    vec![
        fleet::dashboard(server_url),
        node::dashboard(server_url),
        chain::dashboard(server_url),
        benchmarks::dashboard(server_url),
        events::dashboard(server_url),
        server::dashboard(server_url),
        postgresql::dashboard(server_url),
    ]
}

/// A dashboard for one chain.
#[must_use]
pub fn of_chain(server_url: &str, name: &str, genesis_hash: &str) -> Dashboard {
    chain::of(server_url, name, genesis_hash)
}

/// A dashboard for one service: whether it is alive, its jobs, and the events that it posts.
#[must_use]
pub fn of_service(server_url: &str, service: &str) -> Dashboard {
    events::of_service(server_url, service)
}

/// The dashboards with what each is for, in Markdown.
#[must_use]
pub fn markdown_table() -> String {
    let rows = all(SERVER_URL)
        .into_iter()
        .map(|dashboard| format!("| *{}* | {} |\n", dashboard.title, dashboard.description()));
    format!(
        "| dashboard | answers |\n| --- | --- |\n{}",
        rows.collect::<String>()
    )
}
