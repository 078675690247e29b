//! The Grafana to which dashboards are uploaded.

use super::{secret, text};
use crate::config::settings::{DefaultValue, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    secret(
        "GRAFANA_URL",
        "an address with http or https",
        "Address of a Grafana, with its path if it has one. Folder, data sources and dashboards are made or brought up to date there at the start, and by tetcore-analytics grafana provision, see docs/GRAFANA.md. Needs GRAFANA_TOKEN. Not set: nothing is uploaded.",
    ),
    secret(
        "GRAFANA_TOKEN",
        "a token of a service account",
        "Token for GRAFANA_URL, of a service account with the role Admin; Editor is enough where the data sources exist already.",
    ),
    secret(
        "GRAFANA_DATABASE_URL",
        "as DATABASE_URL, with user and password",
        "The database as that Grafana reaches it, with the role that tetcore-analytics database grant-read makes. Not set: its data source is left as it is, and one that exists is used.",
    ),
    secret(
        "GRAFANA_PROMETHEUS_URL",
        "an address with http or https",
        "Prometheus as that Grafana reaches it. Not set: as with GRAFANA_DATABASE_URL.",
    ),
    secret(
        "GRAFANA_LOKI_URL",
        "an address with http or https",
        "Loki as that Grafana reaches it. Not set: as with GRAFANA_DATABASE_URL.",
    ),
    text(
        "PUBLIC_URL",
        DefaultValue::Text("http://localhost:8080"),
        "an address with http or https",
        "Where people reach this server; dashboards lead to its pages there.",
    ),
];
