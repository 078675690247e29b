//! `docs/DEPLOY.md`: its commands name what is there, and are taken by those that they are for.

use std::collections::BTreeSet;

use clap::Parser as _;
use serde_json::{Value, json};
use tetcore_analytics::config::args::Args;

use super::{checked, documents, shipped};
use crate::tidy::root;

/// The commands of the document.
fn commands() -> Vec<String> {
    let document = shipped("docs/DEPLOY.md");
    let blocks = document.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines.map(str::to_owned).collect()
}

/// Those that begin like this, without it.
fn beginning(start: &str) -> Vec<Vec<String>> {
    let all = commands();
    let of_it = all.iter().filter_map(|line| line.strip_prefix(start));
    let words = of_it.map(|rest| rest.split_whitespace().map(str::to_owned).collect());
    let found: Vec<Vec<String>> = words.collect();
    assert!(!found.is_empty(), "no command {start}");
    found
}

#[test]
fn subcommands_and_goals_of_make_exist() {
    for words in beginning("tetcore-analytics ") {
        let words = std::iter::once("tetcore-analytics".to_owned()).chain(words);
        Args::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    }
    let makefile = shipped("Makefile");
    for words in beginning("make ") {
        assert!(
            makefile.contains(&format!("\n{}: ##", words[0])),
            "{words:?}"
        );
    }
    // The one that `make stack` runs in the container.
    let check = makefile
        .split("\ncheck = ")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let check = check.replace("\\\n", " ");
    let check = check.split("/usr/local/bin/").nth(1).unwrap();
    Args::try_parse_from(check.split_whitespace()).unwrap_or_else(|error| panic!("{error}"));
    let compose = documents(&shipped("deploy/compose.yml")).remove(0);
    for url in check
        .split_whitespace()
        .filter(|word| word.starts_with("http://"))
    {
        let (host, port) = url.trim_start_matches("http://").split_once(':').unwrap();
        let service = &compose["services"][if host == "127.0.0.1" { "server" } else { host }];
        let ports = service["ports"].to_string();
        assert!(ports.contains(&format!(":{port}\"")), "{url}: {ports}");
    }
}

#[test]
fn services_and_files_of_the_stack_exist() {
    let compose = documents(&shipped("deploy/compose.yml")).remove(0);
    for words in beginning("docker compose ") {
        assert_eq!(words[0], "--file");
        assert!(root().join(&words[1]).exists(), "{words:?}");
        if let Some(at) = words
            .iter()
            .position(|word| word == "exec" || word == "--follow")
        {
            assert!(
                compose["services"].get(&words[at + 1]).is_some(),
                "{words:?}"
            );
        }
    }
    for words in beginning("cp ") {
        assert!(root().join(&words[0]).exists(), "{words:?}");
    }
    let postgres = &compose["services"]["postgres"]["environment"];
    assert_eq!(
        (&postgres["POSTGRES_USER"], &postgres["POSTGRES_DB"]),
        (&json!("tetcore_analytics"), &json!("tetcore_analytics"))
    );
}

#[test]
fn helm_takes_the_values() {
    let mut set = Vec::new();
    let mut values = json!({});
    for words in beginning("helm ") {
        assert!(
            root().join(&words[2]).join("Chart.yaml").exists(),
            "{words:?}"
        );
        for at in 0..words.len() {
            if words[at] == "--set" {
                let (path, value) = words[at + 1].split_once('=').unwrap();
                let pointer = path
                    .split('.')
                    .fold(&mut values, |value, name| &mut value[name]);
                *pointer = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            }
        }
        // The second keeps what the first has set.
        set.push(values.clone());
    }
    let Some(rendered) = checked(
        &["render", "deploy/helm/tetcore-analytics"],
        &json!(set).to_string(),
    ) else {
        return;
    };
    let rendered: Value = serde_json::from_str(&rendered).unwrap();
    for result in rendered.as_array().unwrap() {
        assert!(result["documents"].is_array(), "{result}");
    }
}

#[test]
fn each_variable_of_the_template_is_in_its_head() {
    let template = shipped("deployment.template.yml");
    let (head, body) = template.split_once("\n---\n").unwrap();
    let used: BTreeSet<_> = body
        .split("${")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap())
        .collect();
    for name in &used {
        assert!(head.contains(name), "{name}");
    }
    assert!(beginning("envsubst ").len() == 1 && used.len() > 10);
}
