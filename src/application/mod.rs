//! The wiring: what is started in which order, and stopped in which.
//!
//! `database` brings the database up, `identity` is what the server keeps on
//! disk of itself, `announce` is what a person reads at the start.

mod announce;
mod database;
mod identity;
mod stop;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Arbiter, System};
use actix_web::rt::net::TcpStream as AsyncTcpStream;
use actix_web::{App, HttpServer, web};
use socket2::{SockRef, TcpKeepalive};

use crate::config::{Config, HttpConfig};
use crate::http::{self, AppState, StoreHandle};
use crate::ingest::{Ingest, IngestParts};
use crate::liveness::Heartbeat;
use crate::metrics::Metrics;
use crate::retention::Purger;
use database::Database;
use identity::Identity;

/// File descriptors beside those of sockets: connections to the database, files, the log.
const OTHER_FILES: u64 = 1_024;

/// After so much silence the kernel asks whether the other machine still is
/// there, three times at this interval; it ends what `NODE_IDLE_TIMEOUT_S` does not.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why the application could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// Nothing listens.
    #[error(
        "cannot listen on {address}: {cause}; is another server running? PORT and LISTEN_ADDRESS set it"
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
    /// The PostgreSQL of its own does not start.
    #[error("{0}")]
    Embedded(#[from] crate::store::embedded::EmbeddedError),
    /// A mistake in the list of metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Server(#[from] std::io::Error),
    /// Messages were lost when the server stopped.
    #[error("{0} messages could not be stored within SHUTDOWN_TIMEOUT_S and are lost")]
    Lost(i64),
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// If it cannot start, or if something was lost when it stopped.
pub fn run(config: Config) -> Result<(), ApplicationError> {
    let files = u64::try_from(config.http.connections_max).unwrap_or(u64::MAX);
    match rlimit::increase_nofile_limit(files.saturating_add(OTHER_FILES)) {
        Ok(limit) if limit < files => {
            log::warn!(
                "the system allows {limit} open files, fewer than CONNECTIONS_MAX; raise `ulimit -n`"
            );
        }
        Ok(_) => {}
        Err(error) => log::warn!("the limit of open files could not be raised: {error}"),
    }
    System::new().block_on(serve(Arc::new(config)))
}

async fn serve(config: Arc<Config>) -> Result<(), ApplicationError> {
    let metrics = Arc::new(Metrics::new()?);
    let identity = Identity::take(&config.store.data_dir)?;
    let state = web::Data::new(AppState::new(config.clone(), metrics.clone()));

    // Served from the first moment on, also while the database is not up yet.
    let (server, address) = listen(&config.http, state.clone())?;
    announce::listening(address);
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);

    let pipeline = Arbiter::new();
    let outcome = match start(&config, &metrics, &state, &identity, &pipeline).await {
        Started::Running(database) => {
            let stopped = stop::wait(&state, server).await;
            let outcome = stop::orderly(&config, &state, &metrics, stopped).await;
            handle.stop(false).await;
            database.stop().await;
            outcome
        }
        Started::Interrupted(outcome) => {
            handle.stop(false).await;
            outcome
        }
    };
    pipeline.stop();
    outcome
}

enum Started {
    Running(Database),
    Interrupted(Result<(), ApplicationError>),
}

/// Brings up everything that needs the database; a signal ends the wait for it.
async fn start(
    config: &Arc<Config>,
    metrics: &Arc<Metrics>,
    state: &web::Data<AppState>,
    identity: &Identity,
    pipeline: &Arbiter,
) -> Started {
    let up = tokio::select! {
        up = database::bring_up(config.clone(), metrics.clone(), identity.server_id.clone()) => up,
        signal = stop::signal() => {
            log::info!("{signal}: stopped while waiting for the database");
            return Started::Interrupted(Ok(()));
        }
    };
    let database = match up {
        Ok(database) => database,
        Err(error) => return Started::Interrupted(Err(error)),
    };
    let ingest = Ingest::start(
        IngestParts {
            config: config.clone(),
            metrics: metrics.clone(),
            kinds: database.kinds.clone(),
            ids: database.ids.clone(),
            database_url: database.url.clone(),
            server_id: identity.server_id.to_string(),
        },
        pipeline,
    );
    Purger::new(config.clone(), metrics.clone(), database.pools.clone()).start();
    Heartbeat::new(
        identity.server_id.clone(),
        database.started_at,
        database.pools.clone(),
    )
    .start();
    state.set_store(StoreHandle {
        pools: database.pools.clone(),
        ingest,
    });
    announce::ready(&database.shown_url);
    Started::Running(database)
}

/// Starts to listen; returns the address with the port that it got.
fn listen(
    config: &HttpConfig,
    state: web::Data<AppState>,
) -> Result<(actix_web::dev::Server, SocketAddr), ApplicationError> {
    let metrics = state.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .wrap(http::middleware())
            .configure(http::configure)
    })
    .backlog(config.backlog)
    // Pages and queries get connections too, also when nodes have taken theirs.
    .max_connections(config.connections_max.saturating_add(1_000))
    .client_request_timeout(config.upgrade_timeout)
    .client_disconnect_timeout(Duration::from_secs(1))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(1)
    .disable_signals()
    .on_connect(|connection, _data| {
        if let Some(stream) = connection.downcast_ref::<AsyncTcpStream>() {
            let keepalive = TcpKeepalive::new()
                .with_time(KEEPALIVE)
                .with_interval(KEEPALIVE);
            if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
                log::debug!("no TCP keepalive: {error}");
            }
        }
    });
    let address = SocketAddr::new(config.listen_address, config.port);
    // Machines without IPv6 know no `::`; every address is every IPv4 address there.
    let server = match server.bind(address) {
        Err(cause)
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && cause.kind() != std::io::ErrorKind::AddrInUse =>
        {
            log::info!("no IPv6 here ({cause}): listening on IPv4 only");
            return listen(
                &HttpConfig {
                    listen_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    ..config.clone()
                },
                state,
            );
        }
        bound => bound.map_err(|cause| ApplicationError::Listen { address, cause })?,
    };
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), bound))
}

/// Asks the server on this machine whether it lives.
///
/// # Errors
/// If it does not answer, or not well.
pub fn health_check(config: &HttpConfig) -> std::io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(3);
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
    stream
        .write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if status == *b"HTTP/1.1 200" {
        Ok(())
    } else {
        let status = String::from_utf8_lossy(&status).into_owned();
        Err(std::io::Error::other(format!("it answers {status}")))
    }
}
