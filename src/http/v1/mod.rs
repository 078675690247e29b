//! `/api/v1`: every question of the interface, and the answers in one vocabulary:
//! `msg` is a kind of messages, `count` how many there are, `created_at` a time,
//! `start_time` and `end_time` a span, and units stand at the end of names.
//!
//! Where the answer of an older route has these words already, both routes have one
//! handler, and [`SAME`] names them; where it has others, a type here says the same
//! anew. Lists that may be long come in pages, see `paging`.

use actix_web::web;

use super::routes::{DELETE, ENTER, READ, READ_AND_ENTER, delete, get, only, post, upgrade};
use super::{health, metrics, misdirected, pages, refusals, stats};

pub(super) mod alerts;
pub(super) mod benchmarks;
pub(super) mod chains;
pub(super) mod events;
pub(super) mod feed;
pub(super) mod nodes;
pub(super) mod profiling;
pub(super) mod reputation;
pub(super) mod series;
pub(super) mod servers;
pub(super) mod services;
pub(super) mod status;
pub(super) mod transports;

/// All routes of this module are under this path.
pub(super) const PREFIX: &str = "/api/v1";

/// Older routes whose answers are the same under [`PREFIX`].
pub(super) const SAME: [&str; 11] = [
    "/nodes/logs",
    "/benchmarks/events",
    "/benchmarks/{id}",
    "/benchmarks/{id}/events",
    "/stats/db",
    "/stats/version",
    "/metrics",
    "/metrics/nodes",
    "/health",
    "/health/live",
    "/health/ready",
];

