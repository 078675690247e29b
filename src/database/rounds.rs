//! A thread that does something again and again on a connection of its own, and that is
//! given up when an answer of the database is lost.
//!
//! libpq waits without limit for an answer that was lost in the network, and a call that
//! waits cannot be ended. So a watchdog sees how long each answer takes; where one takes longer than
//! the database itself would let its statement take, another thread begins anew.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::result::{DatabaseErrorKind, Error};
use tokio::sync::Notify;

use super::pools::{CONNECT_TIME_MAX, connect_with};
use super::{Connection, DatabaseError};
use crate::config::DatabaseUrl;
use crate::metrics::Metrics;

/// How often the watchdog looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Threads of one job that may wait in vain at once. Each needs a connection of its own
/// to fall silent; with as many the network never ends such connections.
const LOST_MAX: usize = 10;

/// What a thread does again and again.
pub trait Round {
    /// Does it once; returns how long to pause then.
    fn round(&mut self) -> Duration;

    /// The last thing when the server stops in order.
    fn end(&mut self) {}
}

/// What the threads of all jobs have in common.
#[derive(Debug, Clone)]
pub struct RoundsParts {
    /// The database.
    pub url: DatabaseUrl,
    /// Signalled when too many threads wait in vain.
    pub lost: LostThreads,
    /// All metrics.
    pub metrics: Arc<Metrics>,
}

/// The signal that more threads wait in vain than this process may have.
#[derive(Debug, Clone, Default)]
pub struct LostThreads(Arc<Notify>);

/// Opens the connections of one thread.
#[derive(Debug)]
pub struct Connector {
    url: DatabaseUrl,
    name: &'static str,
    statement_max: Duration,
    pulse: Pulse,
}

/// A running thread and its watchdog.
#[derive(Debug)]
pub struct Rounds {
    name: &'static str,
    stop: mpsc::Sender<()>,
    stopped: mpsc::Receiver<()>,
}

/// Since when an answer of the database is waited for; shared by a thread, its connection and
/// the watchdog.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse {
    waits_since: Arc<Mutex<Option<Instant>>>,
    is_given_up: Arc<AtomicBool>,
}

/// One thread, as its watchdog sees it.
#[derive(Debug)]
struct Worker {
    thread: JoinHandle<()>,
    pulse: Pulse,
    stop: mpsc::Sender<()>,
}

/// Starts a thread with what it needs to connect.
type Start = dyn Fn(Connector, mpsc::Receiver<()>) -> std::io::Result<JoinHandle<()>> + Send;

/// The work of the watchdog.
struct Watchdog {
    name: &'static str,
    statement_max: Duration,
    parts: RoundsParts,
    start: Box<Start>,
    current: Option<Worker>,
    lost: Vec<JoinHandle<()>>,
}

impl Rounds {
    /// Starts a thread that does what `make` gives, and its watchdog. `name` is that of the
    /// thread, and of its connections in the database; `statement_max` limits each statement.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start<R: Round>(
        parts: RoundsParts,
        name: &'static str,
        statement_max: Duration,
        make: impl Fn(Connector) -> R + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stop_requested) = mpsc::channel();
        let (has_stopped, stopped) = mpsc::channel();
        let make = Arc::new(make);
        let start = move |connector, stop_requested| {
            let make = make.clone();
            Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&mut make(connector), &stop_requested))
        };
        let mut watchdog = Watchdog {
            name,
            statement_max,
            parts,
            start: Box::new(start),
            current: None,
            lost: Vec::new(),
        };
        watchdog.begin()?;
        Builder::new()
            .name(format!("{name} watchdog"))
            .spawn(move || {
                let _has_stopped = has_stopped;
                // The sender is dropped when it is time to stop.
                while stop_requested.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    watchdog.look(Instant::now());
                }
                watchdog.stop();
            })?;
        Ok(Self {
            name,
            stop,
            stopped,
        })
    }

    /// Ends the thread, and waits for its last round, but no longer than `wait_max`. Whether
    /// it has ended; one that still waits for the database ends with the process.
    pub fn stop(self, wait_max: Duration) -> bool {
        drop(self.stop);
        // The watchdog drops its sender at its end.
        let has_ended = self.stopped.recv_timeout(wait_max) != Err(RecvTimeoutError::Timeout);
        if !has_ended {
            log::debug!("the thread {} still waits for the database", self.name);
        }
        has_ended
    }
}

