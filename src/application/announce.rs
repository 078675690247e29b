//! What a person reads when the server starts.

#![expect(
    clippy::print_stdout,
    reason = "this is the output of the program, not a log"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::AccessConfig;

/// The server listens; what is open stands in one line.
pub(super) fn listening(address: SocketAddr, access: &AccessConfig) {
    let tls = if access.tls.is_some() { "s" } else { "" };
    let token = if access.submit_needs_token() {
        "t/TOKEN/"
    } else {
        ""
    };
    let shown = match address.ip() {
        ip if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
        }
        _ => address,
    };
    println!("tetcore-analytics {}", env!("CARGO_PKG_VERSION"));
    println!("listening on http{tls}://{shown}/");
    println!("give to a node: --telemetry-url 'ws{tls}://{shown}/{token}submit 1'");
    if address.ip().is_unspecified() {
        println!(
            "from other machines, put the name of this one in place of {}",
            shown.ip()
        );
    }
    println!("access: {}", access.summary());
}

/// The database is there, telemetry is stored.
pub(super) fn ready(database_url: &str) {
    println!("database: {database_url}");
    println!("ready");
}
