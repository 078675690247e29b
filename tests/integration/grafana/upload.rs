//! Dashboards are uploaded to Grafanas of all versions, once, and never cost the server anything.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use serde_json::{Value, json};

use super::fake::{FakeGrafana, Saved, TOKEN};
use crate::support::{Reply, TestApp, TestDb, free_port, wait_until};

/// Runs `tetcore-analytics grafana` with settings beside those of a Grafana.
fn grafana(url: &str, args: &[&str], settings: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .arg("grafana")
        .args(args)
        .env("GRAFANA_URL", url)
        .env("GRAFANA_TOKEN", TOKEN)
        .envs(settings.iter().copied())
        .current_dir(dir.path())
        .output()
        .unwrap()
}

const SOURCES: [(&str, &str); 3] = [
    (
        "GRAFANA_DATABASE_URL",
        "postgres://grafana:ge%25heim@db.example:5433/analytics",
    ),
    ("GRAFANA_PROMETHEUS_URL", "http://prometheus:9090"),
    ("GRAFANA_LOKI_URL", "http://loki:3100"),
];

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn lines(output: &Output, mark: &str) -> Vec<String> {
    let text = said(output);
    assert!(output.status.success(), "{text}");
    text.lines()
        .filter_map(|line| line.strip_prefix(mark))
        .map(str::to_owned)
        .collect()
}

#[test]
fn everything_is_made_once_in_each_version_of_grafana() {
    for major in 10..=13 {
        let fake = FakeGrafana::start(major);
        let mut seen = 0;
        let run = |args: &[&str]| grafana(&fake.url(), args, &SOURCES);

        let dry = run(&["provision", "--dry-run"]);
        assert_eq!(lines(&dry, "+ ").len(), 11, "{}", said(&dry));
        assert_eq!(fake.take_writes(&mut seen), Vec::<String>::new());

        let made = run(&["provision"]);
        assert_eq!(lines(&made, "+ "), lines(&dry, "+ "));
        assert!(!said(&made).contains("heim"), "{}", said(&made));
        assert_eq!(fake.take_writes(&mut seen).len(), 11);
        fake.with(|state| {
            let source = &state.sources[0];
            assert_eq!(
                (
                    &source["url"],
                    &source["user"],
                    &source["jsonData"]["sslmode"],
                    &source["secureJsonData"]["password"]
                ),
                (
                    &json!("db.example:5433"),
                    &json!("grafana"),
                    &json!("require"),
                    &json!("ge%heim")
                )
            );
            let kind = if major == 10 {
                "postgres"
            } else {
                "grafana-postgresql-datasource"
            };
            assert_eq!(source["type"], kind);
            assert_eq!(state.dashboards.len(), 7);
        });

        // Again: only the password is set anew, for nobody can see which one is there.
        let again = run(&["provision"]);
        assert_eq!(lines(&again, "= ").len(), 11, "{}", said(&again));
        assert_eq!(
            fake.take_writes(&mut seen),
            ["PUT /grafana/api/datasources/uid/tetcore-postgresql"]
        );

        // What somebody changed by hand is shown, and made ours again.
        fake.with(|state| {
            let saved = state.dashboards.get_mut("tetcore-fleet").unwrap();
            saved.dashboard["title"] = json!("Flotte");
            saved.messages.push("by hand".to_owned());
            state.sources[1]["url"] = json!("http://elsewhere");
        });
        let dry = run(&["provision", "--dry-run"]);
        assert_eq!(
            lines(&dry, "~ "),
            ["data source Prometheus", "dashboard Fleet"]
        );
        for part in [
            "/title: \"Flotte\" -> \"Fleet\"",
            "/url: \"http://elsewhere\" -> \"http://prometheus:9090\"",
            "2 would be made or changed",
        ] {
            assert!(said(&dry).contains(part), "{part}: {}", said(&dry));
        }
        fake.take_writes(&mut seen);
        assert_eq!(lines(&run(&["provision"]), "~ "), lines(&dry, "~ "));
        assert_eq!(
            fake.with(|state| state.dashboards["tetcore-fleet"].dashboard["title"].clone()),
            "Fleet"
        );
    }
}

