//! A server process with a database and a data directory of its own.
//!
//! When it is dropped, it has to have accounted for every message: received =
//! stored + rejected + undecodable + dropped, and nothing pending.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{FakeNode, PATIENCE, TestDb, pause_after, wait_until};

/// How to start a server.
pub struct TestAppBuilder {
    db: Option<TestDb>,
    env: HashMap<String, String>,
    data_dir: Option<tempfile::TempDir>,
    files_max: Option<u32>,
}

/// A running server.
pub struct TestApp {
    child: Option<Child>,
    port: u16,
    pub db: TestDb,
    data_dir: Option<tempfile::TempDir>,
    env: HashMap<String, String>,
    checks_conservation: bool,
    /// `READ_TOKENS`, if they are set: only one, then.
    token: Option<String>,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub headers: HashMap<String, String>,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in: {}", self.body))
    }
}

impl TestAppBuilder {
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn db(mut self, db: TestDb) -> Self {
        self.db = Some(db);
        self
    }

    pub fn data_dir(mut self, data_dir: tempfile::TempDir) -> Self {
        self.data_dir = Some(data_dir);
        self
    }

    /// How many files it may have open.
    pub fn files_max(mut self, files: u32) -> Self {
        self.files_max = Some(files);
        self
    }

    /// Starts it, and waits until telemetry is stored.
    pub fn start(self) -> TestApp {
        let app = self.start_listening();
        wait_until("the server is ready", || app.is_well());
        app
    }

    /// Starts it, and waits until it listens.
    pub fn start_listening(self) -> TestApp {
        let db = self.db.unwrap_or_else(TestDb::new);
        let data_dir = self
            .data_dir
            .unwrap_or_else(|| tempfile::tempdir().unwrap());
        let program = env!("CARGO_BIN_EXE_tetcore-analytics");
        let mut command = match self.files_max {
            None => Command::new(program),
            Some(files) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {files} && exec {program}")]);
                shell
            }
        };
        command
            .env_remove("TEST_DATABASE_URL")
            .env("PORT", "0")
            .env("LISTEN_ADDRESS", "127.0.0.1")
            .env("DATABASE_URL", db.url())
            .env("DATA_DIR", data_dir.path())
            .env(
                "ASSETS_PATH",
                concat!(env!("CARGO_MANIFEST_DIR"), "/static"),
            )
            .env("RUST_LOG", "info")
            .envs(&self.env)
            .current_dir(data_dir.path())
            .stdout(Stdio::piped())
            .stderr(File::create(data_dir.path().join("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut said = File::create(data_dir.path().join("said")).unwrap();
        let (send_port, receive_port) = mpsc::channel();
        std::thread::spawn(move || {
            // Read to its end, so that the server can always write.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("listening on http") {
                    let port = line.trim_end_matches('/').rsplit(':').next().unwrap();
                    let _ = send_port.send(port.parse().unwrap());
                }
                writeln!(said, "{line}").unwrap();
            }
        });
        let mut app = TestApp {
            child: Some(child),
            port: 0,
            db,
            data_dir: Some(data_dir),
            // Metrics are requested in plain HTTP.
            checks_conservation: !self.env.contains_key("TLS_CERT_PATH"),
            token: self.env.get("READ_TOKENS").cloned(),
            env: self.env,
        };
        app.port = receive_port
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("the server does not listen:\n{}", app.log()));
        app
    }
}