/// Adds all routes of this module.
#[rustfmt::skip]
pub(super) fn configure(app: &mut web::ServiceConfig) {
    // Nodes and their messages
    app.service(only("/api/v1/nodes", READ).route(get().to(nodes::list)))
        .service(only("/api/v1/nodes/logs", READ).route(get().to(super::nodes::logs)))
        .service(only("/api/v1/nodes/errors", READ).route(get().to(nodes::errors)))
        .service(only("/api/v1/nodes/log_stats", READ).route(get().to(nodes::log_stats)))
        .service(only("/api/v1/nodes/{peer_id}", READ).route(get().to(nodes::show)))
        .service(only("/api/v1/nodes/{peer_id}/status", READ).route(get().to(status::of_node)))
        .service(only("/api/v1/nodes/{peer_id}/authored", READ).route(get().to(chains::authored)))
        .service(only("/api/v1/nodes/{peer_id}/telemetry", READ).route(get().to(nodes::telemetry)))
        .service(only("/api/v1/status", READ).route(get().to(status::overview)))
        .service(only("/api/v1/status/changes", READ).route(get().to(status::changes)))
        .service(only("/api/v1/status/flapping", READ).route(get().to(status::flapping)))
        .service(only("/api/v1/services", READ).route(get().to(services::list)))
        .service(only("/api/v1/services/{service}", DELETE).route(delete().to(services::delete)))
        .service(only("/api/v1/services/{service}/heartbeats", READ).route(get().to(services::heartbeats)))
        .service(only("/api/v1/heartbeats", ENTER).route(post().to(services::beat)))
        .service(only("/api/v1/sessions", READ).route(get().to(series::sessions)))
        .service(only("/api/v1/series", READ).route(get().to(series::series)))
        .service(only("/api/v1/profiling", READ).route(get().to(profiling::over_time)))
        .service(only("/api/v1/profiling/ranking", READ).route(get().to(profiling::ranking)))
        .service(only("/api/v1/reputation", READ).route(get().to(reputation::all)))
        .service(only("/api/v1/reputation/logged", READ).route(get().to(reputation::logged)))
        .service(only("/api/v1/reputation/{peer_id}", READ).route(get().to(reputation::of_peer)));

    // What is wrong
    app.service(only("/api/v1/alerts", READ).route(get().to(alerts::list)))
        .service(only("/api/v1/alerts/rules", READ).route(get().to(alerts::rules)))
        .service(only("/api/v1/alerts/targets", READ).route(get().to(alerts::targets)))
        .service(only("/api/v1/alerts/silences", READ_AND_ENTER).route(get().to(alerts::silences)).route(post().to(alerts::enter_silence)))
        .service(only("/api/v1/alerts/silences/{id}", DELETE).route(delete().to(alerts::end)));

    // What runtimes and services say
    app.service(only("/api/v1/events", READ_AND_ENTER).route(get().to(events::list)).route(post().to(events::post)))
        .service(only("/api/v1/events/stats", READ).route(get().to(events::stats)))
        .service(only("/api/v1/events/jobs", READ).route(get().to(events::jobs)))
        .service(only("/api/v1/events/malformed", READ).route(get().to(events::malformed)))
        .service(only("/api/v1/events/transports", READ).route(get().to(transports::list)));

    // Chains
    app.service(only("/api/v1/chains", READ).route(get().to(chains::list)))
        .service(only("/api/v1/chains/{genesis_hash}", READ).route(get().to(chains::show)))
        .service(only("/api/v1/chains/{genesis_hash}/blocks", READ).route(get().to(chains::blocks)))
        .service(only("/api/v1/chains/{genesis_hash}/propagation", READ).route(get().to(chains::propagation)))
        .service(only("/api/v1/chains/{genesis_hash}/finality", READ).route(get().to(chains::finality)))
        .service(only("/api/v1/chains/{genesis_hash}/forks", READ).route(get().to(chains::forks)))
        .service(only("/api/v1/chains/{genesis_hash}/authors", READ).route(get().to(chains::authors)))
        .service(only("/api/v1/chains/{genesis_hash}/versions", READ).route(get().to(chains::versions)))
        .service(only("/api/v1/chains/{genesis_hash}/hardware", READ).route(get().to(chains::hardware)))
        .service(only("/api/v1/chains/{genesis_hash}/locations", READ).route(get().to(chains::locations)))
        .service(only("/api/v1/chains/{genesis_hash}/nodes", READ).route(get().to(chains::nodes)));

    // What they say now
    app.service(only("/api/v1/feed", READ).route(upgrade().to(feed::connect)).route(get().to(pages::upgrade_required)));

    // Benchmarks
    app.service(only("/api/v1/host_systems", READ_AND_ENTER).route(get().to(benchmarks::machines)).route(post().to(benchmarks::enter_machine)))
        .service(only("/api/v1/benchmarks", READ_AND_ENTER).route(get().to(benchmarks::list)).route(post().to(benchmarks::enter)))
        .service(only("/api/v1/benchmarks/events", ENTER).route(post().to(super::benchmarks::enter_event)))
        .service(only("/api/v1/benchmarks/{id}", DELETE).route(delete().to(super::benchmarks::delete)))
        .service(only("/api/v1/benchmarks/{id}/targets", READ).route(get().to(benchmarks::targets)))
        .service(only("/api/v1/benchmarks/{id}/events", READ).route(get().to(super::benchmarks::events)));

    // The server itself
    app.service(only("/api/v1/stats/db", READ).route(get().to(stats::database)))
        .service(only("/api/v1/servers", READ).route(get().to(servers::list)))
        .service(only("/api/v1/refusals", READ).route(get().to(refusals::list)))
        .service(only("/api/v1/wrong_paths", READ).route(get().to(misdirected::list)))
        .service(only("/api/v1/stats/version", READ).route(get().to(stats::version)))
        .service(only("/api/v1/metrics", READ).route(get().to(metrics::scrape)))
        .service(only("/api/v1/metrics/nodes", READ).route(get().to(metrics::of_nodes)))
        .service(only("/api/v1/health", READ).route(get().to(health::all)))
        .service(only("/api/v1/health/live", READ).route(get().to(health::live)))
        .service(only("/api/v1/health/ready", READ).route(get().to(health::ready)));

    // After all routes beneath it that have a name.
    app.service(only("/api/v1/events/{id}", READ).route(get().to(events::show)));
}
