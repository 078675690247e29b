//! Whether the disk lasts: measured every ten minutes, shown at the start and in
//! the metrics before it is full.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::database::Pools;
use crate::metrics::jobs::DISK;
use crate::metrics::{DiskSpace, Metrics};
use crate::store::{Growth, growth};
use chrono::Utc;

const LOOK_INTERVAL: Duration = Duration::from_secs(600);

/// Longest wait for the answer of the database.
const ANSWER_MAX: Duration = Duration::from_secs(60);

const DAY_S: f64 = 86_400.0;

/// Watches the disk until the server ends. `is_own`: the database is on it.
pub(super) async fn watch(config: Arc<Config>, metrics: Arc<Metrics>, pools: Pools, is_own: bool) {
    let mut warned = false;
    loop {
        let run = metrics.jobs.begin(DISK);
        let grown = pools.housekeep(ANSWER_MAX, |conn| growth(conn, Utc::now()));
        let grown = grown.await;
        run.end(&grown);
        let (of, seen, grown) = (config.clone(), metrics.clone(), grown.ok());
        let looked = actix_web::web::block(move || look(&of, &seen, grown, is_own)).await;
        if let (Ok(Some(warning)), false) = (looked, warned) {
            log::warn!("{warning}");
            warned = true;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Shows what is free and how long it lasts; gives a warning if that is too short.
fn look(
    config: &Config,
    metrics: &Metrics,
    growth: Option<Growth>,
    is_own: bool,
) -> Option<String> {
    let available = DiskSpace::of(&config.store.data_dir)?.available;
    let spooled = u64::try_from(metrics.spool_bytes.get()).unwrap_or_default();
    let spool_left = config.store.spool_bytes_max.saturating_sub(spooled);
    if let Some(bytes_per_s) = growth.and_then(|growth| growth.bytes_per_s) {
        metrics.disk.growth.set(bytes_per_s);
    }
    let days = match growth {
        Some(growth) if is_own => days_until_full(available, growth, config.retention.expiry),
        _ => None,
    };
    let seconds = days.map_or(f64::NAN, |days| days * DAY_S);
    metrics.disk.full_in.set(seconds);
    match days {
        Some(days) if days.is_finite() => Some(format!(
            "the disk of DATA_DIR has {} left and is full in {days:.0} days at the present rate, before the first messages \
             are purged: lower LOG_EXPIRY_H, or give it more disk",
            gigabytes(available)
        )),
        _ if available < spool_left => Some(format!(
            "the disk of DATA_DIR has {} left, less than the spool may still take ({}): lower SPOOL_MAX_BYTES, or give it more disk",
            gigabytes(available),
            gigabytes(spool_left)
        )),
        _ => None,
    }
}

/// Days until `available` bytes are taken; infinite if messages are purged before,
/// none if the growth is not known.
fn days_until_full(available: u64, growth: Growth, expiry: Duration) -> Option<f64> {
    let bytes_per_s = growth.bytes_per_s?;
    let available = float(available);
    // From then on as much is purged as comes.
    let largest = bytes_per_s * expiry.as_secs_f64();
    let lasts = largest - float(growth.bytes) <= available;
    Some(if lasts {
        f64::INFINITY
    } else {
        available / bytes_per_s / DAY_S
    })
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", float(bytes) / 1e9)
}

/// Exact to a kilobyte, up to 4 TB; above, in steps of a gigabyte.
fn float(bytes: u64) -> f64 {
    let kilobytes = u32::try_from(bytes >> 10).map(f64::from);
    let gigabytes = || u32::try_from(bytes >> 30).map_or(f64::MAX, f64::from);
    kilobytes.map_or_else(
        |_large| gigabytes() * 1_073_741_824.0,
        |number| number * 1_024.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// 4 GB a day.
    fn growth(bytes: u64) -> Growth {
        Growth {
            bytes,
            bytes_per_s: Some(4e9 / DAY_S),
        }
    }

    #[test]
    fn a_disk_is_full_when_the_present_rate_has_filled_it() {
        let days = days_until_full(100_000_000_000, growth(0), 365 * DAY).unwrap();
        assert!((24.9..25.1).contains(&days), "{days}");
    }

    #[test]
    fn a_disk_lasts_if_messages_are_purged_before_it_is_full() {
        for (bytes, expiry) in [(0, 20 * DAY), (40_000_000_000, 30 * DAY)] {
            let days = days_until_full(100_000_000_000, growth(bytes), expiry);
            assert_eq!(days, Some(f64::INFINITY));
        }
    }

    #[test]
    fn nothing_is_foretold_from_too_little() {
        let unknown = Growth {
            bytes: 7,
            bytes_per_s: None,
        };
        assert_eq!(days_until_full(1, unknown, DAY), None);
    }
}
