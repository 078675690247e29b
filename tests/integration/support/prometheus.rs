//! A Prometheus that scrapes, and its tools.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{free_port, skip, wait_until};

/// The first of these programs that is installed; says so where none is.
pub fn program(names: &[&'static str]) -> Option<&'static str> {
    let is_installed = |name: &&&str| {
        let tried = Command::new(name).arg("--version").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let found = names.iter().find(is_installed).copied();
    if found.is_none() {
        skip(&format!("{} is not installed", names[0]));
    }
    found
}

/// Runs a tool in a directory; what it said, and whether it was content.
pub fn run_tool(name: &str, args: &[&str], dir: &Path, stdin: &str) -> (bool, String) {
    let mut tool = Command::new(name)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let done = tool.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// A running Prometheus.
pub struct Prometheus {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Prometheus {
    /// With this configuration, and these rules in `rules.yml` beside it. None where it is not
    /// installed.
    pub fn start(config: &str, rules: &str) -> Option<Self> {
        let program = program(&["prometheus"])?;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        fs::write(dir.path().join("rules.yml"), rules).unwrap();
        let port = free_port();
        let process = Command::new(program)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg("--alertmanager.notification-queue-capacity=1000")
            .arg("--rules.alert.resend-delay=1s")
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let prometheus = Self { process, port, dir };
        wait_until("Prometheus is ready", || {
            ureq::get(prometheus.url("/-/ready")).call().is_ok()
        });
        Some(prometheus)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The result of a query; the fault, if it is none.
    pub fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let mut answer = ureq::get(self.url("/api/v1/query"))
            .query("query", query)
            .config()
            .http_status_as_error(false)
            .build()
            .call()
            .unwrap();
        let answer: Value = answer.body_mut().read_json().unwrap();
        match answer["data"]["result"].as_array() {
            Some(found) if answer["status"] == "success" => Ok(found.clone()),
            _ => Err(answer["error"].to_string()),
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
