//! What is shipped to run the server: for Kubernetes, in containers, on one machine. Its numbers fit each other and
//! the settings, its files are there, and it is what the programs that read it take.

mod compose;
mod document;
mod kubernetes;
mod machine;
mod stack;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tetcore_analytics::config::settings::{self, DefaultValue};

use crate::support::python;
use crate::tidy::root;

/// A file of the repository.
fn shipped(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a text in YAML, anchors and merges resolved.
fn documents(yaml: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let documents = serde_yaml_ng::Deserializer::from_str(yaml);
    let read = |document| {
        let mut value = serde_yaml_ng::Value::deserialize(document).unwrap();
        value.apply_merge().unwrap();
        serde_json::to_value(value).unwrap()
    };
    documents
        .map(read)
        .filter(|document: &Value| !document.is_null())
        .collect()
}

/// The number that a setting is by default.
fn default_of(name: &str) -> u64 {
    let DefaultValue::Text(default) = settings::find(name).unwrap().default else {
        panic!("{name} has no number");
    };
    default.parse().unwrap()
}

/// Runs `tests/deploy/check.py`; none where `.ci/install test` could not install what it needs.
fn check_py(args: &[&str], input: &str) -> Option<Output> {
    let python = python()?;
    let mut child = Command::new(python)
        .arg(root().join("tests/deploy/check.py"))
        .args(args)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // It may have failed before it read everything.
    let _written = writer.join().unwrap();
    Some(output)
}

/// What it printed, if all went well.
#[track_caller]
fn checked(args: &[&str], input: &str) -> Option<String> {
    let output = check_py(args, input)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}
