//! Keeps and explains the telemetry of Tetcore, Substrate and Polkadot-SDK nodes.

#![forbid(unsafe_code)]

pub mod config;
pub mod http;
pub mod ids;
pub mod ingest;
pub mod liveness;
pub mod metrics;
pub mod query;
pub mod retention;
pub mod store;
pub mod telemetry;
