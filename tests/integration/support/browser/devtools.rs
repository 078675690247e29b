//! The protocol that a page is driven by (Chrome `DevTools`: JSON over a
//! websocket, so it needs no driver and no crate of its own).

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::PATIENCE;

/// Most events of a kind that are kept until they are taken.
const EVENTS_MAX: usize = 100_000;

/// A connection to the browser with a browser context and a page in it, which
/// end with the connection, however the test process ended.
pub(super) struct DevTools {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    pub(super) context: String,
    pub(super) target: String,
    /// Session of the page, once there is one.
    session: Option<String>,
    /// Events of the page that were not taken yet.
    pub(super) noticed: Noticed,
}

/// What events of the browser say.
#[derive(Default)]
pub(super) struct Noticed {
    /// Errors in the console, uncaught exceptions and failed requests.
    pub(super) errors: Vec<String>,
    /// Addresses that were requested.
    pub(super) requests: Vec<String>,
    /// Number of the newest document of the page that is loaded, with all its parts.
    loaded: String,
}

/// A command that failed.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    /// Whether the page was left while a command ran.
    pub(super) fn is_of_navigation(&self) -> bool {
        [
            "Execution context was destroyed",
            "Cannot find default execution context",
            "Inspected target navigated or closed",
            "Promise was collected",
            "Cannot find context with specified id",
        ]
        .iter()
        .any(|known| self.0.contains(known))
    }
}

/// The address of the browser that all tests of a run share.
fn browser_url() -> String {
    let offer = std::env::var("TEST_BROWSER_ADDRESS")
        .expect("run the tests with `make test`: it starts a browser for them");
    let mut answer = String::new();
    let stream = TcpStream::connect(offer).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert!(
        answer.starts_with("ws://"),
        "the tests of the pages need Chromium; `.ci/install test` installs Debian's package: {answer}"
    );
    answer.trim().to_owned()
}

impl DevTools {
    /// Opens a window with an empty page in a context of its own.
    pub(super) fn start() -> Self {
        let mut devtools = Self::connect();
        let context = devtools.command(
            "Target.createBrowserContext",
            &json!({"disposeOnDetach": true}),
        );
        devtools.context = context["browserContextId"].as_str().unwrap().to_owned();
        let page =
            json!({"url": "about:blank", "browserContextId": devtools.context, "newWindow": true});
        let page = devtools.command("Target.createTarget", &page);
        devtools.target = page["targetId"].as_str().unwrap().to_owned();
        let attach = json!({"targetId": devtools.target, "flatten": true});
        let attached = devtools.command("Target.attachToTarget", &attach);
        devtools.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        devtools
    }

    /// A connection to the browser without a page.
    pub(super) fn connect() -> Self {
        let url = browser_url();
        let host = url.split('/').nth(2).unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        // Longer than a test waits, so that it says what it waits for.
        stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
        let (socket, _) = tungstenite::client(&url, stream).unwrap();
        Self {
            socket,
            last_id: 0,
            context: String::new(),
            target: String::new(),
            session: None,
            noticed: Noticed::default(),
        }
    }

    /// A command that always works.
    #[track_caller]
    pub(super) fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.call(method, parameters)
            .unwrap_or_else(|Refusal(message)| panic!("{method}: {message}"))
    }

    /// A command, and its answer; notes the events that come before it.
    pub(super) fn call(&mut self, method: &str, parameters: &Value) -> Result<Value, Refusal> {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let lost = |error: tungstenite::Error| Refusal(format!("the browser is lost: {error}"));
        let command = Message::text(command.to_string());
        self.socket.send(command).map_err(lost)?;
        loop {
            let mut message = self.read().map_err(lost)?;
            if message["id"] != self.last_id {
                self.noticed.note(&message);
            } else if message["error"].is_null() {
                return Ok(message["result"].take());
            } else {
                return Err(Refusal(message["error"]["message"].to_string()));
            }
        }
    }

    /// Waits until a document is loaded: the one of this number, or any but it.
    pub(super) fn wait_loaded(&mut self, loader: &str, is_it: bool) -> Result<(), Refusal> {
        while (self.noticed.loaded == loader) != is_it {
            let lost = |error| Refusal(format!("the page does not load: {error}"));
            let message = self.read().map_err(lost)?;
            self.noticed.note(&message);
        }
        Ok(())
    }

    /// Number of the newest document that is loaded.
    pub(super) fn loaded(&self) -> String {
        self.noticed.loaded.clone()
    }

    fn read(&mut self) -> Result<Value, tungstenite::Error> {
        loop {
            if let Message::Text(text) = self.socket.read()? {
                return Ok(serde_json::from_str(&text).unwrap());
            }
        }
    }
}

impl Noticed {
    fn note(&mut self, event: &Value) {
        let about = &event["params"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match event["method"].as_str().unwrap_or_default() {
            "Page.lifecycleEvent" if about["name"] == "load" => {
                self.loaded = text(&about["loaderId"]);
            }
            "Network.requestWillBeSent" => self.requests.push(text(&about["request"]["url"])),
            "Network.webSocketCreated" => self.requests.push(text(&about["url"])),
            "Runtime.consoleAPICalled" if about["type"] == "error" || about["type"] == "assert" => {
                self.errors.push(about["args"].to_string());
            }
            "Runtime.exceptionThrown" => self.errors.push(words(&about["exceptionDetails"])),
            "Log.entryAdded" if about["entry"]["level"] == "error" => {
                let entry = &about["entry"];
                let said = format!("{} {}", text(&entry["url"]), text(&entry["text"]));
                self.errors.push(said);
            }
            _ => {}
        }
        assert!(self.errors.len() + self.requests.len() < EVENTS_MAX);
    }
}

/// What went wrong in a script.
pub(super) fn words(exception: &Value) -> String {
    let thrown = exception["exception"]["description"].as_str();
    let text = exception["text"].as_str().unwrap_or_default();
    format!("{text} {}", thrown.unwrap_or_default())
}
