//! `/api/v1/events`: what runtimes and services said in a structured form.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::value::RawValue;

use crate::http::access::Caller;
use crate::http::answer::Answer;
use crate::http::error::{EntryErrors, ErrorBody, ReadErrors};
use crate::http::extractors::NoParams;
use crate::http::posting::events::{self as posting, Posted};
use crate::http::{AppError, AppState, paging};
use crate::query::events::{
    self as query, Event, EventStat, EventsParams, EventsQuery, Job, JobsParams, JobsQuery,
    MalformedEvent, StatsParams, StatsQuery,
};
use crate::query::{QueryError, params};
use crate::telemetry::hide_addresses;

/// The events, those that arrived last first.
#[utoipa::path(
    get, operation_id = "list_events", path = "/api/v1/events", tag = "events", params(EventsParams),
    responses(
        (
            status = 200, description = "The events.", body = [Event],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        ReadErrors,
    )
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    request: HttpRequest,
    asked: web::Query<EventsParams>,
) -> Result<HttpResponse, AppError> {
    let query = EventsQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    let sees_addresses = caller.sees_addresses;
    let (answer, next) = state
        .ask(move |conn| {
            let mut page = query::list(conn, &query, &limits)?;
            if !sees_addresses {
                page.rows.iter_mut().try_for_each(without_addresses)?;
            }
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// One event.
#[utoipa::path(
    get, operation_id = "show_event", path = "/api/v1/events/{id}", tag = "events",
    params(("id" = i64, Path, description = "Number of the event.")),
    responses(
        (status = 200, description = "The event.", body = Event),
        (status = 404, description = "There is no such event, or it is purged.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn show(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    id: web::Path<String>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    let id = params::row_id("id", &id)?;
    let sees_addresses = caller.sees_addresses;
    state
        .answer(move |conn| {
            let mut event = query::show(conn, id)?;
            if !sees_addresses {
                without_addresses(&mut event)?;
            }
            Ok(event)
        })
        .await
}

/// Events counted, or a field of them added up, by any field and over time: errors by reason
/// (`severity=error&group_by=reason`), value moved (`measure=sum&field=value`), runs for each handler (`group_by=handler`).
#[utoipa::path(
    get, operation_id = "measure_events", path = "/api/v1/events/stats", tag = "events", params(StatsParams),
    responses((status = 200, description = "One row for each bucket and group.", body = [EventStat]), ReadErrors)
)]
pub(in crate::http) async fn stats(
    state: web::Data<AppState>,
    asked: web::Query<StatsParams>,
) -> Result<Answer, AppError> {
    let query = StatsQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    state
        .answer(move |conn| query::stats(conn, &query, &limits))
        .await
}

/// Lines that look like an event and are none, those that arrived last first: a sample of 1,000.
#[utoipa::path(
    get, operation_id = "list_malformed_events", path = "/api/v1/events/malformed", tag = "events",
    responses((status = 200, description = "The lines.", body = [MalformedEvent]), ReadErrors)
)]
pub(in crate::http) async fn malformed(
    state: web::Data<AppState>,
    caller: web::ReqData<Caller>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    let sees_addresses = caller.sees_addresses;
    state
        .answer(move |conn| {
            let mut lines = query::malformed(conn)?;
            for line in lines.iter_mut().filter(|_| !sees_addresses) {
                line.line = hide_addresses(&line.line).into_owned();
            }
            Ok(lines)
        })
        .await
}

/// The jobs of services over whole hours, as their events `job.started`, `job.finished` and `job.failed` tell, those
/// that ran last first.
#[utoipa::path(
    get, operation_id = "list_jobs", path = "/api/v1/events/jobs", tag = "events", params(JobsParams),
    responses((status = 200, description = "The jobs.", body = [Job]), ReadErrors)
)]
pub(in crate::http) async fn jobs(
    state: web::Data<AppState>,
    asked: web::Query<JobsParams>,
) -> Result<Answer, AppError> {
    let query = JobsQuery::try_from(asked.into_inner())?;
    let limits = state.query_limits();
    state
        .answer(move |conn| query::jobs(conn, &query, &limits))
        .await
}

/// Posts events, as `POST /events`.
#[utoipa::path(
    post, operation_id = "post_events_v1", path = "/api/v1/events", tag = "events",
    request_body(content = Option<String>, content_type = "application/x-ndjson", description = "Events, one on each line; or as application/json an array of them. Nothing is no events."),
    responses((status = 200, description = "What became of them.", body = Posted), EntryErrors)
)]
pub(in crate::http) async fn post(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Posted>, AppError> {
    posting::post(state, request, payload).await
}

/// Hides the addresses within an event.
fn without_addresses(event: &mut Event) -> Result<(), QueryError> {
    if let Cow::Owned(shown) = hide_addresses(event.data.0.get()) {
        let shown = RawValue::from_string(shown);
        event.data.0 = shown.map_err(|error| QueryError::Internal(error.to_string()))?;
    }
    Ok(())
}
