//! The process of a browser, and the protocol that it is driven by (`WebDriver`:
//! JSON over HTTP, so it needs no crate of its own).

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::PATIENCE;

/// Starts the driver, and ends it when nobody holds the other end of its input
/// any more, however the test process ended. The browser follows its driver,
/// for it is driven through a pipe.
const SUPERVISOR: &str = "command -v chromedriver >/dev/null || exit 127
    chromedriver --port=0 &
    driver=$!
    cat >/dev/null
    kill \"$driver\"
    wait \"$driver\"";

/// What the browser must not do: show windows, ask for a sandbox that needs
/// more than root has in a container, phone home, find other hosts.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/// A browser with one window.
pub(super) struct Driver {
    supervisor: Child,
    /// Address of the session, once there is one.
    session: String,
    agent: ureq::Agent,
    profile: tempfile::TempDir,
}

/// An error as the protocol has it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) message: String,
}

impl Driver {
    /// Starts a browser; `logs_network` says whether it keeps a log of its
    /// requests, which costs it time.
    pub(super) fn start(logs_network: bool) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR])
            // What the browser leaves behind goes with its profile.
            .env("TMPDIR", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        let port = said.by_ref().map_while(Result::ok).find_map(|line| {
            let port = line.split("successfully on port ").nth(1)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect(
            "the tests of the pages need chromedriver and its browser: `.ci/install test` \
             installs Debian's packages chromium and chromium-driver",
        );
        std::thread::spawn(move || said.for_each(drop));
        let mut driver = Self {
            supervisor,
            session: format!("http://127.0.0.1:{port}/session"),
            agent: agent(),
            profile,
        };
        let id = driver
            .post("", &driver.capabilities(logs_network))
            .unwrap_or_else(|refusal| panic!("no browser starts: {refusal:?}"));
        let id = id["sessionId"].as_str().unwrap();
        driver.session = format!("{}/{id}", driver.session);
        driver
    }

    fn capabilities(&self, logs_network: bool) -> Value {
        let profile = self.profile();
        let arguments: Vec<_> = ARGUMENTS.into_iter().chain([profile.as_str()]).collect();
        let preferences = json!({"download.default_directory": self.downloads()});
        let mut options = json!({"args": arguments, "prefs": preferences});
        let mut logs = json!({"browser": "ALL"});
        if logs_network {
            options["perfLoggingPrefs"] = json!({"enableNetwork": true, "enablePage": false});
            logs["performance"] = json!("ALL");
        }
        json!({"capabilities": {"alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": logs,
            "timeouts": {"script": PATIENCE.as_millis(), "pageLoad": PATIENCE.as_millis()},
        }}})
    }

    /// The argument by which the browser knows where it keeps its files.
    pub(super) fn profile(&self) -> String {
        format!("--user-data-dir={}", self.profile.path().display())
    }

    /// The folder of what is downloaded; there is none before the first file.
    pub(super) fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }

    /// A command of the protocol with a body.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        Self::understand(self.agent.post(self.address(path)).send_json(body))
    }

    /// A command of the protocol without a body.
    pub(super) fn get(&self, path: &str) -> Result<Value, Refusal> {
        Self::understand(self.agent.get(self.address(path)).call())
    }

    /// A command of the browser's own protocol, for what the other one cannot say.
    pub(super) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.post("goog/cdp/execute", &body).unwrap()
    }

    fn address(&self, path: &str) -> String {
        match path {
            "" => self.session.clone(),
            path => format!("{}/{path}", self.session),
        }
    }

    fn understand(
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Refusal> {
        let unreachable = |error: ureq::Error| Refusal {
            error: "no answer".to_owned(),
            message: error.to_string(),
        };
        let mut answer = answer.map_err(unreachable)?;
        let is_good = answer.status().is_success();
        // Screenshots and logs are larger than what is read by default.
        let body = answer.body_mut().with_config().limit(1 << 30);
        let mut body: Value = body.read_json().map_err(unreachable)?;
        let value = body["value"].take();
        if is_good {
            return Ok(value);
        }
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Err(Refusal {
            error: text("error"),
            message: text("message"),
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A browser that is asked to leave tidies up behind itself.
        let _ = self.agent.delete(&self.session).call();
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        // Longer than the browser itself waits, so that it says what it waits for.
        .timeout_global(Some(PATIENCE * 2))
        .build()
        .into()
}
