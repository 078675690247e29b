//! What is chosen at the top of a dashboard, and the marks on its time axis.

use serde_json::{Value, json};

use super::dashboard::{Source, Sources};

/// What stands for all values: `('*' IN (${chain:sqlstring}) OR …)` is true at once then, instead of a list of
/// thousands.
const ALL: &str = "'*'";

#[derive(Debug, Clone)]
enum Kind {
    Query {
        source: Source,
        query: &'static str,
        is_multi: bool,
        all: Option<&'static str>,
    },
    Text(String),
    Constant(String),
}

/// A choice.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    name: &'static str,
    label: &'static str,
    kind: Kind,
}

impl Variable {
    /// One of what a statement gives, in columns `__text` and `__value`.
    pub(super) const fn one(name: &'static str, label: &'static str, query: &'static str) -> Self {
        let kind = Kind::Query {
            source: Source::Postgresql,
            query,
            is_multi: false,
            all: None,
        };
        Self { name, label, kind }
    }

    /// Several of what a statement gives, or all.
    pub(super) const fn several(
        name: &'static str,
        label: &'static str,
        query: &'static str,
    ) -> Self {
        let kind = Kind::Query {
            source: Source::Postgresql,
            query,
            is_multi: true,
            all: Some(ALL),
        };
        Self { name, label, kind }
    }

    /// Servers that Prometheus scrapes.
    pub(super) const fn instances() -> Self {
        let kind = Kind::Query {
            source: Source::Prometheus,
            query: "label_values(tetcore_analytics_build_info, instance)",
            is_multi: true,
            all: Some(".*"),
        };
        Self {
            name: "instance",
            label: "Server",
            kind,
        }
    }

    /// A text that is typed; empty at first.
    pub(super) fn text(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            kind: Kind::Text(String::new()),
        }
    }

    /// Where people reach the server, for links.
    pub(super) fn server(url: &str) -> Self {
        Self {
            name: "server",
            label: "Address of the server",
            kind: Kind::Text(url.trim_end_matches('/').to_owned()),
        }
    }

    /// What is not to be chosen: the dashboard is about it.
    pub(super) fn constant(name: &'static str, value: &str) -> Self {
        Self {
            name,
            label: "",
            kind: Kind::Constant(value.to_owned()),
        }
    }

    pub(super) fn json(&self, sources: &Sources<'_>) -> Value {
        let (name, label) = (self.name, self.label);
        match &self.kind {
            Kind::Query {
                source,
                query,
                is_multi,
                all,
            } => {
                let mut variable = json!({
                    "type": "query", "name": name, "label": label, "datasource": source.json(sources),
                    "query": query, "refresh": 1, "sort": 0, "multi": is_multi, "includeAll": all.is_some(),
                    "current": {}, "options": [], "regex": "", "hide": 0, "skipUrlSync": false,
                });
                if let (Some(all), Some(variable)) = (all, variable.as_object_mut()) {
                    variable.insert("allValue".to_owned(), json!(all));
                    variable.insert(
                        "current".to_owned(),
                        json!({"selected": true, "text": ["All"], "value": ["$__all"]}),
                    );
                }
                variable
            }
            Kind::Text(value) => json!({
                "type": "textbox", "name": name, "label": label, "query": value, "hide": 0, "skipUrlSync": false,
                "current": {"selected": true, "text": value, "value": value},
                "options": [{"selected": true, "text": value, "value": value}],
            }),
            Kind::Constant(value) => json!({
                "type": "constant", "name": name, "query": value, "hide": 2, "skipUrlSync": true,
                "current": {"selected": true, "text": value, "value": value},
                "options": [{"selected": true, "text": value, "value": value}],
            }),
        }
    }
}

/// The chains, each with a part of its identity, for names are not unique.
pub(super) const CHAINS: &str = "SELECT concat_ws(' ', max(chain), left(nullif(genesis_hash, ''), 8)) AS __text, genesis_hash AS __value
FROM nodes GROUP BY genesis_hash ORDER BY count(*) DESC, 1 LIMIT 1000";

/// The nodes of the chains that are chosen.
pub(super) const NODES: &str = "SELECT concat_ws(' ', name, right(peer_id, 6)) AS __text, peer_id AS __value
FROM nodes WHERE ('*' IN (${chain:sqlstring}) OR genesis_hash IN (${chain:sqlstring})) ORDER BY online DESC, 1 LIMIT 5000";

/// Marks on the time axis, from a statement with columns `time`, `text`, `tags`, maybe `timeend`.
#[derive(Debug, Clone)]
pub(super) struct Annotation {
    pub(super) name: &'static str,
    /// A colour of Grafana's palette, which each theme has in a shade of its own.
    pub(super) color: &'static str,
    pub(super) sql: String,
}

impl Annotation {
    pub(super) fn json(&self, sources: &Sources<'_>) -> Value {
        json!({
            "name": self.name, "datasource": Source::Postgresql.json(sources), "enable": true, "hide": false,
            "iconColor": self.color,
            "target": {"refId": "Anno", "format": "table", "rawQuery": true, "editorMode": "code", "rawSql": self.sql},
        })
    }

    /// Phases of benchmarks.
    pub(super) fn benchmark_phases() -> Self {
        Self {
            name: "Benchmark phases",
            color: "purple",
            sql: "SELECT e.created_at AS time, concat_ws(' ', 'run', e.benchmark_id, e.name, e.phase) AS text, 'benchmark' AS tags
FROM benchmark_events e WHERE $__timeFilter(e.created_at) ORDER BY 1 LIMIT 1000"
                .to_owned(),
        }
    }

    /// Times in which this program itself could not judge.
    pub(super) fn own_outages() -> Self {
        Self {
            name: "Our own outages",
            color: "orange",
            sql: "SELECT began_at AS time, coalesce(ended_at, now()) AS timeend, 'our own outage: ' || cause AS text, 'outage' AS tags
FROM status_outages WHERE began_at <= $__timeTo() AND coalesce(ended_at, now()) >= $__timeFrom() ORDER BY 1 LIMIT 1000"
                .to_owned(),
        }
    }
}
