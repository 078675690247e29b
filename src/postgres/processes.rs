//! Finds and ends the processes of a cluster, also those of an earlier run.
//!
//! Every process of PostgreSQL works in its cluster's directory. That tells ours from others with
//! more certainty than the number in `postmaster.pid`, which after a crash or in a new container
//! may be that of an innocent process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, Signal, System, UpdateKind};

use super::error::EmbeddedError;

/// How often a condition is looked at while waiting for it.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a fast shutdown may take: it writes all dirty pages, at most `shared_buffers`.
pub(super) const FAST_SHUTDOWN_MAX: Duration = Duration::from_secs(20);

/// How long an immediate shutdown may take: it writes nothing, the next start replays the WAL.
pub(super) const IMMEDIATE_SHUTDOWN_MAX: Duration = Duration::from_secs(6);

/// How long the kernel may take to end killed processes.
const KILL_MAX: Duration = Duration::from_secs(4);

/// The machine's list of processes, read anew at each question.
#[derive(Debug)]
pub(super) struct Processes {
    system: System,
}

impl Processes {
    /// # Errors
    /// [`EmbeddedError::UnknownSystem`] on systems whose processes can't be listed.
    pub(super) fn open() -> Result<Self, EmbeddedError> {
        let system = System::new().map_err(EmbeddedError::UnknownSystem)?;
        Ok(Self { system })
    }

    /// The processes called `postgres` that work in `cluster` (a canonical path).
    fn of_cluster(&mut self, cluster: &Path) -> Vec<Pid> {
        let what = ProcessRefreshKind::nothing()
            .without_tasks()
            .with_cwd(UpdateKind::Always);
        self.system
            .refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        self.system
            .processes()
            .values()
            .filter(|process| process.cwd() == Some(cluster))
            .filter(|process| process.name().as_encoded_bytes().starts_with(b"postgres"))
            .map(sysinfo::Process::pid)
            .collect()
    }

    /// True if there is a process (or a thread) with this number, whatever it does.
    pub(super) fn has(&mut self, pid: Pid) -> bool {
        let what = ProcessRefreshKind::nothing().without_tasks();
        self.system
            .refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
        self.system.process(pid).is_some()
    }

    /// Sends `signal` to the process `pid`; one that is gone already is left alone.
    pub(super) fn send(&mut self, signal: Signal, pid: Pid) {
        let is_sent = self.has(pid)
            && self
                .system
                .process(pid)
                .is_some_and(|process| process.kill_with(signal) == Some(true));
        if !is_sent {
            log::debug!("signal {signal} did not reach process {pid}");
        }
    }

    /// Ends what an earlier run left behind in `cluster`: its main process `postmaster` cleanly if
    /// it still lives, then whatever is left by harder means.
    ///
    /// # Errors
    /// [`EmbeddedError::StuckProcesses`] if some survive even being killed.
    pub(super) fn end_leftovers(
        &mut self,
        cluster: &Path,
        postmaster: Option<Pid>,
    ) -> Result<(), EmbeddedError> {
        let mut left = self.of_cluster(cluster);
        if left.is_empty() {
            return Ok(());
        }
        log::warn!(
            "PostgreSQL of an earlier run still works in {} (processes {}): stopping it first",
            cluster.display(),
            list(&left)
        );
        if let Some(postmaster) = postmaster.filter(|pid| left.contains(pid)) {
            self.send(Signal::Interrupt, postmaster);
        }
        // Without their main process the others end by themselves as soon as they are idle.
        for (limit, next) in [
            (FAST_SHUTDOWN_MAX, Some(Signal::Quit)),
            (IMMEDIATE_SHUTDOWN_MAX, Some(Signal::Kill)),
            (KILL_MAX, None),
        ] {
            let is_gone = wait_until(limit, || {
                left = self.of_cluster(cluster);
                left.is_empty()
            });
            if is_gone {
                return Ok(());
            }
            if let Some(signal) = next {
                left.iter().for_each(|pid| self.send(signal, *pid));
            }
        }
        Err(EmbeddedError::StuckProcesses {
            pids: list(&left),
            cluster: cluster.to_owned(),
        })
    }
}

/// Looks at `condition` until it holds; false if it did not within `limit`.
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

/// The process id of a child in the type of the process list.
pub(super) fn pid(id: u32) -> Pid {
    Pid::from_u32(id)
}
