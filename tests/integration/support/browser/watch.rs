//! What a browser noticed of a page: errors, requests, slowness, and what keeps
//! people with disabilities from using it.

use serde_json::json;

use super::devtools::Refusal;
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
    /// the last call.
    #[track_caller]
    pub fn console_errors(&self) -> Vec<String> {
        self.try_console_errors().unwrap()
    }

    pub(super) fn try_console_errors(&self) -> Result<Vec<String>, Refusal> {
        self.catch_up()?;
        Ok(std::mem::take(
            &mut self.devtools.borrow_mut().noticed.errors,
        ))
    }

    /// Addresses that were requested, websockets too, since the last call.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        self.catch_up().unwrap();
        std::mem::take(&mut self.devtools.borrow_mut().noticed.requests)
    }

    /// Events that happened until now come before the answer to this.
    fn catch_up(&self) -> Result<(), Refusal> {
        self.try_run("").map(drop)
    }

    /// Requests that did not go to this server, since the last call of `requests`.
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
    /// more than 50, since it was opened or since the last call.
    #[track_caller]
    pub fn long_tasks(&self) -> Vec<f64> {
        serde_json::from_value(self.run(TAKE_LONG_TASKS)).unwrap()
    }

    pub(super) fn note_long_tasks(&self) {
        let script = json!({"source": NOTE_LONG_TASKS});
        self.command("Page.addScriptToEvaluateOnNewDocument", &script);
    }
}
