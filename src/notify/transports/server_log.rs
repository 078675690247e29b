//! The log of this server, sent by a transport too: a thread with a bounded queue, beside
//! everything else. What that thread itself logs is not sent, so its errors make no further ones.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use log::Level;
use serde_json::value::RawValue;

use super::fate::Fate;
use super::request::OWN_LOG;
use super::{Console, Transport, transport};
use crate::config::{NotifyConfig, TransportConfig};
use crate::metrics::{Metrics, ShippedLine};
use crate::notify::client::Client;
use crate::notify::retry;
use crate::store::event_transports::Event;

/// Lines that may wait.
const WAITING_MAX: usize = 2_048;

/// Lines of one request.
const BATCH_MAX: usize = 500;

/// Longest wait of a line for others.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Longest part of a line that is sent, bytes: with so many of them at most 16 MiB wait.
const LINE_BYTES_MAX: usize = 8_192;

/// Pause between looks for a place at the end.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How often a failure is logged at most.
const SAY_INTERVAL: Duration = Duration::from_secs(60);

thread_local! {
    /// This thread sends the log.
    static SENDS_LOG: Cell<bool> = const { Cell::new(false) };
}

/// A line of the log.
#[derive(Debug)]
struct Line {
    time: DateTime<Utc>,
    level: Level,
    target: String,
    text: String,
    request_id: Option<String>,
}

enum Queued {
    Line(Line),
    /// Answers when all lines before had one attempt.
    Flush(SyncSender<()>),
}

/// Takes lines of the log; one that finds no place is lost, and counted.
#[derive(Debug, Clone)]
pub struct LogTransport {
    lines: SyncSender<Queued>,
    metrics: Arc<Metrics>,
}

impl LogTransport {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(
        config: &TransportConfig,
        notify: &NotifyConfig,
        server_id: &str,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let (lines, queue) = sync_channel(WAITING_MAX);
        let shipper = Shipper {
            transport: transport(
                &config.endpoint,
                // The log does not go there.
                &Console::new(|_| None, notify.timeout),
            ),
            client: Client::of(notify),
            name: config.name.to_string(),
            server_id: server_id.to_owned(),
            begun_ms: Utc::now().timestamp_millis(),
            number: 0,
            waiting: Vec::new(),
            failures: 0,
            said_at: None,
            metrics: metrics.clone(),
        };
        let thread = std::thread::Builder::new().name("log transport".to_owned());
        thread.spawn(move || shipper.run(&queue))?;
        Ok(Self { lines, metrics })
    }

    /// Takes a line, unless the thread that sends them wrote it.
    pub fn offer(
        &self,
        time: DateTime<Utc>,
        level: Level,
        target: &str,
        text: &str,
        request_id: Option<&str>,
    ) {
        if SENDS_LOG.get() {
            return;
        }
        let mut text = text.trim_end().to_owned();
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
        let line = Line {
            time,
            level,
            target: target.to_owned(),
            text,
            request_id: request_id.map(str::to_owned),
        };
        if self.lines.try_send(Queued::Line(line)).is_err() {
            self.metrics.transports.shipped(ShippedLine::Lost, 1);
        }
    }

