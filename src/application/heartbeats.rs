//! Keeps the heartbeats of services that came over websockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::database::Pools;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::metrics::jobs::SERVICE_BEATS;
use crate::store::{ServiceBeat, keep_heartbeats};
use crate::telemetry::Heartbeat;

/// How often they are kept.
const INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for an answer; they are kept again then.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Keeps them, until the server ends.
pub(super) async fn record(ingest: Arc<Ingest>, metrics: Arc<Metrics>, pools: Pools) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let waiting = ingest.heartbeats().take();
        if waiting.is_empty() {
            continue;
        }
        let run = metrics.jobs.begin(SERVICE_BEATS);
        let beats = waiting.clone();
        let kept = pools.housekeep(ANSWER_MAX, move |conn| {
            let now = Instant::now();
            let beats: Vec<ServiceBeat> = beats.iter().map(|beat| to_keep(beat, now)).collect();
            keep_heartbeats(conn, &beats)
        });
        let kept = kept.await;
        run.end(&kept);
        if let Err(error) = kept {
            log::debug!("heartbeats could not be kept: {error}");
            ingest.heartbeats().put_back(waiting);
        }
    }
}

fn to_keep((at, beat): &(Instant, Heartbeat), now: Instant) -> ServiceBeat {
    let age = now.saturating_duration_since(*at);
    ServiceBeat {
        service: beat.service.clone(),
        interval_s: beat.interval_s,
        jitter_s: beat.jitter_s,
        is_down: beat.is_down,
        metrics: beat.metrics.clone(),
        age_ms: i64::try_from(age.as_millis()).unwrap_or(i64::MAX),
    }
}