impl TestApp {
    /// Runs the program beside the server, on its database.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"));
        command.args(args).env("DATABASE_URL", self.db.url());
        command.current_dir(self.data_dir()).output().unwrap()
    }

    /// Whether telemetry is taken and stored, and queries are answered.
    pub fn is_well(&self) -> bool {
        self.get("/health").json()["status"] == "ok"
    }

    pub fn builder() -> TestAppBuilder {
        TestAppBuilder {
            db: None,
            env: HashMap::new(),
            data_dir: None,
            files_max: None,
        }
    }

    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.as_ref().unwrap().path().to_owned()
    }

    /// The data directory of a server that has ended, to look at it or to go on with it.
    pub fn take_data_dir(mut self) -> tempfile::TempDir {
        assert!(self.child.is_none());
        self.data_dir.take().unwrap()
    }

    /// The most that it has ever had in memory, in bytes.
    pub fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("log")).unwrap_or_default()
    }

    /// What it printed for people.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("said")).unwrap_or_default()
    }

    /// Reads, with the token if one is needed.
    pub fn get(&self, path: &str) -> Answer {
        let token = self.token.as_ref();
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|bearer| ("authorization", bearer.as_str()))
            .collect();
        self.ask("GET", path, &headers, "")
    }

    /// Asks with these headers and no others.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(match body {
            "" => agent().run(request.body(()).unwrap()),
            body => agent().run(request.body(body).unwrap()),
        })
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.answer(agent().post(self.url(path)).send_json(body))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn answer(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
        let mut answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        let headers = answer.headers().iter();
        Answer {
            status: answer.status().as_u16(),
            headers: headers
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        value.to_str().unwrap_or_default().to_owned(),
                    )
                })
                .collect(),
            body: answer.body_mut().read_to_string().unwrap(),
        }
    }

    /// A node that is connected to `path`.
    pub fn node(&self, path: &str) -> FakeNode {
        FakeNode::connect(self.port, path)
    }

    /// The sum of all series of a metric, named without its prefix, whose
    /// labels contain `label`.
    pub fn metric_with(&self, name: &str, label: &str) -> f64 {
        let name = format!("tetcore_analytics_{name}");
        let text = self.get("/metrics").body;
        let series = text.lines().filter_map(|line| line.rsplit_once(' '));
        let of_name = series.filter(|(series, _)| {
            series.split('{').next() == Some(name.as_str()) && series.contains(label)
        });
        of_name
            .map(|(_, value)| value.parse::<f64>().unwrap())
            .sum()
    }

    pub fn metric(&self, name: &str) -> f64 {
        self.metric_with(name, "")
    }

    /// Waits until so many messages are stored.
    #[track_caller]
    pub fn wait_stored(&self, count: u32) {
        let started_at = Instant::now();
        loop {
            let stored = self.metric("ingest_messages_stored_total");
            if stored >= f64::from(count) {
                return;
            }
            let waited = started_at.elapsed();
            assert!(
                waited < PATIENCE,
                "{stored} of {count} messages are stored:\n{}",
                self.log()
            );
            pause_after(waited);
        }
    }

    /// Waits until the projections contain what is stored now.
    #[track_caller]
    pub fn wait_projected(&self) {
        self.wait_projections("true");
    }

    /// Waits until one projection has everything: others put many changes off for minutes.
    #[track_caller]
    pub fn wait_projection(&self, name: &str) {
        self.wait_projections(&format!("name = '{name}'"));
    }

    #[track_caller]
    fn wait_projections(&self, which: &str) {
        let behind = format!(
            "SELECT count(*) FROM projections WHERE {which} AND (position IS NULL OR position <= (\
             SELECT max(changed) FROM (\
             SELECT max(transaction_id) AS changed FROM ingest_batches \
             UNION ALL SELECT max(transaction_id) FROM peer_connections) AS stored))"
        );
        wait_until("the projections are up to date", || {
            self.db.count(&behind) == 0
        });
    }

    /// Builds the projections anew: rows that a test put among the messages by
    /// itself are in no batch.
    #[track_caller]
    pub fn rebuild_projections(&self) {
        // A build that is just beginning would take this for its own beginning.
        self.wait_projected();
        self.db.execute(
            "UPDATE projections SET position = NULL, build_end = NULL, built_until = NULL",
        );
        self.wait_projected();
    }

    /// Sends a signal: TERM, INT, KILL, STOP, CONT.
    pub fn signal(&self, signal: &str) {
        let killed = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.pid().to_string())
            .status();
        assert!(killed.unwrap().success());
    }

    /// Stops it as an operator does, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_exit()
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.wait_for_exit();
    }

    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The same server again: same database, same data directory, same settings.
    pub fn start_again(self) -> Self {
        self.again().start()
    }

    /// As [`TestApp::start_again`], with other settings.
    pub fn start_again_with(self, settings: &[(&str, &str)]) -> Self {
        let again = self.again();
        let set = |app: TestAppBuilder, (name, value): &(&str, &str)| app.env(name, value);
        settings.iter().fold(again, set).start()
    }

    /// As [`TestApp::start_again`], but waits only until it listens.
    pub fn start_again_listening(self) -> Self {
        self.again().start_listening()
    }

    fn again(mut self) -> TestAppBuilder {
        self.checks_conservation = false;
        if self.child.is_some() {
            self.stop();
        }
        let data_dir = self.data_dir.take().unwrap();
        let db = std::mem::replace(&mut self.db, TestDb::empty());
        TestAppBuilder {
            db: Some(db),
            env: std::mem::take(&mut self.env),
            data_dir: Some(data_dir),
            files_max: None,
        }
    }

    fn assert_conservation(&self) {
        wait_until("nothing is pending", || {
            self.metric("ingest_pending") == 0.0
        });
        let received = self.metric("ingest_messages_received_total");
        let accounted: f64 = ["stored", "rejected", "undecodable", "dropped"]
            .map(|end| self.metric(&format!("ingest_messages_{end}_total")))
            .iter()
            .sum();
        assert_eq!(
            received,
            accounted,
            "a message ended nowhere:\n{}",
            self.log()
        );
        let stored = self.metric("ingest_messages_stored_total");
        assert!(stored <= received);
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if self.data_dir.is_some() {
                eprintln!("log of the server:\n{}", self.log());
            }
        } else if self.child.is_some() && self.checks_conservation {
            self.assert_conservation();
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}
