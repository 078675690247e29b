//! Keeps the heartbeats of services that came over websockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::database::Pools;
use crate::ingest::Ingest;
use crate::store::{ServiceBeat, keep_heartbeats};
use crate::telemetry::Heartbeat;

/// How often they are kept.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps them, until the server ends.
pub(super) async fn record(ingest: Arc<Ingest>, pools: Pools) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let waiting = ingest.heartbeats().take();
        if waiting.is_empty() {
            continue;
        }
        let (pools, beats) = (pools.clone(), waiting.clone());
        let kept = actix_web::web::block(move || {
            let mut conn = pools.control().ok()?;
            let now = Instant::now();
            let beats: Vec<ServiceBeat> = beats.iter().map(|beat| to_keep(beat, now)).collect();
            let kept = conn.transaction(|conn| keep_heartbeats(conn, &beats));
            kept.inspect_err(|error| log::debug!("heartbeats could not be kept: {error}"))
                .ok()
        });
        if !matches!(kept.await, Ok(Some(_))) {
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
