//! Subscribers of the live feed. One thread reads for all of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::Outcome;
use crate::measure;

/// Time between two looks at all sockets; what it adds to a delay is small
/// against the time between two updates.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
/// Empty, masked with zeros.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const TIME: &str = "\"created_at\":\"";

/// Subscribers that listen.
#[derive(Debug)]
pub(crate) struct Listeners {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Outcome<Heard>>,
}

/// What they received.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Messages, counted for each subscriber.
    pub(crate) messages: u64,
    /// Seconds from the time of the oldest message of a text to its arrival.
    pub(crate) delays: Vec<f64>,
    /// Processor time of the reading thread.
    pub(crate) cpu: Duration,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Listeners {
    /// Connects them; each sends the same request.
    pub(crate) fn connect(address: SocketAddr, count: usize, request: &Value) -> Outcome<Self> {
        let text = request.to_string();
        let sockets = (0..count).map(|_| Socket::connect(address, &text));
        let mut sockets = sockets.collect::<Outcome<Vec<Socket>>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let reader = thread::spawn(move || {
            let mut heard = Heard::default();
            let mut buffer = vec![0; 1 << 16];
            while !stopped.load(Ordering::Relaxed) {
                for socket in &mut sockets {
                    socket.read(&mut buffer, &mut heard)?;
                }
                thread::sleep(LOOK_INTERVAL);
            }
            heard.cpu = measure::cpu_of_this_thread()?;
            Ok(heard)
        });
        Ok(Self { stop, reader })
    }

    /// They leave.
    pub(crate) fn leave(self) -> Outcome<Heard> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader
            .join()
            .map_err(|_panic| "the reader of the listeners panicked")?
    }
}

impl Heard {
    /// The delay below which this share (0 to 1) of the texts came, seconds.
    pub(crate) fn quantile(&mut self, share: f64) -> f64 {
        self.delays.sort_unstable_by(f64::total_cmp);
        let last = self.delays.len().saturating_sub(1);
        self.delays
            .get((last as f64 * share) as usize)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

impl Socket {
    fn connect(address: SocketAddr, request: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address)?;
        let upgrade = format!(
            "GET /feed HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: FCZBJVBlr3K/Gp3QozaLbw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(upgrade.as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        // A text of less than 126 bytes, or of less than 64 KiB, masked with zeros.
        let mut frame = vec![TEXT, 0x80 | 126];
        frame.extend(u16::try_from(request.len())?.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(request.as_bytes());
        stream.write_all(&frame)?;
        stream.set_nonblocking(true)?;
        let unread = Vec::new();
        Ok(Self { stream, unread })
    }

    fn read(&mut self, buffer: &mut [u8], heard: &mut Heard) -> Outcome<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("a listener was sent away".into()),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut start = 0;
        while let Some((opcode, payload)) = frame(&self.unread[start..]) {
            match opcode {
                TEXT => heard.text(std::str::from_utf8(&self.unread[start..][payload.clone()])?)?,
                PING => self.stream.write_all(&PONG)?,
                _ => {}
            }
            start += payload.end;
        }
        self.unread.drain(..start);
        Ok(())
    }
}

impl Heard {
    fn text(&mut self, text: &str) -> Outcome<()> {
        let mut times = text.split(TIME).skip(1);
        let Some(oldest) = times.next().and_then(|rest| rest.split_once('"')) else {
            return Ok(());
        };
        let oldest: DateTime<Utc> = oldest.0.parse()?;
        let delay = Utc::now() - oldest;
        self.delays.push(delay.as_seconds_f64());
        self.messages += 1 + times.count() as u64;
        Ok(())
    }
}

/// The first frame of some bytes, if it is whole: its first byte, and where its payload is.
fn frame(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        length => (2, usize::from(length)),
    };
    let payload = start..start + length;
    bytes.get(payload.clone())?;
    Some((bytes[0], payload))
}
