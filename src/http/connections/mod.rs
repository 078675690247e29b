//! HTTP connections: each connection from its first byte until it becomes a
//! websocket. How many there may be, and how long one may keep the server
//! waiting. Pure: time is passed in, and ending one only sets a flag, which its
//! socket (`application::listen`) sees.
//!
//! The HTTP server itself limits the silence between two requests and nothing
//! else: a later request, a body, or a body that nobody reads could take for ever.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

use crate::config::{Config, Networks};
use crate::ingest::Sampler;
use crate::metrics::{CutReason, Metrics};

#[cfg(test)]
mod tests;

/// Silence between two requests after which the HTTP server ends a connection.
/// Prometheus and Grafana ask each 15 to 60 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Silence after which a connection is cut that the HTTP server keeps: a body is
/// to come that nobody reads, or nobody takes the answer.
const SILENCE_MAX: Duration = Duration::from_secs(80);

/// What a connection may hold of a request whose head is not whole, bytes: 20,000
/// of them take as much as 20,000 nodes. Hardly any head is longer.
const HEAD_BYTES: usize = 16 * 1024;

/// All HTTP connections of the server.
#[derive(Debug)]
pub struct Connections {
    book: Mutex<Book>,
    max: usize,
    per_address_max: usize,
    request_time: Option<Duration>,
    /// What all hold of requests whose head is not whole, bytes.
    held: AtomicUsize,
    held_max: usize,
    metrics: Arc<Metrics>,
    crowded: Sampler,
    slow: Sampler,
}

/// One connection; it leaves the book when it is dropped.
#[derive(Debug)]
pub struct Connection {
    connections: Arc<Connections>,
    address: IpAddr,
    number: u64,
    signals: Arc<Signals>,
}

#[derive(Debug)]
struct Book {
    /// By address, and there by number, which is by age.
    connections: HashMap<IpAddr, BTreeMap<u64, Entry>>,
    /// The addresses, the one with the most connections first, among equals the
    /// one with the oldest. Without trusted proxies: their clients are theirs to limit.
    crowds: BTreeSet<Crowd>,
    /// Connections of all crowds.
    crowded: usize,
    proxies: Networks,
    next: u64,
}

/// How many connections, the number of the oldest, the address.
type Crowd = (Reverse<usize>, u64, IpAddr);

#[derive(Debug)]
struct Entry {
    phase: Phase,
    signals: Arc<Signals>,
}

/// Whose turn it is, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request comes in.
    Asking(Option<Instant>),
    /// The server works.
    Answering,
    /// The answer was made; perhaps it is still being sent.
    Silent(Instant),
}

/// What the book and a socket tell each other. Of what is set by one and looked
/// at by the other about once a second the order does not matter.
#[derive(Debug, Default)]
struct Signals {
    is_cut: AtomicBool,
    is_websocket: AtomicBool,
    has_head: AtomicBool,
    held: AtomicUsize,
    has_read: AtomicBool,
    has_written: AtomicBool,
    reader: AtomicWaker,
}

impl Connections {
    /// None yet. There may be `max`, and `CONNECTIONS_PER_IP_MAX` of one address,
    /// beside those of telemetry; a request may take `UPGRADE_TIMEOUT_S` to come in.
    pub fn new(config: &Config, max: usize, metrics: Arc<Metrics>) -> Self {
        let request_time = config.http.upgrade_timeout;
        Self {
            book: Mutex::new(Book {
                connections: HashMap::new(),
                crowds: BTreeSet::new(),
                crowded: 0,
                proxies: config.access.trusted_proxies.clone(),
                next: 0,
            }),
            max,
            per_address_max: config.ingest.connections_per_ip_max,
            request_time: Some(request_time).filter(|time| !time.is_zero()),
            held: AtomicUsize::new(0),
            held_max: config.ingest.queue_bytes_max,
            metrics,
            crowded: Sampler::default(),
            slow: Sampler::default(),
        }
    }

    /// Lets a connection in, unless its address has too many. If there are too
    /// many altogether, the address with the most loses its oldest: whoever
    /// takes all places takes them from himself.
    pub fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Arc<Connection>> {
        let address = address.to_canonical();
        let mut book = self.book();
        if !book.proxies.contain(address) {
            if book.count(address) >= self.per_address_max {
                self.cut(CutReason::TooManyFromAddress, 1, now);
                return None;
            }
            if book.crowded >= self.max
                && let Some((_, oldest, crowd)) = book.crowds.first().copied()
            {
                self.remove(&mut book, crowd, oldest).inspect(Entry::cut);
                self.cut(CutReason::TooMany, 1, now);
            }
        }
        let signals = Arc::<Signals>::default();
        let entry = Entry {
            phase: Phase::Asking(self.request_end(now)),
            signals: signals.clone(),
        };
        let number = book.next;
        book.next += 1;
        book.change(address, |entries| entries.insert(number, entry));
        self.metrics.http.connections.inc();
        Some(Arc::new(Connection {
            connections: self.clone(),
            address,
            number,
            signals,
        }))
    }

    /// Cuts those that have kept the server waiting for too long. To be called
    /// about once a second.
    pub fn sweep(&self, now: Instant) {
        let request_end = self.request_end(now);
        let mut book = self.book();
        let mut late = Vec::new();
        for (address, entries) in &mut book.connections {
            for (number, entry) in entries {
                if entry.is_late(request_end, now) {
                    late.push((*address, *number));
                }
            }
        }
        for (address, number) in &late {
            self.remove(&mut book, *address, *number)
                .inspect(Entry::cut);
        }
        if !late.is_empty() {
            self.cut(CutReason::TooSlow, late.len(), now);
        }
    }

