//! Authorisation: which client sends a request, and what it may do. Pure rules on requests;
//! `guard` applies them before every route.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::client_ip::{X_FORWARDED_FOR, client_ip, parse_hop};
use super::{AppError, posting, v1};
use crate::config::AccessConfig;
use crate::metrics::RefuseReason;

/// Challenges: a password of a browser, a token of a program.
const READ_CHALLENGES: &[&str] = &[
    "Bearer realm=\"tetcore-analytics\"",
    "Basic realm=\"tetcore-analytics\", charset=\"UTF-8\"",
];

/// Without `Basic`: browsers attach passwords to requests of other sites as well, so
/// a password alone must not permit writing.
pub(super) const WRITE_CHALLENGES: &[&str] = &["Bearer realm=\"tetcore-analytics\""];

/// Headers of proxies: behind one, a loopback address is that of the proxy.
const PROXY_HEADERS: [HeaderName; 6] = [
    header::FORWARDED,
    header::VIA,
    X_FORWARDED_FOR,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    /// The other end of the connection.
    pub(super) peer: Option<IpAddr>,
}

/// The client of a request; handlers get it from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// The client, seen through trusted proxies.
    pub(super) ip: Option<IpAddr>,
    /// May see the addresses of nodes.
    pub(super) sees_addresses: bool,
    /// May see where nodes are.
    pub(super) sees_locations: bool,
}

/// Judges a request by its method, its path and what it shows.
///
/// # Errors
/// [`AppError::Unauthorized`] without a token that is needed,
/// [`AppError::Forbidden`] for writing from elsewhere while there are no tokens,
/// [`AppError::BadRequest`] if a trusted proxy does not give the client's address.
pub(super) fn judge(access: &AccessConfig, asked: &Asked<'_>) -> Result<Caller, AppError> {
    let ip = asked
        .peer
        .map(|peer| client_ip(peer, asked.headers, &access.trusted_proxies))
        .transpose()?;
    let shown = Shown::of(asked.headers);
    let may_write = shown
        .bearer
        .is_some_and(|token| access.api_tokens.admit(token));
    let may_read = may_write
        || shown.tokens().any(|token| {
            // Both lists are looked through, whichever the token is in.
            access.read_tokens.admit(token) | access.api_tokens.admit(token)
        });
    let is_local = is_local(asked);
    let sees_addresses = access.expose_ip_addresses || may_read || is_local;
    let caller = Caller {
        ip,
        sees_addresses,
        sees_locations: access.expose_locations || sees_addresses,
    };
    if is_open(asked) {
        return Ok(caller);
    }
    if is_reading(asked.method) {
        return if may_read || access.read_tokens.is_empty() {
            Ok(caller)
        } else {
            Err(AppError::Unauthorized {
                message: "reading needs one of READ_TOKENS or API_TOKENS: Authorization: Bearer, or as the password",
                challenges: READ_CHALLENGES,
            })
        };
    }
    if posting::is_door(asked) {
        return posting::judge(access, asked, is_local).map(|()| caller);
    }
    if may_write || access.api_tokens.is_empty() && is_local {
        Ok(caller)
    } else if access.api_tokens.is_empty() {
        Err(AppError::forbidden(
            "only this machine may write, by its address or as localhost, until API_TOKENS is set",
        ))
    } else {
        Err(AppError::Unauthorized {
            message: "writing needs one of API_TOKENS: Authorization: Bearer",
            challenges: WRITE_CHALLENGES,
        })
    }
}

/// Checks a connecting node: its network, and the token in its path.
///
/// # Errors
/// Why it is refused.
pub(super) fn admit_node(
    access: &AccessConfig,
    audit: bool,
    token: Option<&str>,
    ip: Option<IpAddr>,
) -> Result<(), RefuseReason> {
    let networks = &access.allowed_networks;
    if !networks.is_empty() && !ip.is_some_and(|ip| networks.contain(ip)) {
        return Err(RefuseReason::Network);
    }
    let (is_needed, tokens) = if audit {
        (access.audit_needs_token(), &access.audit_tokens)
    } else {
        (access.submit_needs_token(), &access.telemetry_tokens)
    };
    // While no token is needed any is as good as none, so that nodes can be
    // given theirs first.
    if is_needed && !token.is_some_and(|token| tokens.admit(token)) {
        return Err(RefuseReason::Token);
    }
    Ok(())
}

/// Whether a request is a websocket upgrade.
pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(header::UPGRADE).any(|value| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        value.contains("websocket")
    })
}

