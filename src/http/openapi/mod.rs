//! `/api/openapi.json`: the description of the interface, made from the handlers, and
//! `/api/llms.txt`, made from it.
//!
//! What many routes have in common (bounds of ids and texts, the form of times, who
//! needs a token, the same route under `/api/v1`) is added by `conventions`.

mod conventions;
mod doors;
pub(super) mod llms;

use std::sync::LazyLock;

use actix_web::http::header::{self, ETag, EntityTag, Header, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use utoipa::OpenApi;

use super::{
    AppError, AppState, benchmarks, health, metrics, misdirected, nodes, pages, posting, refusals,
    reputation, stats, v1,
};

/// Bytes of the digest of a text in its tag.
const ETAG_BYTES: usize = 16;

/// All routes. What `routes` and `v1` have and this list lacks, or the other way round,
/// fails a test.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "tetcore-analytics",
        description = "Keeps and explains the telemetry of Tetcore, Substrate and Polkadot-SDK nodes.\n\n\
            Every question has a route under `/api/v1`, where one word means one thing in all answers: programs \
            that are written now use these. The older routes beside them stay as they are. All paths work with and \
            without a trailing slash.\n\n\
            Times in answers are RFC 3339 in UTC; time parameters may also be naive \
            (`2019-01-01T00:00:00[.ffffff]`), and are read as UTC then. \
            Errors look like `{\"error\":{\"code\":\"…\",\"message\":\"…\",\"parameter\":\"…\",\"request_id\":\"…\"}}`; \
            the request id is that of the header `X-Request-Id`, which every answer has, and of the server's log. A request \
            may bring its own: 1 to 64 letters, digits, `-`, `_` and `.`."
    ),
    tags(
        (name = "telemetry", description = "Where nodes connect."),
        (name = "nodes", description = "Who there is, and what they said."),
        (name = "alerts", description = "What is wrong for long enough, and who is told."),
        (name = "events", description = "What runtimes and services said in a structured form, and by what it leaves."),
        (name = "chains", description = "Where chains are, how their blocks spread and become final, and what their nodes run."),
        (name = "profiling", description = "How long spans took in nodes that measure it."),
        (name = "feed", description = "What nodes say, as they say it."),
        (name = "reputation", description = "What peers think of each other."),
        (name = "benchmarks", description = "Benchmark runs and the machines they ran on."),
        (name = "server", description = "The server itself."),
    ),
    paths(
        pages::start, doors::submit, doors::audit, doors::submit_with_token, doors::submit_with_token_briefly,
        doors::audit_with_token, misdirected::list, refusals::list,
        nodes::list, nodes::logs, nodes::log_stats, v1::nodes::list, v1::nodes::show, v1::nodes::telemetry, v1::nodes::log_stats, v1::nodes::errors,
        v1::status::overview, v1::status::changes, v1::status::flapping, v1::status::of_node,
        v1::alerts::list, v1::alerts::rules, v1::alerts::silences, v1::alerts::enter_silence, v1::alerts::end, v1::alerts::targets,
        v1::events::list, v1::events::show, v1::events::stats, v1::events::jobs, v1::events::malformed, posting::events::post, v1::events::post, posting::loki::push, posting::otlp::push,
        v1::transports::list,
        v1::services::list, v1::services::heartbeats, v1::services::beat, v1::services::delete,
        v1::series::sessions, v1::series::series,
        v1::chains::list, v1::chains::show, v1::chains::blocks, v1::chains::propagation, v1::chains::finality,
        v1::chains::forks, v1::chains::authors, v1::chains::authored, v1::chains::versions, v1::chains::hardware, v1::chains::locations, v1::chains::nodes,
        v1::profiling::over_time, v1::profiling::ranking, doors::feed, v1::feed::connect,
        reputation::all, reputation::logged, reputation::of_peer,
        v1::reputation::all, v1::reputation::logged, v1::reputation::of_peer,
        benchmarks::host_systems, benchmarks::enter_host_system, benchmarks::list, benchmarks::enter,
        benchmarks::enter_event, benchmarks::delete, benchmarks::targets, benchmarks::events,
        v1::benchmarks::machines, v1::benchmarks::enter_machine, v1::benchmarks::list, v1::benchmarks::enter,
        v1::benchmarks::targets,
        stats::database, v1::servers::list, stats::version, metrics::scrape, metrics::of_nodes, health::all, health::live,
        health::ready,
        pages::api, describe, llms::summarize,
    )
)]
struct Description;

/// The description without the servers, which depend on the request.
static DESCRIPTION: LazyLock<Result<Value, String>> = LazyLock::new(|| {
    let described = serde_json::to_value(Description::openapi());
    let mut api = described.map_err(|error| error.to_string())?;
    conventions::apply(&mut api);
    Ok(api)
});

/// This description.
#[utoipa::path(
    get, operation_id = "describe", path = "/api/openapi.json", tag = "server",
    responses(
        (status = 200, description = "The description, as OpenAPI 3.1.", body = Object, content_type = "application/json"),
        (status = 304, description = "It is the one whose `ETag` stands in `If-None-Match`."),
    )
)]
pub(super) async fn describe(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, AppError> {
    let description = DESCRIPTION.as_ref().map_err(AppError::internal)?;
    let mut api = description.clone();
    if let Value::Object(fields) = &mut api {
        fields.insert("servers".to_owned(), servers(&request, &state));
    }
    Ok(answer(&request, "application/json", api.to_string()))
}

/// A text that changes with the version only: who has it already is not sent it again.
fn answer(request: &HttpRequest, kind: &str, text: String) -> HttpResponse {
    let digest = Sha256::digest(&text);
    let digest = digest.iter().take(ETAG_BYTES);
    // Weak, for the same text may be sent compressed.
    let tag = EntityTag::new_weak(digest.map(|byte| format!("{byte:02x}")).collect());
    let known = IfNoneMatch::parse(request).unwrap_or(IfNoneMatch::Items(Vec::new()));
    let is_known = match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    };
    let mut answer = match is_known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    answer.insert_header(ETag(tag));
    match is_known {
        true => answer.finish(),
        false => answer.content_type(kind).body(text),
    }
}

/// Where the routes are: the address of the request, and for proxies that add a path
/// the place above that of the description.
fn servers(request: &HttpRequest, state: &AppState) -> Value {
    let relative =
        json!({"url": "..", "description": "this server, from where this description lies"});
    match address(request, state) {
        Some(address) => json!([{"url": address, "description": "this server"}, relative]),
        None => json!([relative]),
    }
}

/// The address of this server as the client sees it; headers of a proxy count if it is a
/// trusted one. None for a client of HTTP/1.0 that sends no `Host`.
fn address(request: &HttpRequest, state: &AppState) -> Option<String> {
    let proxies = &state.config.access.trusted_proxies;
    let by_proxy = request
        .peer_addr()
        .is_some_and(|peer| proxies.contain(peer.ip()));
    if by_proxy {
        let seen = request.connection_info();
        return Some(format!("{}://{}", seen.scheme(), seen.host()));
    }
    let scheme = match request.app_config().secure() {
        true => "https",
        false => "http",
    };
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    Some(format!("{scheme}://{host}"))
}
