//! The wiring: what is started in which order, and stopped in which.
//!
//! `database` brings the database up, `identity` is what the server keeps on
//! disk of itself, `announce` is what a person reads at the start.

mod announce;
mod database;
mod identity;
mod panics;
mod stop;
mod tls;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Arbiter, System};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::middleware::Condition;
use actix_web::rt::net::TcpStream as AsyncTcpStream;
use actix_web::{App, HttpServer, web};
use socket2::{SockRef, TcpKeepalive};

use crate::config::{Config, HttpConfig};
use crate::http::{self, AppState, StoreHandle};
use crate::ingest::{Ingest, IngestParts};
use crate::liveness::Heartbeat;
use crate::metrics::Metrics;
use crate::retention::Purger;
use crate::store::{IdBlocks, Kinds, Spool};
use database::{BringUp, Database};
use identity::Identity;
use stop::Stopped;

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
    /// The spool cannot be used.
    #[error("{0}; SPOOL_DIR sets it")]
    Spool(#[from] crate::store::SpoolError),
    /// The PostgreSQL of its own does not start.
    #[error("{0}")]
    Embedded(#[from] crate::store::embedded::EmbeddedError),
    /// The certificate cannot be used.
    #[error("{0}")]
    Tls(#[from] tls::TlsError),
    /// A mistake in the list of metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Server(#[from] std::io::Error),
    /// Messages were lost when the server stopped.
    #[error(
        "{0} messages could neither be stored nor put on disk within SHUTDOWN_TIMEOUT_S and are lost"
    )]
    Lost(i64),
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// If it cannot start, or if something was lost when it stopped.
pub fn run(config: Config) -> Result<(), ApplicationError> {
    let files = u64::try_from(config.http.connections_max).unwrap_or(u64::MAX);
    match rlimit::increase_nofile_limit(files.saturating_add(OTHER_FILES)) {
        Ok(limit) if limit < files && config.http.connections_max != usize::MAX => {
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
    panics::install(metrics.clone());
    let identity = Identity::take(&config.store.data_dir)?;
    let kinds = Arc::new(Kinds::new(config.store.kinds_max, metrics.clone()));
    let ids = Arc::new(IdBlocks::default());
    let spool = Spool::open(
        &config.store.spool_dir,
        config.store.spool_bytes_max,
        kinds.clone(),
        metrics.clone(),
    )?;

    // Telemetry is taken from the first moment on, also while the database is
    // not up yet; until it is, batches go to disk.
    let pipeline = Arbiter::new();
    let ingest = Ingest::start(
        IngestParts {
            config: config.clone(),
            metrics: metrics.clone(),
            kinds: kinds.clone(),
            ids: ids.clone(),
            spool,
            server_id: identity.server_id.to_string(),
        },
        &pipeline,
    );
    let state = web::Data::new(AppState::new(
        config.clone(),
        metrics.clone(),
        ingest.clone(),
    ));
    let tls = config.access.tls.as_ref().map(tls::start).transpose()?;
    let (server, address) = listen(&config.http, tls, state.clone())?;
    announce::listening(address, &config.access);
    let handle = server.handle();
    let stopped = stop::wait(state.clone(), actix_web::rt::spawn(server));
    tokio::pin!(stopped);

    let up = database::bring_up(BringUp {
        config: config.clone(),
        metrics: metrics.clone(),
        kinds,
        ids,
        server_id: identity.server_id.clone(),
    });
    let (database, stopped) = tokio::select! {
        up = up => match up {
            Ok(database) => {
                start_housekeeping(&config, &metrics, &identity, &database);
                state.set_store(StoreHandle { pools: database.pools.clone() });
                ingest.set_database(database.url.clone());
                announce::ready(&database.shown_url);
                (Some(database), (&mut stopped).await)
            }
            Err(error) => (None, Stopped::Failed(error)),
        },
        stopped = &mut stopped => (None, stopped),
    };
    let outcome = stop::orderly(&config, &state, &metrics, stopped).await;
    handle.stop(false).await;
    if let Some(database) = database {
        database.stop().await;
    }
    pipeline.stop();
    outcome
}

/// The timers that need the database.
fn start_housekeeping(
    config: &Arc<Config>,
    metrics: &Arc<Metrics>,
    identity: &Identity,
    database: &Database,
) {
    let pools = &database.pools;
    Purger::new(config.clone(), metrics.clone(), pools.clone()).start();
    Heartbeat::new(
        identity.server_id.clone(),
        database.started_at,
        pools.clone(),
    )
    .start();
}

/// Starts to listen; returns the address with the port that it got.
fn listen(
    config: &HttpConfig,
    tls: Option<rustls::ServerConfig>,
    state: web::Data<AppState>,
) -> Result<(actix_web::dev::Server, SocketAddr), ApplicationError> {
    let shared = state.clone();
    let unread_time = state.config.ingest.idle_timeout;
    let server = HttpServer::new(move || {
        let access = &shared.config.access;
        let has_origins = !access.cors_origins.is_empty();
        App::new()
            .app_data(shared.clone())
            .wrap(http::guard())
            .wrap(Condition::new(has_origins, http::cors(access)))
            .wrap(http::middleware())
            .configure(http::configure)
    })
    .backlog(config.backlog)
    // Pages and queries get connections too, also when nodes have taken theirs.
    .max_connections(config.connections_max.saturating_add(1_000))
    .client_request_timeout(config.upgrade_timeout)
    // Nodes shake hands as slowly as they ask, and none is to wait for the others.
    .tls_handshake_timeout(match config.upgrade_timeout {
        Duration::ZERO => Duration::MAX,
        limit => limit,
    })
    .max_connection_rate(config.connections_max)
    .client_disconnect_timeout(Duration::from_secs(1))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(1)
    .disable_signals()
    .on_connect(move |connection, _data| {
        let plain = connection.downcast_ref::<AsyncTcpStream>();
        let tls = connection.downcast_ref::<TlsStream<AsyncTcpStream>>();
        if let Some(stream) = plain.or_else(|| tls.map(|stream| stream.get_ref().0)) {
            let keepalive = TcpKeepalive::new()
                .with_time(KEEPALIVE)
                .with_interval(KEEPALIVE);
            let socket = SockRef::from(stream);
            if let Err(error) = socket.set_tcp_keepalive(&keepalive) {
                log::debug!("no TCP keepalive: {error}");
            }
            limit_unread_time(socket, unread_time);
        }
    });
    let address = SocketAddr::new(config.listen_address, config.port);
    // Machines without IPv6 know no `::`; every address is every IPv4 address there.
    let bound = match tls.clone() {
        None => server.bind(address),
        Some(tls) => server.bind_rustls_0_23(address, tls),
    };
    let server = match bound {
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
                tls,
                state,
            );
        }
        bound => bound.map_err(|cause| ApplicationError::Listen { address, cause })?,
    };
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), bound))
}

/// Whoever takes nothing of what waits for it freezes the task of its
/// connection, so the kernel has to end that.
#[cfg(target_os = "linux")]
fn limit_unread_time(socket: SockRef<'_>, time: Duration) {
    if let Err(error) = socket.set_tcp_user_timeout(Some(time)) {
        log::debug!("no TCP user timeout: {error}");
    }
}

/// Other systems have no such limit.
#[cfg(not(target_os = "linux"))]
fn limit_unread_time(_socket: SockRef<'_>, _time: Duration) {}

/// Asks the server on this machine whether it lives.
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
