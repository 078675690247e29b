//! Each question to Prometheus, to a real one that has scraped a real server.

use std::collections::HashSet;
use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{documents, list};
use crate::support::{TestApp, corpus, free_port, skip, wait_until};

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 2] = ["instance", "le"];

struct Prometheus {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// It scrapes a server each second. None where it is not installed.
    fn scraping(app: &TestApp) -> Option<Self> {
        let tried = Command::new("prometheus").arg("--version").output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            skip("prometheus is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: tetcore-analytics\n    static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
                app.port()
            ),
        )
        .unwrap();
        let port = free_port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Self {
            process,
            port,
            _dir: dir,
        };
        wait_until("Prometheus answers", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(prometheus)
    }

    /// What it answers.
    fn ask(&self, expr: &str) -> Value {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", expr)
            .finish();
        let url = format!("http://127.0.0.1:{}/api/v1/query?{query}", self.port);
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build(),
        );
        let mut answer = agent.get(&url).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What all panels ask, with their place.
fn asked() -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for dashboard in documents() {
        for panel in list(&dashboard, "/panels") {
            for target in list(panel, "/targets") {
                if target["datasource"]["type"] == "prometheus" {
                    let place = format!("{}, {}", dashboard["title"], panel["title"]);
                    asked.push((place, target["expr"].as_str().unwrap().to_owned()));
                }
            }
        }
    }
    assert!(asked.len() > 40, "{}", asked.len());
    asked
}

/// The families that a question names.
fn families(expr: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expr.split(|c| !is_part(c));
    words
        .filter(|word| word.starts_with("tetcore_analytics_") || word.starts_with("process_"))
        .collect()
}

/// The labels by which it groups, and those that its legend names.
fn labels(expr: &str) -> Vec<&str> {
    let groups = expr.split("by (").skip(1);
    groups
        .flat_map(|rest| rest.split(')').next().unwrap().split(','))
        .map(str::trim)
        .filter(|label| !OF_PROMETHEUS.contains(label))
        .collect()
}

#[test]
fn every_question_to_prometheus_names_what_is_there_and_is_answered() {
    let app = TestApp::builder()
        .env("EVENT_TRANSPORTS", "console")
        .env("NOTIFY_ALERTMANAGER_URL", "http://127.0.0.1:9")
        .start();
    let frames = corpus("v2");
    let mut node = app.node("/submit");
    for frame in &frames {
        node.send(frame);
    }
    app.wait_stored(u32::try_from(frames.len()).unwrap());
    let has_lines = |text: &str, family: &str, label: Option<&str>| {
        text.lines().any(|line| {
            let rest = line.strip_prefix(family);
            rest.is_some_and(|rest| match label {
                None => rest.starts_with(['{', ' ']),
                Some(label) => rest.starts_with('{') && rest.contains(&format!("{label}=\"")),
            })
        })
    };
    wait_until(
        "transports, targets and projections have their series",
        || {
            let text = app.get("/metrics").body;
            let families = [
                "event_transport_pending",
                "notify_pending",
                "projection_lag_seconds",
            ];
            let mut families = families.iter();
            families.all(|family| has_lines(&text, &format!("tetcore_analytics_{family}"), None))
        },
    );
    let metrics = app.get("/metrics").body;
    let mut problems = Vec::new();
    let mut named = HashSet::new();
    for (place, expr) in asked() {
        for family in families(&expr) {
            named.insert(family.to_owned());
            if !has_lines(&metrics, family, None) {
                problems.push(format!("{place}: /metrics has no {family}"));
            }
            for label in labels(&expr) {
                if !has_lines(&metrics, family, Some(label)) {
                    problems.push(format!("{place}: {family} has no label {label}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(named.len() > 30, "{}", named.len());

    let Some(prometheus) = Prometheus::scraping(&app) else {
        return;
    };
    let received = "count_over_time(tetcore_analytics_ingest_messages_received_total[1m]) >= 3";
    wait_until("Prometheus has scraped three times", || {
        !list(&prometheus.ask(received), "/data/result").is_empty()
    });
    for (place, expr) in asked() {
        let expr = expr
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m");
        let answer = prometheus.ask(&expr);
        if answer["status"] != "success" {
            problems.push(format!("{place}: {answer} to {expr}"));
        } else if list(&answer, "/data/result").is_empty() && !expr.ends_with("> 0") {
            // What is filtered shows itself only when something is wrong.
            problems.push(format!("{place}: nothing to {expr}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