    /// Waits until all lines had one attempt, no longer than that.
    pub fn finish(&self, wait_max: Duration) {
        let (answer, flushed) = sync_channel(1);
        let deadline = Instant::now() + wait_max;
        while self.lines.try_send(Queued::Flush(answer.clone())).is_err() {
            // Too many wait for a receiver that takes nothing.
            if Instant::now() > deadline {
                return;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        // Whether it took too long makes no difference at the end.
        flushed
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .ok();
    }
}

/// The work of the thread.
struct Shipper {
    transport: Arc<dyn Transport>,
    client: Client,
    name: String,
    server_id: String,
    begun_ms: i64,
    number: u64,
    /// Taken from the queue, and not sent yet.
    waiting: Vec<Event>,
    failures: i32,
    said_at: Option<Instant>,
    metrics: Arc<Metrics>,
}

impl Shipper {
    fn run(mut self, queue: &Receiver<Queued>) {
        SENDS_LOG.set(true);
        let mut due_at = None;
        loop {
            let wait = match due_at {
                Some(at) => Instant::saturating_duration_since(&at, Instant::now()),
                None => Duration::MAX,
            };
            // With a full batch the queue waits, and loses what has no place in it.
            let next = match self.waiting.len() < BATCH_MAX {
                true => queue.recv_timeout(wait.min(Duration::from_secs(3_600))),
                false => {
                    std::thread::sleep(wait);
                    Err(RecvTimeoutError::Timeout)
                }
            };
            match next {
                Ok(Queued::Line(line)) => {
                    let event = self.event(line);
                    self.waiting.push(event);
                    let age = due_at.unwrap_or_else(|| Instant::now() + AGE_MAX);
                    let is_full = self.waiting.len() >= BATCH_MAX && self.failures == 0;
                    due_at = Some(if is_full { Instant::now() } else { age });
                }
                Ok(Queued::Flush(answer)) => {
                    due_at = self.send().map(|wait| Instant::now() + wait);
                    // The waiter may have given up.
                    answer.send(()).ok();
                }
                Err(RecvTimeoutError::Timeout) => {
                    due_at = self.send().map(|wait| Instant::now() + wait);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn event(&mut self, line: Line) -> Event {
        self.number += 1;
        // As in the log itself.
        let id = line.request_id.as_ref();
        let id = id.map_or_else(String::new, |id| format!(" request_id={id}"));
        let data = serde_json::json!({
            "message": format!("{}{id}: {}", line.target, line.text),
            "target": line.target,
            "server": self.server_id,
        });
        Event {
            id: 0,
            bytes: 0,
            event_id: format!("{}-{}-{}", self.server_id, self.begun_ms, self.number),
            source: OWN_LOG.to_owned(),
            peer_id: None,
            genesis_hash: None,
            chain: None,
            name: Some("log".to_owned()),
            severity: line.level.as_str().to_ascii_lowercase(),
            time: line.time,
            received_at: line.time,
            data: RawValue::from_string(data.to_string()).unwrap_or_default(),
        }
    }

    /// Sends what waits; the wait until the next attempt, if something is left.
    fn send(&mut self) -> Option<Duration> {
        if self.waiting.is_empty() {
            return None;
        }
        let events = std::mem::take(&mut self.waiting);
        let sent = self.transport.send(&self.client, &events);
        let unnamed = sent.unnamed.map_or(0, |unnamed| unnamed.events);
        let (mut taken, mut refused) = (0, unnamed);
        let mut failed = None;
        for (event, fate) in events.into_iter().zip(sent.fates) {
            match fate {
                Fate::Delivered => taken += 1,
                Fate::Refused(_) | Fate::Forbidden(_) => refused += 1,
                Fate::Failed { error, retry_after } => {
                    failed.get_or_insert((error, retry_after));
                    self.waiting.push(event);
                }
                Fate::Gone(error) => {
                    failed.get_or_insert((error, None));
                    self.waiting.push(event);
                }
            }
        }
        let count = |lines: usize| u64::try_from(lines).unwrap_or(u64::MAX);
        let metrics = &self.metrics.transports;
        metrics.shipped(ShippedLine::Sent, count(taken - unnamed));
        metrics.shipped(ShippedLine::Refused, count(refused));
        let Some((error, retry_after)) = failed else {
            self.failures = 0;
            return None;
        };
        self.failures = self.failures.saturating_add(1);
        let wait = retry::backoff(self.failures, retry::random());
        let wait = retry::asked(wait, retry_after);
        if self.said_at.is_none_or(|at| at.elapsed() >= SAY_INTERVAL) {
            self.said_at = Some(Instant::now());
            log::warn!(
                "the transport {} takes no lines of the log, and they wait: {error}",
                self.name
            );
        }
        Some(wait)
    }
}
