//! The heartbeat of this server to a dead-man's switch: while it is well.

use std::time::Duration;

use super::client::Client;
use super::receiver::accepted;
use super::retry;
use crate::config::{NotifyConfig, TargetUrl};

/// The share of the interval by which a heartbeat may come earlier or later.
const JITTER: f64 = 0.1;

/// A dead-man's switch.
#[derive(Debug, Clone)]
pub struct DeadMan {
    url: TargetUrl,
    client: Client,
    interval: Duration,
}

impl DeadMan {
    /// The one of the settings, if there is one.
    pub fn new(config: &NotifyConfig) -> Option<Self> {
        let url = config.deadman.clone()?;
        Some(Self {
            url,
            client: Client::of(config),
            interval: config.deadman_interval,
        })
    }

    /// Time until the next heartbeat.
    pub fn pause(&self) -> Duration {
        self.interval
            .mul_f64(1.0 - JITTER + 2.0 * JITTER * retry::random())
    }

    /// Sends a heartbeat, and waits for the answer.
    ///
    /// # Errors
    /// Why it did not arrive.
    pub fn beat(&self, body: &str) -> Result<(), String> {
        let answer = self
            .client
            .post(self.url.url().as_str(), &[], body.as_bytes())?;
        match accepted(&answer) {
            true => Ok(()),
            false => Err(answer.reason()),
        }
    }
}
