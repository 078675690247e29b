//! `GET /api/v1/events` and the feed.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{line, send};
use crate::projections::introduce;
use crate::support::{FeedClient, TestApp, cases, run_cases};

/// 60 events of two nodes and a program, in three minutes.
fn fill(app: &TestApp) {
    let mut stored = 0;
    for (place, peer_id) in ["alice", "bob"].into_iter().enumerate() {
        let mut node = app.node("/submit");
        introduce(&mut node, peer_id);
        stored += 1;
        for number in 0..20 {
            let reason = ["timeout", "refused, later", "timeout"][number % 3];
            let severity = if number % 2 == 0 { "error" } else { "info" };
            let event = json!({"_e": 1, "name": "call", "severity": severity, "reason": reason, "n": number,
                "call": {"pallet": "balances", "value": (number * (place + 1)).to_string()}, "at": "/ip4/192.0.2.1/tcp/1"});
            send(&mut node, &line(&event.to_string()));
            stored += 1;
        }
        app.wait_stored(stored);
    }
    let events: Vec<Value> = (0..20).map(|number| json!({"_e": 1, "_id": number, "name": "job.finished", "duration_ms": number * 10, "job_id": 1})).collect();
    assert_eq!(app.post("/events", &json!(events)).status, 200);
    app.wait_projected();
    assert_eq!(app.db.count("SELECT count(*) FROM events"), 60);
}

