//! One machine: the unit of systemd, what the server tells systemd, and the Debian package.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use super::{default_of, shipped};
use crate::support::{PATIENCE, TestApp, skip};
use crate::tidy::root;

const UNIT: &str = "deploy/systemd/tetcore-analytics.service";

/// The values of a key of the unit.
fn of_unit(key: &str) -> Vec<String> {
    let prefix = format!("{key}=");
    let unit = shipped(UNIT);
    let values = unit.lines().filter_map(|line| line.strip_prefix(&prefix));
    values.map(str::to_owned).collect()
}

fn seconds(key: &str) -> u64 {
    of_unit(key)[0].trim_end_matches('s').parse().unwrap()
}

/// What systemd is told, one datagram after the other.
struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    #[track_caller]
    fn next(&self) -> String {
        let mut message = [0; 1_024];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    /// The next that is no sign of life.
    #[track_caller]
    fn next_news(&self) -> String {
        loop {
            let message = self.next();
            if message != "WATCHDOG=1\n" {
                return message;
            }
        }
    }
}

#[test]
fn systemd_is_told_that_telemetry_is_taken_that_the_server_lives_and_that_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let systemd = Systemd::listen(&path);
    let mut app = TestApp::builder()
        .env("NOTIFY_SOCKET", path.display())
        .env("WATCHDOG_USEC", 200_000)
        .start();
    let ready = systemd.next_news();
    assert!(
        ready.starts_with("READY=1\nSTATUS=telemetry is taken"),
        "{ready}"
    );
    let stored = systemd.next_news();
    assert_eq!(stored, "STATUS=telemetry is taken and stored\n");
    for _ in 0..3 {
        assert_eq!(systemd.next(), "WATCHDOG=1\n");
    }
    app.signal("TERM");
    let stopping = systemd.next_news();
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    assert!(app.wait_for_exit().success());
}

#[test]
fn the_unit_fits_the_settings_and_systemd_takes_it() {
    assert_eq!(of_unit("Type"), ["notify"]);
    assert!(seconds("TimeoutStopSec") >= default_of("SHUTDOWN_TIMEOUT_S") + 5);
    assert!(
        seconds("WatchdogSec") >= 30,
        "a busy machine is no dead server"
    );
    let files: u64 = of_unit("LimitNOFILE")[0].parse().unwrap();
    assert!(
        files >= 2 * default_of("CONNECTIONS_MAX") + default_of("FEED_CONNECTIONS_MAX") + 1_000
    );
    let environment = of_unit("Environment").remove(0);
    let directory = of_unit("StateDirectory").remove(0);
    assert!(environment.contains(&format!("DATA_DIR=%S/{directory} ")));

    // Without the program at its place systemd takes no unit.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tetcore-analytics.service");
    let program = of_unit("ExecStart").remove(0);
    std::fs::write(&path, shipped(UNIT).replace(&program, "/bin/true")).unwrap();
    let analyze = |args: &[&str]| {
        Command::new("systemd-analyze")
            .args(args)
            .arg(&path)
            .output()
    };
    let Ok(verified) = analyze(&["verify", "--man=no"]) else {
        return skip("systemd-analyze is not installed");
    };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && said.is_empty(), "{said}");
    // Of 100; what is open is what a server needs: its network, and processes of its own.
    let judged = analyze(&["security", "--offline=yes", "--threshold=20"]).unwrap();
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{said}");
}

#[test]
fn everything_in_the_debian_package_is_there() {
    let manifest: toml::Table = shipped("Cargo.toml").parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let mut installed = Vec::new();
    for asset in package["assets"].as_array().unwrap() {
        let (source, place) = (text(&asset[0]), text(&asset[1]));
        installed.push(match place.strip_suffix('/') {
            Some(directory) => format!("/{directory}/{}", source.rsplit('/').next().unwrap()),
            None => format!("/{place}"),
        });
        if source != "target/release/tetcore-analytics" {
            let plain = source.split('*').next().unwrap();
            assert!(root().join(plain).exists(), "{source}");
        }
    }
    // The unit and the package say the same.
    assert_eq!(of_unit("ExecStart"), [installed[0].clone()]);
    for file in package["conf-files"].as_array().unwrap() {
        assert!(installed.contains(&text(file)), "{file:?}");
        assert_eq!(of_unit("EnvironmentFile"), [format!("-{}", text(file))]);
    }
    let units = text(&package["systemd-units"]["unit-scripts"]);
    assert!(UNIT.starts_with(&units));
    assert!(of_unit("Environment")[0].contains("ASSETS_PATH=/usr/share/tetcore-analytics/static"));
    let depends = text(&package["depends"]);
    assert!(depends.contains("libpq5") && depends.contains("adduser"));
    assert!(text(&package["recommends"]).contains("postgresql"));
    for script in ["postinst", "postrm"] {
        let script = shipped(&format!("{}{script}", text(&package["maintainer-scripts"])));
        assert!(script.contains("#DEBHELPER#"), "{script}");
    }
    let made = shipped("deploy/debian/postinst");
    assert_eq!(of_unit("User"), ["tetcore-analytics"]);
    assert!(made.contains("adduser --system --group"));
    // Lines of the settings that are shown are right.
    for line in shipped("deploy/debian/env").lines() {
        let shown = line.strip_prefix('#').and_then(|line| line.split_once('='));
        if let Some((name, _)) =
            shown.filter(|(name, _)| name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_'))
        {
            assert!(
                tetcore_analytics::config::settings::find(name).is_some(),
                "{name}"
            );
        }
    }
}
