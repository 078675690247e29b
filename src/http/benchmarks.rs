//! `/benchmarks` and `/host_systems`: benchmark runs and their machines.

use actix_web::{HttpResponse, web};
use chrono::Utc;
use serde::Serialize;

use super::answer::Answer;
use super::error::{EntryErrors, ErrorBody, ReadErrors};
use super::extractors::{Fields, Object, required};
use super::{AppError, AppState};
use crate::query::QueryError;
use crate::query::benchmarks::{self, Target};
use crate::query::host_systems;
use crate::query::params::{self, ListParams, ListQuery};
use crate::store::benchmarks::{
    Benchmark, BenchmarkEvent, HostSystem, NewBenchmark, NewBenchmarkEvent, NewHostSystem,
    delete_benchmark, insert_benchmark, insert_benchmark_event, insert_host_system,
};

/// A JSON object.
pub(super) type Body = web::Json<Object>;

/// The machines under test, in the order in which they were entered.
#[utoipa::path(
    get, operation_id = "list_host_systems", path = "/host_systems", tag = "benchmarks", params(ListParams),
    responses((status = 200, description = "The machines.", body = [HostSystem]), ReadErrors)
)]
pub(super) async fn host_systems(
    state: web::Data<AppState>,
    asked: web::Query<ListParams>,
) -> Result<Answer, AppError> {
    let query = ListQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| host_systems::fetch(conn, &query))
        .await
}

/// Enters a machine under test.
#[utoipa::path(
    post, operation_id = "enter_host_system", path = "/host_systems", tag = "benchmarks", request_body = NewHostSystem,
    responses((status = 200, description = "The machine with its number.", body = HostSystem), EntryErrors)
)]
pub(super) async fn enter_host_system(
    state: web::Data<AppState>,
    body: Body,
) -> Result<web::Json<HostSystem>, AppError> {
    enter_machine_as(&state, read_host_system(body.into_inner())?).await
}

/// Enters a machine; the answer is in the words of `T`.
pub(super) async fn enter_machine_as<T: From<HostSystem> + Serialize>(
    state: &AppState,
    new: NewHostSystem,
) -> Result<web::Json<T>, AppError> {
    let system = state
        .enter(move |conn| Ok(insert_host_system(conn, &new)?))
        .await?;
    Ok(web::Json(system.into()))
}

/// The benchmark runs, the latest first.
#[utoipa::path(
    get, operation_id = "list_benchmarks", path = "/benchmarks", tag = "benchmarks", params(ListParams),
    responses((status = 200, description = "The runs.", body = [Benchmark]), ReadErrors)
)]
pub(super) async fn list(
    state: web::Data<AppState>,
    asked: web::Query<ListParams>,
) -> Result<Answer, AppError> {
    let query = ListQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| benchmarks::fetch(conn, &query))
        .await
}

/// Enters a benchmark run.
#[utoipa::path(
    post, operation_id = "enter_benchmark", path = "/benchmarks", tag = "benchmarks", request_body = NewBenchmark,
    responses(
        (status = 200, description = "The run with its number.", body = Benchmark),
        (status = 404, description = "There is no machine with this `host_system_id`.", body = ErrorBody),
        EntryErrors,
    )
)]
pub(super) async fn enter(
    state: web::Data<AppState>,
    body: Body,
) -> Result<web::Json<Benchmark>, AppError> {
    enter_run_as(&state, read_benchmark(body.into_inner())?).await
}

/// Enters a run; the answer is in the words of `T`.
pub(super) async fn enter_run_as<T: From<Benchmark> + Serialize>(
    state: &AppState,
    new: NewBenchmark,
) -> Result<web::Json<T>, AppError> {
    let benchmark = state
        .enter(move |conn| {
            insert_benchmark(conn, &new)?.ok_or(QueryError::NotFound {
                parameter: "host_system_id",
            })
        })
        .await?;
    Ok(web::Json(benchmark.into()))
}

