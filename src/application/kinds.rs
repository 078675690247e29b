//! `tetcore-analytics kinds`: lists the dictionary of kinds, and merges invented ones.

use std::sync::Arc;
use std::time::Duration;

use super::ApplicationError;
use super::rebuild::{STATEMENT_TIMEOUT, database_url};
use crate::config::Config;
use crate::database::{DatabaseError, Pools, connect};
use crate::store::{Kinds, StoredKind, list_kinds, merge_kinds};
use crate::telemetry::is_known_kind;

/// How often a server looks which kinds were merged, or are new from other servers.
const LOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Merges the kinds that `merge` names, and shows the dictionary if that is none.
///
/// # Errors
/// [`ApplicationError::Command`] if no kind is named so, or the database cannot be reached.
pub fn kinds(
    config: &Config,
    merge: &[String],
    mut show: impl FnMut(&str),
) -> Result<(), ApplicationError> {
    let url = database_url(config)?;
    let failed = |error: DatabaseError| ApplicationError::Command(error.to_string());
    let failed_query = |error: diesel::result::Error| failed(error.into());
    let mut conn = connect(&url, "kinds", STATEMENT_TIMEOUT).map_err(failed)?;
    let listed = conn.transaction(list_kinds).map_err(failed_query)?;
    if merge.is_empty() {
        for kind in &listed {
            show(&format!(
                "{:<6} {:<7} {}",
                kind.id,
                state(kind),
                kind.msg.escape_debug()
            ));
        }
        return Ok(());
    }
    let is_meant = |kind: &&StoredKind| merge.iter().any(|pattern| fits(pattern, &kind.msg));
    let meant: Vec<&str> = listed
        .iter()
        .filter(is_meant)
        .filter(|kind| !is_known_kind(&kind.msg))
        .map(|kind| kind.msg.as_str())
        .collect();
    if meant.is_empty() {
        let problem = "no kind is named so that can be merged; without --merge all are listed";
        return Err(ApplicationError::Command(problem.to_owned()));
    }
    let merged = conn
        .transaction(|conn| merge_kinds(conn, &meant))
        .map_err(failed_query)?;
    show(&format!(
        "{merged} kinds are merged; running servers know it within {} s",
        LOAD_INTERVAL.as_secs()
    ));
    Ok(())
}

fn state(kind: &StoredKind) -> &'static str {
    match (kind.merged, is_known_kind(&kind.msg)) {
        (true, _) => "merged",
        (false, true) => "known",
        (false, false) => "listed",
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// Takes over what others do to the dictionary, as long as the server runs.
pub(super) async fn keep_up(kinds: Arc<Kinds>, pools: Pools) {
    loop {
        tokio::time::sleep(LOAD_INTERVAL).await;
        let known = kinds.clone();
        let loaded = pools.housekeep(STATEMENT_TIMEOUT, move |conn| known.load(conn));
        if let Err(error) = loaded.await {
            log::debug!("the dictionary of kinds could not be read: {error}");
        }
    }
}
