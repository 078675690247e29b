//! HTTP connections, each from its first byte until it becomes a websocket: how
//! many there may be, and how long a request may take. Time is passed in; cutting
//! a connection sets a flag that its socket (`application::listen`) checks.
//!
//! The HTTP server itself limits only the idle time between two requests: a slow
//! request, body, or reader of a response could take for ever.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

use crate::config::{Config, Ipv6Prefix, Networks};
use crate::ingest::Sampler;
use crate::metrics::{CutReason, Metrics};

#[cfg(test)]
mod tests;

/// Idle time between two requests after which the HTTP server closes a connection.
/// Prometheus and Grafana send a request every 15 to 60 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Idle time after which a connection is cut that the HTTP server keeps open: it
/// waits for a body that no handler reads, or the client does not read the response.
const IDLE_MAX: Duration = Duration::from_secs(80);

/// Bytes of an incomplete request head that a connection may hold in any case:
/// 20,000 of them take as much as 20,000 nodes. Few heads are longer.
const HEAD_BYTES: usize = 16 * 1024;

/// All HTTP connections of the server.
#[derive(Debug)]
pub struct Connections {
    registry: Mutex<Registry>,
    max: usize,
    per_address_max: usize,
    ipv6_prefix: Ipv6Prefix,
    request_time: Option<Duration>,
    /// Bytes of incomplete request heads on all connections.
    held: AtomicUsize,
    held_max: usize,
    metrics: Arc<Metrics>,
    refused_log: Sampler,
    slow_log: Sampler,
}

/// One connection; unregistered when it is dropped.
#[derive(Debug)]
pub struct HttpConnection {
    connections: Arc<Connections>,
    address: IpAddr,
    number: u64,
    signals: Arc<Signals>,
}

#[derive(Debug)]
struct Registry {
    /// By address, and there by number, which is by age.
    connections: HashMap<IpAddr, BTreeMap<u64, Entry>>,
    /// Addresses ordered by connections, the most first, then by their oldest. Without
    /// trusted proxies, which limit their own clients.
    groups: BTreeSet<ClientGroup>,
    /// Connections of all groups.
    grouped: usize,
    proxies: Networks,
    next: u64,
}

/// The connections of one address: how many, the number of the oldest, the address.
type ClientGroup = (Reverse<usize>, u64, IpAddr);

#[derive(Debug)]
struct Entry {
    phase: Phase,
    signals: Arc<Signals>,
}

/// What a connection waits for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The client sends a request.
    Receiving(Option<Instant>),
    /// A handler works.
    Handling,
    /// The response was made; it may still be on its way.
    Idle(Instant),
}

