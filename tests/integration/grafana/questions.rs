//! Each question to Prometheus, to a real one that has scraped a real server.

use std::collections::HashSet;

use super::{documents, list};
use crate::support::{Prometheus, TestApp, corpus, wait_until};

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 2] = ["instance", "le"];

/// What all panels ask, with their place.
fn asked() -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for dashboard in documents() {
        for panel in list(&dashboard, "/panels") {
            for target in list(panel, "/targets") {
                if target["datasource"]["type"] == "prometheus" {
                    let place = format!("{}, {}", dashboard["title"], panel["title"]);
                    asked.push((place, target["expr"].as_str().unwrap().to_owned()));
                }
            }
        }
    }
    assert!(asked.len() > 40, "{}", asked.len());
    asked
}

/// The families that a question names.
fn families(expr: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expr.split(|c| !is_part(c));
    words
        .filter(|word| word.starts_with("tetcore_analytics_") || word.starts_with("process_"))
        .collect()
}

/// The labels by which it groups, and those that its legend names.
fn labels(expr: &str) -> Vec<&str> {
    let groups = expr.split("by (").skip(1);
    groups
        .flat_map(|rest| rest.split(')').next().unwrap().split(','))
        .map(str::trim)
        .filter(|label| !OF_PROMETHEUS.contains(label))
        .collect()
}

#[test]
fn every_question_to_prometheus_names_what_is_there_and_is_answered() {
    let app = TestApp::builder()
        .env("EVENT_TRANSPORTS", "console")
        .env("NOTIFY_ALERTMANAGER_URL", "http://127.0.0.1:9")
        .start();
    let frames = corpus("v2");
    let mut node = app.node("/submit");
    for frame in &frames {
        node.send(frame);
    }
    app.wait_stored(u32::try_from(frames.len()).unwrap());
    let has_lines = |text: &str, family: &str, label: Option<&str>| {
        text.lines().any(|line| {
            let rest = line.strip_prefix(family);
            rest.is_some_and(|rest| match label {
                None => rest.starts_with(['{', ' ']),
                Some(label) => rest.starts_with('{') && rest.contains(&format!("{label}=\"")),
            })
        })
    };
    wait_until(
        "transports, targets and projections have their series",
        || {
            let text = app.get("/metrics").body;
            let families = [
                "event_transport_pending",
                "notify_pending",
                "projection_lag_seconds",
            ];
            let mut families = families.iter();
            families.all(|family| has_lines(&text, &format!("tetcore_analytics_{family}"), None))
        },
    );
    let metrics = app.get("/metrics").body;
    let mut problems = Vec::new();
    let mut named = HashSet::new();
    for (place, expr) in asked() {
        for family in families(&expr) {
            named.insert(family.to_owned());
            if !has_lines(&metrics, family, None) {
                problems.push(format!("{place}: /metrics has no {family}"));
            }
            for label in labels(&expr) {
                if !has_lines(&metrics, family, Some(label)) {
                    problems.push(format!("{place}: {family} has no label {label}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(named.len() > 30, "{}", named.len());

    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: tetcore-analytics\n    \
         static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
        app.port()
    );
    let Some(prometheus) = Prometheus::start(&config, "") else {
        return;
    };
    let received = "count_over_time(tetcore_analytics_ingest_messages_received_total[1m]) >= 3";
    wait_until("Prometheus has scraped three times", || {
        !prometheus.query(received).unwrap().is_empty()
    });
    for (place, expr) in asked() {
        let expr = expr
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m");
        match prometheus.query(&expr) {
            Err(error) => problems.push(format!("{place}: {error} to {expr}")),
            // What is filtered shows itself only when something is wrong.
            Ok(found) if found.is_empty() && !expr.ends_with("> 0") => {
                problems.push(format!("{place}: nothing to {expr}"));
            }
            Ok(_) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
