//! Alerts: what fires, what is delivered of it, and through which faults.

mod deliveries;
mod faults;
mod rules;

use serde_json::Value;

use crate::status::{Beating, builder, wait_state};
use crate::support::{Received, Receiver, TestApp, TestAppBuilder, wait_until};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server with short thresholds that delivers to a webhook.
fn with_webhook(receiver: &Receiver) -> TestAppBuilder {
    builder()
        .env("NOTIFY_WEBHOOK_URL", receiver.url())
        .env("NOTIFY_WEBHOOK_SECRET", KEY)
        .env("NOTIFY_ALLOW_PRIVATE", "true")
        .env("NOTIFY_TIMEOUT_S", 2)
        // One that is offline too is a second alert.
        .env("NODE_OFFLINE_S", 600)
}

/// What a webhook was told, in words: type, rule and name.
fn told(received: &[Received]) -> Vec<String> {
    let told = received.iter().map(|request| {
        let body = request.json();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {}",
            text(&body["type"]),
            text(&body["data"]["rule"]),
            text(&body["data"]["name"])
        )
    });
    told.collect()
}

/// Has a node come, be known as online, and fall silent until it is missing.
fn lose(app: &TestApp, peer_id: &str) -> crate::support::FakeNode {
    let node = Beating::start(app, peer_id);
    wait_state(&app.db, peer_id, "online");
    let node = node.stop();
    wait_state(&app.db, peer_id, "missing");
    node
}

