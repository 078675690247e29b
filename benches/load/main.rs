//! The load bench: nodes of our own against the real server and a real PostgreSQL.
//!
//! `cargo bench --bench load -- [flat|steady|projections|queries|rollups|chains|panels|purge|feed|crowd|remote|takeover|status|alerts|transports|metrics|scale|all]` prints tables and writes them to
//! `docs/PERFORMANCE.md`. A lost or doubled message fails the run; a slow one does not.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `BENCH_SCALE` | factor for the number of messages and rows and for durations, default 1; below 1 nothing is written to the document |
//! | `BENCH_FORMAT` | `v2` (default) or `v1`: the format of the nodes |

#![expect(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a program that measures and prints: it may end with a panic and rounds at will"
)]

mod database;
mod frames;
mod generator;
mod listeners;
mod measure;
mod random;
mod receiver;
mod report;
mod scenarios;
mod scrape;
mod server;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use frames::Format;
use report::Report;

/// A result with any error: whatever fails ends the bench with its text.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The variables of the environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    scale: f64,
    pub(crate) format: Format,
}

impl Options {
    fn from_env() -> Outcome<Self> {
        let scale = env::var("BENCH_SCALE").map_or(Ok(1.0), |text| text.parse::<f64>())?;
        if !(scale > 0.0 && scale <= 100.0) {
            return Err("BENCH_SCALE is a number above 0, at most 100".into());
        }
        let format = match env::var("BENCH_FORMAT").as_deref() {
            Err(_) | Ok("v2") => Format::V2,
            Ok("v1") => Format::V1,
            Ok(_) => return Err("BENCH_FORMAT is v1 or v2".into()),
        };
        Ok(Self { scale, format })
    }

    /// A number of messages, rows or seconds at this scale.
    pub(crate) fn scaled(self, count: u64) -> u64 {
        (count as f64 * self.scale).ceil() as u64
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            println!("{failures} runs lost or doubled messages");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("the bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios named on the command line; the number of runs that lost or doubled messages.
fn run() -> Outcome<usize> {
    let options = Options::from_env()?;
    rlimit::increase_nofile_limit(u64::MAX)?;
    // Cargo adds options of its own, such as `--bench`.
    let named = env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let chosen = scenarios::chosen(named.as_deref().unwrap_or("all"))?;
    let mut report = Report::default();
    for scenario in chosen {
        scenario(options, &mut report)?;
    }
    report.print();
    if options.scale >= 1.0 {
        report.write()?;
    }
    Ok(report.failures())
}
