//! Links between documents, and from pages and code to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Document, documents, names_in, read};
use crate::tidy::{root, texts};

/// Where the files of the repository are, as links name them.
const BLOB: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// The anchors of a document, as GitHub makes them of its headings.
fn anchors(document: &Document) -> BTreeSet<String> {
    let headings = document.prose().filter_map(|line| {
        line.trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
    });
    let mut counts = BTreeMap::<String, usize>::new();
    let mut found = BTreeSet::new();
    for heading in headings {
        let kept = heading.trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = counts.entry(slug.clone()).or_default();
        found.insert(if *count == 0 {
            slug.clone()
        } else {
            format!("{slug}-{count}")
        });
        *count += 1;
    }
    found
}

/// The targets of the links of a document.
fn links(document: &Document) -> Vec<String> {
    let mut found = Vec::new();
    for line in document.prose() {
        // What stands between backticks is no link.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        let ends = plain.split("](").skip(1);
        found.extend(ends.map(|rest| rest.split(')').next().unwrap().to_owned()));
    }
    found
}

/// Why a link leads nowhere; `from` is the directory of its document.
fn fault(from: &Path, document: &str, link: &str) -> Option<String> {
    let within = match link.strip_prefix(BLOB) {
        Some(path) => path.to_owned(),
        None if link.contains("://") || link.starts_with("mailto:") => return None,
        None => {
            let (path, anchor) = link
                .split_once('#')
                .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let path = match path.is_empty() {
                true => PathBuf::from(document),
                false => normal(&from.join(path)),
            };
            let path = path.to_str().unwrap().to_owned();
            anchor.map_or(path.clone(), |anchor| format!("{path}#{anchor}"))
        }
    };
    let (path, anchor) = within
        .split_once('#')
        .map_or((within.as_str(), None), |(path, anchor)| {
            (path, Some(anchor))
        });
    if !root().join(path).exists() {
        return Some(format!("{document}: {link} is no file"));
    }
    let anchor = anchor?;
    let has = path.ends_with(".md") && anchors(&read(path)).contains(anchor);
    (!has).then(|| format!("{document}: {link} is no heading"))
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                assert!(plain.pop(), "{} leads out of the project", path.display())
            }
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn links_of_documents_lead_to_files_and_headings() {
    let mut all = documents();
    all.extend(
        names_in("docs/adr")
            .iter()
            .map(|name| read(&format!("docs/adr/{name}"))),
    );
    let (mut faults, mut count) = (Vec::new(), 0);
    for document in &all {
        let from = Path::new(&document.path).parent().unwrap();
        for link in links(document) {
            faults.extend(fault(from, &document.path, &link));
            count += 1;
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    assert!(count > 100, "{count}");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let from = Path::new("docs");
    for (link, is_fine) in [
        ("ACCESS.md#tokens", true),
        ("../README.md#next", true),
        ("adr/", true),
        ("https://example.org/x#y", true),
        ("ACCESS.md#coins", false),
        ("NOTHING.md", false),
        ("#nothing", false),
    ] {
        assert_eq!(
            fault(from, "docs/README.md", link).is_none(),
            is_fine,
            "{link}"
        );
    }
    let link = format!("{BLOB}docs/PAGES.md#nothing");
    assert!(fault(from, "docs/README.md", &link).is_some());
}

#[test]
fn every_document_is_in_the_map() {
    let linked: BTreeSet<String> = links(&read("docs/README.md")).into_iter().collect();
    let missing: Vec<String> = names_in("docs")
        .into_iter()
        .filter(|name| name != "README.md" && !linked.contains(name))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "in docs/README.md");
}

/// Documents that code, pages and files of deployments name.
#[test]
fn documents_that_others_name_exist() {
    let mut files = vec![
        root().join("Makefile"),
        root().join(".env.example"),
        root().join("deployment.template.yml"),
    ];
    for directory in ["src", "static", "deploy", "migrations"] {
        texts(&root().join(directory), &mut files);
    }
    let (mut faults, mut count) = (Vec::new(), 0);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap();
        let is_end = |c: char| !(c.is_alphanumeric() || "/._-#".contains(c));
        let in_words = text
            .match_indices("docs/")
            .map(|(at, _)| text[at..].split(is_end).next().unwrap());
        for link in in_words.map(|link| link.trim_end_matches('.')) {
            if link.contains(".md") {
                faults.extend(fault(Path::new(""), name, link));
                count += 1;
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    assert!(count > 5, "{count}");
}

#[test]
fn every_page_leads_to_its_section() {
    let static_file = |name: &str| fs::read_to_string(root().join("static").join(name)).unwrap();
    let explained = anchors(&read("docs/PAGES.md"));
    let shell = static_file("lib/shell.js");
    assert!(shell.contains(&format!("\"{BLOB}docs/PAGES.md\"")));
    let mut pages = BTreeSet::new();
    for file in fs::read_dir(root().join("static")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".js") {
            continue;
        }
        let text = static_file(&name);
        let Some(call) = text.split("\nopenPage({").nth(1) else {
            continue;
        };
        let call = call.split("})").next().unwrap();
        let value = |field: &str| {
            Some(
                call.split(&format!("{field}: \""))
                    .nth(1)?
                    .split('"')
                    .next()
                    .unwrap(),
            )
        };
        let section = value("section").or_else(|| value("page")).unwrap();
        assert!(
            explained.contains(section),
            "{name}: {section} is not in docs/PAGES.md"
        );
        pages.insert(section.to_owned());
    }
    assert_eq!(pages.len(), 11, "{pages:?}");
    // Each is explained once, and nothing else is.
    pages.extend(["routes", "the-pages"].map(str::to_owned));
    assert_eq!(pages, explained);
    assert!(static_file("api.html").contains(&format!("{BLOB}docs/PAGES.md#routes")));
}
