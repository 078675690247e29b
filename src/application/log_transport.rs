//! The log of this server on its way to `LOG_TRANSPORT`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use log::Level;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::notify::LogTransport;

/// How long the end waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

static TRANSPORT: OnceLock<LogTransport> = OnceLock::new();

/// Lines that are logged from now on are sent, if the settings say so.
pub(super) fn start(
    config: &Config,
    server_id: &str,
    metrics: &Arc<Metrics>,
) -> std::io::Result<()> {
    if let Some(transport) = &config.transports.log {
        let started = LogTransport::start(transport, &config.notify, server_id, metrics.clone())?;
        // It is started once.
        TRANSPORT.set(started).ok();
    }
    Ok(())
}

/// A line was logged.
pub fn offer(time: DateTime<Utc>, level: Level, target: &str, text: &str) {
    if let Some(transport) = TRANSPORT.get() {
        transport.offer(time, level, target, text);
    }
}

/// Waits until all lines had one attempt, for a second at most: before the process ends.
pub fn finish() {
    if let Some(transport) = TRANSPORT.get() {
        transport.finish(PATIENCE);
    }
}
