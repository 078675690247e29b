//! One running main process of PostgreSQL, from its start to its end.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::account::tail;
use super::cluster::Cluster;
use super::error::{AtPath, EmbeddedError};
use super::processes::{self, FAST_SHUTDOWN_MAX, IMMEDIATE_SHUTDOWN_MAX, wait_until};

/// How long a start may take. After a crash up to `max_wal_size` (4 GB) of log is replayed first;
/// 0.9 GB took 5 s on an SSD, and a slow disk shall not make a start fail.
const START_MAX: Duration = Duration::from_secs(600);

/// Interval of log lines about a long start.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Longest tail of the log that goes into an error, in bytes.
const LOG_TAIL_BYTES: usize = 1000;

/// Line of `postmaster.pid` with the state of the main process.
const STATUS_LINE: usize = 7;

/// The main process, and the watchdog that stops it if this process is killed.
#[derive(Debug)]
pub(super) struct Server {
    postgres: Child,
    watchdog: Option<Child>,
}

impl Server {
    /// Starts PostgreSQL on `port` (only on the socket unless `with_tcp`) and waits until it takes
    /// connections.
    ///
    /// # Errors
    /// [`EmbeddedError::StartFailed`], [`EmbeddedError::StartTimedOut`], [`EmbeddedError::Io`].
    pub(super) fn start(
        cluster: &Cluster,
        port: u16,
        with_tcp: bool,
    ) -> Result<Self, EmbeddedError> {
        let paths = &cluster.paths;
        paths.prepare_socket_directory(&cluster.account)?;
        let start_log = paths.start_log();
        let log = File::create(&start_log).at("create", &start_log)?;
        let log_too = log.try_clone().at("create", &start_log)?;
        let program = cluster.installation.program("postgres");
        let mut command = cluster.account.command(&program);
        command
            .arg("-D")
            .arg(&paths.cluster)
            .args(["-c", &format!("port={port}")])
            .args([
                "-c",
                &format!("unix_socket_directories=\"{}\"", paths.socket_dir.display()),
            ])
            .args(["-c", "unix_socket_permissions=0700"]);
        if !with_tcp {
            command.args(["-c", "listen_addresses="]);
        }
        let postgres = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            // Ctrl-C in the terminal is for this process alone, which still has rows to store.
            .process_group(0)
            .spawn()
            .at("run", &program)?;
        // From here on dropping `server` stops the process.
        let mut server = Self {
            postgres,
            watchdog: None,
        };
        server.watchdog = Some(watchdog(cluster, server.postgres.id())?);
        server.wait_until_ready(cluster)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, cluster: &Cluster) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        let mut reported = started;
        while !is_ready(cluster, self.postgres.id()) {
            if let Some(status) = self.exit_status()? {
                return Err(EmbeddedError::StartFailed {
                    status,
                    log: log_tail(cluster),
                });
            }
            if started.elapsed() > START_MAX {
                return Err(EmbeddedError::StartTimedOut {
                    seconds: START_MAX.as_secs(),
                    log: log_tail(cluster),
                });
            }
            if reported.elapsed() > PROGRESS_INTERVAL {
                reported = Instant::now();
                log::info!("PostgreSQL is still starting (after a crash it replays its log)");
            }
            std::thread::sleep(processes::POLL_INTERVAL);
        }
        Ok(())
    }

    /// How the main process ended, or `None` while it runs.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] if the system can't tell.
    pub(super) fn exit_status(&mut self) -> Result<Option<String>, EmbeddedError> {
        let status = self.postgres.try_wait();
        let status = status.at("watch", "postgres".as_ref())?;
        Ok(status.map(|status| status.to_string()))
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.postgres.try_wait(), Ok(None))
    }

    /// Stops the main process if it still runs: fast (open transactions are rolled back), then
    /// immediately, then by force. Blocks until it is gone, at most 26 s.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] if it can't be killed.
    fn stop(&mut self) -> Result<(), EmbeddedError> {
        let pid = processes::pid(self.postgres.id());
        for (signal, limit) in [
            (Signal::SIGINT, FAST_SHUTDOWN_MAX),
            (Signal::SIGQUIT, IMMEDIATE_SHUTDOWN_MAX),
        ] {
            if self.has_ended() {
                return Ok(());
            }
            if let Some(pid) = pid {
                processes::send(signal, pid);
            }
            if wait_until(limit, || self.has_ended()) {
                return Ok(());
            }
            log::warn!(
                "PostgreSQL did not stop within {} s of {signal}",
                limit.as_secs()
            );
        }
        let killed = self.postgres.kill().and_then(|()| self.postgres.wait());
        killed.map(drop).at("kill", "postgres".as_ref())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            log::error!("{error}");
        }
        if let Some(watchdog) = &mut self.watchdog {
            // Killed before its input closes: it must not act on a process id that is free again.
            let ended = watchdog.kill().and_then(|()| watchdog.wait());
            if let Err(error) = ended {
                log::warn!("can't end the watchdog of PostgreSQL: {error}");
            }
        }
    }
}

/// A shell that waits for the end of its input, which only this process can close: when this
/// process ends in whatever way, it stops PostgreSQL.
fn watchdog(cluster: &Cluster, postgres: u32) -> Result<Child, EmbeddedError> {
    cluster
        .account
        .command("/bin/sh")
        .args(["-c", "read -r _; kill -INT \"$1\"", "sh"])
        .arg(postgres.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .at("run", "/bin/sh".as_ref())
}

/// True once the main process `pid` has written that it takes connections.
fn is_ready(cluster: &Cluster, pid: u32) -> bool {
    let contents = fs::read_to_string(cluster.postmaster_file()).unwrap_or_default();
    says_ready(&contents, pid)
}

fn says_ready(postmaster_file: &str, pid: u32) -> bool {
    let mut lines = postmaster_file.lines();
    let is_ours = lines.next().map(str::trim) == Some(&pid.to_string());
    is_ours && lines.nth(STATUS_LINE - 1).map(str::trim) == Some("ready")
}

/// The end of PostgreSQL's output and log.
fn log_tail(cluster: &Cluster) -> String {
    let paths = &cluster.paths;
    let mut text = fs::read_to_string(paths.start_log()).unwrap_or_default();
    // From then on it wrote to the file that `current_logfiles` names.
    if text.contains("logging collector") {
        let current = fs::read_to_string(paths.cluster.join("current_logfiles"));
        let log = current
            .unwrap_or_default()
            .lines()
            .find_map(|line| line.strip_prefix("stderr ").map(str::to_owned))
            .and_then(|name| fs::read(paths.cluster.join(name)).ok());
        text.push_str(&String::from_utf8_lossy(&log.unwrap_or_default()));
    }
    tail(&text, LOG_TAIL_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_believed_only_of_our_own_process() {
        let file = "4711\n/data\n1700000000\n15432\n/socket\n127.0.0.1\n 1 2\nready   \n";
        assert!(says_ready(file, 4711));
        assert!(!says_ready(file, 4712));
        assert!(!says_ready(&file.replace("ready", "starting"), 4711));
        assert!(!says_ready("4711\n", 4711));
        assert!(!says_ready("", 4711));
    }
}
