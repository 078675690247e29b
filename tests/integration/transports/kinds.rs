//! What each kind of transport sends, and how it understands the answers.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Official;
use prost::Message;
use serde_json::{Value, json};

use super::{expected, progress, say, sending, wait_begun, wait_sent};
use crate::support::{Received, Receiver, Reply, TestApp, wait_until};

/// Identities of the events in a request of OTLP, read by the official types.
fn ids_of_otlp(request: &Received) -> Vec<String> {
    let read = ExportLogsServiceRequest::decode(request.bytes.as_slice()).unwrap();
    let scopes = read
        .resource_logs
        .into_iter()
        .flat_map(|one| one.scope_logs);
    let records = scopes.flat_map(|one| one.log_records);
    let id = |record: opentelemetry_proto::tonic::logs::v1::LogRecord| {
        let found = record
            .attributes
            .into_iter()
            .find(|one| one.key == "event_id");
        match found.and_then(|one| one.value?.value) {
            Some(Official::StringValue(id)) => id,
            other => panic!("{other:?}"),
        }
    };
    records.map(id).collect()
}

fn ids_of_loki(request: &Received) -> Vec<String> {
    let body = request.json();
    let streams = body["streams"].as_array().unwrap().iter();
    let values = streams.flat_map(|stream| stream["values"].as_array().unwrap());
    let id = |value: &Value| {
        let line: Value = serde_json::from_str(value[1].as_str().unwrap()).unwrap();
        line["event_id"].as_str().unwrap().to_owned()
    };
    values.map(id).collect()
}

fn ids_of_honeycomb(request: &Received) -> Vec<String> {
    let body = request.json();
    let items = body.as_array().unwrap().iter();
    let id = |item: &Value| item["data"]["event_id"].as_str().unwrap().to_owned();
    items.map(id).collect()
}

fn all(requests: &[Received], ids: fn(&Received) -> Vec<String>) -> BTreeSet<String> {
    requests.iter().flat_map(ids).collect()
}

/// A server that sends by each kind.
fn to_all(otlp: &Receiver, loki: &Receiver, honeycomb: &Receiver) -> TestApp {
    sending("console, otlp, loki, honeycomb, loki-2")
        .env("EVENT_OTLP_URL", otlp.url())
        .env(
            "EVENT_OTLP_HEADERS",
            "x-first=1, authorization=Bearer otlp-key",
        )
        .env("EVENT_LOKI_URL", loki.url())
        .env("EVENT_LOKI_USER", "ada")
        .env("EVENT_LOKI_KEY", "loki-key")
        .env("EVENT_LOKI_TENANT", "fleet")
        .env("EVENT_LOKI_LABELS", "env=test")
        .env("EVENT_HONEYCOMB_URL", honeycomb.url())
        .env("EVENT_HONEYCOMB_KEY", "honey-key")
        .env(
            "EVENT_HONEYCOMB_FILTER",
            "severity=warn, source!=12D3KooW0, name=tran*",
        )
        .env("EVENT_LOKI_2_URL", loki.url())
        .env("EVENT_LOKI_2_KEY", "bearer-key")
        .env("EVENT_LOKI_2_FILTER", "name=nothing*")
        .start()
}

