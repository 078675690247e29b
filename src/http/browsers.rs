//! Protection against requests that a page of another site sends through the
//! browser of a user. Two headers show them, and pages cannot forge either: `Origin`
//! (cross-site requests) and `Host` (DNS rebinding: a foreign name that resolves to
//! this machine).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{PoisonError, RwLock};

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use sysinfo::System;

use super::AppError;
use super::access::{Asked, is_node_door};
use crate::config::{AccessConfig, HostNames};

/// The host of the original request, set by a proxy.
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Domains of private networks: names below them cannot be registered, so they are
/// safe from DNS rebinding.
const PRIVATE_DOMAINS: [&str; 6] = [
    ".localhost",
    ".local",
    ".lan",
    ".internal",
    ".home.arpa",
    ".svc",
];

/// Types of bodies that a form, or a page of another site without asking, can send.
const FORM_TYPES: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];

/// The names that this server has of itself.
#[derive(Debug)]
pub struct OwnNames {
    machine: String,
    of_certificate: RwLock<HostNames>,
}

impl OwnNames {
    /// The name of the machine, and none of a certificate yet.
    pub fn of_machine() -> Self {
        Self {
            machine: System::host_name().unwrap_or_default().to_ascii_lowercase(),
            of_certificate: RwLock::default(),
        }
    }

    /// The names of the certificate that is used from now on.
    pub fn set_certificate(&self, names: HostNames) {
        let mut current = self.of_certificate.write();
        **current
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut()) = names;
    }

    fn contain(&self, name: &str) -> bool {
        let of_certificate = self.of_certificate.read();
        let of_certificate = of_certificate.unwrap_or_else(PoisonError::into_inner);
        !self.machine.is_empty() && name == self.machine || of_certificate.contain(name)
    }
}

/// Judges whether a request may come from a browser, if it does.
///
/// # Errors
/// [`AppError::Forbidden`] for a page of another site, or a host that may be one;
/// [`AppError::UnsupportedMediaType`] for a body that a form can send.
pub(super) fn judge(
    access: &AccessConfig,
    own: &OwnNames,
    asked: &Asked<'_>,
) -> Result<(), AppError> {
    let has_origin = asked.headers.contains_key(header::ORIGIN);
    if is_node_door(asked) {
        if has_origin {
            return Err(AppError::forbidden(
                "nodes send no Origin, and browsers are not let in here",
            ));
        }
        return Ok(());
    }
    let hosts = asked_hosts(access, asked)?;
    for host in &hosts {
        if access.read_tokens.is_empty() && !is_harmless(access, own, host) {
            let name = host.name();
            return Err(AppError::forbidden(format!(
                "the host {name:?} is not known to be this server; if it is, add it to ALLOWED_HOSTS, or set READ_TOKENS"
            )));
        }
    }
    for origin in asked.headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let is_allowed = access.cors_origins.iter().any(|known| known == origin);
        if !is_allowed && !is_own(origin, &hosts) {
            return Err(AppError::forbidden(format!(
                "pages of {origin:?} may not ask this server; if they should, add it to CORS_ORIGINS"
            )));
        }
    }
    if asked.method == Method::POST && has_form_body(asked.headers) {
        return Err(AppError::UnsupportedMediaType);
    }
    Ok(())
}

/// The host of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host<'a> {
    name: &'a str,
    port: Option<&'a str>,
}

impl<'a> Host<'a> {
    /// Of `name`, `name:port`, `[address]` or `[address]:port`.
    fn parse(text: &'a str) -> Self {
        let end_of_name = text.rfind(']').unwrap_or(0);
        match text.rfind(':') {
            Some(colon) if colon > end_of_name => Self {
                name: text.get(..colon).unwrap_or_default(),
                port: text.get(colon + 1..),
            },
            _ => Self {
                name: text,
                port: None,
            },
        }
    }

    /// In lower case, without the dot at the end that stands for the root.
    fn name(&self) -> String {
        let name = self.name.to_ascii_lowercase();
        name.strip_suffix('.').unwrap_or(&name).to_owned()
    }

    /// The port, if it is not the one that `scheme` has anyway.
    fn odd_port(&self, scheme: &str) -> Option<&'a str> {
        let usual = if scheme == "https" { "443" } else { "80" };
        self.port.filter(|port| *port != usual)
    }
}

