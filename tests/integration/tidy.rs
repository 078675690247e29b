//! Rules of the house that a compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

use tetcore_analytics::config::settings::{self, SETTINGS};
use tetcore_analytics::metrics;

/// The rooms, from the lowest layer up; see docs/ARCHITECTURE.md.
const LAYERS: [&[&str]; 8] = [
    &[
        "ids",
        "config",
        "metrics",
        "server_state",
        "telemetry",
        "grafana",
    ],
    &["postgres", "database", "demo", "locations"],
    &["store", "cluster"],
    &["messages", "changes"],
    &["projections", "feed"],
    &[
        "ingest",
        "query",
        "retention",
        "alerts",
        "archive",
        "status",
        "notify",
    ],
    &["http"],
    &["application", "main"],
];

/// Leaves that need another leaf: metrics are labelled by errors of telemetry and the severity of alerts.
const NEIGHBOURS: [(&str, &str); 2] = [("metrics", "telemetry"), ("metrics", "config")];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

pub(crate) fn files_of(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&root().join(dir), &mut found);
    assert!(!found.is_empty());
    found
}

fn layer(room: &str) -> usize {
    let layer = LAYERS.iter().position(|rooms| rooms.contains(&room));
    layer.unwrap_or_else(|| panic!("room {room} has no layer"))
}

#[test]
fn imports_only_go_down_the_layers() {
    let src = root().join("src");
    let mut violations = Vec::new();
    for file in files_of("src") {
        let relative = file.strip_prefix(&src).unwrap();
        let room = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let room = room.trim_end_matches(".rs");
        if room == "lib" || room == "main" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (position, _) in text.match_indices("crate::") {
            let rest = &text[position + "crate::".len()..];
            let target: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let allowed = target == room
                || NEIGHBOURS.contains(&(room, target.as_str()))
                || layer(&target) < layer(room);
            if !allowed {
                violations.push(format!("{} imports {target}", relative.display()));
            }
        }
    }
    assert_eq!(violations, Vec::<String>::new());
}

/// Tables and views of the log.
const LOG: [&str; 8] = [
    "telemetry_messages",
    "telemetry_messages_audit",
    "telemetry_messages_default",
    "telemetry_messages_audit_default",
    "telemetry_logs",
    "telemetry_rows",
    "substrate_logs",
    "tetcore_logs",
];

/// Rooms that may name them: one reads, one writes and has the partitions, and one has statements that Grafana
/// sends, of the views for people.
const LOG_ROOMS: [&str; 3] = ["messages", "store", "grafana"];

#[test]
fn stored_messages_are_read_in_one_room() {
    let src = root().join("src");
    let mut files = Vec::new();
    texts(&src, &mut files);
    let mut violations = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let is_allowed = LOG_ROOMS.iter().any(|room| relative.starts_with(room));
        let text = fs::read_to_string(&file).unwrap();
        for name in LOG {
            if !is_allowed && has_word(&text, name) {
                violations.push(format!("{} names {name}", relative.display()));
            }
        }
    }
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn ids_and_names_are_of_the_random_numbers_of_the_system() {
    for file in files_of("src") {
        let text = fs::read_to_string(&file).unwrap();
        // It is made for hash tables, and promises nothing about its numbers.
        assert!(!text.contains("RandomState"), "{}", file.display());
    }
}

#[test]
fn no_message_is_sent_past_the_bound_of_a_mailbox() {
    for file in files_of("src") {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            !text.contains(".do_send("),
            "{} uses do_send",
            file.display()
        );
    }
}

/// Names and phrases that gave way to words of the field; see docs/GLOSSARY.md.
const RETIRED: [&str; 24] = [
    "RoomIsShort",
    "ingest::room",
    "Flight",
    "ingest::flow",
    "Whoever",
    "mourners",
    "Crowd",
    "Lane",
    "LaneOptions",
    "StoreError",
    "UntilBroken",
    "TakeOldest",
    "take_place",
    "BatchOrigin",
    "whoever",
    "thrown out",
    "shut out",
    "shut_out",
    "shakes no hands",
    "goodbye",
    "peers in sum",
    "handful",
    "Handful",
    "handfuls",
];

