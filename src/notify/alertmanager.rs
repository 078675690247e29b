//! Alertmanager's `POST /api/v2/alerts`: many at once; what is open is sent again each minute,
//! for it forgets alerts that are not.

use std::time::Duration;

use super::client::Client;
use super::receiver::{Receiver, Verdict, accepted};
use super::retry;
use crate::config::TargetUrl;
use crate::store::outbox::Delivery;

/// Attempts until a delivery is given up: at a minute each a day.
const ATTEMPTS_MAX: i32 = 1_440;

/// An Alertmanager.
#[derive(Debug)]
pub(super) struct Alertmanager {
    pub(super) url: TargetUrl,
}

impl Receiver for Alertmanager {
    fn batch_max(&self) -> i64 {
        256
    }

    fn send(&self, client: &Client, deliveries: &[Delivery]) -> Vec<Verdict> {
        let payloads: Vec<&str> = deliveries.iter().map(|one| one.payload.as_str()).collect();
        let body = format!("[{}]", payloads.join(","));
        let base = self.url.url().as_str().trim_end_matches('/');
        let answer = client.post(&format!("{base}/api/v2/alerts"), &[], body.as_bytes());
        let (error, retry_after) = match answer {
            Ok(answer) if accepted(&answer) => return vec![Verdict::Delivered; deliveries.len()],
            Ok(answer) => (answer.reason(), answer.retry_after),
            Err(error) => (error, None),
        };
        let verdicts = deliveries
            .iter()
            .map(|delivery| match delivery.attempts < ATTEMPTS_MAX {
                true => Verdict::Retry {
                    wait: retry::asked(
                        retry::backoff(delivery.attempts, retry::random()),
                        retry_after,
                    ),
                    error: error.clone(),
                },
                false => Verdict::Dead(error.clone()),
            });
        verdicts.collect()
    }

    fn resend_interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }
}
