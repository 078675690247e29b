//! A node that sends numbered messages at an even pace, on a thread of its own.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::fake_node::{BINARY, FIN, FakeNode, frame};

/// How often the node sends what is due.
const TICK: Duration = Duration::from_millis(10);

/// A node that sends until it is stopped, or until its connection breaks.
pub struct Load {
    sent: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Sent>>,
}

/// What a node has sent.
pub struct Sent {
    /// The numbers of its messages, those included that were on their way when
    /// the connection broke.
    pub numbers: Range<u32>,
    /// Up to which number had been sent at which moment.
    steps: Vec<(Instant, u32)>,
    /// The connection broke.
    pub is_broken: bool,
    _node: FakeNode,
}

impl Load {
    /// A node that sends `per_second` messages, the first with number `first`.
    pub fn start(port: u16, first: u32, per_second: u32) -> Self {
        let sent = Arc::new(AtomicU32::new(first));
        let stop = Arc::new(AtomicBool::new(false));
        let mut node = FakeNode::connect(port, "/submit");
        let thread = std::thread::spawn({
            let (sent, stop) = (sent.clone(), stop.clone());
            move || {
                let mut steps = Vec::new();
                let is_broken = pace(&mut node, first, per_second, &sent, &stop, &mut steps);
                Sent {
                    numbers: first..sent.load(Ordering::Relaxed),
                    steps,
                    is_broken,
                    _node: node,
                }
            }
        });
        Self {
            sent,
            stop,
            thread: Some(thread),
        }
    }

    /// The number of the next message.
    pub fn next(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops sending; the connection stays open as long as what is returned lives.
    pub fn stop(self) -> Sent {
        let sent = self.end();
        assert!(!sent.is_broken, "the server ended the connection of a node");
        sent
    }

    /// What was sent until the connection broke, or until now.
    pub fn end(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A test that fails leaves nothing that sends on.
impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Sent {
    /// When a message was sent at the earliest.
    pub fn sent_at(&self, number: u32) -> Instant {
        let step = self.steps.iter().find(|(_, next)| number < *next);
        step.unwrap().0
    }
}

/// Sends what is due, tick by tick; whether the connection broke.
fn pace(
    node: &mut FakeNode,
    first: u32,
    per_second: u32,
    sent: &AtomicU32,
    stop: &AtomicBool,
    steps: &mut Vec<(Instant, u32)>,
) -> bool {
    let started_at = Instant::now();
    let mut next = first;
    while !stop.load(Ordering::Relaxed) {
        let due = started_at.elapsed().as_secs_f64() * f64::from(per_second);
        let due = first + due as u32;
        let bytes: Vec<u8> = (next..due).flat_map(numbered).collect();
        next = due;
        steps.push((Instant::now(), next));
        sent.store(next, Ordering::Relaxed);
        if node.stream.write_all(&bytes).is_err() {
            return true;
        }
        std::thread::sleep(TICK);
    }
    false
}

/// The frame of the message with a number.
fn numbered(number: u32) -> Vec<u8> {
    let ts = chrono::Utc::now().to_rfc3339();
    let message = format!(r#"{{"id":1,"payload":{{"msg":"m","n":{number}}},"ts":"{ts}"}}"#);
    frame(FIN | BINARY, message.as_bytes())
}
