//! A dashboard in the JSON of Grafana: schema 36, which Grafana 9 and newer read.

use serde_json::{Value, json};

use super::link;
use super::panel::Panel;
use super::variable::{Annotation, Variable};

/// The schema of the JSON; Grafana brings it up to its own when it loads a dashboard.
const SCHEMA_VERSION: u32 = 36;

/// Columns of Grafana's grid.
const GRID_COLUMNS: u32 = 24;

/// Tag by which dashboards list each other.
const TAG: &str = "tetcore-analytics";

/// Uids of the data sources that panels ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources<'a> {
    /// The database.
    pub postgresql: &'a str,
    /// What scrapes `/metrics`.
    pub prometheus: &'a str,
    /// Where the log of the server goes.
    pub loki: &'a str,
}

/// Which data source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Postgresql,
    Prometheus,
    Loki,
}

impl Source {
    /// How a panel names it.
    pub(super) fn json(self, sources: &Sources<'_>) -> Value {
        match self {
            Self::Postgresql => {
                json!({"type": "grafana-postgresql-datasource", "uid": sources.postgresql})
            }
            Self::Prometheus => json!({"type": "prometheus", "uid": sources.prometheus}),
            Self::Loki => json!({"type": "loki", "uid": sources.loki}),
        }
    }
}

/// A dashboard.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// Its identity in Grafana, at most 40 characters.
    pub uid: String,
    /// Its title.
    pub title: String,
    pub(super) description: &'static str,
    /// Range that it opens with, back from now, such as 6h.
    pub(super) range: &'static str,
    /// How often it reads anew.
    pub(super) refresh: &'static str,
    pub(super) variables: Vec<Variable>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) panels: Vec<Panel>,
}

impl Dashboard {
    /// Name of its file, without extension.
    #[must_use]
    pub fn slug(&self) -> &str {
        self.uid.strip_prefix("tetcore-").unwrap_or(&self.uid)
    }

    /// What it is for.
    #[must_use]
    pub fn description(&self) -> &str {
        self.description
    }

    /// It in the JSON of Grafana.
    #[must_use]
    pub fn json(&self, sources: &Sources<'_>) -> Value {
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "timezone": "browser",
            "editable": true,
            // Dashboards show the same moment in all their panels.
            "graphTooltip": 1,
            "schemaVersion": SCHEMA_VERSION,
            "refresh": self.refresh,
            "time": {"from": format!("now-{}", self.range), "to": "now"},
            "links": link::of_dashboard(TAG),
            "templating": {"list": self.variables.iter().map(|one| one.json(sources)).collect::<Vec<_>>()},
            "annotations": {"list": self.annotations.iter().map(|one| one.json(sources)).collect::<Vec<_>>()},
            "panels": placed(&self.panels, sources),
        })
    }

    /// It as the text of a file.
    #[must_use]
    pub fn file(&self, sources: &Sources<'_>) -> String {
        format!("{:#}\n", self.json(sources))
    }
}

/// Panels from left to right, in rows as high as their highest panel.
fn placed(panels: &[Panel], sources: &Sources<'_>) -> Vec<Value> {
    let (mut x, mut y, mut height) = (0, 0, 0);
    let mut placed = Vec::new();
    for (panel, id) in panels.iter().zip(1_u32..) {
        if x + panel.width > GRID_COLUMNS {
            (x, y, height) = (0, y + height, 0);
        }
        let place = json!({"x": x, "y": y, "w": panel.width, "h": panel.height});
        placed.push(panel.json(id, place, sources));
        x += panel.width;
        height = height.max(panel.height);
    }
    placed
}
