//! What the kinds of targets share.

use std::time::Duration;

use super::client::{Answer, Client};
use crate::store::outbox::Delivery;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver took it.
    Delivered,
    /// It is tried again after a while.
    Retry {
        /// The wait.
        wait: Duration,
        /// What it failed with.
        error: String,
    },
    /// It is given up.
    Dead(String),
    /// The receiver is gone for good: nothing is sent to it any more.
    Gone(String),
}

/// A kind of target.
pub(super) trait Receiver: Send + Sync {
    /// Most deliveries of one attempt.
    fn batch_max(&self) -> i64;

    /// Sends deliveries; a verdict for each.
    fn send(&self, client: &Client, deliveries: &[Delivery]) -> Vec<Verdict>;

    /// How often what is open is sent again; none for never.
    fn resend_interval(&self) -> Option<Duration> {
        None
    }
}

/// Whether an answer is a success, which only those from 200 to 299 are.
pub(super) fn accepted(answer: &Answer) -> bool {
    (200..=299).contains(&answer.status)
}
