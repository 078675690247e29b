//! Commands of the documents: those that can be run on any machine are run, as they stand, in a
//! directory of their own; `tetcore-analytics` takes the others, or they are listed here.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Parser as _;
use tetcore_analytics::config::args::Args;

use super::statements::filled;
use super::{Document, documents};
use crate::support::{TestApp, TestDb};
use crate::tidy::root;

/// Programs that are run.
const RUN: [&str; 8] = [
    "cat",
    "createdb",
    "curl",
    "df",
    "mkdir",
    "pg_dump",
    "pg_restore",
    "psql",
];

/// What of `tetcore-analytics` is run; the rest serves without end, or needs programs that its own tests start.
const SUBCOMMANDS_RUN: [&str; 4] = ["database grant-read", "kinds", "rebuild", "--check-config"];

/// What is not run, with the reason.
const NOT_RUN: [(&str, &str); 18] = [
    ("amtool", "prometheus:: runs it, where it is installed"),
    ("cargo", "builds for minutes; the suite is started by it"),
    ("cd", "only after git clone"),
    (
        "cp",
        "writes into the project; deployment:: looks for the files",
    ),
    (
        "docker",
        "needs Docker; deployment:: compares names and files",
    ),
    (
        "envsubst",
        "needs a cluster of Kubernetes; deployment:: fills the template",
    ),
    ("export", "settings for the commands after it"),
    ("${EDITOR:-nano}", "is for a person"),
    ("git", "fetches from the network"),
    (
        "helm",
        "needs a cluster of Kubernetes; deployment:: renders the chart",
    ),
    (
        "make",
        "installs and builds; the goals are compared with the Makefile",
    ),
    ("pip", "fetches from the network"),
    ("polkadot", "is a node"),
    ("promtool", "prometheus:: runs it, where it is installed"),
    ("schemathesis", "takes minutes; see docs/FUZZING.md"),
    ("sudo", "changes the machine"),
    ("sudoedit", "changes the machine"),
    ("systemctl", "needs systemd; deployment:: reads the unit"),
];

/// The commands of a block, each on one line, without comments.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(|line| line.split(" # ").next().unwrap_or_default().trim());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// A command without the variables before it.
fn program(command: &str) -> &str {
    let is_variable = |word: &str| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    let mut rest = command;
    while let Some(word) = rest
        .split_whitespace()
        .next()
        .filter(|word| is_variable(word))
    {
        // `name=$(command)` is one variable, to the end of its line.
        if word.contains("$(") {
            return "";
        }
        rest = rest[word.len()..].trim_start();
    }
    rest
}

/// Refuses a line for this program that it would not take, with values in place of names for them.
fn parse(document: &Document, command: &str) {
    let command = command.replace("--transport NAME", "--transport webhook");
    let command = command.replace("TIME", "2026-01-01T00:00:00Z");
    let words = command
        .split_whitespace()
        .take_while(|word| !["<", ">", "|", "&&"].contains(word));
    let words = words.map(|word| word.trim_matches(['"', '\'']));
    Args::try_parse_from(words)
        .unwrap_or_else(|error| panic!("{}: {command}: {error}", document.path));
}

fn assert_goal(document: &Document, command: &str) {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let goal = command.split_whitespace().nth(1).unwrap();
    assert!(
        makefile.contains(&format!("\n{goal}: ##")),
        "{}: {command}",
        document.path
    );
}

/// Whether a command is to be run; one that is neither run nor listed fails the test.
fn is_run(document: &Document, command: &str) -> bool {
    let command = program(command);
    match command.split_whitespace().next() {
        // A variable for the commands after it.
        None => true,
        Some("tetcore-analytics") => {
            parse(document, command);
            let rest = command.trim_start_matches("tetcore-analytics").trim_start();
            SUBCOMMANDS_RUN.iter().any(|start| rest.starts_with(start))
        }
        Some(word) => {
            if word == "make" {
                assert_goal(document, command);
            }
            let is_listed =
                NOT_RUN.iter().any(|(name, _)| *name == word) || word.starts_with("target/");
            assert!(
                is_listed != RUN.contains(&word),
                "{}: {word} is neither run nor listed as one that is not",
                document.path
            );
            !is_listed
        }
    }
}

/// Where commands are run: beside the files that they name.
struct Place {
    directory: tempfile::TempDir,
    /// A database that a command makes.
    new_database: String,
}

