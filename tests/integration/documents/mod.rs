//! What the documents promise: links lead somewhere, SQL and commands work when pasted, and the
//! catalogue of messages is what nodes send.

mod catalogue;
mod commands;
mod links;
pub(crate) mod statements;

use std::fs;

use crate::tidy::root;

/// A document of ours.
pub struct Document {
    /// Its path within the project, as `docs/ACCESS.md`.
    pub path: String,
    pub text: String,
}

/// All documents for people, without decisions.
pub fn documents() -> Vec<Document> {
    let mut paths = vec!["README.md".to_owned(), "static/README.md".to_owned()];
    paths.extend(
        names_in("docs")
            .into_iter()
            .map(|name| format!("docs/{name}")),
    );
    paths.into_iter().map(|path| read(&path)).collect()
}

/// The documents of a directory, by name.
pub fn names_in(directory: &str) -> Vec<String> {
    let files = fs::read_dir(root().join(directory)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    names.sort_unstable();
    assert!(!names.is_empty());
    names
}

pub fn read(path: &str) -> Document {
    Document {
        path: path.to_owned(),
        text: fs::read_to_string(root().join(path)).unwrap(),
    }
}

impl Document {
    /// What stands between fences of a language.
    pub fn blocks(&self, language: &str) -> Vec<&str> {
        let fence = format!("```{language}\n");
        let begun = self.text.split(&fence).skip(1);
        begun
            .map(|rest| rest.split("```").next().unwrap())
            .collect()
    }

    /// Its lines outside of fences.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_code = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }

    /// What its prose has between backticks.
    pub fn inline_code(&self) -> Vec<&str> {
        let between =
            |line: &'_ str| -> Vec<usize> { line.match_indices('`').map(|(at, _)| at).collect() };
        let mut found = Vec::new();
        for line in self.prose() {
            for pair in between(line).chunks_exact(2) {
                found.push(&line[pair[0] + 1..pair[1]]);
            }
        }
        found
    }
}
