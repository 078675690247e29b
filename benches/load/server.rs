//! The server under load: the release binary as a process of its own, with its own PostgreSQL in a
//! directory that goes away with it.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::Outcome;
use crate::database::Database;
use crate::scrape::Scrape;

/// How long a first start may take; it makes a database cluster.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the number of stored messages may stand still before messages count as lost.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// A process that does not outlive the bench, also if that fails.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    process: Running,
    /// Where the nodes connect.
    pub(crate) address: SocketAddr,
    pub(crate) database: Database,
    agent: Agent,
    data_dir: TempDir,
}

impl Server {
    /// Starts a server on a new, durable database, with these settings and otherwise the defaults.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::start_in(new_data_dir()?, settings)
    }

    /// Starts another server on the same database; this one has to outlive it.
    pub(crate) fn beside(&self) -> Outcome<Self> {
        Self::start_in(new_data_dir()?, &[("DATABASE_URL", self.database.url())])
    }

    /// Starts a server on the data of one that was stopped.
    pub(crate) fn start_in(data_dir: TempDir, settings: &[(&str, &str)]) -> Outcome<Self> {
        let process = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
            .env_remove("DATABASE_URL")
            .env_remove("READ_DATABASE_URL")
            .env("DATA_DIR", data_dir.path())
            .env("LISTEN_ADDRESS", "127.0.0.1")
            .env("PORT", "0")
            // A few connections stand for a thousand nodes.
            .env("NODE_BYTES_PER_S_MAX", "0")
            .env("NODE_FRAMES_PER_S_MAX", "0")
            // Its usual lines would run through those of the bench.
            .env("RUST_LOG", "warn")
            .envs(settings.iter().copied())
            // Away from a `.env` of the project.
            .current_dir(data_dir.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut process = Running(process);
        let stdout = process.0.stdout.take().ok_or("no standard output")?;
        let (address, url) = read_announcement(stdout)?;
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        let server = Self {
            process,
            address,
            database: Database::new(url),
            agent: agent.into(),
            data_dir,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Stops it and starts it again on the same data, with other settings.
    pub(crate) fn restart(self, settings: &[(&str, &str)]) -> Outcome<Self> {
        let data_dir = self.stop()?;
        Self::start_in(data_dir, settings)
    }

    /// Lets it do nothing, while its PostgreSQL goes on, until [`Self::go_on`].
    pub(crate) fn pause(&self) -> Outcome<()> {
        self.signal("-STOP")
    }

    /// Ends a pause.
    pub(crate) fn go_on(&self) -> Outcome<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Outcome<()> {
        Command::new("kill")
            .args([signal, &self.pid().to_string()])
            .status()?;
        Ok(())
    }

    /// Ends it as an operator would; anything but a clean end is an error.
    pub(crate) fn stop(mut self) -> Outcome<TempDir> {
        self.signal("-TERM")?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.process.0.try_wait()? {
                return if status.success() {
                    Ok(self.data_dir)
                } else {
                    Err(format!("the server ended with {status}").into())
                };
            }
            thread::sleep(POLL_PAUSE);
        }
        Err("the server did not stop in time".into())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// The body of the answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Outcome<String> {
        Ok(self.answer(path)?.body_mut().read_to_string()?)
    }

    /// Where the page after this one begins, if there is one.
    pub(crate) fn next_cursor(&self, path: &str) -> Outcome<Option<String>> {
        let mut answer = self.answer(path)?;
        // Read to its end, so that the connection is used again.
        answer.body_mut().read_to_string()?;
        let cursor = answer.headers().get("X-Next-Cursor");
        let cursor = cursor.map(|value| value.to_str().map(str::to_owned));
        Ok(cursor.transpose()?)
    }

    fn answer(&self, path: &str) -> Outcome<Response<Body>> {
        let url = format!("http://{}{path}", self.address);
        let answer = self.agent.get(&url).call();
        Ok(answer.map_err(|error| format!("GET {path}: {error}"))?)
    }

    pub(crate) fn scrape(&self) -> Outcome<Scrape> {
        Ok(Scrape::parse(&self.get("/metrics")?))
    }

    /// Waits until this many messages were stored since the start; false if it will not happen.
    pub(crate) fn wait_until_stored(&self, messages: u64) -> Outcome<bool> {
        let (mut stored, mut since) = (0.0, Instant::now());
        loop {
            let now = self.scrape()?.value("ingest_messages_stored_total")?;
            if now >= messages as f64 {
                return Ok(true);
            }
            if now > stored {
                (stored, since) = (now, Instant::now());
            } else if since.elapsed() > STALL_TIMEOUT {
                return Ok(false);
            }
            thread::sleep(POLL_PAUSE);
        }
    }

    fn wait_until_ready(&self) -> Outcome<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match self.get("/health") {
                Ok(health) if health.contains("\"status\":\"ok\"") => return Ok(()),
                Ok(health) if Instant::now() > deadline => return Err(health.into()),
                Ok(_) => thread::sleep(POLL_PAUSE),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(POLL_PAUSE),
            }
        }
    }
}

/// On a disk, as `/tmp` need not be, and open to the user that PostgreSQL drops to.
fn new_data_dir() -> Outcome<TempDir> {
    let open = Permissions::from_mode(0o755);
    Ok(tempfile::Builder::new()
        .prefix("tetcore-analytics-bench-")
        .permissions(open)
        .tempdir_in("/var/tmp")?)
}

/// Reads where the server listens and which database it uses from what it prints at start.
fn read_announcement(stdout: ChildStdout) -> Outcome<(SocketAddr, String)> {
    let (sender, lines) = mpsc::channel();
    // Reads to the end, so that the server never waits for a reader.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // It has no receiver any more once both lines were seen.
            sender.send(line).ok();
        }
    });
    let deadline = Instant::now() + START_TIMEOUT;
    let (mut address, mut url) = (None, None);
    while address.is_none() || url.is_none() {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let line = line.map_err(|_timeout| "the server did not say where it listens")?;
        if let Some(rest) = line.trim().strip_prefix("listening on http://") {
            address = Some(rest.trim_end_matches('/').parse()?);
        } else if let Some(rest) = line.trim().strip_prefix("database: ") {
            url = Some(rest.to_owned());
        }
    }
    address
        .zip(url)
        .ok_or_else(|| "incomplete announcement".into())
}
