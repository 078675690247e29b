//! How long the statements of Grafana's dashboards take, each as Grafana sends it, for the range that its dashboard opens with.

use std::time::Instant;

use serde_json::Value;
use tetcore_analytics::grafana::{SERVER_URL, SOURCES, all};

use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};
use macros::{Choice, Range, expand, seconds};

#[path = "../../../tests/integration/grafana/macros.rs"]
#[expect(clippy::panic, clippy::unwrap_used, reason = "shared with the tests")]
mod macros;

/// Nodes, messages of a day beside those of one node, and events of two weeks.
const NODES: u64 = 1_000;
const MESSAGES: u64 = 5_000_000;
const EVENTS: u64 = 1_000_000;

/// How often each is asked, after once to warm up.
const ASKED: usize = 5;

const LEGEND: &str = "Each statement of each panel of the dashboards, of 1,000 nodes with 5 million messages of a day, a million events of two weeks, and a chain with four days of blocks: \
    milliseconds in psql, the median and the longest of five, for the range that the dashboard opens with. Shown are those above 20 ms. The goal is 200 ms.";
const COLUMNS: [&str; 5] = ["dashboard", "panel", "median ms", "longest ms", "rows"];

/// Milliseconds above which a panel is in the table.
const SHOWN_MS: f64 = 20.0;

/// The elements of a list in JSON, for `macros`.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&[])?;
    let root = env!("CARGO_MANIFEST_DIR");
    let database = &server.database;
    let filled = format!("{root}/tests/integration/grafana/filled.sql");
    // What is filled in stands for other servers, and is theirs alone.
    server.pause()?;
    database.run("DELETE FROM leases; DELETE FROM servers")?;
    database.run_file(&filled, &[])?;
    let grown = format!("{root}/benches/load/scenarios/seed_panels.sql");
    let variables = [
        format!("nodes={}", options.scaled(NODES).max(300)),
        format!("messages={}", options.scaled(MESSAGES)),
        format!("events={}", options.scaled(EVENTS)),
    ];
    database.run_file(&grown, &variables)?;
    let chosen = Choice::from([
        ("chain", "0xaa"),
        ("node", "peer 1"),
        ("service", "relayer"),
        ("target", "pallet_1"),
    ]);
    let mut section = Section::new("Panels", LEGEND, database.version()?, &COLUMNS);
    for dashboard in all(SERVER_URL) {
        let dashboard = dashboard.json(&SOURCES);
        let opens = dashboard["time"]["from"].as_str().unwrap_or_default();
        let opens = seconds(opens.trim_start_matches("now-"));
        for panel in list(&dashboard, "/panels") {
            for target in list(panel, "/targets") {
                let Some(sql) = target["rawSql"].as_str() else {
                    continue;
                };
                let sql = expand(sql, &dashboard, &chosen, Range::of(opens, panel));
                let rows = database.run(&sql)?.lines().count();
                let mut times = Vec::with_capacity(ASKED);
                for _ in 0..ASKED {
                    let begin = Instant::now();
                    database.run(&sql)?;
                    times.push(begin.elapsed().as_secs_f64());
                }
                times.sort_by(f64::total_cmp);
                let (median, longest) = (times[ASKED / 2], times[ASKED - 1]);
                if median * 1e3 >= SHOWN_MS {
                    section.row([
                        dashboard["title"].as_str().unwrap_or_default().to_owned(),
                        panel["title"].as_str().unwrap_or_default().to_owned(),
                        millis(median),
                        millis(longest),
                        grouped(rows as f64),
                    ]);
                }
            }
        }
    }
    server.go_on()?;
    server.stop()?;
    report.add(section);
    Ok(())
}
