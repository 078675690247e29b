//! All routes on one page, but for those of `/api/v1`, which stand in `v1`. Each is
//! there with and without a trailing slash.

use actix_web::guard::{self, Guard, GuardContext};
use actix_web::http::Method;
use actix_web::{Resource, Route, web};

use super::{AppError, access, extractors, feed_socket, v1};
use super::{
    benchmarks, health, metrics, nodes, openapi, pages, posting, reputation, stats,
    telemetry_socket,
};

/// Adds all routes, and the answer for everything else.
#[rustfmt::skip]
pub fn configure(app: &mut web::ServiceConfig) {
    app.app_data(extractors::query_config())
        .app_data(extractors::path_config())
        .app_data(extractors::json_config());

    // Telemetry of nodes
    app.service(only("/", READ).route(upgrade().to(telemetry_socket::submit)).route(get().to(pages::start)))
        .service(only("/submit", READ).route(upgrade().to(telemetry_socket::submit)).route(get().to(pages::upgrade_required)))
        .service(only("/audit", READ).route(upgrade().to(telemetry_socket::audit)).route(get().to(pages::upgrade_required)))
        .service(only("/t/{token}", READ).route(upgrade().to(telemetry_socket::submit)).route(get().to(pages::upgrade_required)))
        .service(only("/t/{token}/submit", READ).route(upgrade().to(telemetry_socket::submit)).route(get().to(pages::upgrade_required)))
        .service(only("/t/{token}/audit", READ).route(upgrade().to(telemetry_socket::audit)).route(get().to(pages::upgrade_required)));

    // What nodes reported
    app.service(only("/nodes", READ).route(get().to(nodes::list)))
        .service(only("/nodes/logs", READ).route(get().to(nodes::logs)))
        .service(only("/nodes/log_stats", READ).route(get().to(nodes::log_stats)))
        .service(only("/reputation", READ).route(get().to(reputation::all)))
        .service(only("/reputation/logged", READ).route(get().to(reputation::logged)))
        .service(only("/reputation/{peer_id}", READ).route(get().to(reputation::of_peer)));

    // What runtimes and services say
    app.service(only("/events", ENTER).route(post().to(posting::events::post)))
        .service(only("/loki/api/v1/push", ENTER).route(post().to(posting::loki::push)))
        .service(only("/v1/logs", ENTER).route(post().to(posting::otlp::push)));

    // What they say now
    app.service(only("/feed", READ).route(upgrade().to(feed_socket::connect)).route(get().to(pages::upgrade_required)));

    // Pages
    app.service(web::resource("/dashboard").route(get().to(pages::to_dashboard)))
        .service(web::resource("/dashboard/{path:.*}").route(get().to(pages::dashboard)));

    // Benchmarks
    app.service(only("/host_systems", READ_AND_ENTER).route(get().to(benchmarks::host_systems)).route(post().to(benchmarks::enter_host_system)))
        .service(only("/benchmarks", READ_AND_ENTER).route(get().to(benchmarks::list)).route(post().to(benchmarks::enter)))
        .service(only("/benchmarks/events", ENTER).route(post().to(benchmarks::enter_event)))
        .service(only("/benchmarks/{id}", DELETE).route(delete().to(benchmarks::delete)))
        .service(only("/benchmarks/{id}/targets", READ).route(get().to(benchmarks::targets)))
        .service(only("/benchmarks/{id}/events", READ).route(get().to(benchmarks::events)));

    // The server itself
    app.service(only("/stats/db", READ).route(get().to(stats::database)))
        .service(only("/stats/version", READ).route(get().to(stats::version)))
        .service(only("/metrics", READ).route(get().to(metrics::scrape_on_port)))
        .service(only("/metrics/nodes", READ).route(get().to(metrics::of_nodes_on_port)))
        .service(only("/health", READ).route(get().to(health::all)))
        .service(only("/health/live", READ).route(get().to(health::live)))
        .service(only("/health/ready", READ).route(get().to(health::ready)))
        .service(only("/api", READ).route(get().to(pages::api)))
        .service(only("/api/openapi.json", READ).route(get().to(openapi::describe)))
        .service(only("/api/llms.txt", READ).route(get().to(openapi::llms::summarize)));

    v1::configure(app);
    app.default_service(web::to(no_route));
}

/// Adds the routes of `METRICS_ADDRESS`.
pub fn configure_metrics(app: &mut web::ServiceConfig) {
    app.app_data(extractors::query_config())
        .service(only("/metrics", READ).route(get().to(metrics::scrape)))
        .service(only("/metrics/nodes", READ).route(get().to(metrics::of_nodes)))
        .service(only("/health/live", READ).route(get().to(health::live)))
        .default_service(web::to(no_route));
}

pub(super) const READ: &str = "GET, HEAD";
pub(super) const ENTER: &str = "POST";
pub(super) const DELETE: &str = "DELETE";
pub(super) const READ_AND_ENTER: &str = "GET, HEAD, POST";

/// A route with and without trailing slash; other methods than `allowed` get a 405.
pub(super) fn only(path: &str, allowed: &'static str) -> Resource {
    let refuse = move || std::future::ready(Err::<&str, _>(AppError::MethodNotAllowed { allowed }));
    let paths = match path {
        "/" => vec![path.to_owned()],
        path => vec![path.to_owned(), format!("{path}/")],
    };
    web::resource(paths).default_service(web::to(refuse))
}

pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

pub(super) fn post() -> Route {
    web::route().method(Method::POST)
}

pub(super) fn delete() -> Route {
    web::route().method(Method::DELETE)
}

/// Requests that want to become a websocket.
pub(super) fn upgrade() -> Route {
    web::get().guard(WantsWebsocket)
}

struct WantsWebsocket;

impl Guard for WantsWebsocket {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        access::wants_websocket(context.head().headers())
    }
}

async fn no_route() -> Result<&'static str, AppError> {
    Err(AppError::no_route())
}
