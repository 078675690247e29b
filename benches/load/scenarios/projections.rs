//! What the projections cost: the same nodes with them, and without.

use std::thread;
use std::time::Duration;

use super::{Cost, Fate, Usage};
use crate::generator::{Fleet, Writes};
use crate::report::{Report, Section, grouped};
use crate::server::Server;
use crate::{Options, Outcome};

const SECONDS: u64 = 60;
const CONNECTIONS: usize = 10_000;
const PERIOD: Duration = Duration::from_secs(1);
/// Until connections have come to rest.
const PAUSE: Duration = Duration::from_secs(15);

const LEGEND: &str = "Each of 10,000 nodes says one message a second. Processor time is in microseconds \
    per message. Without projections another holder has their leases, and in both runs that of the status of nodes.";
const COLUMNS: [&str; 7] = [
    "projections",
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
    for with in [false, true] {
        let server = Server::start(&[])?;
        let section = section.get_or_insert(Section::new(
            "Projections",
            LEGEND,
            server.database.version()?,
            &COLUMNS,
        ));
        server
            .database
            .run(&take_leases("SELECT 'status' AS job"))?;
        if !with {
            let projections = "SELECT 'projection:' || name AS job FROM projections";
            server.database.run(&take_leases(projections))?;
        }
        let postmaster = server.database.postmaster()?;
        let mut fleet = Fleet::connect(server.address, CONNECTIONS, options.format, Writes::Whole)?;
        server.wait_until_stored(fleet.sent())?;
        thread::sleep(PAUSE);
        let already = fleet.sent();
        let before = Usage::now(&server, postmaster)?;
        fleet.paced(PERIOD, Duration::from_secs(options.scaled(SECONDS)))?;
        let messages = fleet.sent() - already;
        server.wait_until_stored(fleet.sent())?;
        let cost: Cost = Usage::now(&server, postmaster)?.since(&before, messages);
        let fate = Fate::of(&server, fleet.sent())?;
        report.count(fate.lost, fate.doubled);
        section.row([
            if with { "with" } else { "without" }.to_owned(),
            grouped(messages as f64),
            format!("{:.2}", cost.server_us),
            format!("{:.2}", cost.postgres_us),
            format!("{:.2}", cost.server_us + cost.postgres_us),
            fate.lost.to_string(),
            fate.doubled.to_string(),
        ]);
        server.stop()?;
    }
    section.into_iter().for_each(|section| report.add(section));
    Ok(())
}

/// Gives the leases of some jobs to somebody else for good.
fn take_leases(jobs: &str) -> String {
    format!(
        "INSERT INTO leases SELECT job, 'bench', 1000, now(), now() + interval '1 day' FROM ({jobs}) AS jobs \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, expires_at = excluded.expires_at"
    )
}