/// What a thread does until it is stopped, or given up.
fn work(round: &mut impl Round, stop_requested: &mpsc::Receiver<()>) {
    loop {
        let pause = round.round();
        match stop_requested.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) => return round.end(),
            // Given up: another one has taken its place.
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Watchdog {
    fn begin(&mut self) -> std::io::Result<()> {
        let (stop, stop_requested) = mpsc::channel();
        let pulse = Pulse::default();
        let connector = Connector {
            url: self.parts.url.clone(),
            name: self.name,
            statement_max: self.statement_max,
            pulse: pulse.clone(),
        };
        let thread = (self.start)(connector, stop_requested)?;
        self.current = Some(Worker {
            thread,
            pulse,
            stop,
        });
        Ok(())
    }

    fn look(&mut self, now: Instant) {
        let answer_max = self.statement_max + CONNECT_TIME_MAX;
        let is_lost = |worker: &mut Worker| worker.pulse.waited(now) > answer_max;
        if let Some(worker) = self.current.take_if(is_lost) {
            worker.pulse.give_up();
            self.lost.push(worker.thread);
            self.parts.metrics.threads_lost.inc();
            log::warn!(
                "no answer of the database for {} s: the connection of \"{}\" is given up",
                answer_max.as_secs(),
                self.name
            );
        }
        self.lost.retain(|thread| !thread.is_finished());
        if self.lost.len() >= LOST_MAX {
            self.parts.lost.0.notify_one();
        } else if self.current.is_none()
            && let Err(error) = self.begin()
        {
            log::error!("no thread for \"{}\": {error}", self.name);
        }
    }

    fn stop(&mut self) {
        if let Some(worker) = self.current.take()
            && worker.stop.send(()).is_ok()
            && worker.thread.join().is_err()
        {
            log::error!("the thread {} has ended by a bug", self.name);
        }
    }
}

impl LostThreads {
    /// Becomes ready when there are too many.
    pub async fn are_too_many(&self) {
        self.0.notified().await;
    }
}

impl Connector {
    /// A connection, with the limit for each statement.
    ///
    /// # Errors
    /// [`DatabaseError`] if the database is down or refuses.
    pub fn connect(&self) -> Result<Connection, DatabaseError> {
        connect_with(&self.url, self.name, self.statement_max, Some(&self.pulse))
    }
}

impl Pulse {
    /// Waits for the database from now on.
    pub(super) fn wait(&self) {
        self.set(Some(Instant::now()));
    }

    /// Has its answer.
    pub(super) fn answered(&self) {
        self.set(None);
    }

    /// # Errors
    /// If another thread has taken the place of this one: what is done now must not count.
    pub(super) fn confirm(&self) -> Result<(), Error> {
        match self.is_given_up.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection,
                Box::new("the answer came too late".to_owned()),
            )),
        }
    }

    fn set(&self, since: Option<Instant>) {
        *self
            .waits_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn waited(&self, now: Instant) -> Duration {
        let since = *self
            .waits_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }
}

impl Instrumentation for Pulse {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { .. } => self.wait(),
            InstrumentationEvent::FinishQuery { .. } => self.answered(),
            _ => {}
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Watchdog")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for an answer, as long as the test wants.
    struct Waiting {
        pulse: Pulse,
        events: mpsc::Sender<&'static str>,
        answers: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl Round for Waiting {
        fn round(&mut self) -> Duration {
            self.pulse.wait();
            self.events.send("asked").unwrap();
            let answer = self.answers.lock().unwrap().recv();
            self.pulse.answered();
            let is_its = answer.is_ok() && self.pulse.confirm().is_ok();
            self.events
                .send(if is_its { "answered" } else { "too late" })
                .unwrap();
            Duration::from_secs(3_600)
        }

        fn end(&mut self) {
            self.events.send("ended").unwrap();
        }
    }

    fn watchdog() -> (Watchdog, mpsc::Receiver<&'static str>, mpsc::Sender<()>) {
        let (events, seen) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let answers = Arc::new(Mutex::new(answers));
        let start = move |connector: Connector, stop_requested: mpsc::Receiver<()>| {
            let mut waiting = Waiting {
                pulse: connector.pulse,
                events: events.clone(),
                answers: answers.clone(),
            };
            Builder::new().spawn(move || work(&mut waiting, &stop_requested))
        };
        let mut watchdog = Watchdog {
            name: "tests",
            statement_max: Duration::from_secs(2),
            parts: RoundsParts {
                url: DatabaseUrl::new(""),
                lost: LostThreads::default(),
                metrics: Arc::new(Metrics::new().unwrap()),
            },
            start: Box::new(start),
            current: None,
            lost: Vec::new(),
        };
        watchdog.begin().unwrap();
        (watchdog, seen, answer)
    }

    #[test]
    fn another_thread_takes_the_place_of_one_whose_answer_is_lost() {
        let (mut watchdog, seen, answer) = watchdog();
        assert_eq!(seen.recv(), Ok("asked"));
        let now = Instant::now();
        watchdog.look(now + Duration::from_secs(7));
        assert_eq!(watchdog.parts.metrics.threads_lost.get(), 0);
        watchdog.look(now + Duration::from_secs(9));
        assert_eq!(watchdog.parts.metrics.threads_lost.get(), 1);
        assert_eq!(seen.recv(), Ok("asked"), "the other one");
        // It comes after all, and counts no more; the thread ends, and says nothing of it.
        answer.send(()).unwrap();
        assert_eq!(seen.recv(), Ok("too late"));
        answer.send(()).unwrap();
        assert_eq!(seen.recv(), Ok("answered"));
        watchdog.stop();
        assert_eq!(seen.iter().next(), Some("ended"));
    }

    #[actix_web::test]
    async fn threads_that_wait_in_vain_are_bounded() {
        let (mut watchdog, seen, _answer) = watchdog();
        for _ in 0..LOST_MAX {
            assert_eq!(seen.recv(), Ok("asked"));
            watchdog.look(Instant::now() + Duration::from_secs(60));
        }
        watchdog.parts.lost.are_too_many().await;
        watchdog.look(Instant::now() + Duration::from_secs(60));
        assert!(watchdog.current.is_none() && seen.try_recv().is_err());
    }
}
