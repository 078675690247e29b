//! How long queries about a month of a chain take, and how much a block costs.

use std::fs;
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

const SIZE_LEGEND: &str = "The blocks of that month, entered in the order of their heights: bytes for each. A network with more nodes has more \
    buckets of delays, two bytes for each that is not empty and at most 54. The goal is less than 400 bytes.";
const SIZE_COLUMNS: [&str; 4] = ["blocks", "table", "indexes", "together"];

/// Questions in SQL, and those before that warm up.
const REQUESTS: u64 = 200;
const WARM_UP: u64 = 5;

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
    println!(
        "blocks of {} messages built in {seconds:.1} s, {} µs a message",
        grouped(of_day as f64),
        grouped(seconds * 1e6 / of_day as f64),
    );
    report.add(size(&server)?);
    let mut section = Section::new("Chains", LEGEND, server.database.version()?, &COLUMNS);
    let mut random = Random(11);
    let heights = (
        server.database.value("SELECT min(height) FROM blocks")?,
        server.database.value("SELECT max(height) FROM blocks")?,
    );
    for (question, path) in questions(heights) {
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
    for (question, statement) in functions() {
        let times = ask_in_sql(&server, &mut random, statement, options)?;
        section.row([
            question.to_owned(),
            times.len().to_string(),
            millis(quantile(&times, 0.5)),
            millis(quantile(&times, 0.99)),
            millis(quantile(&times, 1.0)),
            String::new(),
        ]);
    }
    server.stop()?;
    report.add(section);
    Ok(())
}

/// How much room a block takes, once its table is vacuumed.
fn size(server: &Server) -> Outcome<Section> {
    let mut section = Section::new(
        "Size of a block",
        SIZE_LEGEND,
        server.database.version()?,
        &SIZE_COLUMNS,
    );
    let blocks: u64 = server.database.value("SELECT count(*) FROM blocks")?;
    let each = |what: &str| -> Outcome<String> {
        let bytes: f64 = server.database.value(&format!("SELECT {what}('blocks')"))?;
        Ok(grouped(bytes / blocks as f64))
    };
    section.row([
        grouped(blocks as f64),
        each("pg_table_size")?,
        each("pg_indexes_size")?,
        each("pg_total_relation_size")?,
    ]);
    Ok(section)
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

/// The queries; `heights` are those of the lowest and the highest block.
fn questions(heights: (u64, u64)) -> Vec<(&'static str, Path)> {
    let month = TimeDelta::days(30);
    let of = |route: &str| format!("/api/v1/chains/Bench/{route}");
    vec![
        ("all chains", fixed("/api/v1/chains")),
        ("a chain", fixed("/api/v1/chains/Bench")),
        ("its last 100 blocks", fixed(&of("blocks?limit=100"))),
        (
            "100 blocks of some height",
            at_height(of("blocks?limit=100"), heights),
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

/// Functions and views for people, with `{end}` for a moment within the last hour.
fn functions() -> [(&'static str, &'static str); 8] {
    [
        (
            "block_propagation of an hour",
            "SELECT * FROM block_propagation({end} - interval '1 hour', {end})",
        ),
        (
            "finality_lag of a day",
            "SELECT * FROM finality_lag({end} - interval '1 day', {end})",
        ),
        (
            "authored_blocks of a day",
            "SELECT * FROM authored_blocks({end} - interval '1 day', {end})",
        ),
        (
            "block_authoring of an hour",
            "SELECT * FROM block_authoring({end} - interval '1 hour', {end})",
        ),
        (
            "node_uptime of a month",
            "SELECT * FROM node_uptime({end} - interval '30 days', {end})",
        ),
        (
            "chain_hours of a month",
            "SELECT block_delay_quantile(array_agg(n ORDER BY i), 0.95) FROM (SELECT i, sum(n)::bigint AS n FROM chain_hours h, \
             unnest(h.delays) WITH ORDINALITY AS d (n, i) WHERE h.hour > {end} - interval '30 days' GROUP BY i) AS sums",
        ),
        ("node_state", "SELECT * FROM node_state"),
        ("version_adoption", "SELECT * FROM version_adoption"),
    ]
}

/// Seconds until the whole answer of psql, sorted.
fn ask_in_sql(
    server: &Server,
    random: &mut Random,
    statement: &str,
    options: Options,
) -> Outcome<Vec<f64>> {
    let mut script = String::new();
    for request in 0..WARM_UP + options.scaled(REQUESTS).max(10) {
        if request == WARM_UP {
            script += "\\timing on\n";
        }
        let end = format!("(now() - interval '{} s')", random.below(3_600));
        script += &statement.replace("{end}", &end);
        script += " \\g /dev/null\n";
    }
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, script)?;
    let answer = server.database.run_script(file.path())?;
    let took = answer.lines().filter_map(|line| {
        let millis = line.strip_prefix("Time: ")?.split(' ').next()?;
        Some(millis.parse::<f64>().ok()? / 1e3)
    });
    let mut times: Vec<f64> = took.collect();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied().unwrap_or(f64::NAN)
}

fn fixed(path: &str) -> Path {
    let path = path.to_owned();
    Box::new(move |_, _| Ok(Some(path.clone())))
}

/// A page that begins at some block, of those from one height to another.
fn at_height(path: String, (low, high): (u64, u64)) -> Path {
    Box::new(move |_, random| {
        let height = low + 100 + random.below(high - low);
        Ok(Some(format!("{path}&height={height}")))
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
