//! A day of a million messages expires while nodes send.

use std::thread;
use std::time::Duration;

use super::Fate;
use super::history::{DAY_MESSAGES, Day, NODES};
use crate::generator::{Fleet, Writes};
use crate::report::{Report, Section, grouped, millis};
use crate::scrape::Scrape;
use crate::server::Server;
use crate::{Options, Outcome};

/// With this expiry partitions are a day wide, as by default.
const SETTINGS: [(&str, &str); 2] = [("LOG_EXPIRY_H", "192"), ("PURGE_INTERVAL_S", "5")];
/// Expired by these settings at any time of the day.
const EXPIRED_DAYS_AGO: u64 = 9;
/// Of each node: together 2,000 messages a second.
const PERIOD: Duration = Duration::from_millis(500);
const QUIET: Duration = Duration::from_secs(15);
const TALK: Duration = Duration::from_secs(45);
const PURGE_TIMEOUT: Duration = Duration::from_secs(25);
const POLL_PAUSE: Duration = Duration::from_millis(50);

const LEGEND: &str = "1,000 nodes say 2,000 messages a second together. A day of messages is attached \
    as a partition that is expired already, and the server's next purge drops it. Receive to commit \
    in milliseconds: before, and from attaching the partition to the end of the purge.";
const COLUMNS: [&str; 8] = [
    "rows dropped",
    "purge s",
    "failed attempts",
    "p99 ms before",
    "p99 ms during",
    "longest ms during, at most",
    "lost",
    "doubled",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&SETTINGS)?;
    let database = &server.database;
    let mut section = Section::new(
        "Purge of a day while ingesting",
        LEGEND,
        database.version()?,
        &COLUMNS,
    );
    let day = Day::ago(EXPIRED_DAYS_AGO);
    let rows = options.scaled(DAY_MESSAGES).min(DAY_MESSAGES);
    database.run("CREATE TABLE bench_day (LIKE telemetry_messages INCLUDING ALL)")?;
    day.seed(database, "bench_day", rows)?;
    database.run("VACUUM (ANALYZE) bench_day")?;
    database.settle()?;

    let mut fleet = Fleet::connect(
        server.address,
        NODES as usize,
        options.format,
        Writes::Whole,
    )?;
    let (fleet, purge) = thread::scope(|scope| -> Outcome<(Fleet, Purge)> {
        let talking = scope.spawn(move || fleet.paced(PERIOD, TALK).map(|()| fleet));
        let purge = Purge::watch(&server, &day);
        let fleet = talking
            .join()
            .map_err(|_panic| "the generator panicked")??;
        Ok((fleet, purge?))
    })?;
    server.wait_until_stored(fleet.sent())?;
    let fate = Fate::of(&server, fleet.sent())?;
    report.count(fate.lost, fate.doubled);
    let before = purge.attached.histogram_since(&purge.quiet, LATENCY)?;
    let during = purge.done.histogram_since(&purge.attached, LATENCY)?;
    section.row([
        grouped(rows as f64),
        format!("{:.3}", purge.seconds),
        format!("{:.0}", purge.failures),
        millis(before.quantile(0.99)),
        millis(during.quantile(0.99)),
        millis(during.longest()),
        fate.lost.to_string(),
        fate.doubled.to_string(),
    ]);
    drop(fleet);
    server.stop()?;
    report.add(section);
    Ok(())
}

const LATENCY: &str = "store_receive_to_commit_seconds";

/// Metrics of the server around the purge.
struct Purge {
    quiet: Scrape,
    attached: Scrape,
    done: Scrape,
    seconds: f64,
    failures: f64,
}

impl Purge {
    fn watch(server: &Server, day: &Day) -> Outcome<Self> {
        thread::sleep(QUIET / 3);
        let quiet = server.scrape()?;
        thread::sleep(QUIET);
        let attached = server.scrape()?;
        let bounds = day.bounds();
        server.database.run(&format!(
            "ALTER TABLE telemetry_messages ATTACH PARTITION bench_day {bounds}"
        ))?;
        let purged = |scrape: &Scrape| scrape.value("retention_purged_partitions_total");
        let runs = |scrape: &Scrape| scrape.value("retention_purge_seconds_count");
        let mut last = server.scrape()?;
        for _ in 0..PURGE_TIMEOUT.div_duration_f64(POLL_PAUSE) as u32 {
            thread::sleep(POLL_PAUSE);
            let now = server.scrape()?;
            if purged(&now)? > purged(&attached)? && runs(&now)? > runs(&last)? {
                let sum = "retention_purge_seconds_sum";
                return Ok(Self {
                    seconds: now.value(sum)? - last.value(sum)?,
                    failures: now.value("retention_failures_total")?
                        - attached.value("retention_failures_total")?,
                    quiet,
                    attached,
                    done: now,
                });
            }
            // The last look at which the run that purges had not ended.
            if purged(&now)? == purged(&attached)? {
                last = now;
            }
        }
        Err("the expired day was not purged".into())
    }
}
