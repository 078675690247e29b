//! The thread that compares what is wrong with the alerts that are open, while this server has
//! the lease, on a connection of its own. Alerts and what is to be delivered of them are
//! committed together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Timestamptz};

use super::evaluation::{Changes, Evaluation, Key, Open};
use super::finding::{self, Finding};
use super::payload;
use crate::cluster::{Job, Lease, LeaseError, Leases};
use crate::config::{NotifyConfig, Severity, StatusConfig};
use crate::database::{Connection, Connector, Round, Rounds, RoundsParts, statement};
use crate::store::alerts::{self, AlertRow, NewAlert};
use crate::store::outbox::{self, NewDelivery};

/// Time between rounds: half of that of the status, so that an alert follows it within a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// Chains, projections and versions are looked at less often: that reads all nodes that are online.
const CHAINS_INTERVAL: Duration = Duration::from_secs(10);

/// How often partitions of the outbox are looked after.
const PARTITIONS_INTERVAL: Duration = Duration::from_secs(3_600);

/// Limit of each statement: later its answer would come after the lease has ended.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for the end of the thread.
const STOP_MAX: Duration = Duration::from_secs(1);

/// To whom alerts are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// A webhook.
    Webhook,
    /// An Alertmanager.
    Alertmanager,
}

/// What the keeper needs from outside.
#[derive(Debug)]
pub struct KeeperParts {
    /// How to reach the database.
    pub rounds: RoundsParts,
    /// The leases of this server.
    pub leases: Leases,
    /// Thresholds of the status.
    pub status: StatusConfig,
    /// What goes outwards.
    pub notify: NotifyConfig,
    /// Names of the targets.
    pub targets: Vec<(String, TargetKind)>,
}

/// The running thread.
#[derive(Debug)]
pub struct Keeper(Rounds);

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
    /// Whether nodes are judged: what is not judged says nothing.
    #[diesel(sql_type = Bool)]
    is_judged: bool,
    /// Whether an outage of our own goes on, with the time that nodes need to come back.
    #[diesel(sql_type = Bool)]
    is_outage: bool,
    /// Nodes that something is wrong with.
    #[diesel(sql_type = BigInt)]
    troubled: i64,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: KeeperParts) -> std::io::Result<Self> {
        let (rounds, parts) = (parts.rounds.clone(), Arc::new(parts));
        let make = move |connector| Keeping {
            parts: parts.clone(),
            connector,
            known: None,
        };
        let rounds = Rounds::start(rounds, "alerts", STATEMENT_TIMEOUT, make)?;
        Ok(Self(rounds))
    }

    /// Ends it, and waits for a moment.
    pub fn stop(self) {
        self.0.stop(STOP_MAX);
    }
}

/// What the thread does twice a second.
struct Keeping {
    parts: Arc<KeeperParts>,
    connector: Connector,
    /// What is known from the last rounds; none if there were none.
    known: Option<Known>,
}

/// What is kept between rounds.
struct Known {
    conn: Connection,
    evaluation: Evaluation,
    of_chains: Vec<Finding>,
    chains_at: Option<Instant>,
    partitions_at: Option<Instant>,
    /// An outage of our own went on in the last round.
    is_outage: bool,
    /// Some nodes are left out, and the log says so.
    has_left_out: bool,
}

impl Round for Keeping {
    fn round(&mut self) -> Duration {
        let started_at = Instant::now();
        self.known = self.kept();
        INTERVAL.saturating_sub(started_at.elapsed())
    }
}

impl Keeping {
    /// One round; whatever fails, the next one begins anew.
    fn kept(&mut self) -> Option<Known> {
        let all = &self.parts.rounds.metrics;
        let (metrics, known) = (&all.alerts, self.known.take());
        let Some(lease) = self.parts.leases.held(Job::Alerts) else {
            if known.is_some() {
                metrics.nodes_left_out.set(0);
                metrics.show(|_| 0);
            }
            return None;
        };
        let done = all.jobs.run(&Job::Alerts.name(), || {
            let mut known = match known {
                Some(known) => known,
                None => self.begin()?,
            };
            self.parts.judge(&mut known, &lease)?;
            Ok(known)
        });
        match done {
            Ok(known) => Some(known),
            // Another server goes on with it.
            Err(LeaseError::Lost(_)) => None,
            Err(LeaseError::Database(error)) => {
                log::debug!("alerts: {error}");
                metrics.failures.inc();
                None
            }
        }
    }

    fn begin(&self) -> Result<Known, LeaseError> {
        Ok(Known {
            conn: self.connector.connect()?,
            evaluation: Evaluation::default(),
            of_chains: Vec::new(),
            chains_at: None,
            partitions_at: None,
            is_outage: false,
            has_left_out: false,
        })
    }
}

