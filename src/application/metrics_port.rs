//! The port of `METRICS_ADDRESS`: metrics alone, for a network that only Prometheus reaches.

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};

use super::ApplicationError;
use super::listen::bind_to;
use crate::http::{self, AppState};

/// Connections at once; a Prometheus has one for each job.
const CONNECTIONS_MAX: usize = 64;

/// Starts to listen, if there is such an address.
pub(super) fn listen(
    state: &web::Data<AppState>,
) -> Result<Option<ServerHandle>, ApplicationError> {
    let Some(address) = state.config.http.metrics_address else {
        return Ok(None);
    };
    let backlog = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let listener =
        bind_to(address, backlog).map_err(|cause| ApplicationError::Listen { address, cause })?;
    let state = state.clone();
    let app = move || {
        App::new()
            .app_data(state.clone())
            .wrap(http::compression())
            .configure(http::configure_metrics)
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(CONNECTIONS_MAX)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
    log::info!("metrics are on http://{address}/metrics");
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Some(handle))
}