/// Flags between the registry and a socket. Both check them about once a second, so
/// the order of changes does not matter.
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
    /// At most `max` connections, `CONNECTIONS_PER_IP_MAX` of one address, both on top
    /// of those of telemetry; a request has to arrive within `UPGRADE_TIMEOUT_S`.
    pub fn new(config: &Config, max: usize, metrics: Arc<Metrics>) -> Self {
        let request_time = config.http.upgrade_timeout;
        Self {
            registry: Mutex::new(Registry {
                connections: HashMap::new(),
                groups: BTreeSet::new(),
                grouped: 0,
                proxies: config.access.trusted_proxies.clone(),
                next: 0,
            }),
            max,
            per_address_max: config.ingest.connections_per_ip_max,
            ipv6_prefix: config.ingest.ipv6_prefix,
            request_time: Some(request_time).filter(|time| !time.is_zero()),
            held: AtomicUsize::new(0),
            held_max: config.ingest.queue_bytes_max,
            metrics,
            refused_log: Sampler::default(),
            slow_log: Sampler::default(),
        }
    }

    /// Admits a connection, unless its address has too many. If there are too many
    /// altogether, the oldest of the address with the most is cut, so that one
    /// client can't exhaust the limit for others.
    pub fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Arc<HttpConnection>> {
        let address = address.to_canonical();
        let mut registry = self.registry();
        let is_proxy = registry.proxies.contain(address);
        // Each proxy stands for many clients, the addresses of a line for one.
        let address = if is_proxy {
            address
        } else {
            self.ipv6_prefix.line(address)
        };
        if !is_proxy {
            if registry.count(address) >= self.per_address_max {
                self.cut(CutReason::TooManyFromAddress, 1, now);
                return None;
            }
            if registry.grouped >= self.max
                && let Some((_, oldest, group)) = registry.groups.first().copied()
            {
                self.remove(&mut registry, group, oldest)
                    .inspect(Entry::cut);
                self.cut(CutReason::TooMany, 1, now);
            }
        }
        let signals = Arc::<Signals>::default();
        let entry = Entry {
            phase: Phase::Receiving(self.request_end(now)),
            signals: signals.clone(),
        };
        let number = registry.next;
        registry.next += 1;
        registry.change(address, |entries| entries.insert(number, entry));
        self.metrics.http.connections.inc();
        Some(Arc::new(HttpConnection {
            connections: self.clone(),
            address,
            number,
            signals,
        }))
    }

    /// Cuts connections that are overdue. To be called about once a second.
    pub fn sweep(&self, now: Instant) {
        let request_end = self.request_end(now);
        let mut registry = self.registry();
        let mut overdue = Vec::new();
        for (address, entries) in &mut registry.connections {
            for (number, entry) in entries {
                if entry.is_overdue(request_end, now) {
                    overdue.push((*address, *number));
                }
            }
        }
        for (address, number) in &overdue {
            self.remove(&mut registry, *address, *number)
                .inspect(Entry::cut);
        }
        if !overdue.is_empty() {
            self.cut(CutReason::TooSlow, overdue.len(), now);
        }
    }

    fn remove(&self, registry: &mut Registry, address: IpAddr, number: u64) -> Option<Entry> {
        let removed = registry.change(address, |entries| entries.remove(&number));
        if removed.is_some() {
            self.metrics.http.connections.dec();
        }
        removed
    }

    /// Deadline of a request that begins now.
    fn request_end(&self, now: Instant) -> Option<Instant> {
        self.request_time.map(|time| now + time)
    }

    fn cut(&self, reason: CutReason, count: usize, now: Instant) {
        self.metrics.http.cut(reason, count);
        let why = reason.label();
        match reason {
            // Usual: browsers open more connections than they use.
            CutReason::TooSlow => {
                if let Some(left_out) = self.slow_log.admit(now) {
                    log::info!(
                        "{count} HTTP connections were cut: {why} ({left_out} such lines were left out)"
                    );
                }
            }
            CutReason::TooMany | CutReason::TooManyFromAddress | CutReason::TooLarge => {
                if let Some(left_out) = self.refused_log.admit(now) {
                    log::warn!(
                        "an HTTP connection was cut: {why} ({left_out} like it since the last such line)"
                    );
                }
            }
        }
    }

    /// Changes are complete before anything could panic, so poison is ignored.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnection {
    /// The head of a request has arrived; a body follows if it `has_body`.
    pub(super) fn request_received(&self, has_body: bool, now: Instant) {
        self.signals.has_head.store(true, Ordering::Relaxed);
        self.release_held();
        self.set_phase(if has_body {
            Phase::Receiving(self.connections.request_end(now))
        } else {
            Phase::Handling
        });
    }

    /// A handler has made its response.
    pub(super) fn response_made(&self, now: Instant) {
        self.signals.has_read.store(false, Ordering::Relaxed);
        self.signals.has_head.store(false, Ordering::Relaxed);
        self.set_phase(Phase::Idle(now + IDLE_MAX));
    }

    /// The connection is a websocket now, which has limits of its own.
    pub(super) fn became_websocket(&self) {
        self.signals.is_websocket.store(true, Ordering::Relaxed);
        self.unregister();
    }

    /// Whether the connection was cut; if it is cut later, `reader` is woken.
    pub fn is_cut(&self, reader: &Waker) -> bool {
        if self.signals.is_websocket.load(Ordering::Relaxed) {
            return false;
        }
        self.signals.reader.register(reader);
        self.signals.is_cut.load(Ordering::Acquire)
    }

    /// The socket has read `bytes`. Incomplete heads share one limit: while it is
    /// exceeded, connections that hold a large part are cut.
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

    /// The socket has written something.
    pub fn has_written(&self) {
        self.signals.has_written.store(true, Ordering::Relaxed);
    }

    fn set_phase(&self, phase: Phase) {
        let mut registry = self.connections.registry();
        let entries = registry.connections.get_mut(&self.address);
        if let Some(entry) = entries.and_then(|entries| entries.get_mut(&self.number)) {
            entry.phase = phase;
        }
    }

    fn cut(&self, reason: CutReason) {
        if let Some(entry) = self.unregister() {
            entry.cut();
            self.connections.cut(reason, 1, Instant::now());
        }
    }

    fn release_held(&self) {
        let held = self.signals.held.swap(0, Ordering::Relaxed);
        self.connections.held.fetch_sub(held, Ordering::Relaxed);
    }

    fn unregister(&self) -> Option<Entry> {
        let mut registry = self.connections.registry();
        self.connections
            .remove(&mut registry, self.address, self.number)
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.unregister();
        self.release_held();
    }
}

impl Registry {
    fn count(&self, address: IpAddr) -> usize {
        self.connections.get(&address).map_or(0, BTreeMap::len)
    }

    /// Changes the connections of an address, and updates its group.
    fn change<T>(
        &mut self,
        address: IpAddr,
        change: impl FnOnce(&mut BTreeMap<u64, Entry>) -> T,
    ) -> T {
        let group = |entries: &BTreeMap<u64, Entry>| {
            let (oldest, _) = entries.first_key_value()?;
            Some((Reverse(entries.len()), *oldest, address))
        };
        let entries = self.connections.entry(address).or_default();
        let before = group(entries);
        let changed = change(entries);
        let after = group(entries);
        if after.is_none() {
            self.connections.remove(&address);
        }
        if !self.proxies.contain(address) {
            if let Some(group) = before {
                self.groups.remove(&group);
                self.grouped -= group.0.0;
            }
            if let Some(group) = after {
                self.groups.insert(group);
                self.grouped += group.0.0;
            }
        }
        changed
    }
}

impl Entry {
    fn is_overdue(&mut self, request_end: Option<Instant>, now: Instant) -> bool {
        let has_read = self.signals.has_read.swap(false, Ordering::Relaxed);
        let has_written = self.signals.has_written.swap(false, Ordering::Relaxed);
        match self.phase {
            Phase::Receiving(end) => end.is_some_and(|end| end <= now),
            Phase::Handling => false,
            Phase::Idle(_) if has_written => {
                self.phase = Phase::Idle(now + IDLE_MAX);
                false
            }
            Phase::Idle(_) if has_read => {
                self.phase = Phase::Receiving(request_end);
                false
            }
            Phase::Idle(end) => end <= now,
        }
    }

    fn cut(&self) {
        self.signals.is_cut.store(true, Ordering::Release);
        self.signals.reader.wake();
    }
}
