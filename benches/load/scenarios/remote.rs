//! Looking for what other servers stored, where the database remembers many batches.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::listeners::Listeners;
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

const BATCHES: u64 = 10_000_000;
const SECONDS: u64 = 30;
/// Between batches of each of three other servers.
const PAUSE: Duration = Duration::from_millis(100);
/// Of the server; the default is a second.
const SETTINGS: [(&str, &str); 1] = [("CACHE_UPDATE_INTERVAL_MS", "100")];

const LEGEND: &str = "Three other servers store ten batches a second each into the same database, while \
    somebody listens to a chain. Milliseconds of a look at what they stored, ten times a second.";
const COLUMNS: [&str; 5] = ["batches remembered", "looks", "mean ms", "p50 ms", "p99 ms"];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&SETTINGS)?;
    let database = &server.database;
    let mut section = Section::new(
        "What other servers stored",
        LEGEND,
        database.version()?,
        &COLUMNS,
    );
    let request = json!({"interest": "subscribe", "chain": "followed"});
    for batches in [0, options.scaled(BATCHES)] {
        // Of transactions long past.
        database.run(&format!(
            "INSERT INTO ingest_batches (id, server_id, last_id, first_at, last_at, transaction_id, stored_at) \
             SELECT n, 'server ' || n % 3, n, now(), now(), n % 100, now() - n * interval '1 millisecond' \
             FROM generate_series(1, {batches}) AS n"
        ))?;
        database.run("VACUUM (ANALYZE) ingest_batches")?;
        database.settle()?;
        let listeners = Listeners::connect(server.address, 1, &request)?;
        thread::sleep(Duration::from_secs(2));
        let before = server.scrape()?;
        for number in 0..SECONDS * 10 {
            database.run(&format!(
                "INSERT INTO ingest_batches (id, server_id, last_id, first_at, last_at) \
                 SELECT -{batches} * 100 - {number} * 10 - n, 'server ' || n, -{batches} * 100 - {number} * 10 - n, now(), now() \
                 FROM generate_series(0, 2) AS n"
            ))?;
            thread::sleep(PAUSE);
        }
        let after = server.scrape()?;
        let looks = after.histogram_since(&before, "feed_look_seconds")?;
        let gain = |name: &str| {
            after
                .value(name)
                .and_then(|value| Ok(value - before.value(name)?))
        };
        let count = gain("feed_look_seconds_count")?;
        section.row([
            grouped(batches as f64),
            grouped(count),
            millis(gain("feed_look_seconds_sum")? / count),
            millis(looks.quantile(0.5)),
            millis(looks.quantile(0.99)),
        ]);
        listeners.leave()?;
    }
    server.stop()?;
    report.add(section);
    Ok(())
}
