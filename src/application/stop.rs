//! The orderly end: nothing that was read is left behind.

use std::time::{Duration, Instant};

use actix_web::rt::task::JoinHandle;
use actix_web::web;
use tokio::signal::unix::{SignalKind, signal as listen_for};

use super::ApplicationError;
use crate::config::Config;
use crate::database::LostThreads;
use crate::http::AppState;
use crate::ingest::{Drain, UntilFailed};
use crate::metrics::{DropReason, Metrics};

/// How often is looked whether all sockets have ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Why the application ends.
#[derive(Debug)]
pub(super) enum Stopped {
    /// A signal came.
    Signal,
    /// It could not start, or the HTTP server ended by itself.
    Failed(ApplicationError),
}

/// Becomes ready on SIGTERM, SIGINT, SIGHUP, the end of the HTTP server, or when messages
/// can be stored no more by this process.
pub(super) async fn wait(
    state: web::Data<AppState>,
    server: JoinHandle<std::io::Result<()>>,
    lost: LostThreads,
) -> Stopped {
    let stopped = tokio::select! {
        signal = signal() => {
            log::info!("{signal}: storing what was read, then stopping");
            Stopped::Signal
        }
        ended = server => {
            let cause = match ended {
                Ok(Ok(())) => std::io::Error::other("it ended by itself"),
                Ok(Err(error)) => error,
                Err(error) => std::io::Error::other(error),
            };
            Stopped::Failed(cause.into())
        }
        _ = state.ingest.batcher().send(UntilFailed) => {
            Stopped::Failed(ApplicationError::ThreadsHang)
        }
        () = lost.are_too_many() => Stopped::Failed(ApplicationError::ThreadsHang),
    };
    state.stop();
    stopped
}

/// Ends the sockets, then empties the memory: into the database if that works,
/// else to disk.
pub(super) async fn orderly(
    config: &Config,
    state: &web::Data<AppState>,
    metrics: &Metrics,
    stopped: Stopped,
) -> Result<(), ApplicationError> {
    state.stop();
    let deadline = Instant::now() + config.shutdown_timeout;
    let left = || deadline.saturating_duration_since(Instant::now());
    state.ingest.stop_sockets();
    while state.server.telemetry.in_use() > 0 && !left().is_zero() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let batcher = state.ingest.batcher();
    // The last third is for the disk, which takes less.
    let stored = tokio::time::timeout(left() * 2 / 3, batcher.send(Drain::ToDatabase)).await;
    if !matches!(stored, Ok(Ok(()))) {
        log::warn!("the database is too slow: what is left goes to disk, if there is a spool");
        let on_disk = tokio::time::timeout(left(), batcher.send(Drain::ToDisk)).await;
        if !matches!(on_disk, Ok(Ok(()))) {
            let lost = metrics.pending.get() - metrics.spool_messages.get();
            metrics.messages_dropped(DropReason::Shutdown, u64::try_from(lost).unwrap_or(0));
            return Err(ApplicationError::Lost(lost));
        }
    }
    match metrics.spool_messages.get() {
        0 => log::info!("everything is stored"),
        waiting => log::info!("{waiting} messages wait on disk for the next start"),
    }
    match stopped {
        Stopped::Signal => Ok(()),
        Stopped::Failed(error) => Err(error),
    }
}

/// Waits for SIGTERM, SIGINT or SIGHUP, and names it. Under `nohup` SIGHUP is ignored: the
/// server outlives its terminal.
async fn signal() -> &'static str {
    let is_hangup_ignored = is_hangup_ignored();
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = (
        listen_for(SignalKind::terminate()),
        listen_for(SignalKind::interrupt()),
        listen_for(SignalKind::hangup()),
    ) else {
        log::error!("signals cannot be caught here; only killing ends this server");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = hangup.recv(), if !is_hangup_ignored => "SIGHUP",
    }
}

/// Whether SIGHUP was ignored when the process started, from `/proc`.
fn is_hangup_ignored() -> bool {
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & SIGHUP_BIT != 0)
}