#[test]
fn each_kind_sends_what_its_receiver_knows_and_only_what_its_filter_lets_pass() {
    let (otlp, loki) = (
        Receiver::answering(|_, _| Reply::Status(200, "")),
        Receiver::start(),
    );
    let honeycomb = Receiver::answering(|request, _| {
        let count = request.json().as_array().unwrap().len();
        Reply::Body(
            200,
            json!(vec![json!({"status": 202}); count])
                .to_string()
                .into_bytes(),
        )
    });
    let app = to_all(&otlp, &loki, &honeycomb);
    wait_begun(&app.db, 5);
    say(
        &app.db,
        0,
        210,
        r#"{"service_id": "Bridge/1", "samplerate": 4, "ratio": 0.5}"#,
    );
    for name in ["console", "otlp", "loki"] {
        wait_sent(&app, name, 210);
    }
    // Two of three severities, six of seven sources.
    wait_sent(&app, "honeycomb", 120);
    wait_sent(&app, "loki-2", 0);

    let requests = otlp.received();
    assert_eq!(all(&requests, ids_of_otlp), expected(0..210));
    assert_eq!(requests[0].path, "/hook/v1/logs");
    let header =
        |request: &Received, name: &str| request.headers.get(name).cloned().unwrap_or_default();
    assert_eq!(header(&requests[0], "authorization"), "Bearer otlp-key");
    assert_eq!(header(&requests[0], "x-first"), "1");
    assert_eq!(
        header(&requests[0], "content-type"),
        "application/x-protobuf"
    );

    let requests = loki.received();
    assert_eq!(all(&requests, ids_of_loki), expected(0..210));
    assert_eq!(requests[0].path, "/hook/loki/api/v1/push");
    assert_eq!(header(&requests[0], "x-scope-orgid"), "fleet");
    assert_eq!(
        header(&requests[0], "authorization"),
        "Basic YWRhOmxva2kta2V5"
    );
    let stream = &requests[0].json()["streams"][0];
    assert_eq!(
        stream["stream"],
        json!({"job": "tetcore-analytics", "origin": "node", "severity": "error", "env": "test"})
    );
    let time = stream["values"][0][0].as_str().unwrap();
    assert_eq!(time.len(), 19, "nanoseconds: {time}");

    let requests = honeycomb.received();
    let of_honeycomb = all(&requests, ids_of_honeycomb);
    let passes = |n: i64| n % 3 > 0 && n % 7 > 0;
    let passing: BTreeSet<_> = (0..210)
        .filter(|n| passes(*n))
        .map(|n| format!("event {n}"))
        .collect();
    assert_eq!(of_honeycomb, passing);
    assert_eq!(requests[0].path, "/hook/1/batch/bridge%2D1");
    assert_eq!(header(&requests[0], "x-honeycomb-team"), "honey-key");
    let item = &requests[0].json()[0];
    assert_eq!(
        (&item["samplerate"], &item["data"]["ratio"]),
        (&json!(4), &json!(0.5))
    );
    assert!(item["time"].is_string() && item["data"]["severity"] == "warn");

    let lines = || -> BTreeSet<String> {
        let said = app.said();
        let lines = said
            .lines()
            .filter(|line| line.starts_with('{') && line.ends_with('}'));
        let id = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["data"]["_e"], 1);
            event["event_id"].as_str().unwrap().to_owned()
        };
        lines.map(id).collect()
    };
    wait_until("all lines are out", || lines().len() >= 210);
    assert_eq!(lines(), expected(0..210));
    for secret in ["otlp-key", "loki-key", "honey-key", "bearer-key"] {
        assert!(!app.log().contains(secret) && !app.get("/metrics").body.contains(secret));
    }
}

#[test]
fn honeycomb_refuses_half_of_a_batch_by_name_and_throttles_some() {
    // Odd ones are bad; of the others each tenth is throttled once.
    let honeycomb = Receiver::answering(|request, before| {
        let of = |item: &Value| match item["data"]["n"].as_i64().unwrap() {
            n if n % 2 == 1 => json!({"status": 400, "error": "bad"}),
            n if n % 10 == 0 && before == 0 => json!({"status": 429, "error": "slowly"}),
            _ => json!({"status": 202}),
        };
        let statuses: Vec<Value> = request.json().as_array().unwrap().iter().map(of).collect();
        Reply::Body(200, json!(statuses).to_string().into_bytes())
    });
    let app = sending("honeycomb")
        .env("EVENT_HONEYCOMB_URL", honeycomb.url())
        .env("EVENT_HONEYCOMB_KEY", "key")
        .env("EVENT_HONEYCOMB_DATASET", "all of it")
        .start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 100, "{}");
    wait_until("half is taken", || {
        let seen = progress(&app, "honeycomb");
        seen["sent"] == 50 && seen["refused"] == 50 && seen["pending"] == 0
    });
    let received = honeycomb.received();
    assert_eq!(received[0].path, "/hook/1/batch/all%20of%20it");
    assert_eq!(ids_of_honeycomb(&received[0]).len(), 100);
    let again: BTreeSet<_> = all(&received[1..2], ids_of_honeycomb);
    let throttled: BTreeSet<_> = (0..10).map(|n| format!("event {}", n * 10)).collect();
    assert_eq!(again, throttled, "none that was taken or refused");
}

