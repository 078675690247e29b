//! What docs/RELIABILITY.md promises is proven by tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// All sources below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = dirs.iter().flat_map(|dir| sources(dir));
    files.into_iter().chain(below).collect()
}

#[test]
fn every_test_that_the_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [root.join("src"), root.join("tests/integration")]
        .iter()
        .flat_map(|dir| sources(dir))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect::<String>();
    let document = fs::read_to_string(root.join("docs/RELIABILITY.md")).unwrap();
    // Tests stand in backticks, with the file that holds them: `file::test`.
    let named: Vec<&str> = document
        .split('`')
        .filter(|code| code.contains("::") && !code.contains(' '))
        .map(|code| code.rsplit("::").next().unwrap())
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<&&str> = named
        .iter()
        .filter(|test| !files.contains(&format!("fn {test}(")))
        .collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
