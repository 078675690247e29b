//! What counting costs ingestion, and what a scrape costs.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use tetcore_analytics::metrics::jobs::BATCH;
use tetcore_analytics::metrics::{Failure, FailureKind, FlushReason, Metrics, ReadTally};
use tetcore_analytics::telemetry::Format;

use super::{Fate, Usage};
use crate::generator::{Fleet, Writes};
use crate::measure;
use crate::report::{Report, Section, grouped};
use crate::server::Server;
use crate::{Options, Outcome};

const CONNECTIONS: usize = 8;
const MESSAGES: u64 = 1_000_000;
const COUNTED: u64 = 5_000_000;
const SCRAPES: u64 = 200;
/// In `/metrics`, the groups of messages that were read at once.
const GROUPS: &str = "tetcore_analytics_store_receive_to_commit_seconds_count ";
/// Rows of a batch, `DB_BATCH_SIZE`.
const BATCH_ROWS: u64 = 1_024;
/// Time between two scrapes in `deploy/prometheus`.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(15);
/// From the start of the server to the measurement.
const PAUSE: Duration = Duration::from_secs(2);

const LEGEND: &str = "Counting: everything that is counted on the way of a message from socket to \
    commit, with its share of what is counted for those that were read at once and for its batch, \
    repeated on one thread with the server's own metrics. Ingestion: 8 connections send as fast as the server takes it. Both are \
    processor time in microseconds per message, of the same run on the same machine; the share is \
    the one divided by the other. Scrape: processor time of the server for one `/metrics`, and the \
    share of one processor with a scrape each 15 s.";
const COLUMNS: [&str; 4] = ["what", "times", "µs each", "share"];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&[])?;
    let mut section = Section::new(
        "Cost of metrics",
        LEGEND,
        server.database.version()?,
        &COLUMNS,
    );
    let postmaster = server.database.postmaster()?;
    let mut fleet = Fleet::connect(server.address, CONNECTIONS, options.format, Writes::Whole)?;
    server.wait_until_stored(fleet.sent())?;
    thread::sleep(PAUSE);
    let messages = options.scaled(MESSAGES);
    let before = Usage::now(&server, postmaster)?;
    fleet.flat_out(messages)?;
    server.wait_until_stored(fleet.sent())?;
    let ingestion = Usage::now(&server, postmaster)?.since(&before, messages);
    let fate = Fate::of(&server, fleet.sent())?;
    report.count(fate.lost, fate.doubled);
    drop(fleet);

    let counted = options.scaled(COUNTED);
    let groups = groups(&server)?;
    let counting_us =
        counting(counted, (messages / groups.max(1)).max(1))?.as_secs_f64() * 1e6 / counted as f64;
    section.row([
        "ingestion".to_owned(),
        grouped(messages as f64),
        format!("{:.3}", ingestion.server_us),
        String::new(),
    ]);
    section.row([
        "counting".to_owned(),
        grouped(counted as f64),
        format!("{counting_us:.3}"),
        format!("{:.2} %", counting_us / ingestion.server_us * 100.0),
    ]);

    thread::sleep(PAUSE);
    let scrapes = options.scaled(SCRAPES);
    let before = measure::cpu_of_process(server.pid())?;
    for _ in 0..scrapes {
        server.get("/metrics")?;
    }
    let spent = (measure::cpu_of_process(server.pid())? - before).as_secs_f64() / scrapes as f64;
    section.row([
        "scrape".to_owned(),
        scrapes.to_string(),
        format!("{:.0}", spent * 1e6),
        format!("{:.3} %", spent / SCRAPE_INTERVAL.as_secs_f64() * 100.0),
    ]);
    server.stop()?;
    report.add(section);
    Ok(())
}

/// An error that never comes.
struct Never;

impl Failure for Never {
    fn kind(&self) -> FailureKind {
        FailureKind::DatabaseUnavailable
    }
}

/// Groups of messages that were stored.
fn groups(server: &Server) -> Outcome<u64> {
    let metrics = server.get("/metrics")?;
    let mut lines = metrics.lines();
    let found = lines.find_map(|line| line.strip_prefix(GROUPS));
    Ok(found.ok_or("/metrics has no groups")?.trim().parse()?)
}

/// Counts so many messages, of which `group_rows` are read at once; the processor time that it
/// takes.
fn counting(messages: u64, group_rows: u64) -> Outcome<Duration> {
    let metrics = Metrics::new()?;
    let kinds = metrics.kind_counts(100, |_| true);
    let began = measure::cpu_of_this_thread()?;
    let mut tally = ReadTally::default();
    let delays = metrics.receive_to_commit_seconds.local();
    for number in 0..messages {
        tally.message(black_box(250));
        tally.format(Format::V2);
        // As nodes that import blocks mix them.
        let kind = black_box([1, 2, 2, 3, 4, 2, 3, 2][usize::try_from(number % 8)?]);
        tally.kind(Some(kind), "of its number", &kinds);
        if number % group_rows == 0 {
            tally.show(&metrics, &kinds);
            metrics.queue_rows.add(1);
            metrics.queue_bytes.add(black_box(250));
            metrics.pending.add(1);
            metrics.clock_skew_seconds.observe(black_box(0.02));
            delays.observe(black_box(0.03));
        }
        if number % BATCH_ROWS == 0 {
            delays.flush();
            metrics.queue_rows.sub(1_024);
            metrics.queue_bytes.sub(black_box(256_000));
            metrics.batch_flushed(FlushReason::Size);
            metrics.batches_in_flight.inc();
            metrics.jobs.run(BATCH, || Ok::<_, Never>(())).ok();
            metrics.batches_in_flight.dec();
            metrics.pending.sub(black_box(1_024));
            metrics.messages_stored.inc_by(BATCH_ROWS);
            metrics.batch_seconds.observe(black_box(0.01));
            metrics.batch_rows.observe(black_box(1_024.0));
        }
    }
    Ok(measure::cpu_of_this_thread()? - began)
}
