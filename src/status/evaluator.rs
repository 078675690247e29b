//! The thread that judges all nodes of the database each second, while this server has
//! the lease, on a connection of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::result::QueryResult;

use super::fleet::Fleet;
use super::flips::{ChainFlip, Flips, Kept, NodeFlip, NodeKey};
use super::look::{self, Progress};
use super::machine::Time;
use super::outages::{Outage, Outages};
use super::services::{ServiceFlip, Services};
use crate::cluster::{Job, Lease, LeaseError, Leases};
use crate::config::{NodeRules, StatusConfig};
use crate::database::{Connection, Connector, Round, Rounds, RoundsParts};
use crate::metrics::{Metrics, NodeState};
use crate::store::status::{self, ChainChange, NodeChange};
use crate::store::{ServiceChange, keep_services};

/// Time between rounds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limit of each statement: later its answer would come after the lease has ended.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for the end of the thread.
const STOP_MAX: Duration = Duration::from_secs(1);

/// A message that arrived so long ago is stored, unless its server says otherwise.
const STORED_AFTER: TimeDelta = TimeDelta::seconds(1);

/// How often it is kept that nodes are judged.
const PROGRESS_INTERVAL: TimeDelta = TimeDelta::seconds(5);

/// What the evaluator needs from outside.
#[derive(Debug)]
pub struct EvaluatorParts {
    /// How to reach the database.
    pub rounds: RoundsParts,
    /// The leases of this server.
    pub leases: Leases,
    /// Thresholds.
    pub config: StatusConfig,
}

/// The running thread.
#[derive(Debug)]
pub struct Evaluator(Rounds);

impl Evaluator {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: EvaluatorParts) -> std::io::Result<Self> {
        let (rounds, parts) = (parts.rounds.clone(), Arc::new(parts));
        let make = move |connector| Judging {
            parts: parts.clone(),
            connector,
            judge: None,
        };
        let rounds = Rounds::start(rounds, "status", STATEMENT_TIMEOUT, make)?;
        Ok(Self(rounds))
    }

    /// Ends it, and waits for a moment; what was not kept is judged again.
    pub fn stop(self) {
        self.0.stop(STOP_MAX);
    }
}

/// What the thread does each second.
struct Judging {
    parts: Arc<EvaluatorParts>,
    connector: Connector,
    /// What is known from the last rounds; none if there were none.
    judge: Option<Judge>,
}

impl Round for Judging {
    fn round(&mut self) -> Duration {
        let started_at = Instant::now();
        self.judge = self.judged();
        INTERVAL.saturating_sub(started_at.elapsed())
    }
}

impl Judging {
    /// One round; gives what is known after it. Whatever fails, the next round begins from
    /// what is kept.
    fn judged(&mut self) -> Option<Judge> {
        let (metrics, judge) = (&self.parts.rounds.metrics, self.judge.take());
        let Some(lease) = self.parts.leases.held(Job::Status) else {
            if judge.is_some() {
                metrics.status.show(|_| 0);
            }
            return None;
        };
        let started_at = Instant::now();
        let judged = metrics.jobs.run(&Job::Status.name(), || {
            let mut judge = match judge {
                Some(judge) => judge,
                None => self.begin()?,
            };
            judge.round(&lease, metrics)?;
            Ok(judge)
        });
        match judged {
            Ok(judge) => {
                let took = started_at.elapsed().as_secs_f64();
                metrics.status.round_seconds.observe(took);
                let counts = judge.fleet.counts();
                (metrics.status).show(|state| counts.get(&state).copied().unwrap_or(0));
                Some(judge)
            }
            // Another server goes on with it.
            Err(LeaseError::Lost(_)) => None,
            Err(LeaseError::Database(error)) => {
                log::debug!("status: {error}");
                metrics.status.failures.inc();
                None
            }
        }
    }

    /// Takes up what is kept.
    fn begin(&self) -> Result<Judge, LeaseError> {
        let mut conn = self.connector.connect()?;
        let mut fleet = Fleet::new(self.parts.config.clone());
        let mut outages = Outages::default();
        let (progress, chains, watched) = conn.transaction(|conn| {
            let progress = look::progress(conn)?;
            QueryResult::Ok((progress, look::chains(conn)?, look::watched(conn)?))
        })?;
        outages.begin(progress.judged_at, progress.now);
        for (key, kept) in chains {
            fleet.restore_chain(key, kept);
        }
        Ok(Judge {
            watched,
            conn,
            fleet,
            services: Services::default(),
            rules: self.parts.config.rules,
            outages,
            position: None,
            known_until: None,
            left_open: progress.judged_at,
            kept_at: None,
        })
    }
}

