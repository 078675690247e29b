//! Keeps and explains the telemetry of Tetcore, Substrate and Polkadot-SDK nodes.

#![forbid(unsafe_code)]

pub mod config;
pub mod ids;
pub mod metrics;
pub mod store;
pub mod telemetry;
