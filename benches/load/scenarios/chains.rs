//! How long queries about a month of a chain take, and how much a block costs.

use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::queries::{Path, ask};
use crate::random::Random;
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

/// A file of statements beside this one.
macro_rules! seed {
    ($name:literal) => {
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/load/scenarios/",
            $name
        )
    };
}
/// A month of ten nodes whose chain makes a block every eight seconds.
const MESSAGES: u64 = 10_000_000;
/// Until projections are built.
const BUILD_MAX: Duration = Duration::from_secs(1_800);
const POLL_PAUSE: Duration = Duration::from_millis(100);

const LEGEND: &str = "A month of ten nodes of one chain with 10 million messages: each reports each block as its best, as finalized, and \
    in between; one height in a hundred has two blocks. Milliseconds from the request to the whole answer, one request after the other on one connection, after \
    some requests to warm up; nothing else goes on. The goal is a p99 of 100 ms.";
const COLUMNS: [&str; 6] = [
    "question",
    "requests",
    "p50 ms",
    "p99 ms",
    "longest ms",
    "bytes, mean",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&[])?;
    let messages = options.scaled(MESSAGES).max(30_000);
    let of_day = messages / 30;
    server
        .database
        .run_file(seed!("seed_chains.sql"), &[format!("messages={messages}")])?;
    let seconds = build(&server)?;
    fill_month(&server)?;
    let blocks: u64 = server.database.value("SELECT count(*) FROM blocks")?;
    let bytes: u64 = server
        .database
        .value("SELECT pg_total_relation_size('blocks')")?;
    println!(
        "blocks of {} messages built in {seconds:.1} s, {} µs a message; {} bytes a block",
        grouped(of_day as f64),
        grouped(seconds * 1e6 / of_day as f64),
        bytes / blocks.max(1),
    );
    let mut section = Section::new("Chains", LEGEND, server.database.version()?, &COLUMNS);
    let mut random = Random(11);
    for (question, path) in questions() {
        let times = ask(&server, &mut random, &path, options)?;
        section.row([
            question.to_owned(),
            times.seconds.len().to_string(),
            millis(times.quantile(0.5)),
            millis(times.quantile(0.99)),
            millis(times.quantile(1.0)),
            grouped(times.bytes as f64 / times.seconds.len() as f64),
        ]);
    }
    server.stop()?;
    report.add(section);
    Ok(())
}

/// Has the blocks of the last day taken into their projection; how long that took, seconds.
fn build(server: &Server) -> Outcome<f64> {
    let begin = Instant::now();
    server
        .database
        .run("UPDATE projections SET position = NULL, build_end = NULL, built_until = NULL WHERE name IN ('blocks', 'software_hours')")?;
    let built = "SELECT count(*) FROM projections WHERE position IS NULL";
    while server.database.value::<u32>(built)? > 0 {
        if begin.elapsed() > BUILD_MAX {
            return Err("the projection was not built in time".into());
        }
        thread::sleep(POLL_PAUSE);
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(seconds)
}

/// Puts 29 days before the last one: its messages, on both processors, and what follows from them.
fn fill_month(server: &Server) -> Outcome<()> {
    let half = |half: u32| {
        let database = server.database.clone();
        thread::spawn(move || {
            database.run_file(seed!("seed_chains_month.sql"), &[format!("half={half}")])
        })
    };
    for half in [half(0), half(1)] {
        half.join()
            .map_err(|_panicked| "a thread that fills the log failed")??;
    }
    server
        .database
        .run_file(seed!("seed_chains_rows.sql"), &[])?;
    let messages: u64 = server
        .database
        .value("SELECT sum(reltuples)::bigint FROM pg_class WHERE relname LIKE 'telemetry_messages_month_%' AND relkind = 'r'")?;
    println!("about {} messages are in the log", grouped(messages as f64));
    server.database.settle()
}

/// A query.
fn questions() -> Vec<(&'static str, Path)> {
    let month = TimeDelta::days(30);
    let of = |route: &str| format!("/api/v1/chains/Bench/{route}");
    vec![
        ("all chains", fixed("/api/v1/chains")),
        ("a chain", fixed("/api/v1/chains/Bench")),
        ("its last 100 blocks", fixed(&of("blocks?limit=100"))),
        (
            "100 blocks of some height",
            at_height(of("blocks?limit=100")),
        ),
        (
            "propagation of a month",
            range(of("propagation?points=200"), month),
        ),
        (
            "propagation of 6 hours",
            range(of("propagation?points=100"), TimeDelta::hours(6)),
        ),
        (
            "finality of a month",
            range(of("finality?points=200"), month),
        ),
        ("forks of a month", range(of("forks?limit=100"), month)),
        (
            "versions of a month",
            range(of("versions?points=30"), month),
        ),
        (
            "authors of a day",
            range(of("authors?limit=100"), TimeDelta::days(1)),
        ),
        ("hardware", fixed(&of("hardware"))),
        ("metrics of nodes", fixed("/metrics/nodes")),
        (
            "metrics with the names of the exporter",
            fixed("/metrics/nodes?names=exporter"),
        ),
    ]
}

fn fixed(path: &str) -> Path {
    let path = path.to_owned();
    Box::new(move |_, _| Ok(Some(path.clone())))
}

/// A page that begins at some block.
fn at_height(path: String) -> Path {
    Box::new(move |_, random| {
        Ok(Some(format!(
            "{path}&height={}",
            100 + random.below(10_000)
        )))
    })
}

/// A query of so long, up to a moment within the last hour.
fn range(path: String, length: TimeDelta) -> Path {
    Box::new(move |_, random| {
        let end = Utc::now() - TimeDelta::seconds(random.below(3_600) as i64);
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
        Ok(Some(format!(
            "{path}&start_time={}&end_time={}",
            text(end - length),
            text(end)
        )))
    })
}
