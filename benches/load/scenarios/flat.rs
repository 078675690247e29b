//! As many messages as the server takes, and beside it `\copy` of the very same rows.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{Cost, Fate, Usage};
use crate::database::Database;
use crate::generator::{Fleet, Writes};
use crate::report::{Report, Section, grouped};
use crate::server::Server;
use crate::{Options, Outcome};

const MESSAGES: u64 = 2_000_000;
/// From the last commit to the next measurement, so that neither pays for the other.
const PAUSE: Duration = Duration::from_secs(2);

const LEGEND: &str = "Nodes send as fast as the server takes it; the clock runs from the first message \
    to the commit of the last. Processor time is in microseconds per message. Below each run, `\\copy` \
    by psql of the very same rows on one connection into an empty table made `LIKE` the partition that \
    they were stored in, with its indexes; `server : copy` is the server's figure divided by that of \
    the line.";
const COLUMNS: [&str; 11] = [
    "run",
    "messages",
    "stored/s",
    "server µs",
    "PostgreSQL µs",
    "generator µs",
    "bytes/row",
    "lost",
    "doubled",
    "server : copy, rate",
    "server : copy, PostgreSQL µs",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let mut section = None;
    for connections in [8, 200] {
        let server = Server::start(&[])?;
        let section = section.get_or_insert(Section::new(
            "Flat out",
            LEGEND,
            server.database.version()?,
            &COLUMNS,
        ));
        flood(&server, connections, options, section, report)?;
        server.stop()?;
    }
    section.into_iter().for_each(|section| report.add(section));
    Ok(())
}

fn flood(
    server: &Server,
    connections: usize,
    options: Options,
    section: &mut Section,
    report: &mut Report,
) -> Outcome<()> {
    let postmaster = server.database.postmaster()?;
    let mut fleet = Fleet::connect(server.address, connections, options.format, Writes::Whole)?;
    server.wait_until_stored(fleet.sent())?;
    server.database.settle()?;
    thread::sleep(PAUSE);

    let messages = options.scaled(MESSAGES);
    let before = Usage::now(server, postmaster)?;
    fleet.flat_out(messages)?;
    server.wait_until_stored(fleet.sent())?;
    let cost = Usage::now(server, postmaster)?.since(&before, messages);

    let fate = Fate::of(server, fleet.sent())?;
    report.count(fate.lost, fate.doubled);
    let payload = fleet.mean_payload_bytes();
    drop(fleet);
    let tables = "(SELECT relid FROM pg_partition_tree('telemetry_messages') WHERE isleaf)";
    let size: f64 = server.database.value(&format!(
        "SELECT sum(pg_total_relation_size(relid)) FROM {tables} AS leaves"
    ))?;
    let rows: f64 = server
        .database
        .value("SELECT count(*) FROM telemetry_messages")?;
    section.row([
        format!("{connections} connections, {payload:.0} B payload"),
        grouped(messages as f64),
        grouped(cost.per_second),
        format!("{:.2}", cost.server_us),
        format!("{:.2}", cost.postgres_us),
        format!("{:.2}", cost.generator_us),
        format!("{:.0}", size / rows),
        fate.lost.to_string(),
        fate.doubled.to_string(),
        String::new(),
        String::new(),
    ]);
    for format in ["text", "binary"] {
        let copy = Copied::measure(server, postmaster, format)?;
        section.row([
            format!("`\\copy` {format}"),
            grouped(copy.rows as f64),
            grouped(copy.cost.per_second),
            String::new(),
            format!("{:.2}", copy.cost.postgres_us),
            String::new(),
            format!("{:.0}", copy.bytes_per_row),
            String::new(),
            String::new(),
            format!("{:.2}", cost.per_second / copy.cost.per_second),
            format!("{:.2}", cost.postgres_us / copy.cost.postgres_us),
        ]);
    }
    Ok(())
}

/// What `\copy` of the stored rows took.
struct Copied {
    rows: u64,
    cost: Cost,
    bytes_per_row: f64,
}

impl Copied {
    fn measure(server: &Server, postmaster: u32, format: &str) -> Outcome<Self> {
        let database = &server.database;
        let directory = tempfile::tempdir_in("/var/tmp")?;
        let file = directory.path().join("rows");
        database.copy("(SELECT * FROM telemetry_messages)", "TO", &file, format)?;
        let rows: u64 = database.value("SELECT count(*) FROM telemetry_messages")?;
        make_table(database)?;
        thread::sleep(PAUSE);
        let before = Usage::now(server, postmaster)?;
        copy_in(database, &file, format)?;
        let cost = Usage::now(server, postmaster)?.since(&before, rows);
        let size: f64 = database.value("SELECT pg_total_relation_size('bench_copy')")?;
        database.run("DROP TABLE bench_copy")?;
        Ok(Self {
            rows,
            cost,
            bytes_per_row: size / rows as f64,
        })
    }
}

/// An empty table of the same kind as the partition that holds most messages.
fn make_table(database: &Database) -> Outcome<()> {
    let partition: String = database.value(
        "SELECT relid FROM pg_partition_tree('telemetry_messages') WHERE isleaf ORDER BY pg_relation_size(relid) DESC LIMIT 1",
    )?;
    database.run(&format!(
        "CREATE TABLE bench_copy (LIKE {partition} INCLUDING ALL)"
    ))?;
    database.settle()
}

fn copy_in(database: &Database, file: &Path, format: &str) -> Outcome<()> {
    database.copy("bench_copy", "FROM", file, format)
}
