//! `/health`: whether the process runs, and whether it can do its work.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::{HttpResponse, http::header, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use crate::query::ready;

/// How long the database may take to answer: shorter than the usual timeout of
/// health checks.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    /// What was looked at.
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
struct Check {
    /// `server`, `database`, `schema` or `writers`.
    #[schema(example = "database")]
    name: &'static str,
    /// Whether it is well.
    ok: bool,
    /// What is wrong; absent if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'static, str>>,
}

impl Check {
    fn new(name: &'static str, ok: bool, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            ok,
            message: (!ok).then(|| message.into()),
        }
    }
}

/// The process runs.
#[utoipa::path(
    get, operation_id = "check_live", path = "/health/live", tag = "server",
    responses((status = 200, description = "Always.", body = Health))
)]
pub(super) async fn live() -> web::Json<Health> {
    web::Json(Health {
        status: "ok",
        checks: Vec::new(),
    })
}

/// Telemetry is taken and stored, and queries are answered.
#[utoipa::path(
    get, operation_id = "check_ready", path = "/health/ready", tag = "server",
    responses(
        (status = 200, description = "All is well.", body = Health),
        (status = 503, description = "Something is not; the checks name it.", body = Health),
    )
)]
pub(super) async fn ready(state: web::Data<AppState>) -> HttpResponse {
    let checks = look(&state).await;
    if checks.iter().all(|check| check.ok) {
        return HttpResponse::Ok().json(Health {
            status: "ok",
            checks,
        });
    }
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "2"))
        .json(Health {
            status: "unavailable",
            checks,
        })
}

async fn look(state: &AppState) -> Vec<Check> {
    let mut checks = vec![Check::new(
        "server",
        !state.is_stopping(),
        "the server stops",
    )];
    if state.store().is_none() {
        let message = match state.metrics.trouble() {
            Some(trouble) => format!("the server waits for its database: {trouble}"),
            None => "the server waits for its database".to_owned(),
        };
        checks.push(Check::new("database", false, message));
        return checks;
    }
    let asked = tokio::time::timeout(DATABASE_TIMEOUT, state.ask(ready::fetch)).await;
    match asked {
        Ok(Ok(found)) => {
            checks.push(Check::new("database", true, ""));
            let message = "the database for queries lacks tables or views";
            checks.push(Check::new("schema", found.has_schema, message));
        }
        Ok(Err(_)) => {
            let message = "the database for queries is away or too busy";
            checks.push(Check::new("database", false, message));
        }
        Err(_) => {
            let message = "the database for queries takes longer than 2 s to answer";
            checks.push(Check::new("database", false, message));
        }
    }
    let message = match state.metrics.trouble() {
        Some(trouble) => format!("messages wait on disk: {trouble}"),
        None => "the last batch of messages could not be stored yet".to_owned(),
    };
    let is_up = state.metrics.database_up.get() == 1;
    checks.push(Check::new("writers", is_up, message));
    checks
}
