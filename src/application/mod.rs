//! The wiring: what is started in which order, and stopped in which.
//!
//! `database` brings the database up, `identity` is the name of the server, kept on disk,
//! `announce` is what standard output shows at the start.

mod announce;
mod database;
mod deadman;
mod disk;
mod files;
mod grafana;
mod grant_read;
mod heartbeats;
mod identity;
mod jobs;
mod kinds;
mod listen;
mod locations;
pub mod log_line;
pub mod log_output;
pub mod log_transport;
mod losses;
mod metrics_port;
mod outage;
mod panics;
mod rebuild;
mod replay;
mod service_manager;
mod stack;
mod standard_output;
mod stop;
mod tls;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Addr, Arbiter, System};
use actix_web::web;
use tokio::sync::watch;

use crate::config::Config;
use crate::database::LostThreads;
use crate::feed::{self, Demand, Hub, HubParts, RemoteParts};
use crate::http::{self, AppState, StoreHandle};
use crate::ingest::{Ingest, IngestParts};
use crate::locations::LocationsError;
use crate::messages::Recent;
use crate::metrics::Metrics;
use crate::projections;
use crate::server_state::ServerState;
use crate::store::{IdBlocks, Kinds, Spool};
use database::{BringUp, Database};
use files::ConnectionLimits;
pub use grafana::{dashboard, provision as provision_grafana};
pub use grant_read::grant_read;
use identity::Identity;
use jobs::Jobs;
pub use kinds::kinds;
pub use rebuild::rebuild;
pub use replay::replay;
pub use stack::stack_check;
use stop::Stopped;

