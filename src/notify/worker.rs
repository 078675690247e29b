//! The threads that deliver, one for each target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::alertmanager::Alertmanager;
use super::client::Client;
use super::outlet::{Attempted, Outlet, address_hash};
use super::receiver::{Receiver, Verdict};
use super::webhook::Webhook;
use crate::cluster::{Job, Leases};
use crate::config::{NotifyConfig, TargetUrl};
use crate::database::{Connection, Connector, DatabaseError, Round, Rounds, RoundsParts};
use crate::metrics::Metrics;
use crate::metrics::jobs::NOTIFY;
use crate::store::alerts::{self, AlertRow};
use crate::store::outbox::{self, Delivery};

/// Pause between looks for what is due.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Pause after a failure of the database.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Limit of each statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

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
            let metrics = parts.rounds.metrics.clone();
            let target = Arc::new(Target {
                outlet: Outlet {
                    name,
                    address_hash: address_hash(&url),
                    receiver,
                    client: Client::of(config),
                    timeout: config.timeout,
                },
                leases: parts.leases.clone(),
                alertmanager: parts.alertmanager,
                metrics,
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
    outlet: Outlet,
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
                log::debug!("{}: {error}", self.target.outlet.name);
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
        let outlet = &target.outlet;
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let mut conn = self.connector.connect()?;
                self.is_gone = outlet.is_gone(&mut conn)?;
                conn
            }
        };
        if self
            .backlog_at
            .is_none_or(|at| at.elapsed() >= BACKLOG_INTERVAL)
        {
            let backlog = conn.transaction(|conn| outbox::backlog(conn, &outlet.name))?;
            let metrics = &target.metrics.alerts;
            metrics.show_backlog(&outlet.name, backlog.pending, backlog.oldest_s);
            self.backlog_at = Some(Instant::now());
        }
        if self.is_gone {
            let reason = "the receiver answered that it is gone (410)";
            conn.transaction(|conn| outbox::give_up(conn, &outlet.name, reason))?;
            self.conn = Some(conn);
            return Ok(false);
        }
        self.resend(&mut conn)?;
        let run = target.metrics.jobs.begin(NOTIFY);
        let attempted = outlet.deliver_due(&mut conn, |_, result| {
            target.metrics.alerts.attempted(result);
            Ok(())
        });
        match &attempted {
            // Nothing was due.
            Ok(Attempted { deliveries: 0, .. }) => drop(run),
            Ok(attempted) => run.end(&attempted.taken()),
            Err(_) => run.end(&attempted),
        }
        let attempted = attempted?;
        self.is_gone = attempted.is_gone;
        self.conn = Some(conn);
        Ok(attempted.deliveries > 0)
    }

    /// Sends what is open again, if the receiver needs that; what fails is sent the next time.
    fn resend(&mut self, conn: &mut Connection) -> Result<(), DatabaseError> {
        let outlet = &self.target.outlet;
        let Some(interval) = outlet.receiver.resend_interval() else {
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
        let size = usize::try_from(outlet.receiver.batch_max()).unwrap_or(1);
        for part in open.chunks(size) {
            if outlet
                .receiver
                .send(&outlet.client, part)
                .iter()
                .any(|verdict| *verdict != Verdict::Delivered)
            {
                break;
            }
        }
        Ok(())
    }
}