/// The nodes, and what was seen of them so far.
struct Judge {
    conn: Connection,
    fleet: Fleet,
    services: Services,
    rules: NodeRules,
    outages: Outages,
    /// Nodes of which a state is kept, until the first look.
    watched: Vec<NodeKey>,
    /// How far the projection was when the nodes were read.
    position: Option<i64>,
    /// What had arrived before was known then.
    known_until: Option<Time>,
    /// Outages that were left open by a server that judged until then.
    left_open: Option<Time>,
    kept_at: Option<Time>,
}

impl Judge {
    fn round(&mut self, lease: &Lease, metrics: &Metrics) -> Result<(), LeaseError> {
        let (progress, servers) = self
            .conn
            .transaction(|conn| QueryResult::Ok((look::progress(conn)?, look::servers(conn)?)))?;
        if progress.position.is_none() && progress.judged_at.is_none() {
            // The first build of a new database, or of one that comes from an older version.
            return Ok(());
        }
        let now = progress.now;
        self.outages.look(now, &servers);
        let flips = match progress.position {
            Some(position) => {
                let known_until = now - progress.lag() - STORED_AFTER;
                if self.position != Some(position) {
                    self.look(&progress, known_until)?;
                }
                self.fleet.judge(known_until, &self.outages)
            }
            None => {
                self.outages.unknown(now);
                self.position = None;
                Flips::default()
            }
        };
        let services = self.conn.transaction(look::services)?;
        let grace_until = self.outages.grace_until(None);
        let services = self.services.judge(services, now, grace_until, &self.rules);
        let news = self.outages.take_news(now);
        let is_due = self.kept_at.is_none_or(|at| now - at >= PROGRESS_INTERVAL);
        if !is_due && flips.is_empty() && services.is_empty() && news.is_empty() {
            return Ok(());
        }
        let changes = self.keep(lease, (&flips, &services), &news, now)?;
        self.kept_at = Some(now);
        for verdict in (flips.chains.iter().map(|flip| flip.verdict))
            .chain(flips.nodes.iter().map(|flip| flip.verdict))
            .chain(services.iter().map(|flip| flip.verdict))
        {
            metrics.status.changed(verdict.to);
        }
        self.services.enter(&services);
        self.fleet.enter(flips, &changes, now);
        Ok(())
    }

    /// Reads the nodes.
    fn look(&mut self, progress: &Progress, known_until: Time) -> QueryResult<()> {
        let late_by = match self.known_until {
            Some(before) => (known_until - before - TimeDelta::seconds(1)).max(TimeDelta::zero()),
            None => TimeDelta::zero(),
        };
        self.fleet.begin_look(&self.outages);
        let mut unknown = Vec::new();
        for (handle, seen) in self.conn.transaction(look::sightings)? {
            if !self.fleet.see_again(handle, seen, late_by) {
                unknown.push(handle.session);
            }
        }
        let mut others = std::mem::take(&mut self.watched);
        others.extend(self.fleet.without_session().cloned());
        self.read(&unknown, &others, late_by)?;
        // They had a session until now, or another one since, or are no more.
        let ended = self.fleet.not_found();
        self.read(&[], &ended, late_by)?;
        for key in self.fleet.not_found() {
            self.fleet.forget(&key);
        }
        self.position = progress.position;
        self.known_until = Some(known_until);
        Ok(())
    }

    /// Reads nodes by their open sessions, or as they are.
    fn read(
        &mut self,
        sessions: &[i64],
        others: &[NodeKey],
        late_by: TimeDelta,
    ) -> QueryResult<()> {
        let (conn, outages) = (&mut self.conn, &self.outages);
        let nodes = conn.transaction(|conn| look::nodes(conn, sessions, others.iter(), outages))?;
        let (known, new): (Vec<_>, Vec<_>) = nodes
            .into_iter()
            .partition(|node| self.fleet.knows(&node.key));
        for node in known {
            self.fleet.see(node, late_by);
        }
        if new.is_empty() {
            return Ok(());
        }
        let kept: HashMap<NodeKey, Kept> = self
            .conn
            .transaction(|conn| look::kept(conn, &new))?
            .into_iter()
            .collect();
        for node in new {
            let kept = kept.get(&node.key).copied();
            self.fleet.watch(node, kept);
        }
        Ok(())
    }

