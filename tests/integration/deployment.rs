//! What is shipped for Kubernetes: the numbers of the template fit each other
//! and the settings.

use std::fs;

use tetcore_analytics::config::settings::{self, Allowed, DefaultValue, SETTINGS};

use crate::tidy::root;

fn template() -> String {
    fs::read_to_string(root().join("deployment.template.yml")).unwrap()
}

/// The values of `key` in the template, in their order.
fn values(template: &str, key: &str) -> Vec<String> {
    let prefix = format!("{key}: ");
    let lines = template.lines().map(|line| line.trim_start());
    let values = lines.filter_map(|line| line.trim_start_matches("- ").strip_prefix(&prefix));
    values
        .map(|value| value.trim_matches('"').to_owned())
        .collect()
}

fn value(template: &str, key: &str) -> String {
    let found = values(template, key);
    assert_eq!(found.len(), 1, "{key}: {found:?}");
    found[0].clone()
}

fn number(template: &str, key: &str) -> u64 {
    value(template, key).parse().unwrap()
}

/// Bytes of a quantity such as `10Gi`.
fn bytes(quantity: &str) -> u64 {
    let (digits, shift) = match quantity.split_at(quantity.len() - 2) {
        (digits, "Mi") => (digits, 20),
        (digits, "Gi") => (digits, 30),
        _ => panic!("{quantity}"),
    };
    digits.parse::<u64>().unwrap() << shift
}

#[test]
fn a_server_keeps_its_name_and_its_spool() {
    let template = template();
    assert!(values(&template, "kind").contains(&"StatefulSet".to_owned()));
    assert!(
        !template.contains("emptyDir"),
        "a spool there ends with the pod"
    );
    let mount = value(&template, "mountPath");
    assert_eq!(value(&template, "DATA_DIR"), mount);
    assert!(value(&template, "SPOOL_DIR").starts_with(&mount));
    for policy in ["whenDeleted", "whenScaled"] {
        assert_eq!(value(&template, policy), "Retain");
    }
}

#[test]
fn the_volume_is_larger_than_the_spool() {
    let template = template();
    let spool = number(&template, "SPOOL_MAX_BYTES");
    let volume = bytes(&value(&template, "storage"));
    assert!(
        volume >= spool + spool / 5,
        "{volume} bytes for a spool of {spool}"
    );
}

#[test]
fn the_memory_holds_the_connections() {
    let template = template();
    let connections = 2 * 20 * 1_024 * number(&template, "CONNECTIONS_MAX");
    let feed = 20_000 * number(&template, "FEED_CONNECTIONS_MAX");
    let queue = 4 * number(&template, "QUEUE_BYTES_MAX");
    let others = 256 << 20;
    let memory = values(&template, "memory");
    let limit = bytes(memory.last().unwrap());
    let needed = connections + feed + queue + others;
    assert!(limit >= needed, "{limit} bytes, {needed} are needed");
}

#[test]
fn the_end_has_time() {
    let template = template();
    let sleep = template.split("command: [\"sleep\", \"").nth(1).unwrap();
    let sleep: u64 = sleep.split('"').next().unwrap().parse().unwrap();
    let needed = sleep + number(&template, "SHUTDOWN_TIMEOUT_S") + 5;
    assert!(number(&template, "terminationGracePeriodSeconds") >= needed);
}

#[test]
fn the_image_is_stopped_after_the_shutdown() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let time = dockerfile.split("--stop-timeout ").nth(1).unwrap();
    let time: u64 = time.split(' ').next().unwrap().parse().unwrap();
    let DefaultValue::Text(shutdown) = settings::find("SHUTDOWN_TIMEOUT_S").unwrap().default else {
        panic!("it has no number");
    };
    assert!(time >= shutdown.parse::<u64>().unwrap() + 5);
}

#[test]
fn numbers_are_the_defaults_of_the_settings() {
    let template = template();
    for setting in SETTINGS {
        let (Allowed::Integer(..), DefaultValue::Text(default)) =
            (setting.allowed, setting.default)
        else {
            continue;
        };
        let given = value(&template, setting.name);
        let is_own = given.is_empty() || given == format!("${{{}}}", setting.name);
        assert!(
            given == default || is_own,
            "{} is {given}, by default {default}",
            setting.name
        );
    }
}
