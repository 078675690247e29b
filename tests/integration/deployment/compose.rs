//! `deploy/compose.yml`: what it must have, and nothing that it must not.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use tetcore_analytics::config::Config;
use tetcore_analytics::config::settings::{self, DefaultValue};

use super::{checked, default_of, documents, shipped};
use crate::tidy::root;

/// A variable of the file, what stands between its braces, and its value with only the passwords given.
fn variables(text: &str) -> Vec<(String, String)> {
    let inside = text
        .split("${")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap());
    let split = |variable: &str| {
        let end = variable
            .find(|c: char| !c.is_ascii_uppercase() && c != '_')
            .unwrap();
        (variable[..end].to_owned(), variable[end..].to_owned())
    };
    inside.map(split).collect()
}

fn filled(text: &str) -> String {
    variables(text)
        .iter()
        .fold(text.to_owned(), |text, (name, rest)| {
            let value = rest.strip_prefix(":-").unwrap_or("given");
            text.replace(&format!("${{{name}{rest}}}"), value)
        })
}

fn compose() -> Value {
    documents(&filled(&shipped("deploy/compose.yml"))).remove(0)
}

fn services(compose: &Value) -> Vec<(&String, &Value)> {
    compose["services"].as_object().unwrap().iter().collect()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap()).collect()
}

/// Seconds of `40s`.
fn seconds(text: &Value) -> u64 {
    text.as_str()
        .unwrap()
        .trim_end_matches('s')
        .parse()
        .unwrap()
}

#[test]
fn it_follows_the_compose_specification() {
    checked(&["compose"], &filled(&shipped("deploy/compose.yml")));
}

#[test]
fn every_part_is_pinned_bounded_watched_and_kept() {
    let compose = compose();
    let services = services(&compose);
    let names: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
    let mut expected = [
        "server",
        "postgres",
        "prometheus",
        "alertmanager",
        "loki",
        "grafana",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    let volumes: BTreeSet<_> = compose["volumes"].as_object().unwrap().keys().collect();
    assert_eq!(volumes, services.iter().map(|(name, _)| *name).collect());
    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        let tag = image.split_once(':').unwrap().1;
        assert!(
            tag.matches('.').count() >= 1 && tag.contains(|c: char| c.is_ascii_digit()),
            "{image}"
        );
        assert!(
            !service["healthcheck"]["test"][1].is_null(),
            "{name} is not watched"
        );
        for limit in ["mem_limit", "cpus", "pids_limit"] {
            assert!(!service[limit].is_null(), "{name} has no {limit}");
        }
        assert_eq!(texts(&service["networks"]), ["stack"], "{name}");
        assert_eq!(service["restart"], "unless-stopped");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"]);
        assert!(service["logging"]["options"]["max-size"].is_string());
        for published in texts(&service["ports"]) {
            let is_loopback = published.starts_with("127.0.0.1:");
            assert!(
                is_loopback || published == "0.0.0.0:8080:8080" && name == "server",
                "{name}: {published}"
            );
        }
        // Something of each lasts, and what is mounted is there.
        let mounts = texts(&service["volumes"]);
        assert!(
            mounts
                .iter()
                .any(|mount| mount.starts_with(&format!("{name}:/"))),
            "{name}"
        );
        for mount in mounts.iter().filter(|mount| mount.starts_with("./")) {
            let path = mount.split(':').next().unwrap();
            assert!(root().join("deploy").join(path).exists(), "{mount}");
            assert!(mount.ends_with(":ro"), "{mount}");
        }
    }
    assert_eq!(compose["networks"].as_object().unwrap().len(), 1);
}

#[test]
fn passwords_have_to_be_given() {
    let text = shipped("deploy/compose.yml");
    let example = shipped("deploy/.env.example");
    for (name, rest) in variables(&text) {
        let is_password = name.contains("PASSWORD");
        assert_eq!(rest.starts_with(":?"), is_password, "${{{name}{rest}}}");
        let line = if is_password {
            format!("\n{name}=\n")
        } else {
            format!("\n#{name}=")
        };
        assert!(
            example.contains(&line),
            "{name} is not in deploy/.env.example"
        );
    }
    let compose = compose();
    let grafana = &compose["services"]["grafana"]["environment"];
    assert_eq!(grafana["GF_SECURITY_ADMIN_PASSWORD"], "given");
    assert_eq!(grafana["GF_AUTH_ANONYMOUS_ENABLED"], "false");
}

