//! `/api/v1/events/transports`: by what events leave, and how that goes.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::ReadErrors;
use crate::http::extractors::NoParams;
use crate::http::{AppError, AppState};
use crate::notify::outbox_name;
use crate::query::event_transports::{TransportProgress, transports as fetch};

/// A transport by which events leave.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct EventTransport {
    /// Its kind: `console`, `webhook`, `honeycomb`, `otlp` or `loki`.
    #[schema(example = "webhook")]
    kind: &'static str,
    /// Which events it sends; empty for all.
    filter: String,
    /// `at_least_once` or `at_most_once`.
    delivery: &'static str,
    #[serde(flatten)]
    progress: TransportProgress,
}

/// The transports by which events leave (`EVENT_TRANSPORTS`), and how that goes.
#[utoipa::path(
    get, operation_id = "list_event_transports", path = "/api/v1/events/transports", tag = "events",
    responses((status = 200, description = "The transports, as they are named in the settings.", body = [EventTransport]), ReadErrors)
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    _none: web::Query<NoParams>,
) -> Result<web::Json<Vec<EventTransport>>, AppError> {
    let all = &state.config.transports.all;
    let names: Vec<String> = all.iter().map(|one| one.name.to_string()).collect();
    let outbox_names: Vec<String> = names.iter().map(|name| outbox_name(name)).collect();
    let progress = state
        .ask(move |conn| fetch(conn, &names, &outbox_names))
        .await?;
    let transports = all
        .iter()
        .zip(progress)
        .map(|(config, progress)| EventTransport {
            kind: config.name.kind().label(),
            filter: config.filter.text().to_owned(),
            delivery: config.guarantee.label(),
            progress,
        });
    Ok(web::Json(transports.collect()))
}