fn list(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = app.get(&format!("/api/v1/events?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.json().as_array().unwrap().clone()
}

#[test]
fn questions_about_events_are_answered() {
    let app = TestApp::start();
    fill(&app);
    run_cases(
        &app,
        cases![
            events_are_listed_by_every_filter,
            pages_follow_each_other,
            one_event_is_shown,
            events_are_measured_by_any_field,
            wrong_parameters_are_named,
            addresses_are_hidden_from_others,
        ],
    );
}

fn events_are_listed_by_every_filter(app: &TestApp) {
    for (query, count) in [
        ("limit=1000", 60),
        ("source=alice", 20),
        ("peer_id=bob", 20),
        ("source=local", 20),
        ("name=call&severity=error", 20),
        ("severity=fatal", 0),
        ("where=call.pallet=balances,reason=timeout", 26),
        (r"where=reason=refused\,%20later", 14),
        ("where=n=7", 2),
        ("where=nothing=7", 0),
        ("text=TIMEOUT", 26),
        ("text=100%25", 0),
        ("end_time=2020-01-01T00:00:00Z", 0),
        (
            "start_time=2020-01-01T00:00:00Z&source=bob&name=call&text=balances",
            20,
        ),
    ] {
        assert_eq!(list(app, query).len(), count, "{query}");
    }
    let now = Utc::now();
    let time =
        |minutes| (now + TimeDelta::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Secs, true);
    assert_eq!(
        list(
            app,
            &format!("start_time={}&end_time={}", time(-30), time(1))
        )
        .len(),
        60
    );
}

fn pages_follow_each_other(app: &TestApp) {
    let whole = list(app, "limit=100");
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = app.get(&format!("/api/v1/events?limit=7{cursor}"));
        pages.extend(answer.json().as_array().unwrap().clone());
        match answer.headers.get("x-next-cursor") {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, whole);
    let times: Vec<&str> = whole
        .iter()
        .map(|event| event["created_at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
}

fn one_event_is_shown(app: &TestApp) {
    let first = &list(app, "source=local&limit=1")[0];
    let shown = app.get(&format!("/api/v1/events/{}", first["id"])).json();
    assert_eq!(&shown, first);
    assert_eq!(
        (&shown["name"], &shown["data"]["duration_ms"]),
        (&json!("job.finished"), &json!(190))
    );
    assert_eq!(app.get("/api/v1/events/999999").status, 404);
    assert_eq!(app.get("/api/v1/events/x").status, 400);
}

fn events_are_measured_by_any_field(app: &TestApp) {
    let stats = |query: &str| {
        let answer = app.get(&format!("/api/v1/events/stats?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let rows = answer.json();
        let rows = rows.as_array().unwrap().iter();
        let rows = rows.map(|row| json!([row["group"], row["count"], row["value"]]));
        json!(rows.collect::<Vec<_>>())
    };
    // Errors by reason, value moved, runs for each handler.
    assert_eq!(
        stats("severity=error&group_by=reason"),
        json!([["refused, later", 6, 6.0], ["timeout", 14, 14.0]])
    );
    assert_eq!(
        stats("measure=sum&field=call.value&group_by=source&name=call"),
        json!([["alice", 20, 190.0], ["bob", 20, 380.0]])
    );
    assert_eq!(
        stats("group_by=name"),
        json!([["call", 40, 40.0], ["job.finished", 20, 20.0]])
    );
    assert_eq!(
        stats("name=job.finished&measure=mean&field=duration_ms"),
        json!([[null, 20, 95.0]])
    );
    assert_eq!(
        stats("name=job.finished&measure=p99&field=duration_ms"),
        json!([[null, 20, 188.1]])
    );
    assert_eq!(stats("measure=max&field=reason"), json!([[null, 60, null]]));
    assert_eq!(
        stats("group_by=n&limit=1&name=call"),
        json!([["0", 2, 2.0], [null, 38, 38.0]])
    );
    let buckets = app.get("/api/v1/events/stats?interval=60").json();
    let buckets = buckets.as_array().unwrap();
    assert_eq!(
        buckets
            .iter()
            .map(|row| row["count"].as_i64().unwrap())
            .sum::<i64>(),
        60
    );
    assert!(
        buckets
            .iter()
            .all(|row| row["created_at"].as_str().unwrap().ends_with(":00Z")
                || !row["created_at"].as_str().unwrap().contains('.'))
    );
}

fn wrong_parameters_are_named(app: &TestApp) {
    for (path, parameter) in [
        ("?severity=loud", "severity"),
        ("?where=a", "where"),
        ("?peer_id=", "peer_id"),
        ("/stats?peer_id=", "peer_id"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
        ("?color=red", "color"),
        ("/stats?measure=median", "measure"),
        ("/stats?measure=sum", "field"),
        (
            "/stats?interval=1&start_time=2026-11-01T00:00:00Z&end_time=2026-11-20T00:00:00Z",
            "interval",
        ),
        ("/stats?start_time=2020-01-01T00:00:00Z", "start_time"),
    ] {
        let answer = app.get(&format!("/api/v1/events{path}"));
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(
            answer.json()["error"]["parameter"],
            parameter,
            "{path}: {}",
            answer.body
        );
    }
    // Without a range there are as many seconds as can be shown.
    assert_eq!(app.get("/api/v1/events/stats?interval=1").status, 200);
}

fn addresses_are_hidden_from_others(app: &TestApp) {
    // This machine sees them; behind a proxy it is somebody else.
    assert!(
        list(app, "name=call&limit=1")[0]["data"]["at"]
            .as_str()
            .unwrap()
            .contains("192.0.2.1")
    );
    let other = [("via", "1.1 proxy")];
    let answer = app.ask("GET", "/api/v1/events?name=call&limit=1", &other, "");
    assert!(
        !answer.body.contains("192.0.2.1") && answer.body.contains("/ip4/-/tcp/1"),
        "{}",
        answer.body
    );
    // Malformed lines too.
    let mut node = app.node("/submit");
    introduce(&mut node, "carol");
    let before = app.metric_with("event_extracted_total", "malformed");
    send(&mut node, &line("{\"_e\":1, /ip4/192.0.2.1/tcp/1"));
    crate::support::wait_until("it is counted", || {
        app.metric_with("event_extracted_total", "malformed") > before
    });
    let lines = app
        .ask("GET", "/api/v1/events/malformed", &other, "")
        .json();
    assert_eq!(
        (&lines[0]["reason"], &lines[0]["line"]),
        (&json!("is no JSON"), &json!("{\"_e\":1, /ip4/-/tcp/1"))
    );
}

#[test]
fn subscribers_get_events_as_they_come_from_every_server() {
    let first = TestApp::start();
    let second = TestApp::builder()
        .env("DATABASE_URL", first.db.url())
        .start();
    let post = |app: &TestApp, name: &str| {
        let events =
            json!([{"_e": 1, "name": name, "severity": "error"}, {"_e": 1, "name": "other"}]);
        assert_eq!(app.post("/events", &events).status, 200);
    };
    post(&first, "before");
    first.wait_projected();
    let mut live = FeedClient::connect(&first);
    live.ask(&json!({"topic": "events", "interest": "subscribe", "severity": "warn"}));
    let begin = live.next_with("events");
    assert_eq!(begin["events"], json!([]));
    for (app, name) in [(&first, "one"), (&second, "two")] {
        post(app, name);
        let part = live.next_with("events");
        assert_eq!(part["events"][0]["name"], name, "{part}");
        assert_eq!(part["events"].as_array().unwrap().len(), 1);
    }
    // From a place on, at another server.
    let mut later = FeedClient::connect_v1(&second);
    later.ask(&json!({"topic": "events", "interest": "subscribe", "cursor": begin["cursor"], "where": "name=two"}));
    assert_eq!(later.next_with("events")["events"], json!([]));
    assert_eq!(later.next_with("events")["events"][0]["name"], "two");
    later.ask(&json!({"topic": "events", "interest": "unsubscribe"}));
    live.ask(&json!({"topic": "events", "interest": "subscribe", "severity": "loud"}));
    assert!(
        live.next_with("error")["error"]
            .as_str()
            .unwrap()
            .contains("severity")
    );
    live.ask(&json!({"topic": "events", "interest": "subscribe", "start_time": "2026-01-01T00:00:00Z", "source": "local"}));
    let mut names = Vec::new();
    while names.len() < 6 {
        let part = live.next_with("events");
        names.extend(
            part["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["name"].clone()),
        );
    }
    assert_eq!(
        json!(names),
        json!(["before", "other", "one", "other", "two", "other"])
    );
    assert!(later.next_within(Duration::from_millis(300)).is_none());
}
