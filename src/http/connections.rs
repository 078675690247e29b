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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

use crate::config::{Config, Networks};
use crate::ingest::Sampler;
use crate::metrics::{CutReason, Metrics};

/// Silence between two requests after which the HTTP server ends a connection.
/// Prometheus and Grafana ask each 15 to 60 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Silence after which a connection is cut that the HTTP server keeps: a body is
/// to come that nobody reads, or nobody takes the answer.
const SILENCE_MAX: Duration = Duration::from_secs(80);

/// All HTTP connections of the server.
#[derive(Debug)]
pub struct Connections {
    book: Mutex<Book>,
    max: usize,
    per_address_max: usize,
    request_time: Option<Duration>,
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
            CutReason::TooMany | CutReason::TooManyFromAddress => {
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
        self.turn(if has_body {
            Phase::Asking(self.connections.request_end(now))
        } else {
            Phase::Answering
        });
    }

    /// The answer was made.
    pub(super) fn answered(&self, now: Instant) {
        self.signals.has_read.store(false, Ordering::Relaxed);
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

    /// Its socket has read something.
    pub fn has_read(&self) {
        self.signals.has_read.store(true, Ordering::Relaxed);
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

    fn leave(&self) {
        let mut book = self.connections.book();
        self.connections
            .remove(&mut book, self.address, self.number);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave();
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

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST_TIME: Duration = Duration::from_secs(30);

    fn connections(values: &[(&str, &str)]) -> Arc<Connections> {
        let lookup = |name: &str| {
            let found = values.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let config = Config::from_lookup(&lookup).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let max = config.http.connections_max;
        Arc::new(Connections::new(&config, max, metrics))
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn is_cut(connection: &Connection) -> bool {
        connection.is_cut(Waker::noop())
    }

    fn open(connections: &Connections) -> i64 {
        connections.metrics.http.connections.get()
    }

    #[test]
    fn a_first_request_has_to_come_in_time() {
        let connections = connections(&[]);
        let start = Instant::now();
        let connection = connections.enter(address(1), start).unwrap();
        // A byte now and then changes nothing.
        connection.has_read();
        connections.sweep(start + REQUEST_TIME / 2);
        connection.has_read();
        assert!(!is_cut(&connection));
        connections.sweep(start + REQUEST_TIME);
        assert!(is_cut(&connection));
        assert_eq!(open(&connections), 0);
        drop(connection);
        assert_eq!(open(&connections), 0);
    }

    #[test]
    fn a_later_request_has_its_time_from_its_first_byte_on() {
        let connections = connections(&[]);
        let start = Instant::now();
        let connection = connections.enter(address(1), start).unwrap();
        connection.has_read();
        connection.asked(false, start);
        connections.sweep(start + REQUEST_TIME * 100);
        connection.answered(start + REQUEST_TIME * 100);
        let answered = start + REQUEST_TIME * 100;
        connections.sweep(answered + KEEP_ALIVE);
        connection.has_read();
        connections.sweep(answered + SILENCE_MAX);
        connections.sweep(answered + SILENCE_MAX + REQUEST_TIME / 2);
        assert!(
            !is_cut(&connection),
            "the server may take as long as it needs"
        );
        connections.sweep(answered + SILENCE_MAX + REQUEST_TIME);
        assert!(is_cut(&connection));
    }

    #[test]
    fn a_body_has_to_come_in_time_and_a_long_answer_may_take_its_own() {
        let connections = connections(&[]);
        let start = Instant::now();
        let body = connections.enter(address(1), start).unwrap();
        body.asked(true, start + REQUEST_TIME / 2);
        let answer = connections.enter(address(1), start).unwrap();
        answer.answered(start);
        connections.sweep(start + REQUEST_TIME);
        assert!(!is_cut(&body));
        connections.sweep(start + REQUEST_TIME * 3 / 2);
        assert!(is_cut(&body));
        for round in 1..10 {
            answer.has_written();
            connections.sweep(start + SILENCE_MAX * round);
        }
        assert!(!is_cut(&answer));
        connections.sweep(start + SILENCE_MAX * 10);
        assert!(is_cut(&answer), "nobody takes it");
    }

    #[test]
    fn a_websocket_is_free() {
        let connections = connections(&[]);
        let start = Instant::now();
        let connection = connections.enter(address(1), start).unwrap();
        connection.became_websocket();
        connections.sweep(start + REQUEST_TIME * 100);
        assert!(!is_cut(&connection));
        assert_eq!(open(&connections), 0);
    }

    #[test]
    fn without_a_limit_requests_may_take_for_ever() {
        let connections = connections(&[("UPGRADE_TIMEOUT_S", "0")]);
        let start = Instant::now();
        let connection = connections.enter(address(1), start).unwrap();
        connections.sweep(start + REQUEST_TIME * 1_000);
        assert!(!is_cut(&connection));
    }

    #[test]
    fn whoever_takes_all_places_takes_them_from_himself() {
        let connections = connections(&[("CONNECTIONS_MAX", "10")]);
        let now = Instant::now();
        let enter = |number| connections.enter(address(number), now).unwrap();
        let others: Vec<_> = (2..6).map(enter).collect();
        let crowd: Vec<_> = (0..100).map(|_| enter(1)).collect();
        assert_eq!(open(&connections), 10);
        assert!(!others.iter().any(|other| is_cut(other)));
        assert!(crowd[..94].iter().all(|of_crowd| is_cut(of_crowd)));
        let late = enter(7);
        assert!(is_cut(&crowd[94]) && !is_cut(&late));
        // Once all have one, the oldest of all goes.
        let many: Vec<_> = (10..20).map(enter).collect();
        assert!(is_cut(&others[0]) && !is_cut(&many[0]));
        assert_eq!(open(&connections), 10);
        drop((others, crowd, late, many));
        let book = connections.book();
        assert_eq!((book.connections.len(), book.crowds.len()), (0, 0));
        assert_eq!((book.crowded, open(&connections)), (0, 0));
    }

    #[test]
    fn an_address_has_so_many_places_and_a_proxy_as_many_as_it_likes() {
        let connections = connections(&[
            ("CONNECTIONS_PER_IP_MAX", "2"),
            ("CONNECTIONS_MAX", "4"),
            ("TRUSTED_PROXIES", "0.0.0.1"),
        ]);
        let now = Instant::now();
        let enter = |number| connections.enter(address(number), now);
        let of_proxy: Vec<_> = (0..100).filter_map(|_| enter(1)).collect();
        let mut others: Vec<_> = (0..100).filter_map(|_| enter(2)).collect();
        assert_eq!((of_proxy.len(), others.len()), (100, 2));
        others.extend((3..10).filter_map(enter));
        assert_eq!(open(&connections), 104);
        assert!(!of_proxy.iter().any(|of_proxy| is_cut(of_proxy)));
    }
}
