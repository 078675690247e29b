//! `/api/v1/host_systems` and `/api/v1/benchmarks`: machines under test and benchmark runs.

use std::collections::BTreeSet;

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::Answer;
use crate::http::benchmarks::{Body, enter_machine_as, enter_run_as};
use crate::http::error::{EntryErrors, ErrorBody, ReadErrors};
use crate::http::extractors::{Fields, NoParams, Object, required};
use crate::http::{AppError, AppState};
use crate::query::benchmarks::{self, Target};
use crate::query::params::{self, ListParams, ListQuery};
use crate::query::{QueryError, host_systems};
use crate::store::benchmarks::{Benchmark, HostSystem, JsonText, NewBenchmark, NewHostSystem};

/// A machine under test.
#[derive(Debug, Serialize, ToSchema)]
struct Machine {
    /// Number of the machine.
    #[schema(minimum = 1)]
    id: i64,
    /// What the machine is.
    description: String,
    /// Operating system with its version.
    os: String,
    /// Number of processors.
    cpu_count: i64,
    /// Clock of the processors, MHz.
    cpu_clock_mhz: i64,
    /// Memory, MiB.
    memory_mib: i64,
    /// Disks, in words.
    disk_info: String,
}

impl From<HostSystem> for Machine {
    fn from(system: HostSystem) -> Self {
        Self {
            id: system.id,
            description: system.description,
            os: system.os,
            cpu_count: system.cpu_qty,
            cpu_clock_mhz: system.cpu_clock,
            memory_mib: system.ram_mb,
            disk_info: system.disk_info,
        }
    }
}

/// A machine to enter.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes; see read_machine")]
struct NewMachine {
    /// What the machine is.
    description: String,
    /// Operating system with its version.
    os: String,
    /// Number of processors.
    #[schema(minimum = 1)]
    cpu_count: i64,
    /// Clock of the processors, MHz.
    #[schema(minimum = 1)]
    cpu_clock_mhz: i64,
    /// Memory, MiB.
    #[schema(minimum = 1)]
    memory_mib: i64,
    /// Disks, in words.
    disk_info: String,
}

/// A benchmark run.
#[derive(Debug, Serialize, ToSchema)]
struct Run {
    /// Number of the run.
    #[schema(minimum = 1)]
    id: i64,
    /// Start of the run.
    start_time: DateTime<Utc>,
    /// End of the run.
    end_time: DateTime<Utc>,
    /// What was tried.
    description: Option<String>,
    /// Whatever describes the run; `substrate.peerId` in it names the node under test.
    #[schema(value_type = Option<Object>)]
    setup: Option<JsonText>,
    /// Chain specification of the node under test.
    #[schema(value_type = Option<Object>)]
    chain_spec: Option<JsonText>,
    /// What the benchmark did.
    #[schema(value_type = Option<Object>)]
    benchmark_spec: Option<JsonText>,
    /// Machine of the run.
    #[schema(minimum = 1)]
    host_system_id: Option<i64>,
    /// When the run was entered.
    created_at: DateTime<Utc>,
}

impl From<Benchmark> for Run {
    fn from(run: Benchmark) -> Self {
        Self {
            id: run.id,
            start_time: run.ts_start,
            end_time: run.ts_end,
            description: run.description,
            setup: run.setup,
            chain_spec: run.chain_spec,
            benchmark_spec: run.benchmark_spec,
            host_system_id: run.host_system_id,
            created_at: run.created_at,
        }
    }
}

/// A run to enter.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes; see read_run")]
struct NewRun {
    /// Start of the run.
    start_time: DateTime<Utc>,
    /// End of the run.
    end_time: DateTime<Utc>,
    /// What was tried.
    description: Option<String>,
    /// Whatever describes the run; `substrate.peerId` in it names the node under test.
    #[schema(value_type = Option<Object>)]
    setup: Option<JsonText>,
    /// Chain specification of the node under test.
    #[schema(value_type = Option<Object>)]
    chain_spec: Option<JsonText>,
    /// What the benchmark did.
    #[schema(value_type = Option<Object>)]
    benchmark_spec: Option<JsonText>,
    /// Machine of the run.
    #[schema(minimum = 1)]
    host_system_id: Option<i64>,
}

/// A target of spans.
#[derive(Debug, Serialize, ToSchema)]
struct TargetCount {
    /// Target of the spans.
    #[schema(example = "pallet_babe")]
    target: String,
    /// Spans of that target.
    #[schema(minimum = 1)]
    count: i64,
    /// Names of the spans.
    names: BTreeSet<String>,
}

impl From<Target> for TargetCount {
    fn from(target: Target) -> Self {
        Self {
            target: target.target,
            count: target.qty,
            names: target.names,
        }
    }
}

