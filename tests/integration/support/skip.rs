//! Faults that cannot be tried on a machine.

use std::fs::OpenOptions;
use std::io::Write;

/// Says that this test cannot be run here, and why: the output of a test that passes is
/// not shown, so `with_postgres` counts these at the end of the suite.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    let Some(file) = std::env::var_os("TEST_SKIPPED_FILE") else {
        return;
    };
    let test = std::env::var("NEXTEST_TEST_NAME")
        .ok()
        .or_else(|| std::thread::current().name().map(str::to_owned));
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("{}: {why}\n", test.unwrap_or_default());
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    // One write, so that lines of tests that run at the same time stay whole.
    file.write_all(line.as_bytes()).unwrap();
}
