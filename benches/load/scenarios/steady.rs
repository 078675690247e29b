//! Many nodes that send a message a second each, with default settings.

use std::thread;
use std::time::Duration;

use super::{Fate, Usage};
use crate::generator::{Fleet, Writes};
use crate::measure::resident_bytes;
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

const SECONDS: u64 = 60;
const PERIOD: Duration = Duration::from_secs(1);
/// Until memory and connections have come to rest.
const PAUSE: Duration = Duration::from_secs(3);

const LEGEND: &str = "Each node says one message a second. Receive to commit is the time in \
    milliseconds from reading a message to the answer to its commit, interpolated within the buckets \
    of the server's histogram. Processor time is in microseconds per message. Memory is what the \
    server's resident memory grew by per connection, when all were connected and after the run, with \
    what the feed keeps of each node. In the last run each frame comes as header and payload in two \
    writes, as the genuine client sends it.";
const COLUMNS: [&str; 11] = [
    "connections",
    "messages",
    "p50 ms",
    "p99 ms",
    "server µs",
    "PostgreSQL µs",
    "generator µs",
    "KiB/connection",
    "KiB/connection, after",
    "lost",
    "doubled",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let mut section = None;
    for (connections, writes) in [
        (1_000, Writes::Whole),
        (10_000, Writes::Whole),
        (10_000, Writes::Apart),
    ] {
        let server = Server::start(&[])?;
        let section = section.get_or_insert(Section::new(
            "Steady",
            LEGEND,
            server.database.version()?,
            &COLUMNS,
        ));
        talk(&server, connections, writes, options, section, report)?;
        server.stop()?;
    }
    section.into_iter().for_each(|section| report.add(section));
    Ok(())
}

fn talk(
    server: &Server,
    connections: usize,
    writes: Writes,
    options: Options,
    section: &mut Section,
    report: &mut Report,
) -> Outcome<()> {
    let postmaster = server.database.postmaster()?;
    // Once, so that what the first request brings along is not charged to the connections.
    server.scrape()?;
    thread::sleep(PAUSE);
    let empty = resident_bytes(server.pid())?;
    let mut fleet = Fleet::connect(server.address, connections, options.format, writes)?;
    server.wait_until_stored(fleet.sent())?;
    thread::sleep(PAUSE);
    let connected = resident_bytes(server.pid())?;

    let already = fleet.sent();
    let scrape = server.scrape()?;
    let before = Usage::now(server, postmaster)?;
    fleet.paced(PERIOD, Duration::from_secs(options.scaled(SECONDS)))?;
    let messages = fleet.sent() - already;
    server.wait_until_stored(fleet.sent())?;
    let cost = Usage::now(server, postmaster)?.since(&before, messages);
    let latency = server
        .scrape()?
        .histogram_since(&scrape, "store_receive_to_commit_seconds")?;
    let after = resident_bytes(server.pid())?;

    let fate = Fate::of(server, fleet.sent())?;
    report.count(fate.lost, fate.doubled);
    let kib_each = |bytes: u64| {
        format!(
            "{:.1}",
            bytes.saturating_sub(empty) as f64 / 1024.0 / connections as f64
        )
    };
    section.row([
        match writes {
            Writes::Whole => grouped(connections as f64),
            Writes::Apart => format!("{}, two writes", grouped(connections as f64)),
        },
        grouped(messages as f64),
        millis(latency.quantile(0.5)),
        millis(latency.quantile(0.99)),
        format!("{:.1}", cost.server_us),
        format!("{:.1}", cost.postgres_us),
        format!("{:.1}", cost.generator_us),
        kib_each(connected),
        kib_each(after),
        fate.lost.to_string(),
        fate.doubled.to_string(),
    ]);
    Ok(())
}
