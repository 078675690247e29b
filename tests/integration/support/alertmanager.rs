//! An Alertmanager that sends on what it is told.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::{Receiver, free_port, program, wait_until};

/// A running Alertmanager.
pub struct Alertmanager {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Alertmanager {
    /// It groups nothing, and sends to `receiver` at once. None where it is not installed.
    pub fn start(receiver: &Receiver) -> Option<Self> {
        Self::with(&format!(
            "route:\n  receiver: test\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n\
             receivers:\n  - name: test\n    webhook_configs:\n      - url: {}\n        send_resolved: true\n",
            receiver.url()
        ))
    }

    /// With this configuration. None where it is not installed.
    pub fn with(text: &str) -> Option<Self> {
        let program = program(&["prometheus-alertmanager", "alertmanager"])?;
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("alertmanager.yml");
        fs::write(&config, text).unwrap();
        let port = free_port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let alertmanager = Self {
            process,
            port,
            _dir: dir,
        };
        wait_until("Alertmanager listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(alertmanager)
    }

    /// Address and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
