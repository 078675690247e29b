//! The rules are valid, do what they are there for, and have their sections in the documents.

use super::{blocks, filled, rules, shipped};
use crate::support::{program, run_tool};
use crate::tidy::root;

const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");
const ALERTS: &str = include_str!("../../../docs/ALERTS.md");

#[test]
fn rules_and_configurations_are_valid_and_do_what_they_are_there_for() {
    let tests = shipped("tests/rules.yml");
    let rules_text = shipped("rules.yml");
    for rule in rules(&rules_text) {
        let tested = format!("alertname=\"{}\", alertstate=\"firing\", ", rule.name);
        assert!(tests.contains(&tested), "{} is not tested", rule.name);
    }
    let dir = root().join("deploy/prometheus");
    if program(&["promtool"]).is_none() || program(&["amtool"]).is_none() {
        return;
    }
    for (tool, args) in [
        ("promtool", ["check", "config", "prometheus.yml"]),
        ("promtool", ["check", "rules", "rules.yml"]),
        ("promtool", ["test", "rules", "tests/rules.yml"]),
        (
            "amtool",
            ["check-config", "alertmanager.yml", "--no-version-check"],
        ),
    ] {
        let args = args.iter().filter(|arg| !arg.starts_with("--no-version"));
        let args: Vec<&str> = args.copied().collect();
        let (is_content, said) = run_tool(tool, &args, &dir, "");
        assert!(is_content, "{tool} {args:?}: {said}");
    }
    // The tests can fail.
    let scratch = tempfile::tempdir().unwrap();
    let softer = rules_text.replace("> 0.5", "> 0.7");
    std::fs::create_dir(scratch.path().join("tests")).unwrap();
    std::fs::write(scratch.path().join("rules.yml"), softer).unwrap();
    std::fs::write(scratch.path().join("tests/rules.yml"), tests).unwrap();
    let (is_content, said) = run_tool(
        "promtool",
        &["test", "rules", "tests/rules.yml"],
        scratch.path(),
        "",
    );
    assert!(!is_content && said.contains("SpoolFilling"), "{said}");
}

#[test]
fn each_alert_says_what_to_do_and_links_to_its_section() {
    let text = shipped("rules.yml");
    let all = rules(&text);
    assert!(all.len() >= 20);
    for rule in &all {
        for key in ["for", "summary", "description", "action"] {
            assert!(rule.value(key).is_some(), "{} has no {key}", rule.name);
        }
        let severity = rule.value("severity").unwrap();
        assert!(["critical", "warning"].contains(&severity), "{}", rule.name);
        let (document, anchor) = rule.value("runbook_url").unwrap().split_once('#').unwrap();
        assert!(document.ends_with("/docs/OPERATIONS.md"));
        assert_eq!(anchor, rule.name.to_lowercase());
        let heading = format!("\n## {}\n", rule.name);
        let section = OPERATIONS.split(&heading).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap();
        assert!(
            section.contains(&format!("**Meaning** ({severity}): ")),
            "{}",
            rule.name
        );
        for part in [
            "**Impact**: ",
            "**Diagnosis**:",
            "```promql\n",
            "**Cure**: ",
        ] {
            assert!(section.contains(part), "{} has no {part}", rule.name);
        }
    }
    // What is named elsewhere is there.
    for (file, text) in [
        ("OPERATIONS.md", OPERATIONS.to_owned()),
        ("ALERTS.md", ALERTS.to_owned()),
        ("alertmanager.yml", shipped("alertmanager.yml")),
    ] {
        let mentioned = text.split("TetcoreAnalytics").skip(1);
        for rest in mentioned {
            let word: String = rest
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            let is_known =
                |one: &super::Rule<'_>| one.name.strip_prefix("TetcoreAnalytics") == Some(&word);
            assert!(
                word.is_empty() || all.iter().any(is_known),
                "{file}: TetcoreAnalytics{word}"
            );
        }
        if file == "alertmanager.yml" {
            let lists = text.split("TetcoreAnalytics(").skip(1);
            let names = lists.flat_map(|rest| rest.split(')').next().unwrap().split('|'));
            for name in names.filter(|name| !["Server", "Node", "Validator"].contains(name)) {
                let name = format!("TetcoreAnalytics{name}");
                assert!(all.iter().any(|one| one.name == name), "{name}");
            }
        }
    }
}

#[test]
fn commands_and_sql_of_the_operations_run() {
    let (app, _node) = filled();
    let statements = blocks(OPERATIONS, "sql");
    for statement in statements.iter().flat_map(|block| block.lines()) {
        assert!(statement.ends_with(';'), "{statement}");
        app.db.execute(statement);
    }
    let commands: Vec<&str> = blocks(OPERATIONS, "sh")
        .iter()
        .flat_map(|block| block.lines())
        .collect();
    assert!(statements.len() >= 15 && commands.len() >= 10);
    let address = format!("127.0.0.1:{}", app.port());
    for command in commands {
        let tool = command.split(' ').next().unwrap();
        // Those of Prometheus are run above.
        if ["promtool", "amtool"].contains(&tool) {
            continue;
        }
        let here = command.replace("localhost:8080", &address);
        let (is_content, said) = run_tool("sh", &["-c", &here], root(), "");
        assert!(is_content, "{command}: {said}");
    }
}
