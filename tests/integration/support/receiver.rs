//! A receiver of what the server sends outwards, which answers as it is asked to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::wait_until;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    /// The body as text; what is no text is lost in it.
    pub body: String,
    /// The body, not compressed any more.
    pub bytes: Vec<u8>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// How it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With this status and these headers.
    Status(u16, &'static str),
    /// With this status and this body.
    Body(u16, Vec<u8>),
    /// With this status, and so many bytes that never end well.
    Flood(u16, usize),
    /// Not at all: the connection stays open.
    Hang,
    /// It cuts the connection once it has the request.
    Cut,
}

type Rule = Box<dyn Fn(&Received, usize) -> Reply + Send>;

/// The receiver; requests are answered one after the other on each connection.
pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    rule: Arc<Mutex<Rule>>,
}

impl Receiver {
    /// Takes everything.
    pub fn start() -> Self {
        Self::answering(|_, _| Reply::Status(204, ""))
    }

    /// `rule` gets the request and how many came before it.
    pub fn answering(rule: impl Fn(&Received, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            received: Arc::default(),
            rule: Arc::new(Mutex::new(Box::new(rule))),
        };
        let (received, rule) = (receiver.received.clone(), receiver.rule.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (received, rule) = (received.clone(), rule.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &received, &rule));
            }
        });
        receiver
    }

    /// Answers in another way from now on.
    pub fn answer(&self, rule: impl Fn(&Received, usize) -> Reply + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Everything that arrived, however it was answered.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many requests have arrived.
    #[track_caller]
    pub fn wait(&self, count: usize) -> Vec<Received> {
        wait_until(&format!("{count} requests have arrived"), || {
            self.received().len() >= count
        });
        self.received()
    }
}

fn serve(mut stream: TcpStream, received: &Mutex<Vec<Received>>, rule: &Mutex<Rule>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        let before = {
            let mut received = received.lock().unwrap();
            received.push(request.clone());
            received.len() - 1
        };
        let reply = (rule.lock().unwrap())(&request, before);
        match reply {
            Reply::Status(status, headers) => {
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{headers}\r\n");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Reply::Body(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                if stream
                    .write_all(&[head.into_bytes(), body].concat())
                    .is_err()
                {
                    return;
                }
            }
            Reply::Flood(status, bytes) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {bytes}\r\n\r\n");
                let part = [b'x'; 65_536];
                let parts = std::iter::once(head.as_bytes())
                    .chain(std::iter::repeat_n(part.as_slice(), bytes / part.len()));
                // Who does not read it all has closed the connection.
                for part in parts {
                    if stream.write_all(part).is_err() {
                        break;
                    }
                }
                return;
            }
            Reply::Cut => return,
            Reply::Hang => {
                stream
                    .set_read_timeout(Some(Duration::from_secs(60)))
                    .unwrap();
                let _ended = reader.read(&mut [0; 1]);
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let method = line.split(' ').next()?.to_owned();
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut bytes = body;
    if headers
        .get("content-encoding")
        .is_some_and(|name| name == "gzip")
    {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(bytes.as_slice());
        decoder.read_to_end(&mut plain).unwrap();
        bytes = plain;
    }
    Some(Received {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        bytes,
    })
}
