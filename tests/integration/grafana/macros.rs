//! What Grafana makes of a statement before it sends it: variables, then the macros of its data source for PostgreSQL.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::list;

/// What is chosen: values by variable; a variable that is not here has all its values.
pub(crate) type Choice = HashMap<&'static str, &'static str>;

/// A range, and the distance of two points in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub interval_s: i64,
}

impl Range {
    /// Back from now; a panel is 1,000 pixels wide unless it says how many points it has.
    pub(crate) fn of(seconds: i64, panel: &Value) -> Self {
        let to = Utc::now();
        let points = panel["maxDataPoints"].as_i64().unwrap_or(1_000);
        Self {
            from: to - chrono::TimeDelta::seconds(seconds),
            to,
            interval_s: (seconds / points).max(1),
        }
    }
}

/// Seconds of a span such as 6h.
pub(crate) fn seconds(span: &str) -> i64 {
    let (number, unit) = span.split_at(span.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => panic!("{span}"),
    };
    number.parse::<i64>().unwrap() * unit
}

/// The statement that PostgreSQL gets.
pub(crate) fn expand(sql: &str, dashboard: &Value, choice: &Choice, range: Range) -> String {
    let sql = variables(sql, dashboard, choice);
    let sql = sql
        .replace("$__interval_ms", &(range.interval_s * 1_000).to_string())
        .replace("$__interval", &format!("{}s", range.interval_s));
    macros(&sql, range)
}

/// `${name}` and `${name:format}`.
pub(crate) fn variables(text: &str, dashboard: &Value, choice: &Choice) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (reference, tail) = after.split_once('}').unwrap();
        let (name, format) = reference.split_once(':').unwrap_or((reference, ""));
        out += before;
        out += &value(name, format, dashboard, choice);
        rest = tail;
    }
    out + rest
}

fn value(name: &str, format: &str, dashboard: &Value, choice: &Choice) -> String {
    let known = list(dashboard, "/templating/list");
    let variable = known
        .iter()
        .find(|variable| variable["name"] == name)
        .unwrap_or_else(|| panic!("{} has no variable {name}", dashboard["title"]));
    let chosen = match (choice.get(name), variable["type"].as_str().unwrap()) {
        (_, "constant" | "textbox") => variable["query"].as_str().unwrap(),
        (Some(chosen), _) => chosen,
        // Grafana formats no value that stands for all.
        (None, _) => return variable["allValue"].as_str().unwrap().to_owned(),
    };
    match format {
        "sqlstring" => format!("'{}'", chosen.replace('\'', "''")),
        "" => chosen.to_owned(),
        format => panic!("format {format}"),
    }
}

/// `$__name(arguments)`, whose arguments hold no brackets, as in Grafana's data source.
fn macros(sql: &str, range: Range) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("$__") {
        let (name, after) = after.split_once('(').unwrap();
        let (arguments, tail) = after.split_once(')').unwrap();
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
        out += before;
        out += &expanded(name, &arguments, range);
        rest = tail;
    }
    out + rest
}

fn expanded(name: &str, arguments: &[&str], range: Range) -> String {
    let time =
        |time: DateTime<Utc>| format!("'{}'", time.to_rfc3339_opts(SecondsFormat::Nanos, true));
    match (name, arguments) {
        ("timeFrom", [""]) => time(range.from),
        ("timeTo", [""]) => time(range.to),
        ("timeFilter", [column]) => {
            format!(
                "{column} BETWEEN {} AND {}",
                time(range.from),
                time(range.to)
            )
        }
        ("timeGroup", [column, interval]) => {
            let width = seconds(interval.trim_matches('\''));
            format!("floor(extract(epoch from {column})/{width})*{width}")
        }
        ("timeGroupAlias", arguments) => {
            format!("{} AS \"time\"", expanded("timeGroup", arguments, range))
        }
        _ => panic!("$__{name} with {arguments:?} is no macro of Grafana"),
    }
}
