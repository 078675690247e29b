//! What is tried, one file each, and what they share.

mod alerts;
mod chains;
mod crowd;
mod feed;
mod flat;
mod history;
mod metrics;
mod panels;
mod projections;
mod purge;
mod queries;
mod remote;
mod rollups;
mod scale;
mod status;
mod steady;
mod takeover;
mod transports;

use std::time::{Duration, Instant};

use crate::measure;
use crate::report::Report;
use crate::server::Server;
use crate::{Options, Outcome};

/// Measures something and reports it.
pub(crate) type Scenario = fn(Options, &mut Report) -> Outcome<()>;

/// The scenarios of a name on the command line.
pub(crate) fn chosen(name: &str) -> Outcome<Vec<Scenario>> {
    let all: [(&str, Scenario); 17] = [
        ("flat", flat::run),
        ("steady", steady::run),
        ("projections", projections::run),
        ("queries", queries::run),
        ("rollups", rollups::run),
        ("chains", chains::run),
        ("panels", panels::run),
        ("purge", purge::run),
        ("feed", feed::run),
        ("crowd", crowd::run),
        ("remote", remote::run),
        ("takeover", takeover::run),
        ("status", status::run),
        ("alerts", alerts::run),
        ("transports", transports::run),
        ("metrics", metrics::run),
        ("scale", scale::run),
    ];
    let chosen: Vec<Scenario> = all
        .iter()
        .filter(|(known, _)| name == "all" || name == *known)
        .map(|(_, run)| *run)
        .collect();
    if chosen.is_empty() {
        let names = all.map(|(known, _)| known).join(", ");
        return Err(format!("{name} is none of {names}, all").into());
    }
    Ok(chosen)
}

/// What the parts of a run have used at a moment.
#[derive(Debug, Clone, Copy)]
struct Usage {
    at: Instant,
    server: Duration,
    postgres: Duration,
    generator: Duration,
}

impl Usage {
    fn now(server: &Server, postmaster: u32) -> Outcome<Self> {
        Ok(Self {
            at: Instant::now(),
            server: measure::cpu_of_process(server.pid())?,
            postgres: measure::cpu_of_family(postmaster)?,
            generator: measure::cpu_of_this_thread()?,
        })
    }

    /// What was used since then.
    fn since(&self, earlier: &Self, messages: u64) -> Cost {
        let each =
            |now: Duration, then: Duration| (now - then).as_secs_f64() * 1e6 / messages as f64;
        Cost {
            per_second: messages as f64 / (self.at - earlier.at).as_secs_f64(),
            server_us: each(self.server, earlier.server),
            postgres_us: each(self.postgres, earlier.postgres),
            generator_us: each(self.generator, earlier.generator),
        }
    }
}

/// What a message cost: processor time in microseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    per_second: f64,
    server_us: f64,
    postgres_us: f64,
    generator_us: f64,
}

/// What became of the messages that were sent.
#[derive(Debug, Clone, Copy)]
struct Fate {
    lost: u64,
    doubled: u64,
}

impl Fate {
    /// Counts them in the database.
    fn of(server: &Server, sent: u64) -> Outcome<Self> {
        let (messages, numbers) = server.database.count_numbered()?;
        let fate = Self {
            lost: sent.saturating_sub(numbers),
            doubled: messages - numbers,
        };
        if fate.lost + fate.doubled > 0 {
            println!("sent {sent}, found {messages} with {numbers} numbers; the server says:");
            let metrics = server.get("/metrics")?;
            let account = metrics
                .lines()
                .filter(|line| line.starts_with("tetcore_analytics_ingest_"));
            account
                .filter(|line| !line.ends_with(" 0") && !line.contains("_bucket"))
                .for_each(|line| println!("{line}"));
        }
        Ok(fate)
    }
}
