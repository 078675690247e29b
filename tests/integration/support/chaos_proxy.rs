//! A network between the server and its database that misbehaves on request.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Random;

/// The message by which libpq commits, as it is on the wire.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// How often a thread that waits for bytes looks whether it should end.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A TCP proxy; its faults hold for all connections, old and new.
pub struct ChaosProxy {
    port: u16,
    network: Arc<Network>,
}

/// The state of the network.
struct Network {
    database: SocketAddr,
    is_closed: AtomicBool,
    is_silent: AtomicBool,
    connections: AtomicU64,
    /// Connections before this number are silent for good.
    forgotten: AtomicU64,
    answer_delay_ms: AtomicU64,
    bytes_per_s: AtomicU64,
    cuts_left: AtomicU64,
    /// Connections are not cut, but fall silent for good at these places.
    cuts_are_silent: AtomicBool,
    cuts: AtomicU64,
    cuts_after_commit: AtomicU64,
    random: Mutex<Random>,
}

/// Where a connection will be cut.
#[derive(Clone, Copy)]
enum Cut {
    Never,
    /// After so many bytes from the server to its database.
    AfterAsked(u64),
    /// After so many bytes from the database.
    AfterAnswered(u64),
    /// When so many commits were sent, and before the answer to the last one.
    AfterCommits(u64),
}

/// One connection; two threads carry it.
struct Link {
    network: Arc<Network>,
    number: u64,
    cut: Cut,
    is_cut: AtomicBool,
    is_silent: AtomicBool,
}

