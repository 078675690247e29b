//! How columns of a panel look: their unit, colour and links.

use serde_json::{Value, json};

/// States of nodes and services with the colour of each, by Grafana's palette, which each theme has in a shade of its own.
const STATES: [(&str, &str); 10] = [
    ("online", "green"),
    ("syncing", "blue"),
    ("lagging", "yellow"),
    ("stalled", "orange"),
    ("conflict", "purple"),
    ("late", "yellow"),
    ("missing", "red"),
    ("offline", "dark-red"),
    ("telemetry_lost", "orange"),
    ("down", "blue"),
];

/// Severities of alerts and events.
const SEVERITIES: [(&str, &str); 8] = [
    ("critical", "red"),
    ("fatal", "red"),
    ("error", "red"),
    ("warning", "orange"),
    ("warn", "orange"),
    ("info", "blue"),
    ("debug", "text"),
    ("trace", "text"),
];

/// A property of a column.
pub(super) type Property = (&'static str, Value);

/// What a column looks like, by its name.
pub(super) fn of(name: &str, properties: Vec<Property>) -> Value {
    let properties: Vec<Value> = properties
        .into_iter()
        .map(|(id, value)| json!({"id": id, "value": value}))
        .collect();
    json!({"matcher": {"id": "byName", "options": name}, "properties": properties})
}

pub(super) fn unit(unit: &'static str) -> Property {
    ("unit", json!(unit))
}

pub(super) fn width(pixels: u32) -> Property {
    ("custom.width", json!(pixels))
}

pub(super) fn links(links: Value) -> Property {
    ("links", links)
}

pub(super) fn color(name: &'static str) -> Property {
    ("color", json!({"mode": "fixed", "fixedColor": name}))
}

/// A column that only links need.
pub(super) fn hidden() -> Property {
    ("custom.hidden", json!(true))
}

/// A number that is bad from a bound on.
pub(super) fn bad_from(bound: f64, color: &'static str) -> Vec<Property> {
    vec![
        (
            "thresholds",
            thresholds(&[(None, "green"), (Some(bound), color)]),
        ),
        ("color", json!({"mode": "thresholds"})),
    ]
}

/// A column with states of nodes or services, or with severities.
pub(super) fn states() -> Vec<Property> {
    words(&STATES)
}

/// A column with severities.
pub(super) fn severities() -> Vec<Property> {
    words(&SEVERITIES)
}

fn words(colors: &[(&str, &str)]) -> Vec<Property> {
    vec![
        ("mappings", mappings(colors)),
        ("custom.cellOptions", json!({"type": "color-text"})),
        width(120),
    ]
}

/// Colours of states, without what only tables have.
pub(super) fn state_mappings() -> Value {
    mappings(&STATES)
}

fn mappings(colors: &[(&str, &str)]) -> Value {
    let options: serde_json::Map<String, Value> = colors
        .iter()
        .zip(0_u32..)
        .map(|((word, color), index)| {
            (
                (*word).to_owned(),
                json!({"text": word, "color": color, "index": index}),
            )
        })
        .collect();
    json!([{"type": "value", "options": options}])
}

/// Colours from bounds on.
pub(super) fn thresholds(steps: &[(Option<f64>, &str)]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .map(|(value, color)| json!({"value": value, "color": color}))
        .collect();
    json!({"mode": "absolute", "steps": steps})
}
