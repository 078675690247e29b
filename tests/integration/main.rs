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

mod embedded;
mod exactly_once;
mod ingest;
mod migrations;
mod retention;
mod shutdown;
mod startup;
mod tidy;
