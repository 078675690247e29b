//! `stack check`: whether the parts of the stack are well, and whether data flow through them.

use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Alertmanager, Prometheus, Receiver, Reply, TestApp, corpus, wait_until};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A Prometheus that scrapes a server each second.
fn prometheus(server: u16, alertmanager: &str) -> Option<Prometheus> {
    let alertmanager = alertmanager.trim_start_matches("http://");
    let config = json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{
            "job_name": "tetcore-analytics",
            "authorization": {"credentials": TOKEN},
            "static_configs": [{"targets": [format!("127.0.0.1:{server}")]}],
        }],
    });
    let rule = json!({"record": "one", "expr": "vector(1)"});
    let rules = json!({"groups": [{"name": "g", "rules": [rule]}]});
    // JSON is YAML.
    Prometheus::start(&config.to_string(), &rules.to_string())
}

/// A Loki that has the last lines that were pushed.
fn loki() -> Receiver {
    let pushed: Arc<Mutex<Vec<Value>>> = Arc::default();
    Receiver::answering(move |request, _| {
        let path = request.path.split('?').next().unwrap();
        match path.trim_start_matches("/hook") {
            "/ready" => Reply::Body(200, b"ready\n".to_vec()),
            "/loki/api/v1/push" => {
                let streams = request.json()["streams"].as_array().unwrap().clone();
                pushed.lock().unwrap().extend(streams);
                Reply::Status(204, "")
            }
            "/loki/api/v1/query_range" => {
                let asked = "query=%7Bjob%3D%22tetcore%2Danalytics%22%2Corigin%3D%22server%22%7D&limit=1&since=168h";
                assert!(request.path.ends_with(asked), "{}", request.path);
                let pushed = pushed.lock().unwrap();
                let of_server = pushed
                    .iter()
                    .filter(|stream| stream["stream"]["origin"] == "server");
                let result: Vec<_> = of_server.collect();
                let answer = json!({"status": "success", "data": {"resultType": "streams", "result": result}});
                Reply::Body(200, answer.to_string().into_bytes())
            }
            other => panic!("Loki has no {other}"),
        }
    })
}

/// A Grafana, as 12 answers without a login.
fn grafana(
    database: &'static str,
    answers: &'static str,
) -> impl Fn(&crate::support::Received, usize) -> Reply + Send {
    move |request, _| match request.path.trim_start_matches("/hook") {
        "/api/health" => Reply::Body(
            200,
            json!({"database": database, "version": "12.1.1"})
                .to_string()
                .into_bytes(),
        ),
        "/metrics" => Reply::Body(200, answers.as_bytes().to_vec()),
        other => panic!("Grafana has no {other}"),
    }
}

/// The rows of the table by their part, and whether all is well.
struct Checked {
    rows: Vec<(String, String, String)>,
    is_well: bool,
    error: String,
}

impl Checked {
    #[track_caller]
    fn state(&self, part: &str) -> (&str, &str) {
        let row = self.rows.iter().find(|(name, ..)| name == part);
        let (_, state, about) = row.unwrap_or_else(|| panic!("no {part}: {:?}", self.rows));
        (state, about)
    }
}

fn check(addresses: &[(&str, String)], others: &[&str], env: &[(&str, &str)]) -> Checked {
    let dir = tempfile::tempdir().unwrap();
    let flags = addresses
        .iter()
        .flat_map(|(part, url)| [format!("--{part}"), url.clone()]);
    let output = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .args(["stack", "check"])
        .args(flags)
        .args(others)
        .envs(env.iter().copied())
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("part          state  about\n"),
        "{text}{error}"
    );
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap().to_owned();
        (next(), next(), words.collect::<Vec<_>>().join(" "))
    };
    Checked {
        rows: text.lines().skip(1).map(row).collect(),
        is_well: output.status.code() == Some(0),
        error,
    }
}

const ANSWERS: &str = "# TYPE grafana_datasource_request_total counter\n\
    grafana_datasource_request_total{code=\"200\",datasource=\"Prometheus\",method=\"POST\"} 7\n\
    grafana_datasource_request_total{code=\"500\",datasource=\"Loki\",method=\"GET\"} 2\n";