/// The hosts of a request: as given by a trusted proxy, or else by the header `Host`
/// and the request line. Clients of HTTP/1.0 may give none; browsers always do.
fn asked_hosts<'a>(access: &AccessConfig, asked: &Asked<'a>) -> Result<Vec<Host<'a>>, AppError> {
    let by_proxy = asked
        .peer
        .is_some_and(|peer| access.trusted_proxies.contain(peer));
    let forwarded = asked.headers.get_all(&X_FORWARDED_HOST).next_back();
    let given: Vec<_> = match forwarded {
        Some(forwarded) if by_proxy => vec![forwarded],
        _ => asked.headers.get_all(header::HOST).collect(),
    };
    let mut hosts = Vec::new();
    for host in given {
        let host = host
            .to_str()
            .map_err(|_odd| AppError::bad_request("the header Host is no name of a host"))?;
        let nearest = host.rsplit(',').next().unwrap_or_default();
        hosts.push(Host::parse(nearest.trim()));
    }
    hosts.extend(
        asked
            .uri
            .authority()
            .map(|place| Host::parse(place.as_str())),
    );
    Ok(hosts)
}

/// Whether a name cannot be one of another site that leads here.
fn is_harmless(access: &AccessConfig, own: &OwnNames, host: &Host<'_>) -> bool {
    let name = host.name();
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    if let Some(address) = address {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_label = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !name.is_empty() && name.bytes().all(allowed)
    };
    name.parse::<Ipv4Addr>().is_ok()
        || is_label(&name)
        || PRIVATE_DOMAINS.iter().any(|domain| name.ends_with(domain))
        || access.allowed_hosts.contain(&name)
        || own.contain(&name)
}