impl Place {
    fn of(app: &TestApp) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        file(".curlrc", "fail\nsilent\nshow-error\n");
        file("events.ndjson", "{\"_e\":1,\"name\":\"backup\"}\n");
        for name in ["password", "password.txt"] {
            file(name, "a long password\n");
        }
        for name in ["migrations", "tests"] {
            std::os::unix::fs::symlink(root().join(name), directory.path().join(name)).unwrap();
        }
        let database = &app.db.texts("SELECT current_database() AS value")[0];
        Self {
            directory,
            new_database: format!("{database}_new"),
        }
    }

    /// Runs commands one after the other, as a person who pastes them.
    fn run(&self, app: &TestApp, url: &str, commands: &[String]) -> Result<(), String> {
        let (before, _) = url.rsplit_once('/').unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
            .parent()
            .unwrap();
        let mut path = vec![programs.to_owned()];
        path.extend(std::env::var_os("PG_BIN_DIR").map(Into::into));
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let here = format!("127.0.0.1:{}", app.port());
        let hour_later = chrono::Utc::now() + chrono::TimeDelta::hours(1);
        let peer = &app.db.texts("SELECT peer_id AS value FROM nodes LIMIT 1")[0];
        let mut script = format!("set -eu\n{}\n", commands.join("\n"));
        for (written, meant) in [
            ("HOST:8080", here.as_str()),
            ("localhost:8080", &here),
            ("127.0.0.1:8080", &here),
            ("PEER_ID", peer),
            (
                "2027-01-01T12:00:00Z",
                &hour_later.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            ),
            ("analytics_new", &self.new_database),
            // Roles belong to the whole cluster.
            (
                "grant-read analyst",
                &format!("grant-read {}", self.new_database),
            ),
            (
                "grant-read grafana",
                &format!("grant-read {}", self.new_database),
            ),
        ] {
            script = script.replace(written, meant);
        }
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.directory.path())
            .env("DATABASE_URL", url)
            .env("URL", url)
            .env("ADMIN_URL", format!("{before}/postgres"))
            .env("NEW_URL", format!("{before}/{}", self.new_database))
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()
                + &String::from_utf8_lossy(&output.stdout)),
        }
    }
}

#[test]
fn commands_run_or_are_listed_with_the_reason() {
    let app = filled();
    let place = Place::of(&app);
    let dump = "pg_dump --format=custom --file=analytics.dump \"$URL\"".to_owned();
    place.run(&app, &app.db.url(), &[dump]).unwrap();
    let mut count = 0;
    for document in documents() {
        for block in document.blocks("sh") {
            let all = commands(block);
            let run: Vec<String> = all
                .into_iter()
                .filter(|command| is_run(&document, command))
                .collect();
            if run.is_empty() {
                continue;
            }
            app.db.execute(&format!(
                "DROP DATABASE IF EXISTS \"{}\"",
                place.new_database
            ));
            // What takes tables away has a database without a server.
            let text = run.join("\n");
            let own = (text.contains("down.sql") || text.contains("DROP SCHEMA")).then(TestDb::new);
            let url = own.as_ref().unwrap_or(&app.db).url();
            let paste = || {
                let said = place.run(&app, &url, &run);
                said.unwrap_or_else(|said| panic!("{}: {said}\n{text}", document.path));
            };
            paste();
            if let Some(db) = own.filter(|_| text.contains("down.sql")) {
                let migrations = || db.count("SELECT count(*) FROM __diesel_schema_migrations");
                let before = migrations();
                paste();
                assert_eq!(migrations(), before - 1, "it goes on from where it is");
            }
            count += run.len();
        }
    }
    assert!(count > 20, "{count}");
    let name = &place.new_database;
    app.db
        .execute(&format!("DROP DATABASE IF EXISTS \"{name}\""));
    app.db
        .execute(&format!("DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\""));
    assert!(
        place
            .run(
                &app,
                &app.db.url(),
                &["curl http://HOST:8080/api/v1/nodes?no=1".to_owned()]
            )
            .is_err()
    );
}

/// Commands within sentences: this program takes them, and goals of make exist.
#[test]
fn commands_within_sentences_are_right() {
    let mut count = 0;
    for document in documents() {
        for code in document.inline_code() {
            let has_more = code.split_whitespace().count() > 1;
            if code.starts_with("tetcore-analytics ") && has_more {
                parse(&document, code);
            } else if code.starts_with("make ") && has_more {
                assert_goal(&document, code);
            } else {
                continue;
            }
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

/// Settings in blocks are a file .env that the program takes.
#[test]
fn settings_in_blocks_are_valid() {
    let mut count = 0;
    for document in documents() {
        for block in document.blocks("ini") {
            let directory = tempfile::tempdir().unwrap();
            let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
            let text = block.replace("whsec_…", secret);
            fs::write(directory.path().join(".env"), text).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
                .arg("--check-config")
                .current_dir(directory.path())
                .env_clear()
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}: {block}{output:?}",
                document.path
            );
            count += 1;
        }
    }
    assert!(count > 0);
}
