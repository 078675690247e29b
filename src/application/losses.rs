//! Keeps in the database what this server received and did not keep, so that it can be told
//! apart from what nodes did not send.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use crate::database::Pools;
use crate::metrics::Metrics;
use crate::metrics::jobs::LOSSES;
use crate::store::add_losses;

/// How often it is looked; what was lost in the last seconds of a server is in its log only.
const INTERVAL: Duration = Duration::from_secs(5);

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Writes what is new, until the server ends.
pub(super) async fn record(metrics: Arc<Metrics>, pools: Pools, server_id: Arc<str>) {
    let mut kept: HashMap<&'static str, u64> = HashMap::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let all = metrics.messages_not_kept();
        let fresh = |(reason, count): &(&'static str, u64)| {
            let more = count - kept.get(reason).copied().unwrap_or(0);
            (more > 0).then(|| (*reason, i64::try_from(more).unwrap_or(i64::MAX)))
        };
        let losses: Vec<_> = all.iter().filter_map(fresh).collect();
        if losses.is_empty() {
            continue;
        }
        let run = metrics.jobs.begin(LOSSES);
        let server_id = server_id.clone();
        let written = pools.housekeep(ANSWER_MAX, move |conn| {
            add_losses(conn, &server_id, Utc::now(), &losses)
        });
        // What could not be written is written with the next.
        let written = written.await;
        run.end(&written);
        match written {
            Ok(()) => kept.extend(all),
            Err(error) => log::debug!("losses could not be kept: {error}"),
        }
    }
}
