//! A websocket as nodes use it: masked binary frames, and nothing is read after
//! the handshake.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Time for each read and write.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer to the request that is looked at, bytes.
const ANSWER_BYTES_MAX: usize = 8_192;

/// The last frame of a binary message.
const FIN_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x3a, 0x91, 0x5c, 0x07];

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No URL that is of use here.
    #[error("{0} is no URL such as ws://127.0.0.1:8080/submit (wss:// is not supported here)")]
    Url(String),
    /// Nothing listens there.
    #[error("no server at {authority}: {cause}; `make run` starts one")]
    Away {
        /// Host and port.
        authority: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The server refuses nodes.
    #[error("the server lets no node in at {path}: {answer}")]
    Refused {
        /// The path of the request.
        path: String,
        /// The first line of the answer, and its body.
        answer: String,
    },
}

/// Where telemetry goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    authority: String,
    path: String,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Result<Self, DemoError> {
        let wrong = || DemoError::Url(url.to_owned());
        let rest = url.strip_prefix("ws://").ok_or_else(wrong)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if host.is_empty() || !is_plain(rest) {
            return Err(wrong());
        }
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if has_port { "" } else { ":80" };
        Ok(Self {
            authority: format!("{host}{port}"),
            path: format!("/{path}"),
        })
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection(TcpStream);

impl Connection {
    pub(super) fn open(endpoint: &Endpoint) -> Result<Self, DemoError> {
        let answer = Self::ask(endpoint).map_err(|cause| DemoError::Away {
            authority: endpoint.authority.clone(),
            cause,
        });
        let (connection, answer) = answer?;
        if answer.starts_with("HTTP/1.1 101 ") {
            return Ok(connection);
        }
        let status = answer.lines().next().unwrap_or("no answer");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Err(DemoError::Refused {
            path: endpoint.path.clone(),
            answer: format!("{status} {body}"),
        })
    }

    fn ask(endpoint: &Endpoint) -> std::io::Result<(Self, String)> {
        let Endpoint { authority, path } = endpoint;
        let mut stream = TcpStream::connect(authority.as_str())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 1_024];
        while answer.len() < ANSWER_BYTES_MAX && !is_whole(&answer) {
            match stream.read(&mut piece)? {
                0 => break,
                count => answer.extend(piece.iter().take(count)),
            }
        }
        Ok((Self(stream), String::from_utf8_lossy(&answer).into_owned()))
    }

    pub(super) fn send(&mut self, message: &[u8]) -> std::io::Result<()> {
        self.0.write_all(&frame(message))
    }
}

/// Whether the head of an answer is there, and its body if it is one that explains.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    match text.split_once("\r\n\r\n") {
        None => false,
        Some((head, body)) => head.starts_with("HTTP/1.1 101 ") || !body.is_empty(),
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN_BINARY];
    if let Ok(length @ 0..=125) = u8::try_from(message.len()) {
        frame.push(MASKED | length);
    } else if let Ok(length) = u16::try_from(message.len()) {
        frame.push(MASKED | 126);
        frame.extend(length.to_be_bytes());
    } else {
        frame.push(MASKED | 127);
        let length = u64::try_from(message.len()).unwrap_or(u64::MAX);
        frame.extend(length.to_be_bytes());
    }
    frame.extend(MASK);
    let masked = message.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, key)| byte ^ key));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_of_nodes() {
        let endpoint = |authority: &str, path: &str| Endpoint {
            authority: authority.to_owned(),
            path: path.to_owned(),
        };
        for (url, is) in [
            (
                "ws://127.0.0.1:8080/submit",
                Some(("127.0.0.1:8080", "/submit")),
            ),
            ("ws://[::1]:9/t/x/submit", Some(("[::1]:9", "/t/x/submit"))),
            ("ws://analytics.lan", Some(("analytics.lan:80", "/"))),
            ("wss://host/submit", None),
            ("host:8080", None),
            ("ws:///submit", None),
            ("ws://host/a b", None),
        ] {
            let parsed = Endpoint::parse(url).ok();
            assert_eq!(parsed, is.map(|(host, path)| endpoint(host, path)), "{url}");
        }
    }

    #[test]
    fn frames_have_the_length_of_their_message() {
        for (length, head) in [(5, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = frame(&vec![b'x'; length]);
            assert_eq!(frame.len(), head + MASK.len() + length);
        }
    }
}
