//! The server that holds the leases is killed or paused, and another takes its jobs over.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Report, Section};
use crate::server::Server;
use crate::{Options, Outcome};

/// Take-overs of each kind.
const ROUNDS: u64 = 20;
const POLL_PAUSE: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(60);

const LEGEND: &str = "Two servers on one database. The one with the leases is killed by SIGKILL, or \
    paused by SIGSTOP: seconds until the other one holds all of them.";
const COLUMNS: [&str; 4] = ["fault", "rounds", "median s", "longest s"];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let first = Server::start(&[])?;
    let mut section = Section::new(
        "Take-over of the jobs of a server",
        LEGEND,
        first.database.version()?,
        &COLUMNS,
    );
    let all = leases(&first, |_held| true)?;
    let mut servers = [first.beside()?, first.beside()?];
    // It runs PostgreSQL, so it stays, and takes no part.
    signal(&first, "STOP")?;
    let mut holder = wait_for_holder(&servers, all)?;
    for (fault, name) in [("KILL", "SIGKILL"), ("STOP", "SIGSTOP")] {
        let mut seconds = Vec::new();
        for _ in 0..options.scaled(ROUNDS).min(ROUNDS) {
            let [ref mut one, ref mut two] = servers;
            let (lost, other) = match holder {
                0 => (one, two),
                _ => (two, one),
            };
            let began_at = Instant::now();
            signal(lost, fault)?;
            wait_for_holder([&*other], all)?;
            seconds.push(began_at.elapsed().as_secs_f64());
            match fault {
                "KILL" => *lost = first.beside()?,
                _ => {
                    signal(lost, "CONT")?;
                    wait_for_loss(lost)?;
                }
            }
            holder = 1 - holder;
        }
        seconds.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| seconds.get(place).copied().unwrap_or_default();
        section.row([
            name.to_owned(),
            seconds.len().to_string(),
            format!("{:.1}", at(seconds.len() / 2)),
            format!("{:.1}", at(seconds.len().saturating_sub(1))),
        ]);
    }
    for server in servers {
        server.stop()?;
    }
    signal(&first, "CONT")?;
    first.stop()?;
    report.add(section);
    Ok(())
}

fn signal(server: &Server, name: &str) -> Outcome<()> {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &server.pid().to_string()])
        .status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| "the server has ended".into())
}

/// Waits until one of these servers holds all leases; returns which.
fn wait_for_holder<'a>(
    servers: impl IntoIterator<Item = &'a Server> + Clone,
    all: usize,
) -> Outcome<usize> {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        for (place, server) in servers.clone().into_iter().enumerate() {
            if leases(server, |is_held| is_held)? == all {
                return Ok(place);
            }
        }
        thread::sleep(POLL_PAUSE);
    }
    Err("no server took the leases over".into())
}

/// Waits until a server that was paused shows that it holds no lease any more.
fn wait_for_loss(server: &Server) -> Outcome<()> {
    let deadline = Instant::now() + TIMEOUT;
    while leases(server, |is_held| is_held)? > 0 {
        if Instant::now() > deadline {
            return Err("a resumed server kept its leases".into());
        }
        thread::sleep(POLL_PAUSE);
    }
    Ok(())
}

/// The leases that a server shows, by whether it holds them.
fn leases(server: &Server, counts: impl Fn(bool) -> bool) -> Outcome<usize> {
    let metrics = server.get("/metrics")?;
    let all = metrics
        .lines()
        .filter(|line| line.starts_with("tetcore_analytics_cluster_lease_held{"));
    Ok(all.filter(|line| counts(line.ends_with(" 1"))).count())
}