#[test]
fn otlp_refuses_a_part_and_does_not_say_which() {
    let otlp = Receiver::answering(|request, before| {
        let partial = |rejected_log_records, error_message: &str| ExportLogsPartialSuccess {
            rejected_log_records,
            error_message: error_message.to_owned(),
        };
        let answer = ExportLogsServiceResponse {
            partial_success: match before {
                0 => Some(partial(3, "too old")),
                2 => Some(partial(5, "too large")),
                3 => Some(partial(0, "use another address soon")),
                _ => None,
            },
        };
        assert!(!ids_of_otlp(request).is_empty());
        Reply::Body(200, answer.encode_to_vec())
    });
    let app = sending("otlp").env("EVENT_OTLP_URL", otlp.url()).start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 10, "{}");
    wait_until("seven are taken and three given up", || {
        let seen = progress(&app, "otlp");
        seen["sent"] == 7 && seen["dead"] == 3
    });
    let why = app
        .db
        .texts("SELECT payload || ' ' || error AS value FROM outbox WHERE target = 'events:otlp'");
    assert_eq!(why.len(), 1);
    assert!(
        why[0].contains("\"refused\":3")
            && why[0].contains("event 9")
            && why[0].contains("too old"),
        "{why:?}"
    );
    say(&app.db, 10, 10, "{}");
    wait_sent(&app, "otlp", 17);
    // Where all are refused it is known which, and OTLP forbids to send them again.
    say(&app.db, 20, 5, "{}");
    wait_until("five are given up", || progress(&app, "otlp")["dead"] == 8);
    let given_up = "SELECT message_id || ' ' || error AS value FROM outbox WHERE done_at IS NOT NULL AND message_id LIKE 'event %' ORDER BY 1";
    let why = app.db.texts(given_up);
    assert_eq!(why.len(), 5);
    assert_eq!(why[0], "event 20 it refused 5: too large");
    say(&app.db, 25, 5, "{}");
    wait_sent(&app, "otlp", 22);
    let seen = progress(&app, "otlp");
    assert_eq!(
        (&seen["last_error"], &seen["failed"], &seen["state"]),
        (
            &json!("it took all, and warned: use another address soon"),
            &json!(0),
            &json!("sending")
        )
    );
    assert_eq!(otlp.received().len(), 4, "none came twice");
    assert_eq!(app.metric_with("event_transport_dead_total", "otlp"), 8.0);
    assert!(
        app.log()
            .contains("it refused 3: too old; 3 events are given up")
    );
}

#[test]
fn answers_that_never_end_or_mean_nothing_are_failures_and_cost_no_memory() {
    let replies = |_: &Received, before: usize| match before {
        0 => Reply::Flood(200, 100_000_000),
        1 => Reply::Body(200, b"<html>".to_vec()),
        _ => Reply::Status(200, ""),
    };
    let (otlp, honeycomb) = (Receiver::answering(replies), Receiver::answering(replies));
    let app = sending("otlp, honeycomb")
        .env("EVENT_OTLP_URL", otlp.url())
        .env("EVENT_HONEYCOMB_URL", honeycomb.url())
        .env("EVENT_HONEYCOMB_KEY", "key")
        .start();
    wait_begun(&app.db, 2);
    say(&app.db, 0, 10, "{}");
    for (name, receiver) in [("otlp", &otlp), ("honeycomb", &honeycomb)] {
        wait_sent(&app, name, 10);
        assert_eq!(progress(&app, name)["failed"], 2);
        assert_eq!(receiver.received().len(), 3);
    }
    assert!(app.memory_peak() < 300 << 20);
}
