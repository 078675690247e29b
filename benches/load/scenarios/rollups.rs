//! How long queries about weeks and years take that projections answer.

use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::queries::{Path, ask};
use crate::frames::peer_id;
use crate::random::Random;
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

const SEED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/load/scenarios/seed_rollups.sql"
);
const SPANS: u64 = 1_000_000;
/// Nodes that sent spans.
const NODES: u64 = 4;
/// Until projections are built.
const BUILD_MAX: Duration = Duration::from_secs(600);
const POLL_PAUSE: Duration = Duration::from_millis(100);

const LEGEND: &str = "A week of spans of four nodes, 25 targets and names each, and a year of ten nodes of one \
    chain. Milliseconds from the request to the whole answer, one request after the other on one connection, \
    after some requests to warm up; nothing else goes on. Ranges end within the last hour, so parts of \
    two hours come from the messages.";
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
    let spans = options.scaled(SPANS).min(SPANS);
    server
        .database
        .run_file(SEED, &[format!("spans={spans}")])?;
    let seconds = build(&server)?;
    println!(
        "span_hours of {} spans built in {seconds:.1} s",
        grouped(spans as f64)
    );
    let mut section = Section::new("Rollups", LEGEND, server.database.version()?, &COLUMNS);
    let mut random = Random(7);
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

/// Has the spans taken into their projection; how long it took, seconds.
fn build(server: &Server) -> Outcome<f64> {
    let begin = Instant::now();
    server
        .database
        .run("UPDATE projections SET position = NULL, build_end = NULL, built_until = NULL WHERE name = 'span_hours'")?;
    let built = "SELECT count(*) FROM projections WHERE position IS NULL";
    while server.database.value::<u32>(built)? > 0 {
        if begin.elapsed() > BUILD_MAX {
            return Err("the projection was not built in time".into());
        }
        thread::sleep(POLL_PAUSE);
    }
    let seconds = begin.elapsed().as_secs_f64();
    server.database.run("VACUUM (ANALYZE) span_hours")?;
    server.database.settle()?;
    Ok(seconds)
}

/// A query.
fn questions() -> Vec<(&'static str, Path)> {
    let ranking = "/api/v1/profiling/ranking?limit=50";
    let hours = "/api/v1/profiling?interval=14400&aggregate";
    let week = TimeDelta::days(7);
    vec![
        (
            "spans of a week, ranking",
            range(ranking.to_owned(), week, false),
        ),
        (
            "spans of a week, ranking of one node",
            range(ranking.to_owned(), week, true),
        ),
        (
            "spans of a week, mean of 4 hours",
            range(format!("{hours}=mean"), week, false),
        ),
        (
            "spans of a week, median of 4 hours",
            range(format!("{hours}=median"), week, false),
        ),
        (
            "a year of a node",
            range(
                "/api/v1/series?points=300".to_owned(),
                TimeDelta::days(365),
                true,
            ),
        ),
    ]
}

/// A query of so long, up to a moment within the last hour.
fn range(path: String, length: TimeDelta, of_node: bool) -> Path {
    Box::new(move |_, random| {
        let end = Utc::now() - TimeDelta::seconds(random.below(3_600) as i64);
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
        let mut path = format!(
            "{path}&start_time={}&end_time={}",
            text(end - length),
            text(end)
        );
        if of_node {
            path += &format!("&peer_id={}", peer_id(random.below(NODES) as usize));
        }
        Ok(Some(path))
    })
}