#[test]
fn what_exists_is_taken_over_and_what_is_of_files_is_left() {
    let fake = FakeGrafana::start(11);
    fake.with(|state| {
        state.folders = vec![("other".to_owned(), "Other".to_owned()), ("own-folder".to_owned(), "Tetcore-Analytics".to_owned())];
        state.sources = vec![
            json!({"id": 1, "uid": "pg-1", "name": "Analytics", "type": "postgres", "access": "proxy", "url": "db.example:5433", "version": 4, "isDefault": true,
                   "user": "somebody", "jsonData": {"database": "analytics", "sslmode": "verify-full", "tlsConfigurationMethod": "file-path"}}),
            json!({"id": 2, "uid": "prom-1", "name": "Prometheus", "type": "prometheus", "url": "http://p", "version": 1, "jsonData": {}}),
        ];
        state.dashboards.insert("tetcore-node".to_owned(), Saved {
            dashboard: json!({"uid": "tetcore-node", "title": "Node", "panels": []}), folder: "other".to_owned(), messages: vec![String::new()], is_file: true,
        });
    });
    let output = grafana(&fake.url(), &["provision"], &SOURCES[..1]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for part in [
        "= folder",
        "~ data source PostgreSQL",
        "= data source Prometheus, Prometheus",
        "! there is no data source Loki: its panels stay empty; set GRAFANA_LOKI_URL",
        "! dashboard Node is read from a file by Grafana",
        "+ dashboard Fleet",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    fake.with(|state| {
        assert_eq!((state.folders.len(), state.sources.len()), (2, 2));
        let source = &state.sources[0];
        assert_eq!(
            (&source["name"], &source["user"], &source["isDefault"]),
            (&json!("Analytics"), &json!("grafana"), &json!(true))
        );
        // What the settings do not say stays.
        assert_eq!(source["jsonData"]["tlsConfigurationMethod"], "file-path");
        let fleet = &state.dashboards["tetcore-fleet"];
        assert_eq!(fleet.folder, "own-folder");
        let uids = |dashboard: &Value| dashboard["panels"][0]["datasource"]["uid"].clone();
        assert_eq!(uids(&fleet.dashboard), "pg-1");
        assert_eq!(
            uids(&state.dashboards["tetcore-server"].dashboard),
            "prom-1"
        );
        assert_eq!(
            state.dashboards["tetcore-node"].dashboard["panels"],
            json!([])
        );
    });
}

/// The port of a server with a certificate that nobody vouches for.
fn with_own_certificate() -> u16 {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            // The client ends it.
            let _ = tls.complete_io(&mut stream.unwrap());
        }
    });
    port
}

#[test]
fn errors_say_what_to_do() {
    let fake = FakeGrafana::start(10);
    let run = |url: &str, settings: &[(&str, &str)]| {
        let output = grafana(url, &["provision"], &[&SOURCES, settings].concat());
        assert!(!output.status.success(), "{}", said(&output));
        let text = said(&output);
        assert!(!text.contains("heim"), "{text}");
        text
    };
    assert!(
        run(&fake.url(), &[("GRAFANA_TOKEN", "glsa_falsch")])
            .contains("GRAFANA_TOKEN is not accepted")
    );
    fake.with(|state| state.forbidden = Some("datasources"));
    let text = run(&fake.url(), &[]);
    assert!(
        text.contains("GRAFANA_TOKEN may not make data sources")
            && text.contains("datasources:write"),
        "{text}"
    );
    fake.with(|state| state.forbidden = None);

    // A copy that somebody imported.
    fake.with(|state| {
        state.dashboards.insert(
            "imported".to_owned(),
            Saved {
                dashboard: json!({"title": "Fleet", "panels": []}),
                folder: "tetcore-analytics".to_owned(),
                messages: vec![String::new()],
                is_file: false,
            },
        );
    });
    assert!(
        run(&fake.url(), &[])
            .contains("another dashboard of the folder is called Fleet: rename or remove it")
    );
    fake.with(|state| state.dashboards.clear());

    // Somebody saves meanwhile: tried again, but not forever.
    assert!(
        grafana(&fake.url(), &["provision"], &SOURCES)
            .status
            .success()
    );
    let touch = |others: usize| {
        fake.with(|state| {
            state.others = others;
            let saved = state.dashboards.get_mut("tetcore-fleet").unwrap();
            saved.dashboard["title"] = json!("x");
            saved.messages.push("by hand".to_owned());
        });
    };
    touch(2);
    let output = grafana(&fake.url(), &["provision"], &SOURCES[1..]);
    assert_eq!(lines(&output, "~ "), ["dashboard Fleet"]);
    touch(9);
    let output = grafana(&fake.url(), &["provision"], &SOURCES[1..]);
    assert!(
        said(&output).contains("dashboard Fleet was changed by somebody else each time"),
        "{}",
        said(&output)
    );

    assert!(
        run(&format!("http://127.0.0.1:{}", free_port()), &[])
            .contains("cannot be asked just now: no connection")
    );
    let text = run(
        &format!("https://localhost:{}", with_own_certificate()),
        &[],
    );
    assert!(
        text.contains("invalid peer certificate: UnknownIssuer"),
        "{text}"
    );
    fake.answer(|_, _| Reply::Body(200, b"<html>Sign in".to_vec()));
    assert!(run(&fake.url(), &[]).contains("is no Grafana (its answer is no JSON)"));
    fake.answer(|_, _| Reply::Status(302, "location: https://grafana.example\r\n"));
    assert!(
        run(&fake.url(), &[]).contains("is no Grafana (it answered 302, which leads elsewhere)")
    );
    fake.answer(|_, _| Reply::Body(404, b"nginx".to_vec()));
    assert!(run(&fake.url(), &[]).contains("is no Grafana (it answered 404)"));
    fake.answer(|_, _| Reply::Status(503, ""));
    assert!(run(&fake.url(), &[]).contains("cannot be asked just now: it answered 503"));

    let none = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .args(["grafana", "provision"])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(
        said(&none).contains("no Grafana is set: GRAFANA_URL is its address"),
        "{}",
        said(&none)
    );
}