/// Why the application could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// Nothing listens.
    #[error(
        "cannot listen on {address}: {cause}; is another server running? PORT and LISTEN_ADDRESS set it, or METRICS_ADDRESS"
    )]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The server's own directory cannot be used.
    #[error("{0}")]
    Identity(#[from] identity::IdentityError),
    /// The spool cannot be used.
    #[error("{0}; SPOOL_DIR sets it")]
    Spool(#[from] crate::store::SpoolError),
    /// The PostgreSQL of its own does not start.
    #[error("{0}")]
    Embedded(#[from] crate::postgres::EmbeddedError),
    /// The certificate cannot be used.
    #[error("{0}")]
    Tls(#[from] tls::TlsError),
    /// A file with locations cannot be used.
    #[error(transparent)]
    Locations(#[from] LocationsError),
    /// A mistake in the list of metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Server(#[from] std::io::Error),
    /// Too many threads wait for answers of the database that never come.
    #[error("too many threads wait in vain for the database: the server has to be started again")]
    ThreadsHang,
    /// A subcommand failed.
    #[error("{0}")]
    Command(String),
    /// Messages were lost when the server stopped.
    #[error(
        "{0} messages could neither be stored nor put on disk within SHUTDOWN_TIMEOUT_S and are lost"
    )]
    Lost(i64),
}

/// Runs the server until a signal stops it.
///
/// # Errors
/// If it cannot start, or if something was lost when it stopped.
pub fn run(config: Config) -> Result<(), ApplicationError> {
    let limits = files::raise_limit(&config);
    let system = System::new();
    let outcome = system.block_on(serve(Arc::new(config), limits));
    // Dropping it would wait for threads that wait for answers of the database,
    // however long; the end of the process ends them.
    std::mem::forget(system);
    outcome
}

async fn serve(config: Arc<Config>, limits: ConnectionLimits) -> Result<(), ApplicationError> {
    let metrics = start_metrics(&config, &limits)?;
    let identity = Identity::take(&config.store.data_dir)?;
    log_transport::start(&config, &identity.server_id, &metrics)?;
    let kinds = Arc::new(Kinds::new(config.store.kinds_max, metrics.clone()));
    let (ids, recent) = (Arc::new(IdBlocks::default()), Arc::new(Recent::default()));
    let server_state = Arc::new(ServerState::new(limits.telemetry, limits.feed));
    let spool = Spool::open(
        &config.store.spool_dir,
        config.store.spool_bytes_max,
        kinds.clone(),
        metrics.clone(),
    )?;

    // Telemetry is taken from the first moment on, also while the database is
    // not up yet; until it is, batches go to disk.
    let (pipeline, watchers) = (Arbiter::new(), Arbiter::new());
    for arbiter in [&pipeline, &watchers] {
        panics::make_vital(arbiter);
    }
    let hub_parts = hub_parts(&config, &identity.server_id, &kinds, &metrics);
    let (hub, demand) = Hub::start_in(&watchers, hub_parts);
    let ingest = Ingest::start(
        IngestParts {
            config: config.clone(),
            metrics: metrics.clone(),
            kinds: kinds.clone(),
            ids: ids.clone(),
            recent: recent.clone(),
            spool,
            hub: hub.clone(),
            server_id: identity.server_id.clone(),
            server: server_state.clone(),
        },
        &pipeline,
    );
    let state = web::Data::new(AppState::new(
        config.clone(),
        metrics.clone(),
        ingest.clone(),
        hub.clone(),
        server_state,
        locations::start(&config.locations)?,
    ));
    let tls = config.access.tls.as_ref();
    let tls = tls
        .map(|files| tls::start(files, &state.own_names))
        .transpose()?;
    let (server, address) = listen::listen(tls, state.clone(), limits.http)?;
    announce::listening(address, &config.access);
    let metrics_port = metrics_port::listen(&state)?;
    service_manager::listening();
    service_manager::watch(&[&pipeline, &watchers]);
    let handle = server.handle();
    deadman::start(&config, &state, &identity.server_id);
    grafana::start(&config);
    let lost = LostThreads::default();
    let stopped = stop::wait(state.clone(), actix_web::rt::spawn(server), lost.clone());
    tokio::pin!(stopped);

    let up = database::bring_up(BringUp {
        config: config.clone(),
        metrics: metrics.clone(),
        kinds: kinds.clone(),
        ids,
        server_id: identity.server_id.clone(),
    });
    let mut jobs = None;
    let (database, stopped) = tokio::select! {
        up = up => match up {
            Ok(database) => {
                let jobs = jobs.insert(Jobs::start(&state, &identity.server_id, &database, recent, lost)?);
                actix_web::rt::spawn(kinds::keep_up(kinds, database.pools.clone()));
                let shared = (&config, &metrics, &identity.server_id);
                feed::follow_others(remote_parts(shared, &database, jobs, (hub, demand))).await;
                state.set_store(StoreHandle { pools: database.pools.clone() });
                ingest.set_database(database.url.clone());
                announce::ready(&database.shown_url);
                service_manager::ready();
                (Some(database), (&mut stopped).await)
            }
            Err(error) => (None, Stopped::Failed(error)),
        },
        stopped = &mut stopped => (None, stopped),
    };
    service_manager::stopping();
    let outcome = stop::orderly(&config, &state, &metrics, stopped).await;
    handle.stop(false).await;
    if let Some(metrics_port) = metrics_port {
        metrics_port.stop(false).await;
    }
    if let Some(jobs) = jobs {
        jobs.stop().await;
    }
    if let Some(database) = database {
        database.stop().await;
    }
    pipeline.stop();
    watchers.stop();
    outcome
}

/// The metrics, with what they show from the first moment on.
fn start_metrics(
    config: &Config,
    limits: &ConnectionLimits,
) -> Result<Arc<Metrics>, ApplicationError> {
    let metrics = Arc::new(Metrics::new()?);
    log_output::count_in(metrics.log_lines_lost.clone());
    panics::install(metrics.clone());
    metrics.disk.show(&config.store.data_dir);
    metrics.connections_max.set(shown(limits.telemetry));
    metrics.feed.subscribers_max.set(shown(limits.feed));
    Ok(metrics)
}

/// A limit as metrics have it.
fn shown(limit: usize) -> f64 {
    u32::try_from(limit).map_or(f64::INFINITY, f64::from)
}

/// What the feed needs to follow what other servers store.
fn remote_parts(
    (config, metrics, server_id): (&Arc<Config>, &Arc<Metrics>, &Arc<str>),
    database: &Database,
    jobs: &Jobs,
    (hub, demand): (Addr<Hub>, watch::Receiver<Demand>),
) -> RemoteParts {
    RemoteParts {
        server_id: server_id.clone(),
        pools: database.pools.clone(),
        hub,
        demand,
        is_projected: projections::contains,
        awaited: jobs.awaited.clone(),
        config: config.clone(),
        metrics: metrics.clone(),
    }
}

fn hub_parts(
    config: &Config,
    server_id: &Arc<str>,
    kinds: &Arc<Kinds>,
    metrics: &Arc<Metrics>,
) -> HubParts {
    HubParts {
        server_id: server_id.clone(),
        kinds: kinds.clone(),
        metrics: metrics.clone(),
        update_interval: config.feed.update_interval,
        expiry: config.feed.expiry,
        write_nodes: http::write_nodes,
    }
}

/// Checks the health of the server on this machine.
///
/// # Errors
/// If it does not answer, or not well.
pub fn health_check(config: &Config) -> std::io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(3);
    const REQUEST: &[u8] =
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (config, is_tls) = (&config.http, config.access.tls.is_some());
    let ip = match config.listen_address {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let until = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(ip, config.port), PATIENCE)?;
    stream.set_read_timeout(Some(
        until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1)),
    ))?;
    let mut status = [0; 12];
    if is_tls {
        tls::ask_locally(&mut stream, REQUEST, &mut status)?;
    } else {
        stream.write_all(REQUEST)?;
        stream.read_exact(&mut status)?;
    }
    if status == *b"HTTP/1.1 200" {
        Ok(())
    } else {
        let status = String::from_utf8_lossy(&status).into_owned();
        Err(std::io::Error::other(format!("it answers {status}")))
    }
}