#[test]
fn retired_words_stay_retired() {
    let mut files = vec![root().join("README.md")];
    for dir in ["src", "static", "docs", "tests/integration"] {
        texts(&root().join(dir), &mut files);
    }
    let mut found = Vec::new();
    for file in files {
        let is_exempt = ["tidy.rs", "GLOSSARY.md"]
            .iter()
            .any(|name| file.ends_with(name));
        // Decisions keep the words of their time.
        if is_exempt || file.starts_with(root().join("docs/adr")) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for word in RETIRED {
            if has_word(&text, word) {
                found.push(format!("{}: {word}", file.display()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// All files of text beneath a directory, without what is taken from elsewhere.
pub(crate) fn texts(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if !path.ends_with("vendor") {
                texts(&path, found);
            }
        } else if matches!(
            extension,
            Some("rs" | "sql" | "md" | "js" | "html" | "conf")
        ) {
            found.push(path);
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[test]
fn no_file_is_long() {
    for dir in ["src", "tests", "benches"] {
        for file in files_of(dir) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(
                lines <= 520,
                "{} has {lines} lines: split it",
                file.display()
            );
        }
    }
}

/// Compares a file with what the table of settings says; `UPDATE_DOCS=1` writes it.
pub(crate) fn assert_generated(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap();
    assert!(
        found == expected,
        "{} is stale: run the tests once with UPDATE_DOCS=1",
        path.display()
    );
}

/// Compares a table of a document with what the code says.
pub(crate) fn assert_table(file: &str, name: &str, table: &str) {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let (begin, end) = (
        format!("<!-- {name} begin -->\n"),
        format!("<!-- {name} end -->"),
    );
    let head = text.split(&begin).next().unwrap();
    let tail = text.split(&end).nth(1).unwrap();
    assert_generated(
        &root().join(file),
        &format!("{head}{begin}{table}{end}{tail}"),
    );
}

#[test]
fn rules_of_alerts_in_code_and_documentation_agree() {
    assert_table(
        "docs/ALERTS.md",
        "rules",
        &tetcore_analytics::alerts::markdown_table(),
    );
}

#[test]
fn metrics_in_code_and_documentation_agree() {
    let file = "docs/METRICS.md";
    assert_table(
        file,
        "metrics",
        &metrics::markdown_table("/metrics").unwrap(),
    );
    assert_table(
        file,
        "metrics of nodes",
        &metrics::markdown_table("/metrics/nodes").unwrap(),
    );
    assert_table(file, "renamed", &metrics::renamed_table());
    assert_table(file, "names of 2021", &metrics::table_of_2021());
}

#[test]
fn settings_in_code_and_documentation_agree() {
    assert_generated(&root().join(".env.example"), &settings::env_example());

    let file = "docs/SETTINGS.md";
    assert_table(file, "common", &settings::markdown_common());
    assert_table(file, "settings", &settings::markdown_groups());
    for (name, _) in settings::COMMON {
        assert!(settings::find(name).is_some(), "{name} is no setting");
    }
    let grouped = settings::GROUPS.iter().flat_map(|group| group.settings);
    let mut grouped: Vec<&str> = grouped.copied().collect();
    let mut all: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    grouped.sort_unstable();
    all.sort_unstable();
    assert_eq!(
        grouped, all,
        "each setting stands in one group of src/config/groups.rs"
    );

    let template = fs::read_to_string(root().join("deployment.template.yml")).unwrap();
    for setting in SETTINGS {
        // The embedded PostgreSQL is not used in a cluster.
        let expected = setting.name != "PG_BIN_DIR";
        let key = format!("{}:", setting.name);
        let found = template
            .lines()
            .any(|line| line.trim_start().starts_with(&key));
        assert_eq!(
            found, expected,
            "{} in deployment.template.yml",
            setting.name
        );
    }
}

#[test]
fn the_example_of_the_settings_is_valid() {
    let text = fs::read_to_string(root().join(".env.example")).unwrap();
    let value = |name: &str| {
        let prefix = format!("#{name}=");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix))?;
        Some(line.to_owned())
    };
    tetcore_analytics::config::Config::from_lookup(&value).unwrap();
    for setting in SETTINGS {
        assert!(
            value(setting.name).is_some(),
            "{} is not in .env.example",
            setting.name
        );
    }
}
