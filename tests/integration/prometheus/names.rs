//! Every metric and label that rules and documents name is one that there is.

use std::collections::{HashMap, HashSet};
use std::fs;

use tetcore_analytics::metrics::{Family, Kind, PREFIX, RENAMED, families};

use super::{blocks, rules, shipped};
use crate::tidy::root;

/// Labels that Prometheus sets.
const OF_PROMETHEUS: [&str; 4] = ["job", "instance", "le", "__name__"];

/// What can be asked for: each name with its labels and their values from the start.
fn series() -> HashMap<String, Family> {
    let mut series = HashMap::new();
    for family in families().unwrap() {
        if family.kind == Kind::Histogram {
            for part in ["_bucket", "_sum", "_count"] {
                series.insert(format!("{}{part}", family.name), family.clone());
            }
        }
        series.insert(family.name.clone(), family);
    }
    series
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Names with the prefix, each with what follows it.
fn mentions(text: &str) -> Vec<(&str, &str)> {
    let starts = text.match_indices(PREFIX).map(|(at, _)| at);
    let starts = starts.filter(|&at| !text[..at].ends_with(is_word));
    starts
        .map(|at| {
            let rest = &text[at..];
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            rest.split_at(end)
        })
        .collect()
}

#[test]
fn every_metric_in_documents_exists() {
    let series = series();
    let mut seen = 0;
    let mut files = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (name, rest) in mentions(&text) {
            seen += 1;
            // "tetcore_analytics_node_…" stands for all that begin with it.
            let is_beginning =
                name.ends_with('_') && ["…", "*"].iter().any(|more| rest.starts_with(more));
            let is_known = match is_beginning {
                true => series.keys().any(|known| known.starts_with(name)),
                false => series.contains_key(name),
            };
            let is_old = RENAMED
                .iter()
                .any(|one| name == format!("{PREFIX}{}", one.old));
            let in_metrics = file.ends_with("METRICS.md");
            let is_grammar = name == PREFIX && in_metrics;
            assert!(
                is_known || (is_old && in_metrics) || is_grammar,
                "{}: {name}",
                file.display()
            );
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn every_metric_and_label_in_rules_and_queries_exists() {
    let series = series();
    let text = shipped("rules.yml");
    let mut queries: Vec<String> = rules(&text).iter().map(super::Rule::expression).collect();
    let operations = include_str!("../../../docs/OPERATIONS.md");
    let blocks = blocks(operations, "promql");
    queries.extend(
        blocks
            .iter()
            .flat_map(|block| block.lines())
            .map(str::to_owned),
    );
    let of_table = operations.lines().filter(|line| line.ends_with("` |"));
    queries.extend(of_table.map(|line| line.split('`').nth(1).unwrap().to_owned()));
    assert!(queries.len() > 60, "{}", queries.len());
    let labels: HashSet<&str> = series
        .values()
        .flat_map(|family| family.labels.iter().map(|label| label.name))
        .chain(OF_PROMETHEUS)
        .collect();
    let mut used = HashSet::new();
    for query in &queries {
        for (name, rest) in mentions(query) {
            let family = series
                .get(name)
                .unwrap_or_else(|| panic!("{name} in {query}"));
            used.insert(&family.name);
            let selector = rest
                .strip_prefix('{')
                .and_then(|rest| rest.split('}').next());
            for matcher in selector
                .into_iter()
                .flat_map(|selector| selector.split(", "))
            {
                check_matcher(family, matcher, query);
            }
        }
        for list in query
            .split("by (")
            .skip(1)
            .chain(query.split("on (").skip(1))
        {
            for label in list.split(')').next().unwrap().split(", ") {
                assert!(labels.contains(label), "{label} in {query}");
            }
        }
    }
    assert!(used.len() > 40, "{}", used.len());
}

fn check_matcher(family: &Family, matcher: &str, query: &str) {
    let (label, value) = matcher.split_once('=').unwrap();
    let label = label.trim_end_matches('!');
    if OF_PROMETHEUS.contains(&label) {
        return;
    }
    let known = family.labels.iter().find(|known| known.name == label);
    let known = known.unwrap_or_else(|| panic!("{label} in {query}"));
    let values = value.trim_start_matches('~').trim_matches('"').split('|');
    for value in values.filter(|value| !value.ends_with(".*")) {
        let is_known = known.values.iter().any(|one| one == value);
        // States of chains are read from the database.
        let is_state = tetcore_analytics::metrics::NodeState::from_label(value).is_some();
        assert!(is_known || is_state, "{label}={value} in {query}");
    }
}
