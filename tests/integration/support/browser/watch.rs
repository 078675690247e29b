//! What a browser noticed of a page: errors, requests, slowness, and what keeps
//! people with disabilities from using it.

use serde_json::{Value, json};

use super::driver::Refusal;
use super::{Browser, TestApp};

/// See `tests/vendor/axe-core`.
const AXE: &str = include_str!("../../../vendor/axe-core/axe.min.js");

/// Tells what is wrong, and where.
const ASK_AXE: &str = "
    const told = (rule) => rule.nodes.map((node) =>
        `${rule.impact} ${rule.id} at ${node.target.join(' ')}: ${node.failureSummary.replaceAll('\\n', ' ')} (${rule.helpUrl})`);
    return axe.run(document, { resultTypes: ['violations'] }).then((result) => result.violations.flatMap(told));";

/// Notes what kept the page from answering for more than 50 ms.
const NOTE_LONG_TASKS: &str = "
    window.testLongTasks = [];
    window.testLongTaskObserver = new PerformanceObserver((list) => testLongTasks.push(...list.getEntries()));
    testLongTaskObserver.observe({ type: 'longtask' });";

const TAKE_LONG_TASKS: &str = "
    const tasks = testLongTasks.splice(0).concat(testLongTaskObserver.takeRecords());
    return tasks.map((task) => task.duration);";

impl Browser {
    /// What axe-core objects to on the page as it is now, by all its rules:
    /// WCAG 2 A to AA and good practice.
    #[track_caller]
    pub fn accessibility_faults(&self) -> Vec<String> {
        if self.run("return typeof axe") == "undefined" {
            self.run(AXE);
        }
        serde_json::from_value(self.run(ASK_AXE)).unwrap()
    }

    /// Errors in the console, uncaught exceptions and failed requests since
    /// this was last asked.
    #[track_caller]
    pub fn console_errors(&self) -> Vec<String> {
        self.try_console_errors().unwrap()
    }

    pub(super) fn try_console_errors(&self) -> Result<Vec<String>, Refusal> {
        let entries = self.log("browser")?;
        let errors = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(errors
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect())
    }

    /// Addresses that were asked for, websockets too, since this was last asked.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").unwrap();
        let events = entries.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let url = match event["method"].as_str()? {
                "Network.requestWillBeSent" => &event["params"]["request"]["url"],
                "Network.webSocketCreated" => &event["params"]["url"],
                _ => return None,
            };
            Some(url.as_str()?.to_owned())
        });
        events.collect()
    }

    /// Requests that did not go to this server, since requests were last asked for.
    #[track_caller]
    pub fn requests_outside(&self, app: &TestApp) -> Vec<String> {
        let server = app.url("/");
        let feed = server.replacen("http", "ws", 1);
        let mut requests = self.requests();
        assert!(!requests.is_empty(), "the log of requests is empty");
        requests.retain(|url| {
            !(url.starts_with(&server) || url.starts_with(&feed) || url.starts_with("data:"))
        });
        requests
    }

    /// How long the page did not answer, in milliseconds each, wherever it was
    /// more than 50, since it was opened or this was last asked.
    #[track_caller]
    pub fn long_tasks(&self) -> Vec<f64> {
        serde_json::from_value(self.run(TAKE_LONG_TASKS)).unwrap()
    }

    pub(super) fn note_long_tasks(&self) {
        let script = json!({"source": NOTE_LONG_TASKS});
        self.driver
            .devtools("Page.addScriptToEvaluateOnNewDocument", &script);
    }

    fn log(&self, kind: &str) -> Result<Vec<Value>, Refusal> {
        let entries = self.driver.post("se/log", &json!({"type": kind}))?;
        Ok(serde_json::from_value(entries).unwrap_or_default())
    }
}
