//! What runs beside ingestion once the database is up: the membership in the
//! cluster, the jobs that it gives to this server, and a look at the disk.

use std::sync::Arc;

use diesel::PgConnection;

use super::ApplicationError;
use super::database::Database;
use super::disk;
use super::heartbeats;
use super::losses;
use super::outage::{self, OutageParts};
use super::standard_output;
use crate::alerts::{self, Keeper, KeeperParts, TargetKind};
use crate::changes::Awaited;
use crate::cluster::{Activity, Job, Leases, Member, MemberParts};
use crate::config::Config;
use crate::database::{LostThreads, RoundsParts};
use crate::http::AppState;
use crate::messages::Recent;
use crate::notify::{Console, Transports, TransportsParts, Workers, WorkersParts, target_names};
use crate::projections::{Runner, RunnerParts};
use crate::retention::{Purger, PurgerParts};
use crate::status::{Evaluator, EvaluatorParts};
use crate::store::end_sessions;

/// The jobs of this server.
#[derive(Debug)]
pub(super) struct Jobs {
    member: Member,
    projections: Runner,
    /// For what readers of this server wait.
    pub(super) awaited: Arc<Awaited>,
    status: Evaluator,
    alerts: Keeper,
    notify: Workers,
    transports: Transports,
    purger: Purger,
}

impl Jobs {
    /// Starts them.
    pub(super) fn start(
        state: &AppState,
        server_id: &Arc<str>,
        database: &Database,
        recent: Arc<Recent>,
        lost: LostThreads,
    ) -> Result<Self, ApplicationError> {
        let (config, metrics) = (&state.config, &state.metrics);
        let (counters, server) = (metrics.clone(), state.server.clone());
        let rounds = RoundsParts {
            url: database.url.clone(),
            lost,
            metrics: metrics.clone(),
        };
        let name = sysinfo::System::host_name().unwrap_or_default();
        let member = Member::start(MemberParts {
            rounds: rounds.clone(),
            server_id: server_id.clone(),
            name: name.clone(),
            started_at: database.started_at,
            server: state.server.clone(),
            activity: Box::new(move || Activity {
                sessions: counters.sessions.get(),
                messages: counters.messages_received.get(),
                delayed_ago: server.delayed_ago(),
                dropped: counters.messages_dropped_total(),
                spool: (counters.spool_bytes.get(), counters.spool_bytes_max.get()),
                disk_full_in_days: Some(counters.disk.full_in.get() / 86_400.0)
                    .filter(|days| days.is_finite()),
            }),
            end_sessions: |conn: &mut PgConnection, servers: &[String]| end_sessions(conn, servers),
            jobs: Job::ALL
                .into_iter()
                .chain(Transports::jobs(&config.transports))
                .collect(),
        })?;
        let leases = member.leases();
        let awaited = Arc::new(Awaited::default());
        let projections = Runner::start(RunnerParts {
            rounds: rounds.clone(),
            statement_max: config.store.write_timeout,
            leases: leases.clone(),
            recent,
            awaited: awaited.clone(),
            event_expiry: config.retention.event_expiry,
        })?;
        let status = Evaluator::start(EvaluatorParts {
            rounds: rounds.clone(),
            leases: leases.clone(),
            config: config.status.clone(),
        })?;
        let alerts = start_alerts(config, rounds.clone(), leases)?;
        let notify = Workers::start(&WorkersParts {
            rounds: rounds.clone(),
            leases: leases.clone(),
            config: config.notify.clone(),
            alertmanager: alerts::payload::alertmanager,
        })?;
        let transports = start_transports(config, rounds.clone(), leases)?;
        let purger = Purger::start(PurgerParts {
            rounds,
            config: config.clone(),
            leases: leases.clone(),
        })?;
        actix_web::rt::spawn(disk::watch(
            config.clone(),
            metrics.clone(),
            database.pools.clone(),
            database.is_own(),
        ));
        actix_web::rt::spawn(heartbeats::record(
            state.ingest.clone(),
            metrics.clone(),
            database.pools.clone(),
        ));
        actix_web::rt::spawn(losses::record(
            metrics.clone(),
            database.pools.clone(),
            server_id.clone(),
        ));
        actix_web::rt::spawn(outage::watch(OutageParts {
            notify: config.notify.clone(),
            server: state.server.clone(),
            pools: database.pools.clone(),
            server_id: server_id.clone(),
            name,
        }));
        Ok(Self {
            member,
            projections,
            awaited,
            status,
            alerts,
            notify,
            transports,
            purger,
        })
    }

    /// Releases the leases and records the stop.
    pub(super) async fn stop(self) {
        let stopped = tokio::task::spawn_blocking(move || {
            self.notify.stop();
            self.transports.stop();
            self.alerts.stop();
            self.purger.stop();
            self.status.stop();
            self.projections.stop();
            self.member.stop();
        })
        .await;
        if let Err(error) = stopped {
            log::error!("the jobs of this server did not stop: {error}");
        }
    }
}

/// Starts what keeps alerts, with the names of all targets.
fn start_alerts(config: &Config, rounds: RoundsParts, leases: &Leases) -> std::io::Result<Keeper> {
    let (webhooks, alertmanagers) = target_names(&config.notify);
    let of = |names: Vec<String>, kind: TargetKind| {
        names.into_iter().map(move |name| (name, kind.clone()))
    };
    let targets = of(webhooks, TargetKind::Webhook);
    Keeper::start(KeeperParts {
        rounds,
        leases: leases.clone(),
        status: config.status.clone(),
        notify: config.notify.clone(),
        targets: targets
            .chain(of(alertmanagers, TargetKind::Alertmanager))
            .collect(),
    })
}

/// Starts the transports of events, which may write to standard output.
fn start_transports(
    config: &Config,
    rounds: RoundsParts,
    leases: &Leases,
) -> std::io::Result<Transports> {
    Transports::start(&TransportsParts {
        rounds,
        leases: leases.clone(),
        config: config.transports.clone(),
        notify: config.notify.clone(),
        console: Console::new(standard_output::write, config.notify.timeout),
    })
}
