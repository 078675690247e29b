//! Tests of the whole server: real processes, real sockets, a real PostgreSQL.
//! `make test` runs them; see `support` for what they are made of.

mod support;

mod embedded;
mod ingest;
