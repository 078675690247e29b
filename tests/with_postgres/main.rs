//! Runs a command with a PostgreSQL of its own, named to it by
//! `TEST_DATABASE_URL`, and with a browser that starts when it is first asked
//! for at `TEST_BROWSER_ADDRESS`. Ends with the exit code of the command. The
//! cluster lives in a temporary directory and is never forced to disk.
//!
//! Tests that this machine does not allow write a line to `TEST_SKIPPED_FILE`; they are
//! counted at the end.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "it ends with a message that a person reads"
)]

mod browser;

use std::process::{Command, ExitCode};

use browser::BrowserOffer;
use tetcore_analytics::postgres::{EmbeddedOptions, EmbeddedPostgres};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(program) = args.next() else {
        eprintln!("usage: with_postgres COMMAND [ARGUMENT ...]");
        return ExitCode::FAILURE;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = EmbeddedOptions {
        data_dir: dir.path().to_owned(),
        bin_dir: std::env::var_os("PG_BIN_DIR").map(Into::into),
        durable: false,
    };
    let postgres = match EmbeddedPostgres::start(&options) {
        Ok(postgres) => postgres,
        Err(error) => {
            eprintln!("the tests need PostgreSQL: {error}");
            return ExitCode::FAILURE;
        }
    };
    let browser = BrowserOffer::start().expect("a port of this machine");
    let skipped = tempfile::NamedTempFile::new().expect("a temporary file");
    let status = Command::new(program)
        .args(args)
        .env("TEST_DATABASE_URL", postgres.tcp_url())
        .env("TEST_BROWSER_ADDRESS", browser.address())
        .env("TEST_SKIPPED_FILE", skipped.path())
        .status();
    browser.end();
    postgres.stop();
    show_skipped(&std::fs::read_to_string(skipped.path()).unwrap_or_default());
    match status {
        Ok(status) => ExitCode::from(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1),
        ),
        Err(error) => {
            eprintln!("the command could not be run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show_skipped(lines: &str) {
    let count = lines.lines().count();
    if count > 0 {
        eprintln!("\n{count} tests could not be run on this machine:");
    }
    for line in lines.lines() {
        eprintln!("SKIPPED: {line}");
    }
}
