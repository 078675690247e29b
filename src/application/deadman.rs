//! The heartbeat of this server: as long as it is well.

use std::sync::Arc;

use actix_web::web;
use serde_json::json;

use crate::config::Config;
use crate::http::{AppState, problems};
use crate::notify::DeadMan;

/// Begins, if the settings name a dead man's switch.
pub(super) fn start(config: &Config, state: &web::Data<AppState>, server_id: &Arc<str>) {
    if let Some(deadman) = DeadMan::new(&config.notify) {
        actix_web::rt::spawn(beat(deadman, state.clone(), server_id.clone()));
    }
}

/// Sends heartbeats until the server ends; none while anything is wrong with it, so that the service
/// that waits for them alerts.
async fn beat(deadman: DeadMan, state: web::Data<AppState>, server_id: Arc<str>) {
    loop {
        let problems = problems(&state).await;
        match problems.is_empty() {
            true => {
                let body = json!({
                    "server_id": &*server_id,
                    "version": env!("CARGO_PKG_VERSION"),
                    "started_at": state.started_at,
                    "sessions": state.metrics.sessions.get(),
                    "messages_received": state.metrics.messages_received.get(),
                    "messages_dropped": state.metrics.messages_dropped_total(),
                });
                let sender = deadman.clone();
                let sent = web::block(move || sender.beat(&body.to_string())).await;
                if let Err(error) = sent.map_err(|error| error.to_string()).flatten() {
                    log::warn!("the heartbeat to DEADMAN_URL did not arrive: {error}");
                }
            }
            false => log::warn!(
                "no heartbeat is sent to DEADMAN_URL: {}",
                problems.join("; ")
            ),
        }
        actix_web::rt::time::sleep(deadman.pause()).await;
    }
}
