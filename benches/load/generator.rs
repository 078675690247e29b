//! Nodes, as a server sees them: they connect, send `system.connected` and messages, and never read again.
//!
//! One thread moves all of them, and hardly anything is done for a message but handing it to the
//! kernel, because the generator shares the machine with the server and its database.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::Outcome;
use crate::frames::{Format, Frames, Ready};

/// Kernel memory for what a node has sent and the server has not read. Small enough that the
/// generator works during the whole run instead of before it.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// How long a generator whose nodes are all blocked lets the server work.
const BLOCKED_PAUSE: Duration = Duration::from_millis(5);
/// Messages that a node may send before it is the turn of the next.
const TURN_MESSAGES: u64 = 1_000;
/// The least time to sleep between messages that are due at a set time.
const TICK: Duration = Duration::from_millis(1);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Nodes that are connected.
#[derive(Debug)]
pub(crate) struct Fleet {
    nodes: Vec<Node>,
    frames: Frames,
    writes: Writes,
}

/// How a frame reaches the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// As one piece.
    Whole,
    /// Header and payload one after the other, as the genuine client does.
    Apart,
}

#[derive(Debug)]
struct Node {
    stream: TcpStream,
    /// What the kernel had no room for.
    unsent: Vec<u8>,
}

impl Fleet {
    /// Connects nodes one by one; each sends `system.connected`.
    pub(crate) fn connect(
        address: SocketAddr,
        count: usize,
        format: Format,
        writes: Writes,
    ) -> Outcome<Self> {
        Self::connect_on(address, "bench", 0..count, format, writes)
    }

    /// As [`Fleet::connect`], on a chain of this name, with nodes of these numbers.
    pub(crate) fn connect_on(
        address: SocketAddr,
        chain: &str,
        numbers: Range<usize>,
        format: Format,
        writes: Writes,
    ) -> Outcome<Self> {
        let mut frames = Frames::new(format)?;
        let nodes = numbers.map(|index| -> Outcome<Node> {
            let mut node =
                Node::connect(address).map_err(|error| format!("node {index}: {error}"))?;
            node.send(&frames.connected(chain, index)?)?;
            Ok(node)
        });
        let nodes = nodes.collect::<Outcome<Vec<Node>>>()?;
        Ok(Self {
            nodes,
            frames,
            writes,
        })
    }

    /// Messages that were sent so far, `system.connected` included.
    pub(crate) fn sent(&self) -> u64 {
        self.frames.numbered()
    }

    /// Mean length of a payload in bytes.
    pub(crate) fn mean_payload_bytes(&self) -> f64 {
        self.frames.mean_payload_bytes()
    }

    /// Sends messages as fast as the server takes them.
    pub(crate) fn flat_out(&mut self, messages: u64) -> io::Result<()> {
        let mut left = messages;
        loop {
            let mut all_blocked = true;
            for node in &mut self.nodes {
                let mut turn = TURN_MESSAGES.min(left);
                while node.send_unsent()? && turn > 0 {
                    let ready = self.frames.next(turn);
                    turn -= ready.count;
                    left -= ready.count;
                    node.send(ready.bytes)?;
                }
                all_blocked &= node.is_blocked();
            }
            if left == 0 && !self.nodes.iter().any(Node::is_blocked) {
                return Ok(());
            }
            if all_blocked || left == 0 {
                thread::sleep(BLOCKED_PAUSE);
            }
        }
    }

    /// Each node sends a message each `period`, all of them evenly spread over it.
    pub(crate) fn paced(&mut self, period: Duration, duration: Duration) -> io::Result<()> {
        self.paced_while(period, |elapsed| elapsed < duration)
    }

    /// As [`Fleet::paced`], while `goes_on` returns true for the time that has passed.
    pub(crate) fn paced_while(
        &mut self,
        period: Duration,
        goes_on: impl Fn(Duration) -> bool,
    ) -> io::Result<()> {
        let start = Instant::now();
        let gap = period.div_f64(self.nodes.len() as f64);
        for turn in 0.. {
            let due = gap.mul_f64(turn as f64);
            if !goes_on(due) {
                break;
            }
            let early = (start + due).saturating_duration_since(Instant::now());
            if !early.is_zero() {
                thread::sleep(early.max(TICK));
            }
            let place = turn % self.nodes.len();
            self.nodes[place].say(&self.frames.next(1), self.writes)?;
        }
        while !self.nodes.iter_mut().try_fold(true, |all, node| {
            Ok::<_, io::Error>(node.send_unsent()? && all)
        })? {
            thread::sleep(BLOCKED_PAUSE);
        }
        Ok(())
    }
}

impl Node {
    /// Upgrades a connection, with the request of `sc-telemetry` byte for byte.
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES)?;
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        let request = format!(
            "GET /submit HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: FCZBJVBlr3K/Gp3QozaLbw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut part = [0; 512];
            match stream.read(&mut part)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => answer.extend_from_slice(&part[..length]),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 101 ") {
            return Err(io::Error::other(
                String::from_utf8_lossy(&answer).into_owned(),
            ));
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
        })
    }

    fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends one message.
    fn say(&mut self, ready: &Ready<'_>, writes: Writes) -> io::Result<()> {
        match writes {
            Writes::Whole => self.send(ready.bytes),
            Writes::Apart => {
                let (header, payload) = ready.bytes.split_at(ready.header_bytes);
                self.send(header)?;
                self.send(payload)
            }
        }
    }

    /// Sends bytes; what the kernel does not take waits.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = if self.send_unsent()? {
            self.write(bytes)?
        } else {
            0
        };
        self.unsent.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Sends what waits; true if nothing does any more.
    fn send_unsent(&mut self) -> io::Result<bool> {
        if self.is_blocked() {
            let unsent = std::mem::take(&mut self.unsent);
            let taken = self.write(&unsent)?;
            self.unsent = unsent;
            self.unsent.drain(..taken);
        }
        Ok(!self.is_blocked())
    }

    /// How much the kernel took.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }
}
