//! Accepts connections: each is entered in the registry of HTTP connections, then
//! comes the TLS handshake if there is TLS, then it is served. `HttpServer` has no place for
//! the registry: it shows a connection only after TLS, and offers no way to end it.

use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_http::{HttpService, Protocol};
use actix_service::{ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_tls::accept::max_concurrent_tls_connect;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::{AppConfig, Server};
use actix_web::middleware::Condition;
use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use actix_web::{App, web};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ApplicationError;
use crate::config::HttpConfig;
use crate::http::{self, AppState, Connections, HandedOver, HttpConnection, KEEP_ALIVE};

/// After so much silence the kernel probes the other machine, three times at this
/// interval; that ends what `NODE_IDLE_TIMEOUT_S` does not.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// How often is looked for connections that take too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Starts to listen, for at most `connections_max` connections beside those of
/// telemetry; returns the address with the port that it got.
pub(super) fn listen(
    tls: Option<rustls::ServerConfig>,
    state: web::Data<AppState>,
    connections_max: usize,
) -> Result<(Server, SocketAddr), ApplicationError> {
    let (listener, address) = bind(&state.config.http)?;
    let metrics = state.metrics.clone();
    let connections = Arc::new(Connections::new(&state.config, connections_max, metrics));
    actix_web::rt::spawn(sweep(connections.clone()));
    let unread_time = state.config.ingest.idle_timeout;
    let admit = move || {
        let connections = connections.clone();
        fn_service(move |tcp| ready(admit(tcp, &connections, unread_time)))
    };
    // The registry counts them all together and closes those that are too many; to
    // stop accepting, as these limits do, would refuse nodes.
    max_concurrent_tls_connect(usize::MAX);
    let server = Server::build()
        .max_concurrent_connections(usize::MAX)
        .shutdown_timeout(1)
        .disable_signals();
    let server = match tls {
        None => server.listen("http", listener, move || {
            admit().and_then(serve(&state, |tcp: &Watched| tcp))
        }),
        Some(config) => server.listen("https", listener, move || {
            let mut acceptor = Acceptor::new(config.clone());
            // The time for the first request includes the TLS handshake.
            acceptor.set_handshake_timeout(Duration::MAX);
            admit()
                .and_then(acceptor.map_err(|error| log::debug!("{error}")))
                .and_then(serve(&state, |tls: &TlsStream<Watched>| tls.get_ref().0))
        }),
    };
    Ok((server?.run(), address))
}

/// Listens on the address of the settings, or on IPv4 alone: machines without
/// IPv6 know no `::`, and every address is every IPv4 address there.
fn bind(config: &HttpConfig) -> Result<(TcpListener, SocketAddr), ApplicationError> {
    let address = SocketAddr::new(config.listen_address, config.port);
    let bound = match bind_to(address, config.backlog) {
        Err(cause)
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && cause.kind() != io::ErrorKind::AddrInUse =>
        {
            log::info!("no IPv6 here ({cause}): listening on IPv4 only");
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), config.port);
            bind_to(address, config.backlog)
        }
        bound => bound,
    };
    let listener = bound.map_err(|cause| ApplicationError::Listen { address, cause })?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

pub(super) fn bind_to(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that is started again need not wait for its old connections.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Cuts overdue connections, once a second.
async fn sweep(connections: Arc<Connections>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        connections.sweep(Instant::now());
    }
}

/// Prepares a connection that was accepted; an error closes it.
fn admit(
    tcp: TcpStream,
    connections: &Arc<Connections>,
    unread_time: Duration,
) -> Result<Watched, ()> {
    // It fails if the connection is gone already.
    let peer = tcp.peer_addr().map_err(|_gone| ())?;
    let connection = connections.admit(peer.ip(), Instant::now()).ok_or(())?;
    let socket = SockRef::from(&tcp);
    let keepalive = TcpKeepalive::new()
        .with_time(TCP_KEEPALIVE)
        .with_interval(TCP_KEEPALIVE);
    if let Err(error) = socket.set_tcp_keepalive(&keepalive) {
        log::debug!("no TCP keepalive: {error}");
    }
    limit_unread_time(&socket, unread_time);
    Ok(Watched {
        tcp,
        peer,
        connection,
    })
}

/// A client that acknowledges nothing of what was sent blocks the task of its
/// connection, so the kernel closes it after `time`.
#[cfg(target_os = "linux")]
fn limit_unread_time(socket: &SockRef<'_>, time: Duration) {
    if let Err(error) = socket.set_tcp_user_timeout(Some(time)) {
        log::debug!("no TCP user timeout: {error}");
    }
}

/// Other systems have no such limit.
#[cfg(not(target_os = "linux"))]
fn limit_unread_time(_socket: &SockRef<'_>, _time: Duration) {}

/// The application on connections of type `IO`, with what is inside of them.
fn serve<IO>(
    state: &web::Data<AppState>,
    inside: fn(&IO) -> &Watched,
) -> impl ServiceFactory<IO, Config = (), Response = (), Error = (), InitError = ()> + use<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let access = &state.config.access;
    let app = App::new()
        .app_data(state.clone())
        .wrap(http::compression())
        .wrap(http::guard())
        .wrap(Condition::new(
            !access.cors_origins.is_empty(),
            http::cors(access),
        ))
        .wrap(http::middleware())
        .configure(http::configure);
    let app = map_config(app, |()| AppConfig::default())
        .map_err(|error: actix_web::Error| error.error_response());
    let service = HttpService::build()
        .keep_alive(KEEP_ALIVE)
        // The registry has it, also for requests that are not the first.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(Duration::from_secs(1))
        .on_connect_ext(move |io: &HandedOver<IO>, data| {
            data.insert(io.with(|io| inside(io).connection.clone()));
            data.insert(io.reading());
        })
        .finish(app)
        .map_err(|error| log::debug!("a connection ended: {error}"));
    fn_service(move |io: IO| {
        let peer = inside(&io).peer;
        ready(Ok((HandedOver::new(io), Protocol::Http1, Some(peer))))
    })
    .and_then(service)
}

/// A TCP connection that ends when it is cut.
struct Watched {
    tcp: TcpStream,
    peer: SocketAddr,
    connection: Arc<HttpConnection>,
}

impl Watched {
    /// Records progress; once the connection is cut, a write that would wait fails.
    fn written(
        &self,
        written: Poll<io::Result<usize>>,
        context: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(1..)) => self.connection.has_written(),
            Poll::Pending if self.connection.is_cut(context.waker()) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            _ => {}
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.is_cut(context.waker()) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.connection.has_read(bytes);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// TLS asks for it.
impl ActixStream for Watched {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.tcp, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.tcp, context)
    }
}