/// All is well, and data flow, but for those of nodes.
#[track_caller]
fn assert_well(well: &Checked, server: u16) {
    assert!(well.is_well, "{:?}", well.rows);
    assert_eq!(
        well.state("server"),
        ("idle", "1 alive; no node is connected yet")
    );
    assert_eq!(
        well.state("postgresql"),
        ("ok", "it answers, has its schema, and stores messages")
    );
    let (state, about) = well.state("prometheus");
    let scraped = format!("it scrapes 127.0.0.1:{}, and has 1 rules", server);
    assert_eq!((state, about), ("ok", scraped.as_str()));
    assert_eq!(
        well.state("alertmanager"),
        ("ok", "it gets the alerts of Prometheus and the server")
    );
    let (state, about) = well.state("loki");
    assert!(
        state == "ok" && about.starts_with("it has the log of the server, up to 20"),
        "{about}"
    );
    let answers = "version 12.1.1; 7 of 9 answers of data sources are well";
    assert_eq!(well.state("grafana"), ("ok", answers));
}

#[test]
fn the_check_says_of_each_part_whether_it_is_well_and_whether_data_flow() {
    let (loki, grafana_server, receiver) = (
        loki(),
        Receiver::answering(grafana("ok", ANSWERS)),
        Receiver::start(),
    );
    let Some(alertmanager) = Alertmanager::start(&receiver) else {
        return;
    };
    let app = TestApp::builder()
        .env("READ_TOKENS", TOKEN)
        .env("LOG_TRANSPORT", "loki")
        .env("EVENT_LOKI_URL", loki.url())
        .env("NOTIFY_ALERTMANAGER_URL", alertmanager.url())
        .env("NOTIFY_ALLOW_PRIVATE", true)
        .start();
    let Some(prometheus) = prometheus(app.port(), &alertmanager.url()) else {
        return;
    };
    let addresses = [
        ("server", app.url("")),
        ("prometheus", prometheus.url("/")),
        ("alertmanager", alertmanager.url()),
        ("loki", loki.url()),
        ("grafana", grafana_server.url()),
    ];
    let tokens = format!("reader:{TOKEN}");
    let env = [
        ("READ_TOKENS", tokens.as_str()),
        ("LOG_TRANSPORT", "loki"),
        ("EVENT_LOKI_URL", "http://loki:3100"),
    ];
    let well = check(&addresses, &["--wait", "60"], &env);
    assert_well(&well, app.port());

    let mut node = app.node("/submit");
    corpus("v2").iter().for_each(|frame| node.send(frame));
    let others = ["--without", "prometheus,alertmanager,loki,grafana"];
    wait_until("the node is seen", || {
        let seen = check(&addresses[..1], &others, &env);
        let (state, about) = seen.state("server");
        state == "ok" && about.contains(" sessions of nodes, ")
    });

    // Each that is not well is named, with why.
    drop(prometheus);
    loki.answer(|_, _| Reply::Status(503, ""));
    grafana_server.answer(grafana("failing", ""));
    let wrong = check(
        &addresses,
        &[],
        &[
            ("LOG_TRANSPORT", "loki"),
            ("EVENT_LOKI_URL", "http://loki:3100"),
        ],
    );
    assert!(
        !wrong.is_well
            && wrong
                .error
                .contains("not well: server, prometheus, alertmanager, loki, grafana"),
        "{}",
        wrong.error
    );
    for (part, why) in [
        ("server", "answers 401"),
        ("prometheus", "does not answer"),
        ("alertmanager", "answers 401"),
        ("loki", "answers 503"),
        ("grafana", "its own database is failing"),
    ] {
        let (state, about) = wrong.state(part);
        assert!(state == "WRONG" && about.contains(why), "{part}: {about}");
    }
    assert_eq!(wrong.state("postgresql").0, "ok");

    // What is not asked for, and what nobody has used yet, is no fault.
    loki.answer(|_, _| Reply::Body(200, b"ready".to_vec()));
    grafana_server.answer(grafana("ok", "other 1\n"));
    let idle = check(&addresses, &["--without", "prometheus"], &env[..1]);
    assert!(idle.is_well, "{}", idle.error);
    for part in ["loki", "grafana"] {
        assert_eq!(idle.state(part).0, "idle");
    }
}