    fn remove(&self, book: &mut Book, address: IpAddr, number: u64) -> Option<Entry> {
        let removed = book.change(address, |entries| entries.remove(&number));
        if removed.is_some() {
            self.metrics.http.connections.dec();
        }
        removed
    }

    /// When a request has to be there that begins now.
    fn request_end(&self, now: Instant) -> Option<Instant> {
        self.request_time.map(|time| now + time)
    }

    fn cut(&self, reason: CutReason, count: usize, now: Instant) {
        self.metrics.http.cut(reason, count);
        let why = reason.label();
        match reason {
            // Nothing unusual: browsers open more than they use.
            CutReason::TooSlow => {
                if let Some(left_out) = self.slow.admit(now) {
                    log::info!(
                        "{count} HTTP connections were cut: {why} ({left_out} such lines were left out)"
                    );
                }
            }
            CutReason::TooMany | CutReason::TooManyFromAddress | CutReason::TooLarge => {
                if let Some(left_out) = self.crowded.admit(now) {
                    log::warn!(
                        "an HTTP connection was cut: {why} ({left_out} like it since the last such line)"
                    );
                }
            }
        }
    }

    /// Nothing in here panics, and each change is whole, so poison means nothing.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// A request has come in, but for its body if it `has_body`.
    pub(super) fn asked(&self, has_body: bool, now: Instant) {
        self.signals.has_head.store(true, Ordering::Relaxed);
        self.give_back();
        self.turn(if has_body {
            Phase::Asking(self.connections.request_end(now))
        } else {
            Phase::Answering
        });
    }

    /// The answer was made.
    pub(super) fn answered(&self, now: Instant) {
        self.signals.has_read.store(false, Ordering::Relaxed);
        self.signals.has_head.store(false, Ordering::Relaxed);
        self.turn(Phase::Silent(now + SILENCE_MAX));
    }

    /// It is a websocket now, which has limits of its own.
    pub(super) fn became_websocket(&self) {
        self.signals.is_websocket.store(true, Ordering::Relaxed);
        self.leave();
    }

    /// Whether it was cut, for its socket; if it is later, `reader` is woken.
    pub fn is_cut(&self, reader: &Waker) -> bool {
        if self.signals.is_websocket.load(Ordering::Relaxed) {
            return false;
        }
        self.signals.reader.register(reader);
        self.signals.is_cut.load(Ordering::Acquire)
    }

    /// Its socket has read so many bytes. Heads share one bound: a connection that
    /// holds a large part of one is cut while all together hold too much.
    pub fn has_read(&self, bytes: usize) {
        let signals = &*self.signals;
        signals.has_read.store(true, Ordering::Relaxed);
        if signals.has_head.load(Ordering::Relaxed) {
            return;
        }
        let held = signals.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = &self.connections.held;
        let all_held = all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held > HEAD_BYTES && all_held > self.connections.held_max {
            self.cut(CutReason::TooLarge);
        }
    }

    /// Its socket has written something.
    pub fn has_written(&self) {
        self.signals.has_written.store(true, Ordering::Relaxed);
    }

    fn turn(&self, phase: Phase) {
        let mut book = self.connections.book();
        let entries = book.connections.get_mut(&self.address);
        if let Some(entry) = entries.and_then(|entries| entries.get_mut(&self.number)) {
            entry.phase = phase;
        }
    }

    fn cut(&self, reason: CutReason) {
        if let Some(entry) = self.leave() {
            entry.cut();
            self.connections.cut(reason, 1, Instant::now());
        }
    }

    fn give_back(&self) {
        let held = self.signals.held.swap(0, Ordering::Relaxed);
        self.connections.held.fetch_sub(held, Ordering::Relaxed);
    }

    fn leave(&self) -> Option<Entry> {
        let mut book = self.connections.book();
        self.connections
            .remove(&mut book, self.address, self.number)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave();
        self.give_back();
    }
}

impl Book {
    fn count(&self, address: IpAddr) -> usize {
        self.connections.get(&address).map_or(0, BTreeMap::len)
    }

    /// Changes the connections of an address, and then its place among the crowds.
    fn change<T>(
        &mut self,
        address: IpAddr,
        change: impl FnOnce(&mut BTreeMap<u64, Entry>) -> T,
    ) -> T {
        let crowd = |entries: &BTreeMap<u64, Entry>| {
            let (oldest, _) = entries.first_key_value()?;
            Some((Reverse(entries.len()), *oldest, address))
        };
        let entries = self.connections.entry(address).or_default();
        let before = crowd(entries);
        let changed = change(entries);
        let after = crowd(entries);
        if after.is_none() {
            self.connections.remove(&address);
        }
        if !self.proxies.contain(address) {
            if let Some(crowd) = before {
                self.crowds.remove(&crowd);
                self.crowded -= crowd.0.0;
            }
            if let Some(crowd) = after {
                self.crowds.insert(crowd);
                self.crowded += crowd.0.0;
            }
        }
        changed
    }
}

impl Entry {
    fn is_late(&mut self, request_end: Option<Instant>, now: Instant) -> bool {
        let has_read = self.signals.has_read.swap(false, Ordering::Relaxed);
        let has_written = self.signals.has_written.swap(false, Ordering::Relaxed);
        match self.phase {
            Phase::Asking(end) => end.is_some_and(|end| end <= now),
            Phase::Answering => false,
            Phase::Silent(_) if has_written => {
                self.phase = Phase::Silent(now + SILENCE_MAX);
                false
            }
            Phase::Silent(_) if has_read => {
                self.phase = Phase::Asking(request_end);
                false
            }
            Phase::Silent(end) => end <= now,
        }
    }

    fn cut(&self) {
        self.signals.is_cut.store(true, Ordering::Release);
        self.signals.reader.wake();
    }
}
