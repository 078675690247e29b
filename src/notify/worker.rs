//! The threads that deliver, one for each target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::result::QueryResult;
use sha2::{Digest, Sha256};

use super::alertmanager::Alertmanager;
use super::client::Client;
use super::receiver::{Receiver, Verdict};
use super::webhook::Webhook;
use crate::cluster::{Job, Leases};
use crate::config::{NotifyConfig, TargetUrl};
use crate::database::{Connection, Connector, DatabaseError, Round, Rounds, RoundsParts};
use crate::metrics::{DeliveryResult, Metrics};
use crate::store::alerts::{self, AlertRow};
use crate::store::outbox::{self, Delivery};

/// Pause between looks for what is due.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Pause after a failure of the database.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Limit of each statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A claim is longer than the attempts that it is for by this time.
const CLAIM_MARGIN: Duration = Duration::from_secs(15);

/// How often the backlog is looked up.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(5);

/// Longest wait for the end of the threads.
const STOP_MAX: Duration = Duration::from_secs(1);

/// What the workers need from outside.
#[derive(Debug)]
pub struct WorkersParts {
    /// How to reach the database.
    pub rounds: RoundsParts,
    /// The leases of this server.
    pub leases: Leases,
    /// What goes outwards.
    pub config: NotifyConfig,
    /// What an Alertmanager is sent of an alert.
    pub alertmanager: fn(&AlertRow) -> serde_json::Value,
}

/// The running threads.
#[derive(Debug)]
pub struct Workers(Vec<Rounds>);

/// Names of the webhooks and of the Alertmanagers, by their places in the settings.
pub fn target_names(config: &NotifyConfig) -> (Vec<String>, Vec<String>) {
    let names = |kind: &str, urls: &[TargetUrl]| {
        let places = 1..=urls.len();
        places.map(|place| format!("{kind}-{place}")).collect()
    };
    (
        names("webhook", &config.webhooks),
        names("alertmanager", &config.alertmanagers),
    )
}

/// All targets: name, address, and how to send.
pub(super) fn receivers(config: &NotifyConfig) -> Vec<(String, TargetUrl, Arc<dyn Receiver>)> {
    let (webhooks, alertmanagers) = target_names(config);
    let mut targets: Vec<(String, TargetUrl, Arc<dyn Receiver>)> = Vec::new();
    for (name, url) in webhooks.into_iter().zip(&config.webhooks) {
        let (url, keys) = (url.clone(), config.webhook_keys.clone());
        targets.push((name, url.clone(), Arc::new(Webhook { url, keys })));
    }
    for (name, url) in alertmanagers.into_iter().zip(&config.alertmanagers) {
        let url = url.clone();
        targets.push((name, url.clone(), Arc::new(Alertmanager { url })));
    }
    targets
}

impl Workers {
    /// Starts a thread for each target.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: &WorkersParts) -> std::io::Result<Self> {
        let config = &parts.config;
        let workers = receivers(config).into_iter().map(|(name, url, receiver)| {
            let target = Arc::new(Target {
                address_hash: hash(&url),
                name,
                receiver,
                client: Client::new(config.timeout, config.allow_private),
                timeout: config.timeout,
                leases: parts.leases.clone(),
                alertmanager: parts.alertmanager,
                metrics: parts.rounds.metrics.clone(),
            });
            let make = move |connector| Worker {
                target: target.clone(),
                connector,
                conn: None,
                is_gone: false,
                backlog_at: None,
                resent_at: None,
            };
            Rounds::start(parts.rounds.clone(), "notify", STATEMENT_TIMEOUT, make)
        });
        Ok(Self(workers.collect::<std::io::Result<_>>()?))
    }

    /// Ends them, and waits for a moment; what is under way is delivered again later if
    /// it is not confirmed.
    pub fn stop(self) {
        let until = Instant::now() + STOP_MAX;
        for worker in self.0 {
            worker.stop(until.saturating_duration_since(Instant::now()));
        }
    }
}

/// A target, and what its worker needs.
struct Target {
    name: String,
    address_hash: String,
    receiver: Arc<dyn Receiver>,
    client: Client,
    timeout: Duration,
    leases: Leases,
    alertmanager: fn(&AlertRow) -> serde_json::Value,
    metrics: Arc<Metrics>,
}

/// What the thread of a target does again and again.
struct Worker {
    target: Arc<Target>,
    connector: Connector,
    conn: Option<Connection>,
    /// The target answered that it is gone.
    is_gone: bool,
    backlog_at: Option<Instant>,
    resent_at: Option<Instant>,
}

