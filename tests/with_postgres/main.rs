//! Runs a command with a PostgreSQL of its own, named to it by
//! `TEST_DATABASE_URL`, and with a browser that starts when it is first asked
//! for at `TEST_BROWSER_ADDRESS`. Ends with the exit code of the command. The
//! cluster lives in a temporary directory and is never forced to disk; temporary
//! directories are in memory where there is enough: each test has a database of
//! its own, of hundreds of files.
//!
//! Tests that this machine does not allow write a line to `TEST_SKIPPED_FILE`; they are
//! counted at the end.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "it ends with a message that a person reads"
)]

mod browser;
mod password;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use browser::BrowserOffer;
use nix::sys::statvfs::statvfs;
use tetcore_analytics::postgres::{EmbeddedOptions, EmbeddedPostgres};

/// A file system in memory.
const MEMORY_DIR: &str = "/dev/shm";

/// What must be free there: several times what the tests hold at once, bytes.
const MEMORY_MIN: u64 = 6 << 30;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(program) = args.next() else {
        eprintln!("usage: with_postgres COMMAND [ARGUMENT ...]");
        return ExitCode::FAILURE;
    };
    let temporary = temporary_dir();
    let dir = tempfile::tempdir_in(&temporary).expect("a temporary directory");
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
    password::make_quick(&postgres);
    let browser = BrowserOffer::start().expect("a port of this machine");
    let skipped = tempfile::NamedTempFile::new().expect("a temporary file");
    let status = Command::new(program)
        .args(args)
        .env("TEST_DATABASE_URL", postgres.tcp_url())
        .env("TEST_BROWSER_ADDRESS", browser.address())
        .env("TEST_SKIPPED_FILE", skipped.path())
        .env("TMPDIR", temporary)
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

/// Where temporary directories are made: in memory, if there is enough and nothing else
/// was asked for.
fn temporary_dir() -> PathBuf {
    let free = statvfs(MEMORY_DIR).map(|fs| fs.blocks_available() * fs.fragment_size());
    let has_room = free.is_ok_and(|free| free >= MEMORY_MIN);
    match has_room
        && std::env::var_os("TMPDIR").is_none()
        && tempfile::tempdir_in(MEMORY_DIR).is_ok()
    {
        true => MEMORY_DIR.into(),
        false => std::env::temp_dir(),
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
