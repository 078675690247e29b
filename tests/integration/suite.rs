//! The suite itself: what a machine does not allow is not passed over in silence.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn tests_that_a_machine_does_not_allow_are_counted_at_the_end() {
    let with_postgres = Path::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .with_file_name("examples")
        .join("with_postgres");
    let suite = "echo one: no mount >>$TEST_SKIPPED_FILE; echo two: no root >>$TEST_SKIPPED_FILE";
    let run = Command::new(with_postgres)
        .args(["sh", "-c", suite])
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let said = String::from_utf8(run.stderr).unwrap();
    let end = "2 tests could not be run on this machine:\nSKIPPED: one: no mount\nSKIPPED: two: no root\n";
    assert!(said.ends_with(end), "{said}");
}

#[test]
fn tests_that_a_machine_does_not_allow_say_so_in_one_way() {
    let mut others = Vec::new();
    for file in crate::tidy::files_of("tests/integration") {
        let text = fs::read_to_string(&file).unwrap();
        let is_way = file.ends_with("support/skip.rs") || file.ends_with("suite.rs");
        if text.contains("SKIPPED") && !is_way {
            others.push(file);
        }
    }
    assert_eq!(others, Vec::<std::path::PathBuf>::new());
}
