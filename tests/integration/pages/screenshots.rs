//! Pictures of all pages for `docs/screenshots`, of a server with genuine frames
//! and a made-up network of 40 nodes; `make screenshots` makes them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::support::{Browser, Network, TestApp};

/// Most that a picture may take, for it lives in the repository.
const BYTES_MAX: u64 = 200_000;

/// The node that has a picture: an old one, for they send everything there is.
const NODE: usize = 3;

/// A picture of a page.
struct Shot {
    name: &'static str,
    /// `{peer}` stands for a node that sends everything there is.
    path: &'static str,
    /// CSS selector of what the page shows when it is done.
    ready: &'static str,
    look: Look,
}

#[derive(PartialEq)]
enum Look {
    Light,
    Dark,
    Phone,
}

use Look::{Dark, Light, Phone};

/// All pages.
#[rustfmt::skip]
const SHOTS: [Shot; 18] = [
    Shot { name: "start", path: "/", ready: "#live a", look: Light },
    Shot { name: "start-dark", path: "/", ready: "#live a", look: Dark },
    Shot { name: "routes", path: "/api/", ready: "#routes details", look: Light },
    Shot { name: "nodes", path: "/dashboard/", ready: "#table [role=grid] td", look: Light },
    Shot { name: "nodes-dark", path: "/dashboard/", ready: "#table [role=grid] td", look: Dark },
    Shot { name: "nodes-phone", path: "/dashboard/", ready: "#table [role=grid] td", look: Phone },
    Shot { name: "node", path: "/dashboard/node?peer_id={peer}", ready: ".message", look: Light },
    Shot { name: "node-dark", path: "/dashboard/node?peer_id={peer}", ready: ".message", look: Dark },
    Shot { name: "node-phone", path: "/dashboard/node?peer_id={peer}", ready: ".message", look: Phone },
    Shot { name: "chain", path: "/dashboard/chain", ready: "#blocks [role=grid] td", look: Light },
    Shot { name: "chain-phone", path: "/dashboard/chain", ready: "#blocks [role=grid] td", look: Phone },
    Shot { name: "profiling", path: "/dashboard/profiling", ready: "#ranking td input", look: Light },
    Shot { name: "profiling-dark", path: "/dashboard/profiling", ready: "#ranking td input", look: Dark },
    Shot { name: "reputation", path: "/dashboard/reputation", ready: "#opinions [role=grid] td", look: Light },
    Shot { name: "benchmarks", path: "/dashboard/benchmarks?run=2&beside=1", ready: "#shown .chart-canvas canvas", look: Light },
    Shot { name: "benchmarks-dark", path: "/dashboard/benchmarks?run=2&beside=1", ready: "#shown .chart-canvas canvas", look: Dark },
    Shot { name: "server", path: "/dashboard/server", ready: ".verdict[data-level=well]", look: Light },
    Shot { name: "server-dark", path: "/dashboard/server", ready: ".verdict[data-level=well]", look: Dark },
];

#[test]
#[ignore = "make screenshots runs it"]
fn make() {
    let settings = Network::SETTINGS.iter();
    let app = settings.fold(TestApp::builder(), |app, (name, value)| {
        app.env(name, value)
    });
    let app = app.start();
    let mut network = Network::start(&app, &[("Tetcore Main", 28), ("Tetcore Test", 12)]);
    network.play_corpora();
    live_through_an_hour(&app, &mut network);
    for _ in 0..9 {
        network.grow(0);
    }
    network.disconnect(5);
    network.disconnect(33);
    network.wait_stored(&app);
    enter_benchmarks(&app);

    let peer = &network.node(NODE).peer_id.clone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let browser = Browser::start();
    // As in a real network, so that it can be seen which node is behind.
    network.set_pace(Duration::from_millis(15));
    for shot in &SHOTS {
        let path = shot.path.replace("{peer}", peer);
        if app.get(&path).status == 404 {
            eprintln!("no picture {}: there is no {path} yet", shot.name);
            continue;
        }
        browser.set_dark(shot.look == Dark);
        if shot.look == Phone {
            browser.use_phone();
        } else {
            browser.use_desktop();
        }
        browser.open(&app.url(&path));
        browser.wait_for(shot.ready);
        // Its charts begin when it is opened.
        let steps = if shot.path.ends_with("/server") {
            20
        } else {
            4
        };
        for _ in 0..steps {
            network.step();
        }
        network.wait_stored(&app);
        let file = folder.join(format!("{}.png", shot.name));
        browser.screenshot(&file);
        reduce(&file);
        let bytes = std::fs::metadata(&file).unwrap().len();
        assert!(bytes <= BYTES_MAX, "{} is too large", shot.name);
    }
}

/// Plays the last hour. The node of the pictures is away for a part of it.
fn live_through_an_hour(app: &TestApp, network: &mut Network) {
    let minute = TimeDelta::minutes(1);
    let now = Utc::now();
    let (left, back) = (now - minute * 26, now - minute * 22);
    let mut time = now - minute * 60;
    while time < now {
        network.set_time(Some(time));
        network.step();
        let after = time + minute / 2;
        if time < left && left <= after {
            network.disconnect(NODE);
        } else if time < back && back <= after {
            network.reconnect(NODE);
        }
        time = after;
    }
    network.set_time(None);
    network.wait_stored(app);
    // Nodes can say what time it is, but not when they went and came.
    let peer = &network.node(NODE).peer_id;
    app.db.execute(&format!(
        "UPDATE peer_connections SET disconnected_at = '{left}', last_seen_at = '{left}'
           WHERE peer_id = '{peer}' AND disconnected_at IS NOT NULL;
         UPDATE peer_connections SET created_at = '{back}' WHERE peer_id = '{peer}' AND disconnected_at IS NULL"
    ));
}

/// Gives a picture a palette, with which it takes a third.
fn reduce(file: &Path) {
    let reduced = Command::new("pngquant")
        .args(["--force", "--ext", ".png", "--"])
        .arg(file)
        .status();
    let reduced = reduced.expect("`.ci/install screenshots` installs pngquant");
    assert!(reduced.success());
}

/// Two runs on one machine, within the past that the network has lived through.
fn enter_benchmarks(app: &TestApp) {
    let machine = json!({"description": "rack 4, slot 2", "os": "Debian 12", "cpu_qty": 16, "cpu_clock": 3_400,
        "ram_mb": 65_536, "disk_info": "NVMe, ext4"});
    let machine = app.post("/host_systems", &machine).json();
    let runs = [
        ("before the change of the fees", 55),
        ("after the change of the fees", 25),
    ];
    for (description, minutes_ago) in runs {
        let start = Utc::now() - TimeDelta::minutes(minutes_ago);
        let at = |minutes| start + TimeDelta::minutes(minutes);
        let run = json!({"description": description, "host_system_id": machine["id"],
            "chain_spec": {"name": "Tetcore Test"}, "benchmark_spec": {"transfers": 10_000},
            "ts_start": start, "ts_end": at(20)});
        let run = app.post("/benchmarks", &run).json();
        for (name, phase, minutes) in [
            ("warm-up", "start", 0),
            ("warm-up", "end", 4),
            ("transfers", "start", 4),
            ("transfers", "end", 16),
            ("settle", "start", 16),
            ("settle", "end", 20),
        ] {
            let event = json!({"benchmark_id": run["id"], "name": name, "phase": phase, "created_at": at(minutes)});
            assert_eq!(app.post("/benchmarks/events", &event).status, 200);
        }
    }
}
