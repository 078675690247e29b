//! The log of this server on its way to `LOG_TRANSPORT`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::log_line::LogLine;
use crate::config::Config;
use crate::ids::RequestId;
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
pub fn offer(line: &LogLine<'_>) {
    if let Some(transport) = TRANSPORT.get() {
        let id = line.request_id.as_ref().map(RequestId::as_str);
        transport.offer(line.time, line.level, line.target, line.message, id);
    }
}

/// Waits until all lines had one attempt, for a second at most: before the process ends.
pub fn finish() {
    if let Some(transport) = TRANSPORT.get() {
        transport.finish(PATIENCE);
    }
}
