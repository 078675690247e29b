//! Started by root, who may not run PostgreSQL.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tetcore_analytics::postgres::{EmbeddedOptions, EmbeddedPostgres};

use super::{DataDir, finds_the_row, keep_a_row};
use crate::support::skip;

#[test]
fn started_by_root_it_runs_as_somebody_else() {
    let data_dir = DataDir::new();
    if fs::metadata(data_dir.path()).unwrap().uid() != 0 {
        skip("it needs root");
        return;
    }
    // Its own directory it may open; what lies above is the operator's.
    fs::set_permissions(data_dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let _postgres = data_dir.start();
    assert_ne!(fs::metadata(data_dir.cluster()).unwrap().uid(), 0);
    assert_eq!(fs::metadata(data_dir.path()).unwrap().uid(), 0);
}

#[test]
fn started_by_root_beneath_a_closed_directory_it_finds_another_place() {
    let closed = DataDir::new();
    if fs::metadata(closed.path()).unwrap().uid() != 0 {
        skip("it needs root");
        return;
    }
    let options = EmbeddedOptions {
        data_dir: closed.path().join("data"),
        ..closed.options()
    };
    let mode = || fs::metadata(closed.path()).unwrap().mode() & 0o777;
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let first = EmbeddedPostgres::start(&options).unwrap();
    keep_a_row(first.url());
    first.stop();
    let second = EmbeddedPostgres::start(&options).unwrap();
    assert!(finds_the_row(second.url()));
    second.stop();

    assert_eq!(mode(), 0o700, "what is not ours stays as it is");
    let cluster = fs::canonicalize(options.data_dir.join("postgres")).unwrap();
    assert!(cluster.starts_with("/var/lib/tetcore-analytics"));
    fs::remove_dir_all(cluster.parent().unwrap()).unwrap();
}
