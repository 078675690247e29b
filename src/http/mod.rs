//! The HTTP interface: thin handlers, one page of routes, one mapping of
//! errors to answers.

mod access;
mod answer;
mod benchmarks;
mod browsers;
mod client_ip;
mod compression;
mod connections;
mod error;
mod exposition;
mod extractors;
mod feed_deflate;
mod feed_dialect;
mod feed_history;
mod feed_requests;
mod feed_socket;
mod feed_status;
mod guard;
mod handover;
mod health;
mod metrics;
mod misdirected;
mod nodes;
mod openapi;
mod pages;
mod paging;
mod refusals;
mod reputation;
mod request_metrics;
mod routes;
mod state;
mod stats;
mod subscription;
mod telemetry_socket;
mod v1;

pub use browsers::OwnNames;
pub use compression::compression;
pub use connections::{Connections, HttpConnection, KEEP_ALIVE};
pub use error::AppError;
pub use feed_dialect::write_nodes;
pub use guard::{cors, guard};
pub use handover::HandedOver;
pub use health::problems;
pub use request_metrics::middleware;
pub use routes::configure;
pub use state::{AppState, StoreHandle};
