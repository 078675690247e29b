//! When a delivery is tried again.

use std::time::Duration;

use chrono::{DateTime, Utc};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Waits after the first, second, … failure, seconds: with the first attempt ten tries over three days
/// (Standard Webhooks 1.0.0, "deliverability").
const SCHEDULE_S: [u64; 9] = [
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

/// The wait of a webhook may be longer by this share of it, so that many do not come back at once.
const JITTER: f64 = 0.2;

/// Longest wait for an Alertmanager: it forgets alerts after five minutes.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A receiver cannot ask for a longer wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * HOUR);

/// The wait of a webhook after so many attempts; none if it is given up. `random` is from 0 to 1.
pub(super) fn scheduled(attempts: i32, random: f64) -> Option<Duration> {
    let failures = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let seconds = Duration::from_secs(*SCHEDULE_S.get(failures)?);
    Some(seconds.mul_f64(1.0 + JITTER * random))
}

/// The wait after so many attempts: up to a second, doubling, with full jitter.
pub(super) fn backoff(attempts: i32, random: f64) -> Duration {
    let doublings = u32::try_from(attempts.max(1) - 1).unwrap_or(0).min(10);
    let most = (Duration::from_secs(1) * 2_u32.pow(doublings)).min(BACKOFF_MAX);
    most.mul_f64(random).max(Duration::from_millis(100))
}

/// The wait that a receiver asked for, or the longer one that is due anyway.
pub(super) fn asked(wait: Duration, retry_after: Option<Duration>) -> Duration {
    wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
}

/// The wait that `Retry-After` asks for: a number of seconds, or a time.
pub(super) fn after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = DateTime::parse_from_rfc2822(value).ok()?;
    Some((time.to_utc() - Utc::now()).to_std().unwrap_or_default())
}

/// A number from 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        // Without random numbers all wait for the middle of the time.
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_has_ten_tries_over_three_days() {
        let waits: Vec<_> = (1..)
            .map_while(|attempts| scheduled(attempts, 0.0))
            .collect();
        assert_eq!(waits.len() + 1, 10);
        let all: Duration = waits.iter().sum();
        assert_eq!(all.as_secs() / 3_600, 75);
        assert_eq!(waits.first(), Some(&Duration::from_secs(5)));
        assert_eq!(scheduled(1, 1.0), Some(Duration::from_secs(6)));
    }

    #[test]
    fn a_backoff_grows_to_a_minute() {
        let most: Vec<u64> = (1..=8)
            .map(|attempts| backoff(attempts, 1.0).as_secs())
            .collect();
        assert_eq!(most, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(3, 0.0), Duration::from_millis(100));
    }

    #[test]
    fn a_receiver_asks_for_more_time_and_not_for_ever() {
        let second = Duration::from_secs(1);
        assert_eq!(asked(second, None), second);
        assert_eq!(asked(second, Some(second * 30)), second * 30);
        assert_eq!(asked(second, Some(Duration::MAX)), RETRY_AFTER_MAX);
        assert_eq!(after(" 7 "), Some(second * 7));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = (Utc::now() + chrono::TimeDelta::hours(1)).to_rfc2822();
        assert!(after(&later) > Some(second * 3_500));
        assert_eq!(after("soon"), None);
    }
}
