//! One panel.

use serde_json::{Value, json};

use super::dashboard::{Source, Sources};
use super::field::{self, Property};

/// Filter by the chains that are chosen; all of them make it true at once.
const CHAINS: &str = "('*' IN (${chain:sqlstring}) OR genesis_hash IN (${chain:sqlstring}))";

/// The one node that is chosen.
const NODE: &str = "peer_id = ${node:sqlstring} AND genesis_hash = ${chain:sqlstring}";

/// The sessions of the node that is chosen, within the range: known before messages are looked for, so that only
/// its own are read.
const SESSIONS: &str = "peer_connection_id = ANY (ARRAY(SELECT id FROM peer_connections
    WHERE peer_id = ${node:sqlstring} AND coalesce(genesis_hash, '') = ${chain:sqlstring}
      AND created_at <= $__timeTo() AND coalesce(disconnected_at, 'infinity') >= $__timeFrom()))";

/// True of a range of at most half a day, which the planner knows: what is not needed is not read. A node says about
/// a message a second, so longer ones read hours.
const SHORT: &str = "$__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '13 hours'";

/// True of a longer range.
const HOURS: &str = "$__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '13 hours'";

/// As [`SHORT`] of blocks, of which there are fewer.
const DAY: &str = "$__timeTo()::timestamptz - $__timeFrom()::timestamptz <= interval '25 hours'";

/// The hours of a chain in the range; more conditions may follow.
const CHAIN_HOURS: &str = "chain_hours h JOIN chains c ON c.id = h.chain_id
WHERE c.genesis_hash = ${chain:sqlstring} AND $__timeFilter(h.hour)";

/// True of a longer range than [`DAY`].
const LONG: &str = "$__timeTo()::timestamptz - $__timeFrom()::timestamptz > interval '25 hours'";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Lines over time.
    Lines,
    /// Areas on top of each other.
    Stack,
    /// Bars over time, on top of each other.
    Bars,
    /// Numbers.
    Stat,
    Table,
    /// States over time.
    Timeline,
    /// Bars by a column of text.
    BarChart,
    Logs,
    /// A heading.
    Row,
}

#[derive(Debug, Clone)]
enum Query {
    Sql(String),
    Prometheus {
        expr: String,
        legend: &'static str,
        is_instant: bool,
    },
    Loki(String),
}

/// A panel.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    title: &'static str,
    description: &'static str,
    kind: Kind,
    unit: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    queries: Vec<Query>,
    /// Properties of all columns.
    defaults: Vec<Property>,
    overrides: Vec<Value>,
    /// Least distance of two points.
    interval: Option<&'static str>,
    /// Most points, where one for each pixel costs too much.
    points: Option<u32>,
}

/// What stands in statements for what many have in common.
pub(super) fn sql(text: &str) -> String {
    text.replace("@chains", CHAINS)
        .replace("@node", NODE)
        .replace("@sessions", SESSIONS)
        .replace("@short", SHORT)
        .replace("@hours", HOURS)
        .replace("@chain_hours", CHAIN_HOURS)
        .replace("@day", DAY)
        .replace("@long", LONG)
        .replace("@from", "$__timeFrom()::timestamptz")
        .replace("@to", "$__timeTo()::timestamptz")
}

impl Panel {
    fn new(kind: Kind, title: &'static str, description: &'static str) -> Self {
        let (width, height) = match kind {
            Kind::Lines | Kind::Stack | Kind::Bars | Kind::BarChart => (12, 8),
            Kind::Stat => (24, 4),
            Kind::Table => (24, 9),
            Kind::Timeline => (24, 4),
            Kind::Logs => (24, 10),
            Kind::Row => (24, 1),
        };
        Self {
            title,
            description,
            kind,
            unit: "short",
            width,
            height,
            queries: Vec::new(),
            defaults: Vec::new(),
            overrides: Vec::new(),
            interval: None,
            points: None,
        }
    }

    pub(super) fn row(title: &'static str) -> Self {
        Self::new(Kind::Row, title, "")
    }

