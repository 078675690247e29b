//! `/api/openapi.json`: the description of the interface, made from the handlers.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use utoipa::OpenApi;

use super::error::ErrorBody;
use super::{
    AppError, benchmarks, health, metrics, misdirected, nodes, pages, profiling, reputation,
    series, servers, stats,
};

/// All routes. What `routes` has and this list lacks, or the other way round,
/// fails a test.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "tetcore-analytics",
        description = "Keeps and explains the telemetry of Tetcore, Substrate and Polkadot-SDK nodes.\n\n\
            All paths work with and without a trailing slash. Times in answers are RFC 3339 in UTC; \
            time parameters may also be naive (`2019-01-01T00:00:00[.ffffff]`), and are read as UTC then. \
            Errors look like `{\"error\":{\"code\":\"…\",\"message\":\"…\",\"parameter\":\"…\"}}`."
    ),
    servers((url = "..", description = "this server")),
    tags(
        (name = "telemetry", description = "Where nodes connect."),
        (name = "nodes", description = "Who there is, and what they said."),
        (name = "profiling", description = "How long spans took in nodes that measure it."),
        (name = "feed", description = "What nodes say, as they say it."),
        (name = "reputation", description = "What peers think of each other."),
        (name = "benchmarks", description = "Benchmark runs and the machines they ran on."),
        (name = "server", description = "The server itself."),
    ),
    paths(
        pages::start, misdirected::list, submit, audit, submit_with_token, submit_with_token_briefly, audit_with_token,
        nodes::list, nodes::logs, nodes::log_stats, series::sessions, series::series,
        profiling::over_time, profiling::ranking, feed,
        reputation::all, reputation::logged, reputation::of_peer,
        benchmarks::host_systems, benchmarks::enter_host_system, benchmarks::list, benchmarks::enter,
        benchmarks::enter_event, benchmarks::delete, benchmarks::targets, benchmarks::events,
        stats::database, servers::list, stats::version, metrics::scrape, health::all, health::live,
        health::ready,
        pages::api, describe,
    )
)]
struct Description;

/// Takes the telemetry of nodes over a websocket; it is purged after `LOG_EXPIRY_H`.
///
/// Give `ws://HOST:PORT/submit 1` to a node as `--telemetry-url`.
#[utoipa::path(
    get, operation_id = "submit_telemetry", path = "/submit", tag = "telemetry",
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "A token is needed, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
fn submit() {}

/// As `/submit`, but the messages are never purged.
#[utoipa::path(
    get, operation_id = "submit_audited_telemetry", path = "/audit", tag = "telemetry",
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "A token is needed, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
fn audit() {}

/// As `/submit`, for nodes that have one of `TELEMETRY_TOKENS`.
#[utoipa::path(
    get, path = "/t/{token}/submit", tag = "telemetry",
    params(("token" = String, Path, description = "The token.")),
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "The token is wrong, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
fn submit_with_token() {}

/// The same as `/t/{token}/submit`.
#[utoipa::path(
    get, path = "/t/{token}", tag = "telemetry",
    params(("token" = String, Path, description = "The token.")),
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "The token is wrong, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
fn submit_with_token_briefly() {}

/// As `/audit`, for nodes that have one of `AUDIT_TOKENS`.
#[utoipa::path(
    get, path = "/t/{token}/audit", tag = "telemetry",
    params(("token" = String, Path, description = "The token.")),
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 403, description = "The token is wrong, or the address is not let in.", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see telemetry_socket")]
fn audit_with_token() {}

/// The live feed over a websocket; every text is JSON.
///
/// Subscribe to messages with `{"interest":"subscribe","peer_id":"…","msg":"…"}`, both optional,
/// or with `chain`; from the past on with `start_time` or the `cursor` of an earlier answer;
/// aggregated with `aggregate_type`, `aggregate_interval` and `aggregate_key`. Subscribe to the
/// table of all nodes with `{"topic":"nodes","interest":"subscribe"}`, and to nodes that come and
/// go with `{"topic":"presence","interest":"subscribe"}`. A request with a `request_id` is
/// acknowledged. A client that reads too slowly gets the number of messages that were
/// skipped: `{"lagged":7}`.
#[utoipa::path(
    get, operation_id = "watch_feed", path = "/feed", tag = "feed",
    responses(
        (status = 101, description = "The websocket is open."),
        (status = 400, description = "The upgrade is not complete.", body = ErrorBody),
        (status = 401, description = "A token is needed (`READ_TOKENS`).", body = ErrorBody),
        (status = 426, description = "The request is no websocket upgrade.", body = ErrorBody),
        (status = 503, description = "The server starts or stops, or all places are taken.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only describes the route; see feed_socket")]
fn feed() {}

static JSON: LazyLock<Result<String, String>> = LazyLock::new(|| {
    Description::openapi()
        .to_json()
        .map_err(|error| error.to_string())
});

/// This description.
#[utoipa::path(
    get, operation_id = "describe", path = "/api/openapi.json", tag = "server",
    responses((status = 200, description = "The description, as OpenAPI 3.1.", body = Object, content_type = "application/json"))
)]
pub(super) async fn describe() -> Result<HttpResponse, AppError> {
    let json = JSON.as_deref().map_err(AppError::internal)?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(json))
}
