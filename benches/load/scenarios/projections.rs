//! What the projections cost: the processor time of their thread, and of its connection.

use std::thread;
use std::time::Duration;

use super::Fate;
use crate::generator::{Fleet, Writes};
use crate::measure;
use crate::report::{Report, Section, grouped};
use crate::server::Server;
use crate::{Options, Outcome};

const SECONDS: u64 = 60;
const PER_SECOND: usize = 10_000;
const NODES: [usize; 2] = [1_000, 10_000];
/// Until connections have come to rest.
const PAUSE: Duration = Duration::from_secs(15);
const THREAD: &str = "projections";
/// Those of nodes and their spans, without those of chains.
const OF_NODES: &str = "'projection:nodes', 'projection:node_hours', 'projection:span_hours'";

const LEGEND: &str = "Nodes say 10,000 messages a second together. Processor time is that of the thread `projections` \
    of the server and of the process of its connection to PostgreSQL, in microseconds per message. Those of nodes are \
    `nodes`, `node_hours` and `span_hours`; another holder has the leases of the others then.";
const COLUMNS: [&str; 8] = [
    "projections",
    "nodes",
    "messages",
    "server µs",
    "PostgreSQL µs",
    "together µs",
    "lost",
    "doubled",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let mut section = None;
    for (nodes, is_all) in NODES
        .iter()
        .flat_map(|nodes| [(*nodes, false), (*nodes, true)])
    {
        let server = Server::start(&[])?;
        let section = section.get_or_insert(Section::new(
            "Projections",
            LEGEND,
            server.database.version()?,
            &COLUMNS,
        ));
        let mut fleet = Fleet::connect(server.address, nodes, options.format, Writes::Whole)?;
        server.wait_until_stored(fleet.sent())?;
        if !is_all {
            server.database.run(&format!(
                "UPDATE leases SET holder = 'bench', token = token + 1, expires_at = now() + interval '1 hour' \
                 WHERE name LIKE 'projection:%' AND name NOT IN ({OF_NODES})"
            ))?;
        }
        thread::sleep(PAUSE);
        let connection: u32 = server.database.value(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'tetcore-analytics projections'",
        )?;
        let used = || -> Outcome<(Duration, Duration)> {
            Ok((
                measure::cpu_of_thread(server.pid(), THREAD)?,
                measure::cpu_of_process(connection)?,
            ))
        };
        let (already, before) = (fleet.sent(), used()?);
        let period = Duration::from_secs(1) * u32::try_from(nodes)? / u32::try_from(PER_SECOND)?;
        fleet.paced(period, Duration::from_secs(options.scaled(SECONDS)))?;
        let messages = fleet.sent() - already;
        let after = used()?;
        server.wait_until_stored(fleet.sent())?;
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / messages as f64;
        let (own, database) = (each(after.0 - before.0), each(after.1 - before.1));
        let fate = Fate::of(&server, fleet.sent())?;
        report.count(fate.lost, fate.doubled);
        section.row([
            if is_all { "all" } else { "of nodes" }.to_owned(),
            grouped(nodes as f64),
            grouped(messages as f64),
            format!("{own:.2}"),
            format!("{database:.2}"),
            format!("{:.2}", own + database),
            fate.lost.to_string(),
            fate.doubled.to_string(),
        ]);
        server.stop()?;
    }
    section.into_iter().for_each(|section| report.add(section));
    Ok(())
}
