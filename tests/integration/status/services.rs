//! Services that are no nodes: their heartbeats, by HTTP and over websockets, and their status.

use serde_json::{Value, json};

use super::{builder, wait_judged};
use crate::support::{FeedClient, TestApp, wait_until};

fn service(app: &TestApp, name: &str) -> Value {
    let services = app.get("/api/v1/services").json();
    let services = services.as_array().unwrap().iter();
    let mut found = services.filter(|one| one["service"] == name);
    found.next().cloned().unwrap_or(Value::Null)
}

fn wait_service(app: &TestApp, name: &str, state: &str) {
    wait_until(&format!("{name} is {state}"), || {
        service(app, name)["state"] == state
    });
}

fn changes(app: &TestApp) -> Vec<String> {
    app.db.texts(
        "SELECT concat_ws(' ', name, coalesce(from_state, 'new'), to_state, reason) AS value FROM status_changes WHERE subject = 'service' ORDER BY id",
    )
}

#[test]
fn a_service_is_judged_by_its_own_interval_and_can_be_down_on_purpose() {
    let app = builder().start();
    wait_judged(&app.db);
    for (field, value) in [
        ("interval_s", json!(0)),
        ("interval_s", json!(86_401)),
        ("jitter_s", json!(-5)),
    ] {
        let mut beat = json!({"service": "relayer"});
        beat[field] = value;
        let refused = app.post("/api/v1/heartbeats", &beat);
        let error = &refused.json()["error"];
        assert_eq!((refused.status, &error["parameter"]), (400, &json!(field)));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("from 1 to 86400"), "{message}");
    }
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "status", "interest": "subscribe"}));
    feed.next();
    let beat =
        json!({"service": "relayer", "interval_s": 1, "jitter_s": 1, "metrics": {"queue": 7.5}});
    let answer = app.post("/api/v1/heartbeats", &beat);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["service"], "relayer");
    wait_until("it is judged", || {
        service(&app, "relayer")["reason"] == "first_seen"
    });
    assert_eq!(feed.next()["status"][0]["subject"], "service");
    let kept = service(&app, "relayer");
    assert_eq!(
        (&kept["interval_s"], &kept["metrics"]),
        (&json!(1), &json!({"queue": 7.5}))
    );
    // Offline comes after ten intervals, and no earlier than that of nodes.
    wait_service(&app, "relayer", "offline");
    let story = [
        "relayer new online first_seen",
        "relayer online late silent",
        "relayer late missing silent",
        "relayer missing offline silent",
    ];
    assert_eq!(changes(&app), story);
    wait_until("two heartbeats in time are a recovery", || {
        app.post("/api/v1/heartbeats", &beat);
        service(&app, "relayer")["state"] == "online"
    });
    app.post(
        "/api/v1/heartbeats",
        &json!({"service": "relayer", "interval_s": 1, "status": "down"}),
    );
    wait_service(&app, "relayer", "down");
    assert_eq!(
        changes(&app)[4..],
        [
            "relayer offline online recovered",
            "relayer online down announced"
        ]
    );
    app.post("/api/v1/heartbeats", &beat);
    wait_service(&app, "relayer", "online");

    let heartbeats = app
        .get("/api/v1/services/relayer/heartbeats?limit=2")
        .json();
    assert_eq!(heartbeats[0]["metrics"], json!({"queue": 7.5}));
    assert_eq!(heartbeats[1]["is_down"], true);
    assert_eq!(app.get("/api/v1/services/nobody/heartbeats").status, 404);
    assert_eq!(
        app.ask("DELETE", "/api/v1/services/relayer", &[], "")
            .status,
        204
    );
    assert_eq!(service(&app, "relayer"), Value::Null);
    assert_eq!(
        app.ask("DELETE", "/api/v1/services/relayer", &[], "")
            .status,
        404
    );
}

#[test]
fn heartbeats_come_over_websockets_too() {
    let app = builder().start();
    wait_judged(&app.db);
    let mut socket = app.node("/submit");
    let mut send = |text: Value| socket.send(text.to_string());
    send(
        json!({"msg": "heartbeat", "level": "INFO", "ts": "2026-01-01T00:00:00Z", "service": "old \u{0} form", "interval_s": 30, "gas": 5}),
    );
    send(
        json!({"id": 1, "ts": "2026-01-01T00:00:00Z", "payload": {"msg": "heartbeat", "service": "bridge", "status": "up", "load": "high"}}),
    );
    send(json!({"id": 1, "payload": {"msg": "heartbeat", "interval_s": 5}}));
    wait_service(&app, "bridge", "online");
    let bridge = service(&app, "bridge");
    assert_eq!(
        (&bridge["interval_s"], &bridge["jitter_s"]),
        (&json!(60), &json!(30))
    );
    assert_eq!(bridge["metrics"], json!({"load": "high"}));
    let services = app.get("/api/v1/services").json();
    assert_eq!(services.as_array().unwrap().len(), 2, "{services}");
    // They are messages like all others.
    app.wait_stored(3);
}

#[test]
fn wrong_heartbeats_are_refused_by_the_name_of_what_is_wrong() {
    let app = TestApp::start();
    for (beat, parameter) in [
        (json!({}), "service"),
        (json!({"service": ""}), "service"),
        (json!({"service": "x".repeat(129)}), "service"),
        (json!({"service": "a", "interval_s": 0}), "interval_s"),
        (json!({"service": "a", "jitter_s": 86_401}), "jitter_s"),
        (json!({"service": "a", "status": "sideways"}), "status"),
        (json!({"service": "a", "metrics": [1]}), "metrics"),
        (
            json!({"service": "a", "metrics": {"x": "y".repeat(20_000)}}),
            "metrics",
        ),
        (json!({"service": "a", "more": 1}), "more"),
    ] {
        let answer = app.post("/api/v1/heartbeats", &beat);
        assert_eq!(
            (answer.status, &answer.json()["error"]["parameter"]),
            (400, &json!(parameter)),
            "{beat}"
        );
    }
    assert_eq!(app.get("/api/v1/services").json(), json!([]));
    // Who may not write may not beat.
    let elsewhere = app.ask(
        "POST",
        "/api/v1/heartbeats",
        &[("via", "1.1 proxy"), ("content-type", "application/json")],
        r#"{"service":"a"}"#,
    );
    assert_eq!(elsewhere.status, 403);
}