#[test]
fn the_server_of_the_stack_has_settings_that_exist_and_fit() {
    let compose = compose();
    let server = &compose["services"]["server"];
    let environment = server["environment"].as_object().unwrap();
    for name in environment.keys() {
        assert!(settings::find(name).is_some(), "{name} is no setting");
    }
    let lookup = |name: &str| Some(environment.get(name)?.as_str().unwrap().to_owned());
    Config::from_lookup(&lookup).unwrap_or_else(|error| panic!("{error}"));
    for name in [
        "CONNECTIONS_MAX",
        "FEED_CONNECTIONS_MAX",
        "QUEUE_BYTES_MAX",
        "SPOOL_MAX_BYTES",
        "SHUTDOWN_TIMEOUT_S",
    ] {
        assert_eq!(
            lookup(name).unwrap(),
            default_of(name).to_string(),
            "{name}"
        );
    }
    let needed = 2 * 20 * 1_024 * default_of("CONNECTIONS_MAX")
        + 20_000 * default_of("FEED_CONNECTIONS_MAX")
        + 4 * default_of("QUEUE_BYTES_MAX")
        + (256 << 20);
    let memory = server["mem_limit"].as_str().unwrap().trim_end_matches('g');
    assert!(memory.parse::<u64>().unwrap() << 30 >= needed);
    assert!(seconds(&server["stop_grace_period"]) >= default_of("SHUTDOWN_TIMEOUT_S") + 5);
    // What the image itself has.
    let mount = texts(&server["volumes"])[0].split_once(':').unwrap().1;
    assert_eq!(environment["DATA_DIR"], mount);
    assert!(shipped("Dockerfile").contains(&format!("VOLUME {mount}\n")));
    // Each of these is a part of the stack.
    for name in ["EVENT_LOKI_URL", "NOTIFY_ALERTMANAGER_URL"] {
        let host = environment[name]
            .as_str()
            .unwrap()
            .split(['/', ':'])
            .nth(3)
            .unwrap();
        assert!(compose["services"].get(host).is_some(), "{name}");
    }
    assert!(matches!(
        settings::find("LOG_TRANSPORT").unwrap().default,
        DefaultValue::Unset
    ));
    assert_eq!(environment["LOG_TRANSPORT"], "loki");
}

#[test]
fn prometheus_scrapes_and_alerts_parts_of_the_stack() {
    let compose = compose();
    let prometheus = documents(&shipped("deploy/prometheus/prometheus.yml")).remove(0);
    let jobs = prometheus["scrape_configs"].as_array().unwrap().iter();
    let managers = prometheus["alerting"]["alertmanagers"].as_array().unwrap();
    let targets = jobs
        .chain(managers)
        .flat_map(|one| texts(&one["static_configs"][0]["targets"]));
    let targets: BTreeSet<&str> = targets.collect();
    let metrics = &compose["services"]["server"]["environment"]["METRICS_ADDRESS"];
    let port = metrics.as_str().unwrap().rsplit(':').next().unwrap();
    let server = format!("server:{port}");
    assert_eq!(
        targets,
        BTreeSet::from([server.as_str(), "alertmanager:9093"])
    );
    assert!(compose["services"].get("alertmanager").is_some());
    // Where the data source of Grafana reads, a role may read.
    assert!(shipped("Makefile").contains("database grant-read grafana"));
    let source = shipped("deploy/grafana/provisioning/datasources/tetcore-analytics.yml");
    assert!(source.contains("user: grafana\n"), "{source}");
}

#[test]
fn the_image_is_stopped_after_the_shutdown() {
    let dockerfile = shipped("Dockerfile");
    let time = dockerfile.split("--stop-timeout ").nth(1).unwrap();
    let time: u64 = time.split(' ').next().unwrap().parse().unwrap();
    assert!(time >= default_of("SHUTDOWN_TIMEOUT_S") + 5);
}

#[test]
fn loki_keeps_what_the_stack_keeps_elsewhere() {
    let loki = documents(&shipped("deploy/loki/loki.yml")).remove(0);
    let hours = default_of("EVENT_EXPIRY_H");
    assert_eq!(
        loki["limits_config"]["retention_period"],
        format!("{hours}h")
    );
    assert_eq!(loki["compactor"]["retention_enabled"], true);
    let mounts = &compose()["services"]["loki"]["volumes"];
    let kept = texts(mounts)[0].split_once(':').unwrap().1;
    for path in [
        &loki["common"]["path_prefix"],
        &loki["common"]["storage"]["filesystem"]["chunks_directory"],
        &loki["compactor"]["working_directory"],
    ] {
        assert!(
            path.as_str().unwrap().starts_with(kept),
            "{path} does not last"
        );
    }
}

#[test]
fn make_stack_says_what_is_missing() {
    // It must start nothing here, so it finds no Docker.
    let script = "make=$(command -v make) && PATH=/nowhere exec \"$make\" stack";
    let mut make = Command::new("sh");
    let make = make.args(["-c", script]).current_dir(root()).output();
    let make = make.unwrap();
    let said = String::from_utf8_lossy(&make.stderr);
    assert!(!make.status.success());
    assert!(
        said.contains("needs Docker with its compose plugin"),
        "{said}"
    );
}
