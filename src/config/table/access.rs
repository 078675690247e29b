//! Who may do what.

use super::{secret, text};
use crate::config::settings::{DefaultValue, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    secret(
        "TELEMETRY_TOKENS",
        "tokens of 16 to 256 characters A-Z a-z 0-9 - . _ ~, each with a name before it if you like (relayer:TOKEN), separated by commas",
        "Nodes connect to /t/<token>/submit with one of these; without, they are refused. Not set: every node may connect. Programs that post events or logs send one too (Authorization: Bearer), and the name of it is their source.",
    ),
    secret(
        "AUDIT_TOKENS",
        "as TELEMETRY_TOKENS",
        "Nodes connect to /t/<token>/audit with one of these. Not set: every node may, but none if TELEMETRY_TOKENS is set.",
    ),
    secret(
        "API_TOKENS",
        "as TELEMETRY_TOKENS",
        "Clients that write over HTTP send one of these (Authorization: Bearer). Not set: only this machine may write.",
    ),
    secret(
        "READ_TOKENS",
        "as TELEMETRY_TOKENS",
        "Clients that read over HTTP, pages and /metrics too, send one of these (Authorization: Bearer, or as the password in a browser). Not set: everybody may read.",
    ),
    text(
        "ALLOWED_NETWORKS",
        DefaultValue::Unset,
        "networks such as 10.0.0.0/8 or fd00::/8, separated by commas",
        "Networks from which nodes may connect. Not set: all.",
    ),
    text(
        "ALLOWED_CHAINS",
        DefaultValue::Unset,
        "genesis hashes, 0x and 64 hexadecimal digits, separated by commas",
        "Chains whose nodes may send; messages of all others, and of nodes that report no chain, are dropped and counted. Not set: all chains.",
    ),
    text(
        "DENIED_CHAINS",
        DefaultValue::Unset,
        "as ALLOWED_CHAINS",
        "Chains whose nodes may not send. Takes precedence over ALLOWED_CHAINS.",
    ),
    text(
        "TRUSTED_PROXIES",
        DefaultValue::Unset,
        "as ALLOWED_NETWORKS",
        "Proxies whose headers Forwarded and X-Forwarded-For give the address of a client. Too wide: clients can claim any address.",
    ),
    text(
        "EXPOSE_IP_ADDRESSES",
        DefaultValue::Text("false"),
        "true or false",
        "Whether all who may read see the IP addresses of nodes, or only those with a token or on this machine.",
    ),
    text(
        "EXPOSE_LOCATIONS",
        DefaultValue::Text("false"),
        "true or false",
        "Whether all who may read see where nodes are, or only those who see their IP addresses.",
    ),
    text(
        "GEOIP_DATABASE",
        DefaultValue::Unset,
        "files in the MaxMind DB format (.mmdb), separated by commas",
        "Files that say where addresses are: one with cities or countries, one with providers (ASN), or one with both; of several the first that knows counts. Read again when they change. Not set: locations of nodes are not known.",
    ),
    text(
        "LOCATION_PRECISION",
        DefaultValue::Text("country"),
        "country or city",
        "How exactly locations are shown.",
    ),
    text(
        "CORS_ORIGINS",
        DefaultValue::Unset,
        "origins such as https://grafana.example.org, separated by commas",
        "Other sites whose pages may send requests to this server from a browser. Not set: none.",
    ),
    text(
        "ALLOWED_HOSTS",
        DefaultValue::Unset,
        "names such as telemetry.example.org or *.example.org, separated by commas",
        "Names under which browsers and programs reach this server, beside those that only a network of your own can have (addresses, single words, .local, .lan, .internal, .home.arpa, .svc), the machine's own and those of TLS_CERT_PATH. Others are refused, for any site can point its name here (DNS rebinding). Nodes may use every name, and so may everybody with READ_TOKENS.",
    ),
    text(
        "TLS_CERT_PATH",
        DefaultValue::Unset,
        "a PEM file",
        "Certificate for https:// and wss://, with its intermediates. Read again when it changes. Not set: no TLS.",
    ),
    text(
        "TLS_KEY_PATH",
        DefaultValue::Unset,
        "a PEM file",
        "Private key of TLS_CERT_PATH.",
    ),
];
