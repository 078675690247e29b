//! The address of a client behind proxies: the headers count only from trusted ones, for
//! any client can send them.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{self, HeaderMap, HeaderName};

use super::AppError;
use crate::config::Networks;

/// What most proxies add; the standard is `Forwarded`.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client: the other end of the connection or, if that is a trusted proxy,
/// the nearest one before it that is none.
///
/// # Errors
/// If the proxy gives no client address, or several that differ.
pub(super) fn client_ip(
    peer: IpAddr,
    headers: &HeaderMap,
    proxies: &Networks,
) -> Result<IpAddr, AppError> {
    let peer = peer.to_canonical();
    if !proxies.contain(peer) {
        return Ok(peer);
    }
    let refuse = || {
        AppError::bad_request(
            "the proxy does not say who asks: Forwarded or X-Forwarded-For are wrong, or contradict each other",
        )
    };
    let forwarded = hops(headers, &header::FORWARDED).ok_or_else(refuse)?;
    let forwarded = forwarded.iter().map(|hop| forwarded_for(hop));
    let forwarded = nearest(forwarded, proxies).map_err(|_unknown| refuse())?;
    let x_forwarded = hops(headers, &X_FORWARDED_FOR).ok_or_else(refuse)?;
    let x_forwarded = x_forwarded.iter().map(|hop| parse_hop(hop));
    let x_forwarded = nearest(x_forwarded, proxies).map_err(|_unknown| refuse())?;
    match (forwarded, x_forwarded) {
        (None, None) => Ok(peer),
        (Some(ip), None) | (None, Some(ip)) => Ok(ip),
        (Some(one), Some(other)) if one == other => Ok(one),
        // Most proxies set one of them and pass the other on as the client sent it:
        // it cannot be known which one is forged.
        (Some(_), Some(_)) => Err(refuse()),
    }
}

/// The hops of a header, farthest first.
fn hops<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<&'a str>> {
    let mut hops = Vec::new();
    for value in headers.get_all(name) {
        hops.extend(value.to_str().ok()?.split(',').map(str::trim));
    }
    Some(hops)
}

/// A trusted proxy gave a hop that is no address.
struct UnknownHop;

/// The nearest hop that is no trusted proxy, or the farthest if all are.
fn nearest(
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    proxies: &Networks,
) -> Result<Option<IpAddr>, UnknownHop> {
    let mut farthest = None;
    for hop in hops.rev() {
        let ip = hop.ok_or(UnknownHop)?;
        farthest = Some(ip);
        if !proxies.contain(ip) {
            break;
        }
    }
    Ok(farthest)
}

/// `for` of an element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.eq_ignore_ascii_case("for").then(|| parse_hop(value))?
    })
}

/// An address, maybe with brackets and a port.
pub(super) fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;
    use crate::config::Config;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = Config::from_lookup(&|name| {
            (name == "TRUSTED_PROXIES").then(|| "10.0.0.0/8,fd00::/8".to_owned())
        });
        let proxies = proxies.unwrap().access.trusted_proxies;
        for (peer, values, expected) in [
            (
                "192.0.2.9",
                &[("x-forwarded-for", "1.1.1.1")][..],
                Some("192.0.2.9"),
            ),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            (
                "::ffff:10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1")],
                Some("1.1.1.1"),
            ),
            // What the client claims stands to the left of what the proxy saw.
            (
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1, 192.0.2.7, 10.0.0.2")],
                Some("192.0.2.7"),
            ),
            (
                "10.0.0.1",
                &[
                    ("x-forwarded-for", "1.1.1.1"),
                    ("x-forwarded-for", "192.0.2.7"),
                ],
                Some("192.0.2.7"),
            ),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "rubbish, 192.0.2.7:4711")],
                Some("192.0.2.7"),
            ),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "10.0.0.3,10.0.0.2")],
                Some("10.0.0.3"),
            ),
            (
                "fd00::1",
                &[(
                    "forwarded",
                    r#"for=1.1.1.1, For="[2001:db8::7]:4711";proto=https"#,
                )],
                Some("2001:db8::7"),
            ),
            (
                "10.0.0.1",
                &[
                    ("forwarded", "proto=https;for=192.0.2.7"),
                    ("x-forwarded-for", "192.0.2.7"),
                ],
                Some("192.0.2.7"),
            ),
            (
                "10.0.0.1",
                &[
                    ("forwarded", "for=1.1.1.1"),
                    ("x-forwarded-for", "192.0.2.7"),
                ],
                None,
            ),
            ("10.0.0.1", &[("forwarded", "for=unknown")], None),
            ("10.0.0.1", &[("forwarded", "proto=https")], None),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, ")], None),
        ] {
            let got = client_ip(peer.parse().unwrap(), &headers(values), &proxies);
            let expected = expected.map(|ip| ip.parse::<IpAddr>().unwrap());
            assert_eq!(got.ok(), expected, "{peer} {values:?}");
        }
    }

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }
}
