//! Keeps and explains the telemetry of Tetcore, Substrate and Polkadot-SDK nodes.
//!
//! The rooms, each importing only rooms below it (`docs/ARCHITECTURE.md` walks
//! a message and a request through them):
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`demo`] | a small fleet of made-up nodes, to try a server |
//! | [`application`] | the wiring: what starts and stops in which order |
//! | [`http`] | thin handlers, one table of routes |
//! | [`ingest`] | from the socket of a node to a stored batch |
//! | [`query`] | everything that only reads |
//! | [`retention`] | making and dropping partitions |
//! | [`alerts`] | what is wrong for long enough, and with whom |
//! | [`notify`] | everything that speaks outwards |
//! | [`status`] | whether nodes are alive and well |
//! | [`projections`] | tables that are maintained from the messages |
//! | [`feed`] | live fan-out to subscribers |
//! | [`messages`], [`changes`] | reading stored messages; the ordered stream of stored batches |
//! | [`store`], [`cluster`] | everything that changes rows; the servers of one database, and which has which job |
//! | [`database`], [`postgres`] | access to the database; running one of our own |
//! | [`locations`] | in which country addresses are |
//! | [`telemetry`], [`metrics`], [`server_state`], [`config`], [`ids`] | leaves |

#![forbid(unsafe_code)]

pub mod alerts;
pub mod application;
pub mod changes;
pub mod cluster;
pub mod config;
pub mod database;
pub mod demo;
pub mod feed;
pub mod grafana;
pub mod http;
pub mod ids;
pub mod ingest;
pub mod locations;
pub mod messages;
pub mod metrics;
pub mod notify;
pub mod postgres;
pub mod projections;
pub mod query;
pub mod retention;
pub mod server_state;
pub mod status;
pub mod store;
pub mod telemetry;
