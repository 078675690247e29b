//! Sends over HTTP, and only to where it may.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use super::receiver::REQUESTS_MAX;
use super::retry;
use crate::config::{Authorities, NotifyConfig};

/// What is read of an answer that says why it failed, bytes.
const REASON_BYTES_MAX: u64 = 1_024;

/// What is kept of it, characters.
const REASON_MAX: usize = 200;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// The beginning of its text, if it is no success.
    pub(super) text: String,
    /// Its body, if it is a success whose body was asked for.
    pub(super) body: Vec<u8>,
}

/// How something is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Without a body.
    Get,
    Post,
    Put,
}

/// What is requested.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    /// Longest body of a success that is read, bytes; 0 reads none.
    pub(super) answer_max: u64,
}

impl Answer {
    /// Why it is no success.
    pub(super) fn reason(&self) -> String {
        match self.text.is_empty() {
            true => format!("it answered {}", self.status),
            false => format!("it answered {}: {}", self.status, self.text),
        }
    }
}

/// A client for the targets of an operator.
#[derive(Debug, Clone)]
pub(super) struct Client(Agent);

impl Client {
    /// A receiver has to answer within `timeout`; without `allow_private` addresses of this
    /// machine and of private networks are refused, by name too. `authorities` vouch for it.
    pub(super) fn new(timeout: Duration, allow_private: bool, authorities: &Authorities) -> Self {
        let mut tls = TlsConfig::builder();
        if let Some(certificates) = authorities.certificates() {
            let trusted = certificates.iter();
            let trusted: Vec<_> = trusted
                .map(|certificate| Certificate::from_der(certificate).to_owned())
                .collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&trusted));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            // A redirect would take a signed message to where nobody asked for it.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .max_idle_connections_per_host(REQUESTS_MAX)
            .tls_config(tls.build())
            .user_agent(concat!("tetcore-analytics/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Public {
            inner: DefaultResolver::default(),
            allow_private,
        };
        Self(Agent::with_parts(
            config,
            DefaultConnector::default(),
            resolver,
        ))
    }

    /// The one of the settings.
    pub(super) fn of(config: &NotifyConfig) -> Self {
        Self::new(config.timeout, config.allow_private, &config.authorities)
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// Why there was no answer, without the address.
    pub(super) fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let json = [("content-type", "application/json")];
        self.send(Request {
            method: Method::Post,
            url,
            headers: &[json.as_slice(), headers].concat(),
            body,
            answer_max: 0,
        })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Why there was no answer, without the address.
    pub(super) fn send(&self, sent: Request<'_>) -> Result<Answer, String> {
        let with_body = match sent.method {
            Method::Get => None,
            Method::Post => Some(self.0.post(sent.url)),
            Method::Put => Some(self.0.put(sent.url)),
        };
        let response = match with_body {
            Some(request) => with_headers(request, sent.headers).send(sent.body),
            None => with_headers(self.0.get(sent.url), sent.headers).call(),
        };
        let mut response = response.map_err(|error| reason(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| retry::after(value.to_str().ok()?));
        let (mut text, mut body) = (String::new(), Vec::new());
        match status {
            200..=299 if sent.answer_max == 0 => {}
            200..=299 => {
                let answer = response.body_mut().with_config().limit(sent.answer_max);
                body = answer.read_to_vec().map_err(|error| reason(&error))?;
            }
            _ => text = beginning(response.body_mut()),
        }
        Ok(Answer {
            status,
            retry_after,
            text,
            body,
        })
    }
}

fn with_headers<B>(
    request: ureq::RequestBuilder<B>,
    headers: &[(&str, &str)],
) -> ureq::RequestBuilder<B> {
    headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

/// The beginning of an answer, however long it is.
fn beginning(body: &mut ureq::Body) -> String {
    let mut bytes = Vec::new();
    // What has come says enough if the rest does not come.
    body.as_reader()
        .take(REASON_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok();
    let text = String::from_utf8_lossy(&bytes);
    let text = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    text.take(REASON_MAX).collect()
}

/// Errors of the client repeat addresses, which may carry secrets.
fn reason(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "no answer within NOTIFY_TIMEOUT_S".to_owned(),
        Error::HostNotFound => "its name is not known".to_owned(),
        Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            error.to_string()
        }
        Error::Io(error) => format!("no connection: {error}"),
        Error::ConnectionFailed => "no connection".to_owned(),
        Error::Tls(problem) => format!("TLS: {problem}"),
        Error::Rustls(error) => format!("TLS: {error}"),
        Error::Protocol(_) => "its answer is no HTTP".to_owned(),
        Error::BodyExceedsLimit(bytes) => format!("its answer has more than {bytes} bytes"),
        _ => "the request failed".to_owned(),
    }
}

/// Finds addresses, and refuses those that are not public.
#[derive(Debug)]
struct Public {
    inner: DefaultResolver,
    allow_private: bool,
}

impl Resolver for Public {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        match self.allow_private || found.iter().all(|address| is_public(address.ip())) {
            true => Ok(found),
            false => Err(Error::Io(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                "its address is of this machine or of a private network: NOTIFY_ALLOW_PRIVATE=true allows it",
            ))),
        }
    }
}

/// Whether an address is reached over the internet (IANA's special-purpose registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public_v4(ip),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || first == 0
        || first >= 240
        || (first == 100 && (64..128).contains(&second))
        || (first == 198 && (18..20).contains(&second))
        || (first == 192 && second == 0 && ip.octets()[2] == 0))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let first = ip.segments()[0];
    // 2000::/3 is what is given out; NAT64 leads to addresses of IPv4.
    first & 0xe000 == 0x2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_not_public() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_private_address_is_refused_before_anything_is_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(Duration::from_secs(5), false, &Authorities::default());
        for host in ["127.0.0.1", "localhost"] {
            let url = format!(
                "http://{host}:{}/secret",
                listener.local_addr().unwrap().port()
            );
            let error = client.post(&url, &[], b"{}").unwrap_err();
            assert!(
                error.contains("NOTIFY_ALLOW_PRIVATE=true") && !error.contains("secret"),
                "{error}"
            );
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err());
    }
}
