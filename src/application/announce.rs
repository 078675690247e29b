//! What standard output shows when the server starts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::standard_output::say;
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
    say(format!("tetcore-analytics {}", env!("CARGO_PKG_VERSION")));
    say(format!("listening on http{tls}://{shown}/"));
    say(format!(
        "give to a node: --telemetry-url 'ws{tls}://{shown}/{token}submit 1'"
    ));
    if address.ip().is_unspecified() {
        say(format!(
            "from other machines, put the name of this one in place of {}",
            shown.ip()
        ));
    }
    say(format!("access: {}", access.summary()));
}

/// The database is there, telemetry is stored.
pub(super) fn ready(database_url: &str) {
    say(format!("database: {database_url}"));
    say("ready".to_owned());
}