#[test]
fn a_server_uploads_at_its_start_and_runs_as_well_without() {
    let fake = FakeGrafana::start(12);
    let app = TestApp::builder()
        .env("GRAFANA_URL", fake.url())
        .env("GRAFANA_TOKEN", TOKEN)
        .env("PUBLIC_URL", "https://telemetry.example/")
        .start();
    wait_until("all dashboards are there", || {
        fake.with(|state| state.dashboards.len()) == 7
    });
    let fleet = fake.with(|state| state.dashboards["tetcore-fleet"].dashboard.clone());
    assert!(
        fleet
            .to_string()
            .contains("\"query\":\"https://telemetry.example\"")
    );
    drop(app);

    let app = TestApp::builder()
        .env("GRAFANA_URL", fake.url())
        .env("GRAFANA_TOKEN", "glsa_falsch")
        .start();
    wait_until("the log says why", || {
        app.log()
            .contains("dashboards are not uploaded: GRAFANA_TOKEN is not accepted")
    });
    assert!(app.is_well() && !app.log().contains("falsch"));
}

#[test]
fn a_dashboard_is_made_for_a_service_or_a_chain() {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO services (service, interval_s, jitter_s, first_seen_at, last_seen_at, is_down, metrics) VALUES ('relayer', 60, 0, now(), now(), false, '{}');
         INSERT INTO chains (genesis_hash, name) VALUES ('0xaa01', 'Polkadot'), ('0xbb01', 'Local'), ('0xbb02', 'Local')",
    );
    let fake = FakeGrafana::start(13);
    let url = db.url();
    let database = [("DATABASE_URL", url.as_str())];
    let run = |args: &[&str]| grafana(&fake.url(), &[&["dashboard"], args].concat(), &database);

    let printed = run(&["relayer", "--print"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed["title"], "Service relayer");
    assert_eq!(fake.with(|state| state.dashboards.len()), 0);

    let output = run(&["Polkadot"]);
    assert_eq!(
        lines(&output, "+ "),
        ["folder tetcore-analytics", "dashboard Chain Polkadot"]
    );
    assert!(
        said(&output).contains("/grafana/d/tetcore-chain-aa01"),
        "{}",
        said(&output)
    );
    assert!(run(&["0xbb02"]).status.success());
    assert!(run(&["relayer"]).status.success());
    let made: Vec<String> = fake.with(|state| state.dashboards.keys().cloned().collect());
    assert_eq!(made.len(), 3, "{made:?}");

    for (name, problem) in [
        (
            "Local",
            "several are called Local: chain Local 0xbb01, chain Local 0xbb02; name a chain by its genesis hash",
        ),
        (
            "nobody",
            "there is no service or chain nobody; there are: relayer, Local, Local, Polkadot",
        ),
    ] {
        let output = run(&[name]);
        assert!(
            !output.status.success() && said(&output).contains(problem),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn the_commands_of_the_document_work() {
    let fake = FakeGrafana::start(12);
    let db = TestDb::new();
    db.execute(
        "INSERT INTO services (service, interval_s, jitter_s, first_seen_at, last_seen_at, is_down, metrics) VALUES ('relayer', 60, 0, now(), now(), false, '{}');
         INSERT INTO chains (genesis_hash, name) VALUES ('0xaa01', 'Polkadot')",
    );
    let document = include_str!("../../../docs/GRAFANA.md");
    let blocks = document.split("```sh\n").skip(1);
    let commands: String = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let commands = commands
        .replace("https://grafana.example.org", &fake.url())
        .replace("glsa_…", TOKEN);
    assert_eq!(
        commands.matches("tetcore-analytics ").count(),
        5,
        "{commands}"
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password.txt"), "geheim\n").unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tetcore-analytics"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-eu", "-c", &commands])
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        )
        .env("DATABASE_URL", db.url())
        .current_dir(dir.path())
        .output()
        .unwrap();
    db.execute("DROP OWNED BY grafana; DROP ROLE grafana");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fake.with(|state| state.dashboards.len()), 8);
}