fn is_reading(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Routes that are open to all clients, and those of nodes, which check tokens themselves.
fn is_open(asked: &Asked<'_>) -> bool {
    let path = asked.uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let path = path.strip_prefix(v1::PREFIX).unwrap_or(path);
    is_node_door(asked)
        || matches!(path, "/health" | "/health/live" | "/health/ready") && is_reading(asked.method)
}

/// Routes of nodes.
pub(super) fn is_node_door(asked: &Asked<'_>) -> bool {
    let path = asked.uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_place = matches!(path, "" | "/submit" | "/audit") || path.starts_with("/t/");
    is_place && asked.method == Method::GET && wants_websocket(asked.headers)
}

/// The tokens that a request shows.
pub(super) struct Shown<'a> {
    pub(super) bearer: Option<&'a str>,
    password: Option<String>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .map(|(scheme, rest)| (scheme, rest.trim()));
        match given {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Self {
                bearer: Some(token),
                password: None,
            },
            Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => Self {
                bearer: None,
                password: password(encoded),
            },
            _ => Self {
                bearer: None,
                password: None,
            },
        }
    }

    fn tokens(&self) -> impl Iterator<Item = &str> {
        self.bearer.into_iter().chain(self.password.as_deref())
    }
}

/// The password of HTTP Basic; the name of the user does not matter.
fn password(encoded: &str) -> Option<String> {
    let decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    decoded
        .split_once(':')
        .map(|(_, password)| password.to_owned())
}

/// Whether a request comes from this machine, by address or as `localhost`. A name
/// of another site that resolves here does not count (DNS rebinding).
fn is_local(asked: &Asked<'_>) -> bool {
    let is_loopback = asked
        .peer
        .is_some_and(|peer| peer.to_canonical().is_loopback());
    let by_proxy = PROXY_HEADERS
        .iter()
        .any(|name| asked.headers.contains_key(name));
    let host = asked
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    is_loopback && !by_proxy && host.is_some_and(is_local_host)
}

