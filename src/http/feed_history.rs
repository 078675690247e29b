//! When a history may be read, and from which database: what comes later comes live,
//! so what came before has to be there.

use std::time::{Duration, Instant};

use super::{AppError, AppState};
use crate::database::{ReadFrom, has_replayed, written};

/// How often is looked whether the spool is empty, or the replica has caught up.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Longest wait for the spool, in times `CACHE_UPDATE_TIMEOUT_S`.
const SPOOL_WAIT_MAX: u32 = 4;

/// Longest wait for a replica: one that is later does not answer soon.
const REPLICA_WAIT_MAX: Duration = Duration::from_secs(5);

/// Waits until all that came before is in the database; returns which one has it.
///
/// # Errors
/// As [`AppState::ask`].
pub(super) async fn wait(state: &AppState) -> Result<ReadFrom, AppError> {
    wait_for_spool(state).await;
    if state.config.store.read_database_url.is_none() {
        return Ok(ReadFrom::Primary);
    }
    let place = state
        .ask_from(ReadFrom::Primary, |conn| Ok(written(conn)?))
        .await?;
    let started_at = Instant::now();
    loop {
        let place = place.clone();
        let replayed = state
            .ask_from(ReadFrom::Replica, move |conn| {
                Ok(has_replayed(conn, &place)?)
            })
            .await;
        match replayed {
            Ok(true) => return Ok(ReadFrom::Replica),
            Ok(false) if started_at.elapsed() < REPLICA_WAIT_MAX => {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            Ok(false) | Err(_) => {
                state.metrics.feed.histories_past_replica.inc();
                return Ok(ReadFrom::Primary);
            }
        }
    }
}

/// Waits until nothing is on disk that belongs into the database, for at most
/// [`SPOOL_WAIT_MAX`].
async fn wait_for_spool(state: &AppState) {
    let slow_after = state.config.feed.slow_after;
    let started_at = Instant::now();
    let mut has_warned = false;
    while state.server.has_spooled() {
        let waited = started_at.elapsed();
        if waited >= slow_after * SPOOL_WAIT_MAX {
            log::warn!("a history of the live feed is read although messages still wait on disk");
            return;
        }
        if waited >= slow_after && !has_warned {
            has_warned = true;
            log::warn!("a history of the live feed waits for messages that are still on disk");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
