//! Finds and ends the processes of a cluster, also those of an earlier run.
//!
//! The working directory of every PostgreSQL process is its cluster's: a reliable sign, while the
//! number in `postmaster.pid` may be another process's after a crash or in a new container.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::error::EmbeddedError;

/// Interval at which a condition is polled.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a fast shutdown may take: it writes all dirty pages, at most `shared_buffers`.
pub(super) const FAST_SHUTDOWN_MAX: Duration = Duration::from_secs(20);

/// How long an immediate shutdown may take: it writes nothing, the next start replays the WAL.
pub(super) const IMMEDIATE_SHUTDOWN_MAX: Duration = Duration::from_secs(6);

/// How long the kernel may take to end killed processes.
const KILL_MAX: Duration = Duration::from_secs(4);

/// The processes called `postgres` that work in `cluster` (a canonical path).
fn of_cluster(system: &mut System, cluster: &Path) -> Vec<Pid> {
    let details = ProcessRefreshKind::nothing()
        .without_tasks()
        .with_cwd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, details);
    system
        .processes()
        .values()
        .filter(|process| process.cwd() == Some(cluster))
        .filter(|process| process.name().as_encoded_bytes().starts_with(b"postgres"))
        .filter_map(|process| pid(process.pid().as_u32()))
        .collect()
}

/// True if a process (or a thread) has this number.
pub(super) fn exists(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

/// Sends `signal`; a process that has ended already is no error.
pub(super) fn send(signal: Signal, pid: Pid) {
    if let Err(error) = kill(pid, signal) {
        log::debug!("{signal} did not reach process {pid}: {error}");
    }
}

/// A process id in the type of signals. Never 0 or negative, which name groups.
pub(super) fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id)
        .ok()
        .filter(|id| *id > 0)
        .map(Pid::from_raw)
}

/// Ends what an earlier run left in `cluster`: the main process `postmaster` cleanly if
/// it still runs, then whatever remains by harder means.
///
/// # Errors
/// [`EmbeddedError::StuckProcesses`] if some survive SIGKILL,
/// [`EmbeddedError::UnknownSystem`] if processes can't be listed.
pub(super) fn end_leftovers(cluster: &Path, postmaster: Option<Pid>) -> Result<(), EmbeddedError> {
    let mut system = System::new().map_err(EmbeddedError::UnknownSystem)?;
    let mut left = of_cluster(&mut system, cluster);
    if left.is_empty() {
        return Ok(());
    }
    log::warn!(
        "PostgreSQL of an earlier run still works in {} (processes {}): stopping it first",
        cluster.display(),
        list(&left)
    );
    if let Some(postmaster) = postmaster.filter(|pid| left.contains(pid)) {
        send(Signal::SIGINT, postmaster);
    }
    // Without their main process the others end by themselves as soon as they are idle.
    for (limit, next) in [
        (FAST_SHUTDOWN_MAX, Some(Signal::SIGQUIT)),
        (IMMEDIATE_SHUTDOWN_MAX, Some(Signal::SIGKILL)),
        (KILL_MAX, None),
    ] {
        let is_gone = wait_until(limit, || {
            left = of_cluster(&mut system, cluster);
            left.is_empty()
        });
        if is_gone {
            return Ok(());
        }
        if let Some(signal) = next {
            left.iter().for_each(|pid| send(signal, *pid));
        }
    }
    Err(EmbeddedError::StuckProcesses {
        pids: list(&left),
        cluster: cluster.to_owned(),
    })
}

/// Polls `condition` until it holds; false if it did not within `limit`.
pub(super) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn list(pids: &[Pid]) -> String {
    let mut pids: Vec<String> = pids.iter().map(Pid::to_string).collect();
    pids.sort();
    pids.join(", ")
}
