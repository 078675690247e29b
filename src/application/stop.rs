//! The orderly end: nothing that was read is left behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt::task::JoinHandle;
use actix_web::web;
use tokio::signal::unix::{SignalKind, signal as listen_for};

use super::ApplicationError;
use crate::config::Config;
use crate::http::AppState;
use crate::ingest::Drain;
use crate::metrics::{DropReason, Metrics};

/// How often is looked whether all sockets have ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Why the application ends.
pub(super) enum Stopped {
    /// Somebody wants it to.
    Signal,
    /// The HTTP server ended by itself.
    Server(ApplicationError),
}

/// Waits for SIGTERM, SIGINT, or the end of the HTTP server.
pub(super) async fn wait(
    state: &web::Data<AppState>,
    server: JoinHandle<std::io::Result<()>>,
) -> Stopped {
    tokio::select! {
        signal = signal() => {
            log::info!("{signal}: storing what was read, then stopping");
            state.stop();
            Stopped::Signal
        }
        ended = server => {
            state.stop();
            let cause = match ended {
                Ok(Ok(())) => std::io::Error::other("it ended by itself"),
                Ok(Err(error)) => error,
                Err(error) => std::io::Error::other(error),
            };
            Stopped::Server(cause.into())
        }
    }
}

/// Ends the sockets, then stores everything that waits.
pub(super) async fn orderly(
    config: &Arc<Config>,
    state: &web::Data<AppState>,
    metrics: &Metrics,
    stopped: Stopped,
) -> Result<(), ApplicationError> {
    let deadline = Instant::now() + config.shutdown_timeout;
    if let Some(store) = state.store() {
        store.ingest.stop_sockets();
        while metrics.connections.get() > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let patience = deadline.saturating_duration_since(Instant::now());
        let drained = tokio::time::timeout(patience, store.ingest.batcher().send(Drain)).await;
        if !matches!(drained, Ok(Ok(_))) {
            let lost = metrics.pending.get();
            metrics.messages_dropped(DropReason::Shutdown, u64::try_from(lost).unwrap_or(0));
            return Err(ApplicationError::Lost(lost));
        }
    }
    log::info!("everything is stored");
    match stopped {
        Stopped::Signal => Ok(()),
        Stopped::Server(error) => Err(error),
    }
}

/// Waits for SIGTERM or SIGINT, and names it.
pub(super) async fn signal() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        listen_for(SignalKind::terminate()),
        listen_for(SignalKind::interrupt()),
    ) else {
        log::error!("signals cannot be caught here; only killing ends this server");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