/// Whether an origin is the host of the request, port included.
fn is_own(origin: &str, hosts: &[Host<'_>]) -> bool {
    let Some((scheme @ ("http" | "https"), place)) = origin.split_once("://") else {
        return false;
    };
    let place = Host::parse(place);
    !hosts.is_empty()
        && hosts.iter().all(|host| {
            host.name() == place.name() && host.odd_port(scheme) == place.odd_port(scheme)
        })
}

/// Whether the body is of a type that forms can send.
fn has_form_body(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_TYPE).any(|given| {
        let given = given.to_str().unwrap_or_default().to_ascii_lowercase();
        let given = given.split([';', ',']).next().unwrap_or_default().trim();
        given.is_empty() || FORM_TYPES.contains(&given)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::http::Method;
    use actix_web::http::header::HeaderValue;

    use super::*;
    use crate::config::Config;

    fn own() -> OwnNames {
        let own = OwnNames {
            machine: "srv1.example.org".to_owned(),
            of_certificate: RwLock::default(),
        };
        own.set_certificate(HostNames::from_names(["*.cert.example"].into_iter()));
        own
    }

    /// What becomes of a request with these headers: 200, or the status of its refusal.
    fn status(
        settings: &[(&str, &str)],
        (method, path): (Method, &str),
        given: &[(&'static str, &str)],
    ) -> u16 {
        let lookup = |name: &str| {
            let found = settings.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let access = Config::from_lookup(&lookup).unwrap().access;
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let asked = Asked {
            method: &method,
            uri: &path.parse().unwrap(),
            headers: &headers,
            peer: Some([192, 0, 2, 9].into()),
        };
        judge(&access, &own(), &asked).map_or_else(|error| error.status_code().as_u16(), |()| 200)
    }

    const GET: (Method, &str) = (Method::GET, "/nodes");

    #[test]
    fn a_name_that_somebody_else_can_have_is_no_name_of_this_server() {
        let settings = [("ALLOWED_HOSTS", "telemetry.example.net, *.example.com")];
        for (host, expected) in [
            ("192.0.2.1:8080", 200),
            ("[2001:db8::1]:8080", 200),
            ("[::1]", 200),
            ("localhost", 200),
            ("LOCALHOST.:8080", 200),
            ("a.localhost", 200),
            ("telemetry", 200),
            ("nas_1.lan:80", 200),
            ("host.local", 200),
            ("x.home.arpa", 200),
            ("host.docker.internal", 200),
            ("tetcore-analytics.monitoring.svc", 200),
            ("tetcore-analytics.monitoring.svc.cluster.local", 200),
            ("srv1.example.org", 200),
            ("telemetry.example.net:443", 200),
            ("a.example.com", 200),
            ("x.cert.example", 200),
            ("evil.example", 403),
            ("srv2.example.org", 403),
            ("example.com", 403),
            ("a.b.cert.example", 403),
            ("localhost.evil.example", 403),
            ("evil.example:192.0.2.1", 403),
            ("192.0.2.1.evil.example", 403),
            ("192.0.2.1@evil.example", 403),
            ("[evil.example]", 403),
            ("[::1].evil.example", 403),
            ("", 403),
            ("é", 400),
        ] {
            assert_eq!(
                status(&settings, GET, &[("host", host)]),
                expected,
                "{host}"
            );
        }
        let evil = [("host", "evil.example")];
        let with_tokens = [("READ_TOKENS", "read-token-0123456789")];
        assert_eq!(status(&with_tokens, GET, &evil), 200);
        assert_eq!(status(&[], GET, &[]), 200, "no browser leaves it out");
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(status(&[], GET, &two), 403);
        let absolute = (Method::GET, "http://evil.example/nodes");
        assert_eq!(status(&[], absolute, &[("host", "localhost")]), 403);
    }

    #[test]
    fn a_trusted_proxy_tells_which_host_was_asked_for() {
        let behind = [
            ("TRUSTED_PROXIES", "192.0.2.9"),
            ("ALLOWED_HOSTS", "t.example"),
        ];
        let forwarded = |host| [("host", "backend:8080"), ("x-forwarded-host", host)];
        let origin = |host| {
            let [first, second] = forwarded(host);
            [first, second, ("origin", "https://t.example")]
        };
        assert_eq!(
            status(&behind, GET, &forwarded("evil.example, t.example")),
            200
        );
        assert_eq!(
            status(&behind, GET, &forwarded("t.example, evil.example")),
            403
        );
        assert_eq!(status(&behind, GET, &origin("t.example")), 200);
        assert_eq!(
            status(&[], GET, &forwarded("evil.example")),
            200,
            "who says so?"
        );
        assert_eq!(status(&[], GET, &origin("t.example")), 403);
    }

    #[test]
    fn an_origin_is_this_host_or_one_that_is_named() {
        let settings = [(
            "CORS_ORIGINS",
            "https://grafana.example,http://b.example:3000",
        )];
        for (host, origin, expected) in [
            ("localhost:8080", "http://localhost:8080", 200),
            ("localhost", "http://localhost", 200),
            ("localhost:80", "http://localhost", 200),
            ("localhost:443", "https://LOCALHOST", 200),
            ("[::1]:8080", "http://[::1]:8080", 200),
            ("localhost:8080", "https://grafana.example", 200),
            ("localhost:8080", "http://b.example:3000", 200),
            ("localhost:8080", "http://b.example:3001", 403),
            ("localhost:8080", "http://localhost:3000", 403),
            ("localhost:8080", "http://localhost", 403),
            ("localhost:8080", "https://evil.example", 403),
            ("localhost:8080", "http://127.0.0.1:8080", 403),
            ("localhost:8080", "null", 403),
            ("localhost:8080", "", 403),
            ("localhost:8080", "chrome-extension://localhost:8080", 403),
        ] {
            let given = [("host", host), ("origin", origin)];
            assert_eq!(status(&settings, GET, &given), expected, "{host} {origin}");
        }
        let two = [
            ("host", "localhost"),
            ("origin", "http://localhost"),
            ("origin", "https://evil.example"),
        ];
        assert_eq!(status(&settings, GET, &two), 403);
        // Without a host there is none that it could be.
        assert_eq!(
            status(&settings, GET, &[("origin", "http://localhost")]),
            403
        );
    }

    #[test]
    fn nodes_use_any_host_and_no_browser_is_a_node() {
        let settings = [("CORS_ORIGINS", "https://grafana.example")];
        let node = [("host", "telemetry.example"), ("upgrade", "websocket")];
        for path in ["/", "/submit", "/audit/", "/t/x/submit"] {
            assert_eq!(status(&settings, (Method::GET, path), &node), 200, "{path}");
            for origin in [
                "null",
                "",
                "https://grafana.example",
                "http://telemetry.example",
            ] {
                let [host, upgrade] = node;
                let given = [host, upgrade, ("origin", origin)];
                assert_eq!(
                    status(&settings, (Method::GET, path), &given),
                    403,
                    "{path} {origin}"
                );
            }
        }
        assert_eq!(status(&settings, (Method::GET, "/feed"), &node), 403);
    }

    #[test]
    fn a_body_that_a_form_can_send_is_refused() {
        let post = |kind: &str| {
            let given = [("host", "localhost"), ("content-type", kind)];
            status(&[], (Method::POST, "/benchmarks"), &given)
        };
        for kind in [
            "text/plain",
            "Text/Plain;charset=UTF-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
            "text/plain, application/json",
        ] {
            assert_eq!(post(kind), 415, "{kind}");
        }
        assert_eq!(post("application/json"), 200);
    }
}
