//! Metrics as Prometheus and its tools see them, and the rules of `deploy/prometheus`.

mod end_to_end;
mod names;
mod rules;
mod scrapes;

use std::fs;

use crate::support::{FakeNode, TestApp, corpus};
use crate::tidy::root;

/// A server that has stored what a node said, which is still connected.
fn filled() -> (TestApp, FakeNode) {
    let app = TestApp::start();
    let frames = corpus("v2");
    let mut node = app.node("/submit");
    for frame in &frames {
        node.send(frame);
    }
    app.wait_stored(u32::try_from(frames.len()).unwrap());
    (app, node)
}

/// A file of `deploy/prometheus`.
fn shipped(name: &str) -> String {
    fs::read_to_string(root().join("deploy/prometheus").join(name)).unwrap()
}

/// The blocks of code of a language in a document.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().trim_end())
        .collect()
}

/// A rule that alerts.
struct Rule<'a> {
    name: &'a str,
    text: &'a str,
}

impl Rule<'_> {
    /// All values of a key.
    fn value(&self, key: &str) -> Option<&str> {
        let lines = self.text.lines().map(str::trim);
        lines
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
            .next()
    }

    /// Its expression, on one line.
    fn expression(&self) -> String {
        let lines = self
            .text
            .lines()
            .skip_while(|line| !line.contains("expr: "));
        let lines = lines.skip(1).take_while(|line| !line.contains(" for: "));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

/// The rules of a file.
fn rules(text: &str) -> Vec<Rule<'_>> {
    let parts = text.split("- alert: ").skip(1);
    parts
        .map(|text| Rule {
            name: text.lines().next().unwrap(),
            text,
        })
        .collect()
}
