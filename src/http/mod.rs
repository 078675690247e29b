//! The HTTP interface: thin handlers, one page of routes, one mapping of
//! errors to answers.

mod access;
mod answered;
mod asked;
mod benchmarks;
mod client_ip;
mod connections;
mod error;
mod feed_socket;
mod guard;
mod health;
mod metrics;
mod nodes;
mod openapi;
mod pages;
mod profiling;
mod reputation;
mod routes;
mod series;
mod servers;
mod state;
mod stats;
mod subscription;
mod telemetry_socket;

pub use answered::middleware;
pub use connections::{Connection, Connections, KEEP_ALIVE};
pub use error::AppError;
pub use guard::{cors, guard};
pub use routes::configure;
pub use state::{AppState, StoreHandle};
