//! `/api/v1/services` and `/api/v1/heartbeats`: services that are no nodes, and whether they are alive.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::answer::Answer;
use crate::http::benchmarks::Body;
use crate::http::error::{EntryErrors, ErrorBody, ReadErrors};
use crate::http::extractors::{Fields, NoParams, required};
use crate::http::{AppError, AppState};
use crate::query::QueryError;
use crate::query::services::{self, HeartbeatsParams, HeartbeatsQuery, KeptHeartbeat, Service};
use crate::store::{ServiceBeat, delete_service, keep_heartbeats};
use crate::telemetry::{
    Heartbeat, INTERVAL_S_DEFAULT, INTERVAL_S_MAX, METRICS_BYTES_MAX, is_service_name,
};

/// A heartbeat to enter.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes; see read_heartbeat")]
struct NewHeartbeat {
    /// Name of the service: up to 128 characters.
    #[schema(min_length = 1, max_length = 128, example = "relayer")]
    service: String,
    /// Seconds to the next one.
    #[schema(minimum = 1, maximum = 86_400, default = 60)]
    interval_s: Option<i64>,
    /// Seconds by which that may be later; half of the interval if it is not given.
    #[schema(minimum = 1, maximum = 86_400)]
    jitter_s: Option<i64>,
    /// `down`: out of service on purpose until a heartbeat says `up`.
    #[schema(pattern = "^(up|down)$", default = "up")]
    status: Option<String>,
    /// What the service reports, kept with the heartbeat: up to 16 KiB.
    #[schema(value_type = Option<Object>)]
    metrics: Option<Value>,
}

/// A heartbeat that was entered.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Entered {
    /// Name of the service.
    service: String,
    /// When the heartbeat arrived.
    created_at: DateTime<Utc>,
    /// Until when the next one is in time.
    next_by: DateTime<Utc>,
}

fn read_heartbeat(body: Body) -> Result<Heartbeat, AppError> {
    let mut fields = Fields::new(body.into_inner());
    let service = required("service", fields.text("service")?)?;
    let interval_s = fields.whole("interval_s", 1..=INTERVAL_S_MAX)?;
    let jitter_s = fields.whole("jitter_s", 1..=INTERVAL_S_MAX)?;
    let status = fields.text("status")?;
    let metrics = fields.object("metrics")?;
    fields.end()?;
    if !is_service_name(&service) {
        return Err(QueryError::invalid("service", "must have 1 to 128 characters").into());
    }
    let is_down = match status.as_deref() {
        None | Some("up") => false,
        Some("down") => true,
        Some(_) => return Err(QueryError::invalid("status", "must be up or down").into()),
    };
    let text = metrics.as_ref().map_or("{}", |metrics| metrics.0.get());
    if text.len() > METRICS_BYTES_MAX {
        let problem = format!("must have at most {METRICS_BYTES_MAX} bytes");
        return Err(QueryError::invalid("metrics", problem).into());
    }
    let metrics: Map<String, Value> = serde_json::from_str(text)
        .map_err(|_error| QueryError::invalid("metrics", "must be a JSON object"))?;
    let interval_s = interval_s.unwrap_or(INTERVAL_S_DEFAULT);
    Ok(Heartbeat {
        service,
        interval_s,
        jitter_s: jitter_s.unwrap_or(Heartbeat::jitter_default(interval_s)),
        is_down,
        metrics,
    })
}

/// Enters a heartbeat of a service that is no node: it is judged by the interval that it announces.
///
/// The same over a websocket to `/submit`: a message with `"msg":"heartbeat"` and these fields. The first
/// heartbeat makes the service; there are at most 10,000.
#[utoipa::path(
    post, operation_id = "enter_heartbeat", path = "/api/v1/heartbeats", tag = "nodes", request_body = NewHeartbeat,
    responses((status = 200, description = "The heartbeat was entered.", body = Entered), EntryErrors)
)]
pub(in crate::http) async fn beat(
    state: web::Data<AppState>,
    body: Body,
) -> Result<web::Json<Entered>, AppError> {
    let beat = read_heartbeat(body)?;
    let created_at = Utc::now();
    let seconds = chrono::TimeDelta::seconds(beat.interval_s + beat.jitter_s);
    let entered = Entered {
        service: beat.service.clone(),
        created_at,
        next_by: created_at + seconds,
    };
    let kept = state
        .enter(move |conn| {
            let beats = [ServiceBeat {
                service: beat.service,
                interval_s: beat.interval_s,
                jitter_s: beat.jitter_s,
                is_down: beat.is_down,
                metrics: beat.metrics,
                age_ms: 0,
            }];
            Ok(keep_heartbeats(conn, &beats)?)
        })
        .await?;
    match kept {
        0 => Err(QueryError::invalid(
            "service",
            "is new, and there are 10000 services: delete those that are no more",
        )
        .into()),
        _ => Ok(web::Json(entered)),
    }
}

/// The services that ever sent a heartbeat, by name, each with its status and what it reported last.
#[utoipa::path(
    get, operation_id = "list_services", path = "/api/v1/services", tag = "nodes",
    responses((status = 200, description = "The services.", body = [Service]), ReadErrors)
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    state.answer(services::fetch).await
}

/// The heartbeats of a service with what it reported, the newest first; of those within a second one
/// is kept.
#[utoipa::path(
    get, operation_id = "list_heartbeats", path = "/api/v1/services/{service}/heartbeats", tag = "nodes",
    params(("service" = String, Path, description = "Name of the service."), HeartbeatsParams),
    responses(
        (status = 200, description = "The heartbeats.", body = [KeptHeartbeat]),
        (status = 404, description = "There is no such service.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn heartbeats(
    state: web::Data<AppState>,
    service: web::Path<String>,
    asked: web::Query<HeartbeatsParams>,
) -> Result<Answer, AppError> {
    let query = HeartbeatsQuery::new(&service, &asked)?;
    state
        .answer(move |conn| services::heartbeats(conn, &query))
        .await
}

/// Forgets a service that is no more, with its heartbeats.
#[utoipa::path(
    delete, operation_id = "delete_service", path = "/api/v1/services/{service}", tag = "nodes",
    params(("service" = String, Path, description = "Name of the service.")),
    responses(
        (status = 204, description = "It is forgotten."),
        (status = 404, description = "There is no such service.", body = ErrorBody),
        EntryErrors,
    )
)]
pub(in crate::http) async fn delete(
    state: web::Data<AppState>,
    service: web::Path<String>,
) -> Result<HttpResponse, AppError> {
    let service = service.into_inner();
    if !is_service_name(&service) {
        return Err(QueryError::NotFound {
            parameter: "service",
        }
        .into());
    }
    let found = state
        .enter(move |conn| Ok(delete_service(conn, &service)?))
        .await?;
    match found {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(QueryError::NotFound {
            parameter: "service",
        }
        .into()),
    }
}
