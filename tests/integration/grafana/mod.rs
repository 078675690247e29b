//! Dashboards for Grafana: their files are Grafana's, and whatever they ask is answered.

mod fake;
mod files;
mod macros;
mod questions;
mod reader_role;
mod statements;
mod upload;

use serde_json::Value;
use tetcore_analytics::grafana::{self, Dashboard, SERVER_URL, SOURCES};

/// All dashboards that are shipped, and one of each kind that is made on demand.
fn dashboards() -> Vec<Dashboard> {
    let mut all = grafana::all(SERVER_URL);
    all.push(grafana::of_chain(SERVER_URL, "Polkadot", "0xaa"));
    all.push(grafana::of_service(SERVER_URL, "relayer"));
    all
}

/// Their JSON.
fn documents() -> Vec<Value> {
    dashboards()
        .iter()
        .map(|dashboard| dashboard.json(&SOURCES))
        .collect()
}

/// The elements of a list in JSON.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