fn is_local_host(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || parse_hop(host).is_some()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;
    use crate::config::Config;

    const API: &str = "api-token-0123456789";
    const READ: &str = "read-token-0123456789";

    fn access(values: &[(&str, &str)]) -> AccessConfig {
        let lookup = |name: &str| {
            let found = values.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::from_lookup(&lookup).unwrap().access
    }

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    /// What becomes of a request: 200, or the status of its refusal.
    fn status(
        access: &AccessConfig,
        method: Method,
        path: &str,
        peer: &str,
        values: &[(&'static str, &str)],
    ) -> u16 {
        use actix_web::ResponseError;
        let judged = judge(
            access,
            &Asked {
                method: &method,
                uri: &path.parse().unwrap(),
                headers: &headers(values),
                peer: Some(peer.parse().unwrap()),
            },
        );
        judged.map_or_else(|error| error.status_code().as_u16(), |_| 200)
    }

    #[test]
    fn without_tokens_everybody_reads_and_only_this_machine_writes() {
        let access = access(&[]);
        let here = [("host", "localhost:8080")];
        assert_eq!(
            status(&access, Method::GET, "/nodes", "192.0.2.1", &[]),
            200
        );
        for (peer, values, expected) in [
            ("127.0.0.1", &here[..], 200),
            ("::1", &[("host", "[::1]:8080")], 200),
            ("::ffff:127.0.0.1", &[("host", "127.0.0.1")], 200),
            ("192.0.2.1", &here, 403),
            // A site whose name leads here, and a proxy on this machine.
            ("127.0.0.1", &[("host", "evil.example:8080")], 403),
            ("127.0.0.1", &[], 403),
            (
                "127.0.0.1",
                &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")],
                403,
            ),
            (
                "127.0.0.1",
                &[("host", "localhost"), ("via", "1.1 proxy")],
                403,
            ),
        ] {
            let got = status(&access, Method::POST, "/benchmarks", peer, values);
            assert_eq!(got, expected, "{peer} {values:?}");
        }
    }

    #[test]
    fn tokens_open_what_they_are_for() {
        let access = access(&[("API_TOKENS", API), ("READ_TOKENS", READ)]);
        let basic = |token: &str| format!("Basic {}", BASE64.encode(format!("anyone:{token}")));
        let bearer = |token: &str| format!("Bearer {token}");
        for (given, reads, writes) in [
            (bearer(API), 200, 200),
            (bearer(READ), 200, 401),
            (format!("bearer  {READ}"), 200, 401),
            (basic(READ), 200, 401),
            // Browsers send it by themselves, also for other sites.
            (basic(API), 200, 401),
            (basic(READ).replace("Basic", "Digest"), 401, 401),
            (bearer("wrong-token-0123456789"), 401, 401),
            (bearer(""), 401, 401),
            ("Basic ###".to_owned(), 401, 401),
            (READ.to_owned(), 401, 401),
            ("é".to_owned(), 401, 401),
        ] {
            let values = [("authorization", given.as_str()), ("host", "localhost")];
            for path in [
                "/",
                "/nodes",
                "/metrics",
                "/no/such/route",
                "/health/liver",
                "/health/live//",
                "/api/v1/nodes",
                "/api/v1/api/v1/health",
            ] {
                assert_eq!(
                    status(&access, Method::GET, path, "127.0.0.1", &values),
                    reads,
                    "{given} {path}"
                );
            }
            assert_eq!(
                status(&access, Method::POST, "/benchmarks", "127.0.0.1", &values),
                writes,
                "{given}"
            );
            assert_eq!(
                status(
                    &access,
                    Method::DELETE,
                    "/health/live",
                    "127.0.0.1",
                    &values
                ),
                writes
            );
            for path in ["/health/live/", "/api/v1/health", "/api/v1/health/ready"] {
                assert_eq!(
                    status(&access, Method::GET, path, "127.0.0.1", &values),
                    200
                );
            }
        }
    }

    #[test]
    fn a_token_in_both_lists_reads_as_a_password_too() {
        let access = access(&[("API_TOKENS", API), ("READ_TOKENS", API)]);
        let password = format!("Basic {}", BASE64.encode(format!("anyone:{API}")));
        let values = [("authorization", password.as_str())];
        assert_eq!(
            status(&access, Method::GET, "/nodes", "192.0.2.1", &values),
            200
        );
    }

    #[test]
    fn nodes_pass_by_to_their_own_door() {
        let access = access(&[("READ_TOKENS", READ)]);
        let upgrade = [("upgrade", "WebSocket")];
        for path in ["/", "/submit", "/submit/", "/audit", "/t/x/submit", "/t/x"] {
            assert_eq!(
                status(&access, Method::GET, path, "192.0.2.1", &upgrade),
                200,
                "{path}"
            );
            assert_eq!(
                status(&access, Method::GET, path, "192.0.2.1", &[]),
                401,
                "{path}"
            );
            assert_eq!(
                status(&access, Method::POST, path, "192.0.2.1", &upgrade),
                403,
                "{path}"
            );
        }
        for path in ["/nodes", "/metrics", "/feed", "/tt/x"] {
            assert_eq!(
                status(&access, Method::GET, path, "192.0.2.1", &upgrade),
                401,
                "{path}"
            );
        }
    }

    #[test]
    fn nodes_are_let_in_by_network_and_token() {
        let ip = |text: &str| Some(text.parse().unwrap());
        let open = access(&[]);
        for audit in [false, true] {
            assert_eq!(admit_node(&open, audit, None, None), Ok(()));
            assert_eq!(admit_node(&open, audit, Some("any"), None), Ok(()));
        }
        let closed = access(&[
            (
                "TELEMETRY_TOKENS",
                "telemetry-0123456789,telemetry-9876543210",
            ),
            ("AUDIT_TOKENS", "audit-0123456789"),
            ("ALLOWED_NETWORKS", "192.0.2.0/24,2001:db8::/32"),
        ]);
        for (audit, token, from, expected) in [
            (false, Some("telemetry-0123456789"), ip("192.0.2.1"), Ok(())),
            (
                false,
                Some("telemetry-9876543210"),
                ip("2001:db8::1"),
                Ok(()),
            ),
            (
                false,
                Some("telemetry-0123456789"),
                ip("198.51.100.1"),
                Err(RefuseReason::Network),
            ),
            (
                false,
                Some("telemetry-0123456789"),
                None,
                Err(RefuseReason::Network),
            ),
            (false, None, ip("192.0.2.1"), Err(RefuseReason::Token)),
            (
                false,
                Some("audit-0123456789"),
                ip("192.0.2.1"),
                Err(RefuseReason::Token),
            ),
            (true, Some("audit-0123456789"), ip("192.0.2.1"), Ok(())),
            (
                true,
                Some("telemetry-0123456789"),
                ip("192.0.2.1"),
                Err(RefuseReason::Token),
            ),
            (true, None, ip("192.0.2.1"), Err(RefuseReason::Token)),
        ] {
            assert_eq!(
                admit_node(&closed, audit, token, from),
                expected,
                "{audit} {token:?} {from:?}"
            );
        }
    }

    #[test]
    fn addresses_of_nodes_are_seen_here_and_with_a_token() {
        let sees = |values: &[(&str, &str)], peer: &str, given: &[(&'static str, &str)]| {
            let access = access(values);
            let headers = headers(given);
            let asked = Asked {
                method: &Method::GET,
                uri: &Uri::from_static("/nodes"),
                headers: &headers,
                peer: Some(peer.parse().unwrap()),
            };
            judge(&access, &asked).unwrap().sees_addresses
        };
        let token = [("authorization", "Bearer api-token-0123456789")];
        assert!(sees(&[], "127.0.0.1", &[("host", "127.0.0.1:80")]));
        assert!(!sees(&[], "192.0.2.1", &[("host", "127.0.0.1:80")]));
        assert!(!sees(&[], "192.0.2.1", &token));
        assert!(sees(&[("API_TOKENS", API)], "192.0.2.1", &token));
        assert!(sees(&[("READ_TOKENS", API)], "192.0.2.1", &token));
        assert!(sees(&[("EXPOSE_IP_ADDRESSES", "true")], "192.0.2.1", &[]));
    }
}