impl KeeperParts {
    fn judge(&self, known: &mut Known, lease: &Lease) -> Result<(), LeaseError> {
        let conn = &mut known.conn;
        let is_due =
            |at: Option<Instant>, interval| at.is_none_or(|at: Instant| at.elapsed() >= interval);
        if is_due(known.partitions_at, PARTITIONS_INTERVAL) {
            lease.transaction(conn, |conn| {
                Ok(outbox::keep_partitions(conn, Utc::now().date_naive())?)
            })?;
            known.partitions_at = Some(Instant::now());
        }
        let (state, mut found, open) = conn.transaction(|conn| {
            let state: State = statement(include_str!("state.sql")).get_result(conn)?;
            let found = finding::of_nodes(conn, &self.status)?;
            QueryResult::Ok((state, found, alerts::open(conn)?))
        })?;
        if !state.is_judged {
            // What was seen of chains before may be wrong when nodes are judged again.
            known.chains_at = None;
            return Ok(());
        }
        // What was seen while nodes came back is no reason to end an alert after it.
        let outage_ended =
            std::mem::replace(&mut known.is_outage, state.is_outage) && !state.is_outage;
        if is_due(known.chains_at, CHAINS_INTERVAL) || outage_ended {
            known.of_chains = conn.transaction(|conn| finding::of_chains(conn, &self.status))?;
            known.chains_at = Some(Instant::now());
        }
        known.has_left_out = self.show_left_out(state.troubled, known.has_left_out);
        found.extend(known.of_chains.iter().cloned());
        let by_key = open.iter().map(|alert| {
            let known = Open {
                id: alert.id,
                flaps: alert.flaps,
                absent_since: alert.absent_since,
            };
            ((alert.rule.clone(), alert.key.clone()), known)
        });
        let by_key: HashMap<Key, Open> = by_key.collect();
        let at = (state.now, state.is_outage);
        let changes = known
            .evaluation
            .judge(found, &by_key, &self.notify.rules, at);
        self.show(&open);
        let waits = |alert: &AlertRow| !alert.delivered && !alert.silenced && self.is_grave(alert);
        if changes == Changes::default() && !open.iter().any(waits) {
            return Ok(());
        }
        lease.transaction(conn, |conn| self.keep(conn, &changes, &open, state.now))?;
        for fire in &changes.fire {
            self.rounds.metrics.alerts.fired(fire.severity);
        }
        Ok(())
    }

    /// Keeps the changes, and enters what is to be delivered.
    fn keep(
        &self,
        conn: &mut PgConnection,
        changes: &Changes,
        known: &[AlertRow],
        now: DateTime<Utc>,
    ) -> Result<(), LeaseError> {
        let fire: Vec<NewAlert> = changes
            .fire
            .iter()
            .map(|fire| {
                let finding = fire.finding.clone();
                NewAlert {
                    rule: finding.rule,
                    key: finding.key,
                    severity: fire.severity.label(),
                    subject: finding.subject,
                    peer_id: finding.peer_id,
                    genesis_hash: finding.genesis_hash,
                    name: finding.name,
                    chain: finding.chain,
                    server_id: finding.server_id,
                    summary: finding.summary,
                    began_at: fire.began_at,
                }
            })
            .collect();
        alerts::fire(conn, &fire, now)?;
        alerts::resolve(conn, &changes.resolve, now)?;
        alerts::set_absent(conn, &changes.absent, Some(now))?;
        alerts::set_absent(conn, &changes.back, None)?;
        // Those that fired just now are among them.
        let open = alerts::open(conn)?;
        let begins = open
            .iter()
            .filter(|alert| !alert.delivered && !alert.silenced);
        let begins: Vec<&AlertRow> = begins.filter(|alert| self.is_grave(alert)).collect();
        let ends = known
            .iter()
            .filter(|alert| alert.delivered && changes.resolve.contains(&alert.id));
        let ends = ends.map(|alert| AlertRow {
            resolved_at: Some(alert.absent_since.unwrap_or(now)),
            ..alert.clone()
        });
        let mut deliveries: Vec<NewDelivery> = ends
            .flat_map(|alert| self.deliveries(&alert, now))
            .collect();
        deliveries.extend(begins.iter().flat_map(|alert| self.deliveries(alert, now)));
        outbox::enter(conn, &deliveries)?;
        let ids: Vec<i64> = begins.iter().map(|alert| alert.id).collect();
        alerts::set_delivered(conn, &ids)?;
        Ok(())
    }

    fn is_grave(&self, alert: &AlertRow) -> bool {
        alert
            .severity
            .parse::<Severity>()
            .is_ok_and(|severity| severity >= self.notify.severity_min)
    }

    /// One for each target.
    fn deliveries(&self, alert: &AlertRow, now: DateTime<Utc>) -> Vec<NewDelivery> {
        let phase = match alert.resolved_at {
            Some(_) => "resolved",
            None => "fired",
        };
        let of = |(target, kind): &(String, TargetKind)| {
            let payload = match kind {
                TargetKind::Webhook => payload::webhook(alert, now),
                TargetKind::Alertmanager => payload::alertmanager(alert),
            };
            NewDelivery {
                target: target.clone(),
                message_id: format!("alert_{}_{phase}", alert.id),
                alert_id: Some(alert.id),
                payload: payload.to_string(),
            }
        };
        self.targets.iter().map(of).collect()
    }

    /// Says of how many nodes in trouble no alert is kept; whether there are any. `is_said`: the log
    /// has it already.
    fn show_left_out(&self, troubled: i64, is_said: bool) -> bool {
        let left_out = (troubled - finding::NODES_MAX).max(0);
        self.rounds.metrics.alerts.nodes_left_out.set(left_out);
        if left_out > 0 && !is_said {
            log::warn!(
                "{troubled} nodes are in trouble: alerts are kept of the {} that have been so for longest, the others are on the page of all nodes",
                finding::NODES_MAX
            );
        }
        left_out > 0
    }

    fn show(&self, open: &[AlertRow]) {
        self.rounds.metrics.alerts.show(|severity| {
            let of = open
                .iter()
                .filter(|alert| alert.severity == severity.label());
            of.count()
        });
    }
}