/// Deletes a benchmark run with its phases.
#[utoipa::path(
    delete, operation_id = "delete_benchmark", path = "/benchmarks/{id}", tag = "benchmarks",
    params(("id" = i64, Path, description = "Number of the run.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        EntryErrors,
    )
)]
pub(super) async fn delete(
    state: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, AppError> {
    let id = params::row_id("id", &id)?;
    state
        .enter(move |conn| match delete_benchmark(conn, id)? {
            true => Ok(()),
            false => Err(QueryError::NotFound { parameter: "id" }),
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Enters a phase of a benchmark run.
#[utoipa::path(
    post, operation_id = "enter_benchmark_event", path = "/benchmarks/events", tag = "benchmarks", request_body = NewBenchmarkEvent,
    responses(
        (status = 200, description = "The phase with its number.", body = BenchmarkEvent),
        (status = 404, description = "There is no run with this `benchmark_id`.", body = ErrorBody),
        EntryErrors,
    )
)]
pub(super) async fn enter_event(
    state: web::Data<AppState>,
    body: Body,
) -> Result<web::Json<BenchmarkEvent>, AppError> {
    let new = read_benchmark_event(body.into_inner())?;
    let event = state
        .enter(move |conn| {
            insert_benchmark_event(conn, &new)?.ok_or(QueryError::NotFound {
                parameter: "benchmark_id",
            })
        })
        .await?;
    Ok(web::Json(event))
}

/// The targets of the spans (`tracing.profiling`) that nodes sent during a run,
/// from its start or first phase to its end or last phase. Only those of the
/// node under test, if the run names it in `setup.substrate.peerId`.
#[utoipa::path(
    get, operation_id = "list_benchmark_targets", path = "/benchmarks/{id}/targets", tag = "benchmarks",
    params(("id" = i64, Path, description = "Number of the run.")),
    responses(
        (status = 200, description = "The targets by name.", body = [Target]),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(super) async fn targets(
    state: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<Answer, AppError> {
    let id = params::row_id("id", &id)?;
    let limits = state.query_limits();
    state
        .answer(move |conn| benchmarks::fetch_targets(conn, id, &limits))
        .await
}

/// The phases of a run, oldest first.
#[utoipa::path(
    get, operation_id = "list_benchmark_events", path = "/benchmarks/{id}/events", tag = "benchmarks",
    params(("id" = i64, Path, description = "Number of the run.")),
    responses(
        (status = 200, description = "The phases.", body = [BenchmarkEvent]),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(super) async fn events(
    state: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<Answer, AppError> {
    let id = params::row_id("id", &id)?;
    state
        .answer(move |conn| benchmarks::fetch_events(conn, id))
        .await
}

fn read_host_system(body: Object) -> Result<NewHostSystem, AppError> {
    let mut fields = Fields::new(body);
    let new = NewHostSystem {
        description: required("description", fields.text("description")?)?,
        os: required("os", fields.text("os")?)?,
        cpu_qty: required("cpu_qty", fields.positive("cpu_qty")?)?,
        cpu_clock: required("cpu_clock", fields.positive("cpu_clock")?)?,
        ram_mb: required("ram_mb", fields.positive("ram_mb")?)?,
        disk_info: required("disk_info", fields.text("disk_info")?)?,
    };
    fields.end()?;
    Ok(new)
}

fn read_benchmark(body: Object) -> Result<NewBenchmark, AppError> {
    let mut fields = Fields::new(body);
    let setup = fields.object("setup")?;
    let (mut start, mut end) = (fields.time("ts_start")?, fields.time("ts_end")?);
    if setup.is_some() {
        // The first version entered a run when it began, and then its phases.
        start = start.or(Some(Utc::now()));
        end = end.or(start);
    }
    let new = NewBenchmark {
        setup,
        ts_start: required("ts_start", start)?,
        ts_end: required("ts_end", end)?,
        description: fields.text("description")?,
        chain_spec: fields.object("chain_spec")?,
        benchmark_spec: fields.object("benchmark_spec")?,
        host_system_id: fields.positive("host_system_id")?,
    };
    fields.end()?;
    if new.ts_start > new.ts_end {
        return Err(QueryError::invalid("ts_end", "must not be before ts_start").into());
    }
    Ok(new)
}

fn read_benchmark_event(body: Object) -> Result<NewBenchmarkEvent, AppError> {
    let mut fields = Fields::new(body);
    let new = NewBenchmarkEvent {
        benchmark_id: required("benchmark_id", fields.positive("benchmark_id")?)?,
        name: required("name", fields.text("name")?)?,
        phase: required("phase", fields.text("phase")?)?,
        created_at: fields.time("created_at")?.unwrap_or_else(Utc::now),
    };
    fields.end()?;
    Ok(new)
}
