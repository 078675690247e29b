//! `/health`: whether the process runs, whether it can take telemetry, and whether
//! all is well beyond that.

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
    /// `ok`; `degraded` while telemetry is taken and something else is wrong;
    /// `unavailable` while telemetry cannot be taken.
    #[schema(example = "ok")]
    status: &'static str,
    /// What was looked at.
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
struct Check {
    /// `server`, `telemetry`, `database`, `schema` or `writers`.
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

/// Whether telemetry can be taken: the server does not stop, and the database, the spool
/// or the memory has room. Reads memory only, so that no other fault makes the answer late.
#[utoipa::path(
    get, operation_id = "check_ready", path = "/health/ready", tag = "server",
    responses(
        (status = 200, description = "Telemetry is taken.", body = Health),
        (status = 503, description = "It is not; the checks say why.", body = Health),
    )
)]
pub(super) async fn ready(state: web::Data<AppState>) -> HttpResponse {
    answer(Vec::from(vital(&state)), Vec::new())
}

/// Whether all is well: telemetry is taken and stored, and queries are answered.
#[utoipa::path(
    get, operation_id = "check_all", path = "/health", tag = "server",
    responses(
        (status = 200, description = "Telemetry is taken. With the status `degraded` something else is wrong; the checks \
            name it.", body = Health),
        (status = 503, description = "Telemetry cannot be taken; the checks say why.", body = Health),
    )
)]
pub(super) async fn all(state: web::Data<AppState>) -> HttpResponse {
    answer(Vec::from(vital(&state)), others(&state).await)
}

/// What is wrong; nothing if telemetry is taken, stored and answered.
pub async fn problems(state: &AppState) -> Vec<String> {
    let checks = Vec::from(vital(state))
        .into_iter()
        .chain(others(state).await);
    let wrong = checks.filter(|check| !check.ok);
    wrong
        .map(|check| check.message.unwrap_or_default().into_owned())
        .collect()
}

/// The checks that decide about the service are `vital`.
fn answer(vital: Vec<Check>, others: Vec<Check>) -> HttpResponse {
    let is_well = |checks: &[Check]| checks.iter().all(|check| check.ok);
    let (mut response, status) = match (is_well(&vital), is_well(&others)) {
        (true, true) => (HttpResponse::Ok(), "ok"),
        (true, false) => (HttpResponse::Ok(), "degraded"),
        (false, _) => (HttpResponse::ServiceUnavailable(), "unavailable"),
    };
    if status == "unavailable" {
        response.insert_header((header::RETRY_AFTER, "2"));
    }
    let checks = vital.into_iter().chain(others).collect();
    response.json(Health { status, checks })
}

/// Whether telemetry can be taken.
fn vital(state: &AppState) -> [Check; 2] {
    let full = "messages are lost: the database takes none, and spool and memory are full";
    [
        Check::new("server", !state.is_stopping(), "the server stops"),
        Check::new("telemetry", state.ingest.has_room(), full),
    ]
}

/// What can be wrong while telemetry is taken.
async fn others(state: &AppState) -> Vec<Check> {
    if state.store().is_none() {
        let message = match state.metrics.trouble() {
            Some(trouble) => format!("the server waits for its database: {trouble}"),
            None => "the server waits for its database".to_owned(),
        };
        return vec![Check::new("database", false, message)];
    }
    let mut checks = Vec::new();
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
        Some(trouble) => format!("messages are not stored: {trouble}"),
        None => "the last batch of messages could not be stored yet".to_owned(),
    };
    let is_up = state.metrics.database_up.get() == 1;
    checks.push(Check::new("writers", is_up, message));
    checks
}