    /// Keeps everything in one transaction; returns the numbers of the changes of chains.
    fn keep(
        &mut self,
        lease: &Lease,
        (flips, services): (&Flips, &[ServiceFlip]),
        news: &[Outage],
        now: Time,
    ) -> Result<Vec<i64>, LeaseError> {
        let (fleet, left_open) = (&self.fleet, self.left_open);
        let changes = lease.transaction(&mut self.conn, |conn| {
            if let Some(judged_at) = left_open {
                status::end_outages(conn, judged_at)?;
            }
            for outage in news {
                status::keep_outage(
                    conn,
                    &outage.server,
                    outage.from,
                    outage.until,
                    outage.cause.label(),
                )?;
            }
            status::keep_progress(conn, now)?;
            let chains: Vec<_> = flips.chains.iter().map(chain_change).collect();
            let kept = status::keep_chains(conn, &chains, now)?;
            let changes = flips.chains.iter().filter_map(|flip| {
                let is_it = |kept: &&status::KeptChain| {
                    kept.genesis_hash == flip.key.genesis_hash && kept.chain == flip.key.name
                };
                kept.iter().find(is_it).map(|kept| kept.id)
            });
            let changes: Vec<i64> = changes.collect();
            let part_of = |flip: &NodeFlip| {
                let chain = flip.part_of.as_ref()?;
                let of_round = flips.chains.iter().zip(&changes);
                let mut of_round = of_round.filter(|(flip, _)| flip.key == *chain);
                let before = || Some(fleet.last_change(chain)?.change);
                of_round.next().map(|(_, change)| *change).or_else(before)
            };
            let nodes: Vec<_> = flips
                .nodes
                .iter()
                .map(|flip| node_change(flip, part_of(flip)))
                .collect();
            let kept = status::keep_nodes(conn, &nodes, now)?;
            let of_services: Vec<_> = services.iter().map(service_change).collect();
            let kept_services = keep_services(conn, &of_services, now)?;
            for (change, nodes) in fleet.joining(flips) {
                let nodes = i64::try_from(nodes).unwrap_or(i64::MAX);
                status::add_lost(conn, change, nodes)?;
            }
            let all_kept = changes.len() == chains.len()
                && kept == nodes.len()
                && kept_services == of_services.len();
            if !all_kept {
                // What is known here is not what is kept: it is taken up again.
                return Err(LeaseError::Lost(Job::Status.name()));
            }
            Ok(changes)
        })?;
        self.left_open = None;
        Ok(changes)
    }
}

fn chain_change(flip: &ChainFlip) -> ChainChange<'_> {
    ChainChange {
        genesis_hash: &flip.key.genesis_hash,
        chain: &flip.key.name,
        name: &flip.name,
        from_state: flip.from.label(),
        to_state: flip.verdict.to.label(),
        reason: flip.verdict.reason.label(),
        since: flip.verdict.since,
        nodes: i64::try_from(flip.nodes).unwrap_or(i64::MAX),
        revision: flip.revision,
    }
}

fn service_change(flip: &ServiceFlip) -> ServiceChange<'_> {
    ServiceChange {
        service: &flip.service,
        from_state: flip.from.map(NodeState::label),
        to_state: flip.verdict.to.label(),
        reason: flip.verdict.reason.label(),
        since: flip.verdict.since,
        revision: flip.revision,
    }
}

fn node_change(flip: &NodeFlip, part_of: Option<i64>) -> NodeChange<'_> {
    NodeChange {
        peer_id: &flip.key.peer_id,
        genesis_hash: &flip.key.genesis_hash,
        from_state: flip.from.map(NodeState::label),
        to_state: flip.verdict.to.label(),
        reason: flip.verdict.reason.label(),
        since: flip.verdict.since,
        part_of,
        revision: flip.revision,
    }
}