/// The machines under test, in the order in which they were entered.
#[utoipa::path(
    get, operation_id = "list_host_systems_v1", path = "/api/v1/host_systems", tag = "benchmarks", params(ListParams),
    responses((status = 200, description = "The machines.", body = [Machine]), ReadErrors)
)]
pub(in crate::http) async fn machines(
    state: web::Data<AppState>,
    asked: web::Query<ListParams>,
) -> Result<Answer, AppError> {
    let query = ListQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| {
            let machines = host_systems::fetch(conn, &query)?;
            Ok(machines.into_iter().map(Machine::from).collect::<Vec<_>>())
        })
        .await
}

/// Enters a machine under test.
#[utoipa::path(
    post, operation_id = "enter_host_system_v1", path = "/api/v1/host_systems", tag = "benchmarks", request_body = NewMachine,
    responses((status = 200, description = "The machine with its number.", body = Machine), EntryErrors)
)]
pub(in crate::http) async fn enter_machine(
    state: web::Data<AppState>,
    body: Body,
) -> Result<web::Json<impl Serialize>, AppError> {
    enter_machine_as::<Machine>(&state, read_machine(body.into_inner())?).await
}

/// The benchmark runs, the latest first.
#[utoipa::path(
    get, operation_id = "list_benchmarks_v1", path = "/api/v1/benchmarks", tag = "benchmarks", params(ListParams),
    responses((status = 200, description = "The runs.", body = [Run]), ReadErrors)
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    asked: web::Query<ListParams>,
) -> Result<Answer, AppError> {
    let query = ListQuery::try_from(asked.into_inner())?;
    state
        .answer(move |conn| {
            let runs = benchmarks::fetch(conn, &query)?;
            Ok(runs.into_iter().map(Run::from).collect::<Vec<_>>())
        })
        .await
}

/// Enters a benchmark run.
#[utoipa::path(
    post, operation_id = "enter_benchmark_v1", path = "/api/v1/benchmarks", tag = "benchmarks", request_body = NewRun,
    responses(
        (status = 200, description = "The run with its number.", body = Run),
        (status = 404, description = "There is no machine with this `host_system_id`.", body = ErrorBody),
        EntryErrors,
    )
)]
pub(in crate::http) async fn enter(
    state: web::Data<AppState>,
    body: Body,
) -> Result<web::Json<impl Serialize>, AppError> {
    enter_run_as::<Run>(&state, read_run(body.into_inner())?).await
}

/// The targets of the spans (`tracing.profiling`) that nodes sent during a run,
/// from its start or first phase to its end or last phase. Only those of the
/// node under test, if the run names it in `setup.substrate.peerId`.
#[utoipa::path(
    get, operation_id = "list_benchmark_targets_v1", path = "/api/v1/benchmarks/{id}/targets", tag = "benchmarks",
    params(("id" = i64, Path, description = "Number of the run.")),
    responses(
        (status = 200, description = "The targets by name.", body = [TargetCount]),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        ReadErrors,
    )
)]
pub(in crate::http) async fn targets(
    state: web::Data<AppState>,
    id: web::Path<String>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    let id = params::row_id("id", &id)?;
    let limits = state.query_limits();
    state
        .answer(move |conn| {
            let targets = benchmarks::fetch_targets(conn, id, &limits)?;
            Ok(targets
                .into_iter()
                .map(TargetCount::from)
                .collect::<Vec<_>>())
        })
        .await
}

fn read_machine(body: Object) -> Result<NewHostSystem, AppError> {
    let mut fields = Fields::new(body);
    let new = NewHostSystem {
        description: required("description", fields.text("description")?)?,
        os: required("os", fields.text("os")?)?,
        cpu_qty: required("cpu_count", fields.positive("cpu_count")?)?,
        cpu_clock: required("cpu_clock_mhz", fields.positive("cpu_clock_mhz")?)?,
        ram_mb: required("memory_mib", fields.positive("memory_mib")?)?,
        disk_info: required("disk_info", fields.text("disk_info")?)?,
    };
    fields.end()?;
    Ok(new)
}

fn read_run(body: Object) -> Result<NewBenchmark, AppError> {
    let mut fields = Fields::new(body);
    let new = NewBenchmark {
        setup: fields.object("setup")?,
        ts_start: required("start_time", fields.time("start_time")?)?,
        ts_end: required("end_time", fields.time("end_time")?)?,
        description: fields.text("description")?,
        chain_spec: fields.object("chain_spec")?,
        benchmark_spec: fields.object("benchmark_spec")?,
        host_system_id: fields.positive("host_system_id")?,
    };
    fields.end()?;
    if new.ts_start > new.ts_end {
        return Err(QueryError::invalid("end_time", "must not be before start_time").into());
    }
    Ok(new)
}
