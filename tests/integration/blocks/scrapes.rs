//! What Prometheus reads of chains and nodes.

use std::collections::HashMap;

use serde_json::json;

use super::past::Past;
use super::{GENESIS, hash};
use crate::support::TestApp;

/// The values of a text of Prometheus, by name and labels; each family is described before its series.
fn read(text: &str) -> HashMap<String, f64> {
    let mut described = Vec::new();
    let mut values = HashMap::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            described.push(about.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let is_described = described
                .iter()
                .any(|family| name.starts_with(family.as_str()));
            assert!(is_described, "{line}");
            let before = values.insert(series.to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "{line}");
        }
    }
    values
}

/// A chain of which all nodes but one have block 50, with a block every six seconds up to now.
fn told(app: &TestApp) {
    let mut past = Past::new(app, &["a", "b", "c", "d"]);
    past.join(r#"odd"} 7"#, GENESIS, "Development");
    past.join("elsewhere", &hash(0, 9), "Other");
    let end = past.now_us();
    for height in 1..=50_u64 {
        let at = end - i64::try_from(51 - height).unwrap() * 6_000_000;
        for (place, peer) in (0..).zip(["a", "b", "c"]) {
            past.import(peer, at + place * 100_000, height, 0, "NetworkBroadcast");
        }
        past.finalize("a", at + 12_000_000, height.saturating_sub(1), 0);
    }
    for (peer, height, finalized) in [("a", 50, 48), ("b", 50, 48), ("c", 50, 40), ("d", 50, 48)] {
        let fields = json!({"height": height, "best": hash(height, 0), "finalized_height": finalized, "finalized_hash": hash(finalized, 0)});
        past.say(peer, end, "system.interval", &fields);
        past.say(
            peer,
            end + 1,
            "system.interval",
            &json!({"peers": 12, "bandwidth_download": 5000, "bandwidth_upload": 100}),
        );
    }
    past.tell();
    app.rebuild_projections();
}

#[test]
fn metrics_of_the_server_have_its_chains() {
    let app = TestApp::builder().env("METRIC_CHAINS_MAX", 1).start();
    told(&app);
    let values = read(&app.get("/metrics").body);
    let of = |name: &str| {
        values[&format!(
            "tetcore_analytics_chain_{name}{{chain=\"Development\",genesis_hash=\"{GENESIS}\"}}"
        )]
    };
    assert_eq!((of("best_height"), of("finalized_height")), (50.0, 48.0));
    assert_eq!(of("largest_finality_lag_blocks"), 10.0);
    assert!((of("block_time_seconds") - 6.0).abs() < 0.5);
    assert!(of("since_last_block_seconds") >= 6.0);
    let nodes: f64 = values
        .iter()
        .filter(|(series, _)| series.starts_with("tetcore_analytics_chain_nodes"))
        .map(|(_, nodes)| nodes)
        .sum();
    assert_eq!(nodes, 5.0);
    assert!(
        !values
            .keys()
            .any(|series| series.contains("chain_") && series.contains("Other"))
    );
}

#[test]
fn each_node_has_metrics_without_an_exporter() {
    let app = TestApp::builder().env("METRICS_NODES_MAX", 5).start();
    told(&app);
    let values = read(&app.get("/metrics/nodes").body);
    let of = |name: &str, peer: &str| {
        values[&format!(
            "tetcore_analytics_node_{name}{{chain=\"Development\",name=\"name of {peer}\",peer_id=\"{peer}\"}}"
        )]
    };
    assert_eq!(of("up", "a"), 1.0);
    assert_eq!(
        (of("best_height", "c"), of("finality_lag_blocks", "c")),
        (50.0, 10.0)
    );
    assert_eq!((of("peers", "d"), of("behind_blocks", "d")), (12.0, 0.0));
    for (peer, delay) in [("a", 0.0), ("b", 0.1), ("c", 0.2)] {
        assert!(
            (of("propagation_seconds", peer) - delay).abs() < 1e-6,
            "{peer}"
        );
    }
    assert!(of("last_seen_timestamp_seconds", "a") > 1.7e9);
    assert_eq!(values["tetcore_analytics_nodes_left_out"], 1.0);
    let values = read(&app.get("/metrics/nodes?chain=Development").body);
    assert_eq!(values["tetcore_analytics_nodes_left_out"], 0.0);
    assert!(values.contains_key("tetcore_analytics_node_up{chain=\"Development\",name=\"name of odd\\\"} 7\",peer_id=\"odd\\\"} 7\"}"));
    assert!(!values.keys().any(|series| series.contains("Other")));
    assert_eq!(app.get("/metrics/nodes?names=mine").status, 400);
    assert_eq!(app.get("/api/v1/metrics/nodes?chain=nowhere").status, 200);
}

#[test]
fn the_names_of_the_exporter_are_those_of_the_field() {
    let app = TestApp::start();
    told(&app);
    let values = read(
        &app.get("/metrics/nodes?names=exporter&chain=Development")
            .body,
    );
    assert_eq!(values["polkadot_best_block{chain=\"Development\"}"], 50.0);
    assert_eq!(
        values["polkadot_best_finalized{chain=\"Development\"}"],
        48.0
    );
    let of = |name: &str, more: &str| {
        values
            .get(&format!(
                "polkadot_block_{name}{{chain=\"Development\"{more}}}"
            ))
            .copied()
    };
    // Those of the last minute still change, and are left out; at midnight it begins anew.
    let count = of("propagation_seconds_count", "").unwrap_or(0.0);
    let since_midnight = app
        .db
        .count("SELECT extract(epoch FROM now() - date_trunc('day', now(), 'UTC'))::bigint");
    assert!(
        count <= 100.0 && (count >= 70.0 || since_midnight < 400),
        "{count}"
    );
    if since_midnight >= 400 {
        assert_eq!(
            of("propagation_seconds_bucket", ",le=\"+Inf\""),
            Some(count)
        );
        assert_eq!(
            of("propagation_seconds_bucket", ",le=\"0.112\""),
            Some(count / 2.0)
        );
        let finality =
            of("finality_seconds_sum", "").unwrap() / of("finality_seconds_count", "").unwrap();
        assert!((finality / 18.0 - 1.0).abs() < 0.15, "{finality}");
    }
}
