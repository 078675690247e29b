//! Where a click leads: to another dashboard, or to a page of the server.

use serde_json::{Value, json};

/// The other dashboards, with the same time and choices, and the pages of the server.
pub(super) fn of_dashboard(tag: &str) -> Value {
    json!([
        {
            "title": "Dashboards", "type": "dashboards", "tags": [tag], "asDropdown": true, "icon": "external link",
            "tooltip": "", "url": "", "targetBlank": false, "includeVars": true, "keepTime": true,
        },
        {
            "title": "Pages of the server", "type": "link", "tags": [], "asDropdown": false, "icon": "external link",
            "tooltip": "The pages of tetcore-analytics itself", "url": "${server}/dashboard/", "targetBlank": true,
            "includeVars": false, "keepTime": false,
        },
    ])
}

/// A link from a value.
fn link(title: &str, url: &str, target_blank: bool) -> Value {
    json!({"title": title, "url": url, "targetBlank": target_blank})
}

/// From a row about a node, with columns `peer_id` and `genesis_hash`.
pub(super) fn node() -> Value {
    json!([
        link(
            "Dashboard of this node",
            "/d/tetcore-node?var-chain=${__data.fields.genesis_hash}&var-node=${__data.fields.peer_id}&${__url_time_range}",
            false
        ),
        link(
            "Page of this node",
            "${server}/dashboard/node?peer_id=${__data.fields.peer_id}",
            true
        ),
    ])
}

/// From a row about a chain, with a column `genesis_hash`.
pub(super) fn chain() -> Value {
    json!([
        link(
            "Dashboard of this chain",
            "/d/tetcore-chain?var-chain=${__data.fields.genesis_hash}&${__url_time_range}",
            false
        ),
        link(
            "Page of this chain",
            "${server}/dashboard/chain?chain=${__data.fields.genesis_hash}",
            true
        ),
    ])
}

/// From the number of a benchmark run, with columns `from_ms` and `until_ms`.
pub(super) fn benchmark() -> Value {
    json!([
        link(
            "This dashboard at the time of the run",
            "/d/tetcore-benchmarks?from=${__data.fields.from_ms}&to=${__data.fields.until_ms}",
            false
        ),
        link(
            "Page of this run",
            "${server}/dashboard/benchmarks?run=${__value.raw}",
            true
        ),
    ])
}

/// To a page of the server.
pub(super) fn page(title: &str, path: &str) -> Value {
    json!([link(title, &format!("${{server}}/dashboard/{path}"), true)])
}
