//! `tetcore-analytics events replay`: sends stored events again by a transport.

use std::io::Write;
use std::sync::mpsc::sync_channel;

use chrono::{DateTime, Utc};

use super::ApplicationError;
use super::rebuild::{STATEMENT_TIMEOUT, database_url};
use crate::config::{Config, TransportName};
use crate::database::connect;
use crate::notify::{Console, Replay, Replayed, Written};

/// Sends events of a time again; `show` gets the progress.
///
/// # Errors
/// [`ApplicationError::Command`] if there is no such transport, the database cannot be reached, or
/// the receiver takes nothing for minutes.
pub fn replay(
    config: &Config,
    name: TransportName,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    after: i64,
    show: impl FnMut(&Replayed),
) -> Result<Replayed, ApplicationError> {
    let transports = &config.transports;
    let Some(transport) = transports.all.iter().find(|known| known.name == name) else {
        let known: Vec<String> = transports
            .all
            .iter()
            .map(|one| one.name.to_string())
            .collect();
        return Err(ApplicationError::Command(match known.is_empty() {
            true => "EVENT_TRANSPORTS names no transport".to_owned(),
            false => format!(
                "EVENT_TRANSPORTS has no {name}; it has: {}",
                known.join(", ")
            ),
        }));
    };
    let url = database_url(config)?;
    let failed = |error: String| ApplicationError::Command(error);
    let mut conn = connect(&url, "replay", STATEMENT_TIMEOUT);
    let conn = conn.as_mut().map_err(|error| failed(error.to_string()))?;
    let replay = Replay {
        config: transport.clone(),
        notify: config.notify.clone(),
        batch: transports.batch,
        console: Console::new(write, config.notify.timeout),
        from,
        to,
        after,
    };
    replay
        .run(conn, show)
        .map_err(|error| failed(error.to_string()))
}

/// Writes lines, and waits for their reader.
fn write(lines: Vec<u8>) -> Option<Written> {
    let mut out = std::io::stdout();
    let (answer, written) = sync_channel(1);
    answer
        .send(out.write_all(&lines).and_then(|()| out.flush()))
        .ok()?;
    Some(written)
}