impl ChaosProxy {
    /// Stands in front of the database that `url` names.
    pub fn start(url: &str, seed: u64) -> Self {
        let (_, place) = url.split_once('@').unwrap();
        let database = place.split('/').next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Arc::new(Network {
            database: database.parse().unwrap(),
            is_closed: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            answer_delay_ms: AtomicU64::new(0),
            bytes_per_s: AtomicU64::new(0),
            cuts_left: AtomicU64::new(0),
            cuts_are_silent: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            cuts_after_commit: AtomicU64::new(0),
            random: Mutex::new(Random::new(seed)),
        });
        let port = listener.local_addr().unwrap().port();
        let accepting = network.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.is_closed.load(Ordering::Relaxed) {
                    return;
                }
                Link::open(&accepting, stream);
            }
        });
        Self { port, network }
    }

    /// The URL of the database as it is reached through this proxy.
    pub fn url(&self, url: &str) -> String {
        let (account, place) = url.split_once('@').unwrap();
        let (_, name) = place.split_once('/').unwrap();
        format!("{account}@127.0.0.1:{}/{name}", self.port)
    }

    /// A black hole: nothing comes through, and neither end gets an error.
    pub fn set_silent(&self, is_silent: bool) {
        self.network.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// Nothing comes any more through the connections that there are, and
    /// neither end gets an error; new ones work. Something in between still acknowledges.
    pub fn forget_connections(&self) {
        let connections = self.network.connections.load(Ordering::Relaxed);
        self.network.forgotten.store(connections, Ordering::Relaxed);
    }

    /// Every answer comes so much later.
    pub fn delay_answers(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap();
        self.network.answer_delay_ms.store(delay, Ordering::Relaxed);
    }

    /// Limits each connection; 0 is no limit.
    pub fn limit_bandwidth(&self, bytes_per_s: u64) {
        self.network
            .bytes_per_s
            .store(bytes_per_s, Ordering::Relaxed);
    }

    /// Cuts so many of the connections that are made from now on.
    pub fn cut(&self, times: u64) {
        self.network.cuts_left.store(times, Ordering::Relaxed);
    }

    /// As [`Self::cut`], but without an error: nothing comes through any more, and
    /// something in between still acknowledges.
    pub fn silence(&self, times: u64) {
        self.network.cuts_are_silent.store(true, Ordering::Relaxed);
        self.cut(times);
    }

    /// How many connections were cut, and how many of them between a commit and its answer.
    pub fn cuts(&self) -> (u64, u64) {
        let cuts = self.network.cuts.load(Ordering::Relaxed);
        let after_commit = self.network.cuts_after_commit.load(Ordering::Relaxed);
        (cuts, after_commit)
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.network.is_closed.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Network {
    /// Where the next connection will be cut: at a commit, or anywhere within
    /// what a few batches send and are answered.
    fn choose_cut(&self) -> Cut {
        let mut random = self.random.lock().unwrap();
        match random.between(0, 3) {
            _ if self.cuts_left.load(Ordering::Relaxed) == 0 => Cut::Never,
            0 => Cut::AfterAsked(random.between(1, 60_000)),
            1 => Cut::AfterAnswered(random.between(1, 3_000)),
            _ => Cut::AfterCommits(random.between(1, 3)),
        }
    }

    /// Takes one of the cuts that are left.
    fn may_cut(&self) -> bool {
        let taken = self
            .cuts_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        let may_cut = taken.is_ok();
        self.cuts.fetch_add(u64::from(may_cut), Ordering::Relaxed);
        may_cut
    }
}

impl Link {
    fn open(network: &Arc<Network>, server: TcpStream) {
        // A database that is away refuses, and so does its proxy.
        let Ok(database) = TcpStream::connect(network.database) else {
            return;
        };
        for stream in [&server, &database] {
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(LOOK_INTERVAL)).unwrap();
        }
        let link = Arc::new(Self {
            network: network.clone(),
            number: network.connections.fetch_add(1, Ordering::Relaxed),
            cut: network.choose_cut(),
            is_cut: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
        });
        let ends = (server.try_clone().unwrap(), database.try_clone().unwrap());
        let asking = link.clone();
        std::thread::spawn(move || asking.carry_questions(&server, &database));
        std::thread::spawn(move || link.carry_answers(&ends.1, &ends.0));
    }

    fn carry_questions(&self, server: &TcpStream, database: &TcpStream) {
        let mut commits = CommitFinder::default();
        let (mut carried, mut committed) = (0, 0);
        while let Some(bytes) = self.receive(server) {
            let mut bytes = bytes.as_slice();
            let mut is_end = false;
            if let Cut::AfterAsked(limit) = self.cut
                && carried + bytes.len() as u64 >= limit
                && self.network.may_cut()
            {
                bytes = &bytes[..(limit.saturating_sub(carried) as usize).min(bytes.len())];
                is_end = true;
            }
            committed += u64::from(commits.find(bytes));
            if let Cut::AfterCommits(limit) = self.cut
                && committed >= limit
                && self.network.may_cut()
            {
                let count = &self.network.cuts_after_commit;
                count.fetch_add(1, Ordering::Relaxed);
                // From now on no answer gets through.
                is_end = self.ends();
            }
            carried += bytes.len() as u64;
            if self.send(bytes, database).is_err() || (is_end && self.ends()) {
                break;
            }
        }
        self.close(server, database);
    }

    fn carry_answers(&self, database: &TcpStream, server: &TcpStream) {
        let mut carried = 0;
        while let Some(bytes) = self.receive(database) {
            let delay = self.network.answer_delay_ms.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(delay));
            let mut bytes = bytes.as_slice();
            let mut is_end = false;
            if let Cut::AfterAnswered(limit) = self.cut
                && carried + bytes.len() as u64 >= limit
                && self.network.may_cut()
            {
                bytes = &bytes[..(limit.saturating_sub(carried) as usize).min(bytes.len())];
                is_end = true;
            }
            carried += bytes.len() as u64;
            if self.is_cut.load(Ordering::SeqCst) {
                break;
            }
            let is_silent = self.is_silent.load(Ordering::SeqCst);
            if !is_silent && self.send(bytes, server).is_err() || (is_end && self.ends()) {
                break;
            }
        }
        self.close(server, database);
    }

    /// What has arrived; none when the connection ends.
    fn receive(&self, mut from: &TcpStream) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 4_096];
        loop {
            let is_over = self.is_cut.load(Ordering::SeqCst)
                || self.network.is_closed.load(Ordering::Relaxed);
            if is_over {
                return None;
            }
            if self.is_silent() {
                std::thread::sleep(LOOK_INTERVAL);
                continue;
            }
            match from.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => {
                    bytes.truncate(count);
                    return Some(bytes);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => {}
                Err(_) => return None,
            }
        }
    }

    /// Cuts the connection, or makes it fall silent; whether it is cut.
    fn ends(&self) -> bool {
        let is_silent = self.network.cuts_are_silent.load(Ordering::Relaxed);
        let end = if is_silent {
            &self.is_silent
        } else {
            &self.is_cut
        };
        end.store(true, Ordering::SeqCst);
        !is_silent
    }

    fn is_silent(&self) -> bool {
        self.network.is_silent.load(Ordering::Relaxed)
            || self.is_silent.load(Ordering::SeqCst)
            || self.number < self.network.forgotten.load(Ordering::Relaxed)
    }

    fn send(&self, bytes: &[u8], mut to: &TcpStream) -> std::io::Result<()> {
        let bytes_per_s = self.network.bytes_per_s.load(Ordering::Relaxed);
        if bytes_per_s > 0 {
            let seconds = bytes.len() as f64 / bytes_per_s as f64;
            std::thread::sleep(Duration::from_secs_f64(seconds));
        }
        to.write_all(bytes)
    }

    /// Ends both sides. The database still reads what was sent to it before.
    fn close(&self, server: &TcpStream, database: &TcpStream) {
        self.is_cut.store(true, Ordering::SeqCst);
        let _ = database.shutdown(Shutdown::Write);
        let _ = server.shutdown(Shutdown::Both);
    }
}

/// Finds [`COMMIT`] in a stream, also where two reads meet.
#[derive(Default)]
struct CommitFinder {
    tail: Vec<u8>,
}

impl CommitFinder {
    fn find(&mut self, bytes: &[u8]) -> bool {
        self.tail.extend_from_slice(bytes);
        let found = self.tail.windows(COMMIT.len()).rposition(|it| it == COMMIT);
        // What was found once is not found again.
        let seen = found.map_or(0, |start| start + COMMIT.len());
        let keep_from = seen.max(self.tail.len().saturating_sub(COMMIT.len() - 1));
        self.tail.drain(..keep_from);
        found.is_some()
    }
}
