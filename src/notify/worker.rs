//! The threads that deliver, one for each target.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
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
use crate::config::{DatabaseUrl, NotifyConfig, TargetUrl};
use crate::database::{DatabaseError, connect};
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
    /// The database.
    pub url: DatabaseUrl,
    /// The leases of this server.
    pub leases: Leases,
    /// What goes outwards.
    pub config: NotifyConfig,
    /// What an Alertmanager is sent of an alert.
    pub alertmanager: fn(&AlertRow) -> serde_json::Value,
    /// All metrics.
    pub metrics: Arc<Metrics>,
}

/// The running threads.
#[derive(Debug)]
pub struct Workers {
    stop: Vec<mpsc::Sender<()>>,
    stopped: mpsc::Receiver<()>,
}

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

impl Workers {
    /// Starts a thread for each target.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: &WorkersParts) -> std::io::Result<Self> {
        let config = &parts.config;
        let (webhooks, alertmanagers) = target_names(config);
        let mut targets: Vec<(String, TargetUrl, Box<dyn Receiver>)> = Vec::new();
        for (name, url) in webhooks.into_iter().zip(&config.webhooks) {
            let (url, keys) = (url.clone(), config.webhook_keys.clone());
            targets.push((name, url.clone(), Box::new(Webhook { url, keys })));
        }
        for (name, url) in alertmanagers.into_iter().zip(&config.alertmanagers) {
            let url = url.clone();
            targets.push((name, url.clone(), Box::new(Alertmanager { url })));
        }
        let (has_stopped, stopped) = mpsc::channel();
        let mut stop = Vec::new();
        for (name, url, receiver) in targets {
            let worker = Worker {
                address_hash: hash(&url),
                name,
                receiver,
                client: Client::new(config.timeout, config.allow_private),
                timeout: config.timeout,
                url: parts.url.clone(),
                leases: parts.leases.clone(),
                alertmanager: parts.alertmanager,
                metrics: parts.metrics.clone(),
                conn: None,
                is_gone: false,
                backlog_at: None,
                resent_at: None,
            };
            let (sender, stop_requested) = mpsc::channel();
            let has_stopped = has_stopped.clone();
            std::thread::Builder::new()
                .name(worker.name.clone())
                .spawn(move || {
                    let _has_stopped = has_stopped;
                    worker.run(&stop_requested);
                })?;
            stop.push(sender);
        }
        Ok(Self { stop, stopped })
    }

    /// Ends them, and waits for a moment; what is under way is delivered again later if
    /// it is not confirmed.
    pub fn stop(self) {
        drop(self.stop);
        // Each thread drops its sender at its end.
        if self.stopped.recv_timeout(STOP_MAX) == Err(RecvTimeoutError::Timeout) {
            log::debug!("a delivery is still under way");
        }
    }
}

struct Worker {
    name: String,
    address_hash: String,
    receiver: Box<dyn Receiver>,
    client: Client,
    timeout: Duration,
    url: DatabaseUrl,
    leases: Leases,
    alertmanager: fn(&AlertRow) -> serde_json::Value,
    metrics: Arc<Metrics>,
    conn: Option<PgConnection>,
    /// It answered that it is gone.
    is_gone: bool,
    backlog_at: Option<Instant>,
    resent_at: Option<Instant>,
}

impl Worker {
    fn run(mut self, stop_requested: &mpsc::Receiver<()>) {
        loop {
            let pause = match self.round() {
                Ok(true) => Duration::ZERO,
                Ok(false) => POLL_INTERVAL,
                Err(error) => {
                    log::debug!("{}: {error}", self.name);
                    self.conn = None;
                    RETRY_WAIT
                }
            };
            // The sender is dropped when it is time to stop.
            if stop_requested.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Delivers what is due; whether there was anything.
    fn round(&mut self) -> Result<bool, DatabaseError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let mut conn = connect(&self.url, "notify", STATEMENT_TIMEOUT)?;
                let disabled = outbox::disabled(&mut conn, &self.name)?;
                self.is_gone =
                    disabled.is_some_and(|known| known.address_hash == self.address_hash);
                conn
            }
        };
        if self
            .backlog_at
            .is_none_or(|at| at.elapsed() >= BACKLOG_INTERVAL)
        {
            let backlog = outbox::backlog(&mut conn, &self.name)?;
            self.metrics
                .alerts
                .show_backlog(&self.name, backlog.pending, backlog.oldest_s);
            self.backlog_at = Some(Instant::now());
        }
        if self.is_gone {
            outbox::give_up(
                &mut conn,
                &self.name,
                "the receiver answered that it is gone (410)",
            )?;
            self.conn = Some(conn);
            return Ok(false);
        }
        self.resend(&mut conn)?;
        let attempts = u32::try_from(self.receiver.batch_max()).unwrap_or(1);
        let claimed_for = self.timeout * attempts.min(8) + CLAIM_MARGIN;
        let due = outbox::claim(
            &mut conn,
            &self.name,
            claimed_for,
            self.receiver.batch_max(),
        )?;
        if !due.is_empty() {
            let verdicts = self.receiver.send(&self.client, &due);
            for (delivery, verdict) in due.iter().zip(verdicts) {
                self.note(&mut conn, delivery, verdict)?;
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
                    self.name,
                    delivery.message_id,
                    wait.as_secs()
                );
                outbox::put_off(conn, delivery, wait, &error)?;
                DeliveryResult::Failed
            }
            Verdict::Dead(error) => {
                log::warn!(
                    "{} did not take {} in {} tries, and it is given up: {error}",
                    self.name,
                    delivery.message_id,
                    delivery.attempts
                );
                outbox::finish(conn, delivery, Some(&error))?;
                DeliveryResult::Dead
            }
            Verdict::Gone(error) => {
                log::warn!(
                    "{} is gone, and nothing is sent to it any more: {error}",
                    self.name
                );
                outbox::disable(conn, &self.name, &self.address_hash, &error)?;
                outbox::finish(conn, delivery, Some(&error))?;
                self.is_gone = true;
                DeliveryResult::Dead
            }
        };
        self.metrics.alerts.attempted(result);
        Ok(())
    }

    /// Sends what is open again, if the receiver needs that; what fails is sent the next time.
    fn resend(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let Some(interval) = self.receiver.resend_interval() else {
            return Ok(());
        };
        let is_due = self.resent_at.is_none_or(|at| at.elapsed() >= interval);
        if !is_due || self.leases.held(Job::Alerts).is_none() {
            return Ok(());
        }
        self.resent_at = Some(Instant::now());
        let open = alerts::open(conn)?;
        let open: Vec<Delivery> = open
            .iter()
            .filter(|alert| alert.delivered && !alert.silenced)
            .map(|alert| Delivery {
                id: 0,
                created_at: DateTime::<Utc>::UNIX_EPOCH,
                message_id: String::new(),
                payload: (self.alertmanager)(alert).to_string(),
                attempts: 1,
            })
            .collect();
        let size = usize::try_from(self.receiver.batch_max()).unwrap_or(1);
        for part in open.chunks(size) {
            if self
                .receiver
                .send(&self.client, part)
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
