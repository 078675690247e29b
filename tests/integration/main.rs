//! Tests of the whole server: real processes, real sockets, a real PostgreSQL.
//! `make test` runs them; see `support` for what they are made of.

#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and is read with its name"
)]

mod support;

mod access;
mod access_nodes;
mod access_tls;
mod alerts;
mod answers;
mod api_v1;
mod arrival;
mod benchmarks;
mod blocks;
mod changes;
mod cluster;
mod connections;
mod demo;
mod deployment;
mod disk;
mod documents;
mod embedded;
mod endings;
mod events;
mod exactly_once;
mod facts;
mod faults;
mod feed;
mod fuzz;
mod grafana;
mod hostile;
mod http_connections;
mod ingest;
mod limits;
mod locations;
mod logs;
mod lossless;
mod migrations;
mod node_errors;
mod node_logs;
mod nodes;
mod odd_requests;
mod pages;
mod plans;
mod plans_of_a_year;
mod profiling;
mod projections;
mod prometheus;
mod read_only;
mod rebuilds;
mod refusals;
mod reputation;
mod retention;
mod series;
mod shutdown;
mod span_hours;
mod startup;
mod stats_health_openapi;
mod status;
mod suite;
mod tidy;
mod transports;
