//! The files of dashboards and data sources: as the code says, and as Grafana reads them.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use tetcore_analytics::grafana::{
    FOLDER_TITLE, FOLDER_UID, SERVER_URL, SOURCES, all, markdown_table,
};
use tetcore_analytics::store::reader_role::readable_markdown;

use super::{dashboards, documents, list};
use crate::support::python;
use crate::tidy::{assert_generated, assert_table, root};

#[test]
fn dashboards_in_code_and_files_agree() {
    let dir = root().join("deploy/grafana/dashboards");
    let mut expected = HashSet::new();
    for dashboard in all(SERVER_URL) {
        let name = format!("{}.json", dashboard.slug());
        assert_generated(&dir.join(&name), &dashboard.file(&SOURCES));
        expected.insert(name);
    }
    let found: HashSet<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
    assert_table("docs/GRAFANA.md", "dashboards", &markdown_table());
    assert_table("docs/GRAFANA.md", "readable", &readable_markdown());
}

#[test]
fn what_grafana_reads_at_its_start_names_what_dashboards_ask() {
    let read = |name: &str| {
        fs::read_to_string(root().join("deploy/grafana/provisioning").join(name)).unwrap()
    };
    let sources = read("datasources/tetcore-analytics.yml");
    for uid in [SOURCES.postgresql, SOURCES.prometheus, SOURCES.loki] {
        assert!(sources.contains(&format!("    uid: {uid}\n")), "{uid}");
    }
    // Secrets come from the environment, and have no default.
    let secrets: Vec<&str> = sources
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("password:") || line.contains("token"))
        .collect();
    assert_eq!(secrets, ["password: $GRAFANA_DB_PASSWORD"]);
    let dashboards = read("dashboards/tetcore-analytics.yml");
    for line in [
        format!("    folder: {FOLDER_TITLE}\n"),
        format!("    folderUid: {FOLDER_UID}\n"),
        "      path: /var/lib/grafana-dashboards\n".to_owned(),
    ] {
        assert!(dashboards.contains(&line), "{line}");
    }
}

/// Each text in a value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[test]
fn each_panel_explains_itself_and_leads_on() {
    let documents = documents();
    let uids: HashSet<&str> = documents
        .iter()
        .map(|dashboard| dashboard["uid"].as_str().unwrap())
        .collect();
    assert_eq!(uids.len(), documents.len(), "uids are unique");
    for dashboard in &documents {
        let title = dashboard["title"].as_str().unwrap();
        assert!(dashboard["uid"].as_str().unwrap().len() <= 40, "{title}");
        let variables: HashSet<&str> = list(dashboard, "/templating/list")
            .iter()
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        for panel in list(dashboard, "/panels") {
            if panel["type"] == "row" {
                continue;
            }
            let place = format!("{title}, {}", panel["title"]);
            let described = panel["description"].as_str().unwrap();
            assert!(described.len() > 10, "{place}");
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{place}"
            );
        }
        let mut found = Vec::new();
        texts(dashboard, &mut found);
        for text in found {
            // A colour by its digits is right in one theme only.
            let is_hex = |word: &str| {
                let digits = word.strip_prefix('#').unwrap_or_default();
                digits.len() >= 3 && digits.chars().all(|c| c.is_ascii_hexdigit())
            };
            assert!(
                !text.split_whitespace().any(is_hex) && !text.contains("rgb("),
                "{title}: {text}"
            );
            if let Some((_, target)) = text.split_once("/d/") {
                let uid = target.split('?').next().unwrap();
                assert!(uids.contains(uid), "{title} leads to {text}");
            }
            for (_, reference) in text
                .match_indices("${")
                .map(|(at, _)| text.split_at(at + 2))
            {
                let name = reference.split(['}', ':', '.']).next().unwrap();
                assert!(
                    name.starts_with("__") || variables.contains(name),
                    "{title}: {name} in {text}"
                );
            }
        }
    }
}

#[test]
fn links_of_a_row_find_its_columns() {
    for dashboard in documents() {
        for panel in list(&dashboard, "/panels") {
            let mut found = Vec::new();
            texts(panel, &mut found);
            let sql = panel["targets"][0]["rawSql"].as_str().unwrap_or_default();
            for text in found {
                for part in text.split("${__data.fields.").skip(1) {
                    let column = part.split('}').next().unwrap();
                    assert!(
                        sql.contains(column),
                        "{}, {}: no column {column}",
                        dashboard["title"],
                        panel["title"]
                    );
                }
            }
        }
    }
}

#[test]
fn the_official_library_of_grafana_reads_every_dashboard() {
    let Some(python) = python() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for dashboard in dashboards() {
        let file = dir.path().join(dashboard.slug());
        fs::write(&file, dashboard.file(&SOURCES)).unwrap();
        files.push(file);
    }
    let check = |files: &[std::path::PathBuf]| {
        let output = Command::new(&python)
            .arg(root().join("tests/integration/grafana/check.py"))
            .args(files)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let (is_well, said) = check(&files);
    assert!(is_well, "{said}");
    // The check finds what is wrong.
    let wrong =
        fs::read_to_string(&files[0])
            .unwrap()
            .replacen("\"showHeader\"", "\"showHeadline\"", 1);
    fs::write(&files[0], wrong).unwrap();
    let (is_well, said) = check(&files[..1]);
    assert!(!is_well && said.contains("showHeadline"), "{said}");
}