#[test]
fn a_node_that_falls_silent_is_told_once_and_its_return_too() {
    let (webhook, alertmanager) = (Receiver::start(), Receiver::start());
    let app = with_webhook(&webhook)
        .env("NOTIFY_ALERTMANAGER_URL", alertmanager.url())
        .start();
    crate::status::wait_judged(&app.db);
    let node = lose(&app, "12D3KooWalert");
    let first = webhook.wait(1).remove(0);
    let verifier = standardwebhooks::Webhook::new(KEY).unwrap();
    let mut headers = http_headers(&first);
    verifier.verify(first.body.as_bytes(), &headers).unwrap();
    headers.insert("webhook-id", "msg_other".parse().unwrap());
    assert!(verifier.verify(first.body.as_bytes(), &headers).is_err());

    let node = Beating::go_on(node);
    wait_state(&app.db, "12D3KooWalert", "online");
    let both = webhook.wait(2);
    // The interval of the demo node is without an authority.
    let rule = both[0].json()["data"]["rule"].as_str().unwrap().to_owned();
    assert!(
        ["node_missing", "validator_missing"].contains(&rule.as_str()),
        "{rule}"
    );
    assert_eq!(
        told(&both)
            .iter()
            .map(|one| one.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>(),
        [
            format!("alert.fired {rule}"),
            format!("alert.resolved {rule}")
        ]
    );
    let data = &both[0].json()["data"];
    assert!(
        data["cause"]
            .as_str()
            .unwrap()
            .contains("no proof of a dead node")
    );
    assert!(data["action"].is_string() && data["began_at"].is_string());

    let sent = alertmanager.wait(2);
    let of = |place: usize| sent[place].json()[0].clone();
    assert_eq!(sent[0].path, "/hook/api/v2/alerts");
    assert_eq!(of(0)["labels"]["alertname"], rule.as_str());
    assert_eq!(of(0)["labels"], of(1)["labels"]);
    assert_eq!(of(0)["startsAt"], of(1)["startsAt"]);
    assert!(of(0)["endsAt"].is_null() && of(1)["endsAt"].is_string());

    let alerts = app.get("/api/v1/alerts").json();
    assert_eq!(alerts.as_array().unwrap().len(), 1);
    assert_eq!(alerts[0]["rule"], rule.as_str());
    assert!(alerts[0]["resolved_at"].is_string());
    assert_eq!(
        app.get("/api/v1/alerts?open=true").json(),
        serde_json::json!([])
    );
    node.stop();
}

fn http_headers(request: &Received) -> ureq::http::HeaderMap {
    let headers = request.headers.iter().map(|(name, value)| {
        (
            name.parse::<ureq::http::HeaderName>().unwrap(),
            value.parse().unwrap(),
        )
    });
    headers.collect()
}

#[test]
fn a_silenced_alert_is_kept_and_not_delivered_until_the_silence_ends() {
    let webhook = Receiver::start();
    let app = with_webhook(&webhook).start();
    crate::status::wait_judged(&app.db);
    let ends_at = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let silence = serde_json::json!({"peer_id": "12D3KooWquiet", "comment": "moves house", "ends_at": ends_at});
    let entered = app.post("/api/v1/alerts/silences", &silence);
    assert_eq!(entered.status, 200, "{}", entered.body);
    let id = entered.json()["id"].as_i64().unwrap();

    let _quiet = lose(&app, "12D3KooWquiet");
    let _loud = lose(&app, "12D3KooWloud");
    webhook.wait(1);
    assert_eq!(
        webhook.received()[0].json()["data"]["peer_id"],
        "12D3KooWloud"
    );
    let open = app
        .get("/api/v1/alerts?open=true&peer_id=12D3KooWquiet")
        .json();
    assert_eq!(open[0]["silenced"], true);

    assert_eq!(
        app.ask("DELETE", &format!("/api/v1/alerts/silences/{id}"), &[], "")
            .status,
        204
    );
    wait_until("it is delivered after all", || {
        let received = webhook.received();
        received
            .iter()
            .any(|one| one.json()["data"]["peer_id"] == "12D3KooWquiet")
    });
    assert_eq!(
        app.get("/api/v1/alerts/silences").json(),
        serde_json::json!([])
    );
    assert_eq!(
        app.ask("DELETE", "/api/v1/alerts/silences/999", &[], "")
            .status,
        404
    );
}

#[test]
fn a_silence_with_a_mistake_is_refused_with_its_name() {
    let app = TestApp::start();
    let later = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    for (body, parameter) in [
        (serde_json::json!({"ends_at": later}), "comment"),
        (serde_json::json!({"comment": "x"}), "ends_at"),
        (
            serde_json::json!({"comment": "x", "ends_at": "2020-01-01T00:00:00Z"}),
            "ends_at",
        ),
        (
            serde_json::json!({"comment": "x", "ends_at": "9999-01-01T00:00:00Z"}),
            "ends_at",
        ),
        (
            serde_json::json!({"comment": "x", "ends_at": later, "rule": "node_mising"}),
            "rule",
        ),
        (
            serde_json::json!({"comment": "x", "ends_at": later, "peer": "a"}),
            "peer",
        ),
    ] {
        let answer = app.post("/api/v1/alerts/silences", &body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(
            answer.json()["error"]["parameter"],
            parameter,
            "{}",
            answer.body
        );
    }
}

#[test]
fn silences_are_bounded_and_the_refusal_says_what_to_do() {
    let app = TestApp::start();
    app.db.execute(
        "INSERT INTO alert_silences (peer_id, comment, ends_at) SELECT 'p' || i, 'c', now() + interval '1 hour' FROM generate_series(1, 999) i; \
         INSERT INTO alert_silences (comment, ends_at) SELECT 'over', now() FROM generate_series(1, 50)",
    );
    let later = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let silence = serde_json::json!({"comment": "x", "rule": "node_late", "ends_at": later});
    let last = app.post("/api/v1/alerts/silences", &silence);
    assert_eq!(last.status, 200, "{}", last.body);
    let refused = app.post("/api/v1/alerts/silences", &silence);
    assert_eq!(refused.status, 409, "{}", refused.body);
    let message = refused.json()["error"]["message"].to_string();
    assert!(
        message.contains("1000 silences") && message.contains("DELETE"),
        "{message}"
    );
    let id = &last.json()["id"];
    app.ask("DELETE", &format!("/api/v1/alerts/silences/{id}"), &[], "");
    assert_eq!(app.post("/api/v1/alerts/silences", &silence).status, 200);
}

#[test]
fn the_heartbeat_of_the_server_stops_when_it_is_not_well() {
    let switch = Receiver::start();
    let app = TestApp::builder()
        .env("DEADMAN_URL", switch.url())
        .env("DEADMAN_INTERVAL_S", 1)
        .env("NOTIFY_ALLOW_PRIVATE", "true")
        .start();
    let beats = switch.wait(2);
    assert!(beats[0].json()["server_id"].is_string());
    app.db.refuse_connections();
    wait_until("the server is degraded", || {
        app.get("/health").json()["status"] != "ok"
    });
    // One may have been under way.
    let before = switch.received().len() + 1;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(4);
    wait_until("the time of some heartbeats has passed", || {
        std::time::Instant::now() > until
    });
    assert!(switch.received().len() <= before);
    app.db.allow_connections();
    switch.wait(before + 2);
}