    pub(super) fn lines(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Lines, title, description)
    }

    pub(super) fn stack(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Stack, title, description)
    }

    pub(super) fn bars(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Bars, title, description)
    }

    pub(super) fn bar_chart(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::BarChart, title, description)
    }

    pub(super) fn stat(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Stat, title, description)
    }

    pub(super) fn table(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Table, title, description)
    }

    pub(super) fn timeline(title: &'static str, description: &'static str) -> Self {
        let mut panel = Self::new(Kind::Timeline, title, description);
        panel.defaults.push(("mappings", field::state_mappings()));
        panel
    }

    pub(super) fn logs(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Logs, title, description)
    }

    pub(super) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(super) fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// Points of hours: Grafana asks for none that are closer.
    pub(super) fn hourly(mut self) -> Self {
        self.interval = Some("1h");
        self
    }

    /// At most so many points.
    pub(super) fn points(mut self, most: u32) -> Self {
        self.points = Some(most);
        self
    }

    /// A statement; see [`sql`] for what it may hold beside Grafana's macros.
    pub(super) fn sql(mut self, statement: &str) -> Self {
        self.queries.push(Query::Sql(sql(statement)));
        self
    }

    /// A question to Prometheus, `@i` standing for the servers that are chosen.
    pub(super) fn prom(mut self, expr: &str, legend: &'static str) -> Self {
        self.queries.push(Query::Prometheus {
            expr: expr.replace("@i", "instance=~\"$instance\""),
            legend,
            is_instant: self.kind == Kind::Stat,
        });
        self
    }

    pub(super) fn loki(mut self, expr: &str) -> Self {
        self.queries.push(Query::Loki(expr.to_owned()));
        self
    }

    /// What a column looks like.
    pub(super) fn column(mut self, name: &str, properties: Vec<Property>) -> Self {
        self.overrides.push(field::of(name, properties));
        self
    }

    /// What all columns look like.
    pub(super) fn all(mut self, properties: Vec<Property>) -> Self {
        self.defaults.extend(properties);
        self
    }

    fn source(&self) -> Option<Source> {
        self.queries.first().map(|query| match query {
            Query::Sql(_) => Source::Postgresql,
            Query::Prometheus { .. } => Source::Prometheus,
            Query::Loki(_) => Source::Loki,
        })
    }

    pub(super) fn json(&self, id: u32, place: Value, sources: &Sources<'_>) -> Value {
        let Some(source) = self.source() else {
            return json!({
                "id": id, "type": "row", "title": self.title, "collapsed": false, "gridPos": place, "panels": [],
            });
        };
        let mut defaults = json!({
            "unit": self.unit,
            "custom": self.kind.custom(),
            "color": match self.kind {
                Kind::Stat => json!({"mode": "fixed", "fixedColor": "text"}),
                _ => json!({"mode": "palette-classic"}),
            },
        });
        if let Some(defaults) = defaults.as_object_mut() {
            for (name, value) in &self.defaults {
                defaults.insert((*name).to_owned(), value.clone());
            }
        }
        let mut panel = json!({
            "id": id,
            "type": self.kind.plugin(),
            "title": self.title,
            "description": self.description,
            "gridPos": place,
            "datasource": source.json(sources),
            "targets": self.targets(sources),
            "fieldConfig": {"defaults": defaults, "overrides": self.overrides},
            "options": self.kind.options(),
        });
        if let (Some(interval), Some(panel)) = (self.interval, panel.as_object_mut()) {
            panel.insert("interval".to_owned(), json!(interval));
        }
        if let (Some(points), Some(panel)) = (self.points, panel.as_object_mut()) {
            panel.insert("maxDataPoints".to_owned(), json!(points));
        }
        panel
    }

    fn targets(&self, sources: &Sources<'_>) -> Vec<Value> {
        let format = match self.kind {
            Kind::Lines | Kind::Stack | Kind::Bars => "time_series",
            _ => "table",
        };
        let letters = ('A'..='Z').map(String::from);
        let target = |(query, id): (&Query, String)| match query {
            Query::Sql(statement) => json!({
                "refId": id, "datasource": Source::Postgresql.json(sources), "format": format, "rawQuery": true,
                "editorMode": "code", "rawSql": statement,
            }),
            Query::Prometheus {
                expr,
                legend,
                is_instant,
            } => json!({
                "refId": id, "datasource": Source::Prometheus.json(sources), "expr": expr, "legendFormat": legend,
                "instant": is_instant, "range": !is_instant, "editorMode": "code",
            }),
            Query::Loki(expr) => json!({
                "refId": id, "datasource": Source::Loki.json(sources), "expr": expr, "queryType": "range", "maxLines": 500,
            }),
        };
        self.queries.iter().zip(letters).map(target).collect()
    }
}

impl Kind {
    fn plugin(self) -> &'static str {
        match self {
            Self::Lines | Self::Stack | Self::Bars => "timeseries",
            Self::Stat => "stat",
            Self::Table => "table",
            Self::Timeline => "state-timeline",
            Self::BarChart => "barchart",
            Self::Logs => "logs",
            Self::Row => "row",
        }
    }

    /// What belongs to the columns of this kind of panel.
    fn custom(self) -> Value {
        let drawn = |style, fill, is_stacked: bool| {
            json!({
                "drawStyle": style, "fillOpacity": fill, "lineWidth": 1, "showPoints": "never", "spanNulls": false,
                "stacking": {"mode": if is_stacked { "normal" } else { "none" }, "group": "A"},
            })
        };
        match self {
            Self::Lines => drawn("line", 5, false),
            Self::Stack => drawn("line", 40, true),
            Self::Bars => drawn("bars", 70, true),
            Self::Table => json!({"filterable": true}),
            Self::Timeline => json!({"fillOpacity": 80, "lineWidth": 0}),
            Self::BarChart => json!({"fillOpacity": 70, "lineWidth": 1}),
            Self::Stat | Self::Logs | Self::Row => json!({}),
        }
    }

    fn options(self) -> Value {
        match self {
            Self::Lines | Self::Stack | Self::Bars => json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Self::Stat => json!({
                "reduceOptions": {"values": false, "calcs": ["lastNotNull"], "fields": "/.*/"},
                "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
            }),
            Self::Table => json!({
                "showHeader": true, "cellHeight": "sm", "footer": {"show": false, "reducer": [], "countRows": false},
            }),
            Self::Timeline => json!({
                "showValue": "auto", "mergeValues": true, "rowHeight": 0.8, "alignValue": "left",
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Self::BarChart => json!({
                "orientation": "auto", "showValue": "never", "stacking": "none", "groupWidth": 0.7, "barWidth": 0.95,
                "xTickLabelRotation": 0, "xTickLabelSpacing": 100,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Self::Logs => json!({
                "showTime": true, "showLabels": false, "showCommonLabels": false, "wrapLogMessage": true,
                "prettifyLogMessage": false, "enableLogDetails": true, "dedupStrategy": "none", "sortOrder": "Descending",
            }),
            Self::Row => json!({}),
        }
    }
}