impl Round for Worker {
    fn round(&mut self) -> Duration {
        match self.deliver() {
            Ok(true) => Duration::ZERO,
            Ok(false) => POLL_INTERVAL,
            Err(error) => {
                log::debug!("{}: {error}", self.target.name);
                self.conn = None;
                RETRY_WAIT
            }
        }
    }
}

impl Worker {
    /// Delivers what is due; whether there was anything.
    fn deliver(&mut self) -> Result<bool, DatabaseError> {
        let target = self.target.clone();
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let mut conn = self.connector.connect()?;
                let disabled = conn.transaction(|conn| outbox::disabled(conn, &target.name))?;
                self.is_gone =
                    disabled.is_some_and(|known| known.address_hash == target.address_hash);
                conn
            }
        };
        if self
            .backlog_at
            .is_none_or(|at| at.elapsed() >= BACKLOG_INTERVAL)
        {
            let backlog = conn.transaction(|conn| outbox::backlog(conn, &target.name))?;
            let metrics = &target.metrics.alerts;
            metrics.show_backlog(&target.name, backlog.pending, backlog.oldest_s);
            self.backlog_at = Some(Instant::now());
        }
        if self.is_gone {
            let reason = "the receiver answered that it is gone (410)";
            conn.transaction(|conn| outbox::give_up(conn, &target.name, reason))?;
            self.conn = Some(conn);
            return Ok(false);
        }
        self.resend(&mut conn)?;
        let most = target.receiver.batch_max();
        // A receiver that takes many at once takes them in one attempt.
        let attempts = u32::try_from(most).unwrap_or(1).min(8);
        let claimed_for = target.timeout * attempts + CLAIM_MARGIN;
        let due = conn.transaction(|conn| outbox::claim(conn, &target.name, claimed_for, most))?;
        if !due.is_empty() {
            let verdicts = target.receiver.send(&target.client, &due);
            for (delivery, verdict) in due.iter().zip(verdicts) {
                conn.transaction(|conn| self.note(conn, delivery, verdict))?;
            }
        }
        self.conn = Some(conn);
        Ok(!due.is_empty())
    }

    fn note(
        &mut self,
        conn: &mut PgConnection,
        delivery: &Delivery,
        verdict: Verdict,
    ) -> QueryResult<()> {
        let result = match verdict {
            Verdict::Delivered => {
                outbox::finish(conn, delivery, None)?;
                DeliveryResult::Delivered
            }
            Verdict::Retry { wait, error } => {
                log::info!(
                    "{} did not take {}: {error}; the next try is in {} s",
                    self.target.name,
                    delivery.message_id,
                    wait.as_secs()
                );
                outbox::put_off(conn, delivery, wait, &error)?;
                DeliveryResult::Failed
            }
            Verdict::Dead(error) => {
                log::warn!(
                    "{} did not take {} in {} tries, and it is given up: {error}",
                    self.target.name,
                    delivery.message_id,
                    delivery.attempts
                );
                outbox::finish(conn, delivery, Some(&error))?;
                DeliveryResult::Dead
            }
            Verdict::Gone(error) => {
                log::warn!(
                    "{} is gone, and nothing is sent to it any more: {error}",
                    self.target.name
                );
                outbox::disable(conn, &self.target.name, &self.target.address_hash, &error)?;
                outbox::finish(conn, delivery, Some(&error))?;
                self.is_gone = true;
                DeliveryResult::Dead
            }
        };
        self.target.metrics.alerts.attempted(result);
        Ok(())
    }

    /// Sends what is open again, if the receiver needs that; what fails is sent the next time.
    fn resend(&mut self, conn: &mut Connection) -> Result<(), DatabaseError> {
        let Some(interval) = self.target.receiver.resend_interval() else {
            return Ok(());
        };
        let is_due = self.resent_at.is_none_or(|at| at.elapsed() >= interval);
        if !is_due || self.target.leases.held(Job::Alerts).is_none() {
            return Ok(());
        }
        self.resent_at = Some(Instant::now());
        let open = conn.transaction(alerts::open)?;
        let open: Vec<Delivery> = open
            .iter()
            .filter(|alert| alert.delivered && !alert.silenced)
            .map(|alert| Delivery {
                id: 0,
                created_at: DateTime::<Utc>::UNIX_EPOCH,
                message_id: String::new(),
                payload: (self.target.alertmanager)(alert).to_string(),
                attempts: 1,
            })
            .collect();
        let size = usize::try_from(self.target.receiver.batch_max()).unwrap_or(1);
        for part in open.chunks(size) {
            if self
                .target
                .receiver
                .send(&self.target.client, part)
                .iter()
                .any(|verdict| *verdict != Verdict::Delivered)
            {
                break;
            }
        }
        Ok(())
    }
}

fn hash(url: &TargetUrl) -> String {
    let digest = Sha256::digest(url.url().as_str().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
