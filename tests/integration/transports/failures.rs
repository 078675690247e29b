//! Receivers that fail in every way.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;

use serde_json::json;

use super::{
    KEY, counted, expected, ids, progress, say, sending, to_webhook, wait_begun, wait_sent,
};
use crate::support::{Received, Receiver, Reply, wait_until};

/// The requests that a receiver took.
fn verified(requests: &[Received]) {
    let verifier = standardwebhooks::Webhook::new(KEY).unwrap();
    for request in requests {
        let headers = request.headers.iter().map(|(name, value)| {
            (
                name.parse::<ureq::http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            )
        });
        let headers: ureq::http::HeaderMap = headers.collect();
        verifier.verify(&request.bytes, &headers).unwrap();
    }
}

#[test]
fn a_receiver_that_fails_in_every_way_gets_each_event_and_delays_no_other() {
    let failing = Receiver::answering(|_, before| match before {
        0 => Reply::Hang,
        1 => Reply::Status(500, ""),
        2 => Reply::Status(302, "location: http://127.0.0.1:9/\r\n"),
        3 => Reply::Cut,
        4 => Reply::Status(429, "retry-after: 1\r\n"),
        5 => Reply::Flood(503, 100_000_000),
        6 => Reply::Flood(200, 100_000_000),
        _ => Reply::Status(204, ""),
    });
    let well = Receiver::start();
    let app = to_webhook(&failing)
        .env("EVENT_TRANSPORTS", "webhook, webhook-2")
        .env("EVENT_WEBHOOK_2_URL", well.url())
        .env("EVENT_WEBHOOK_2_SECRET", KEY)
        .env("EVENT_BATCH_EVENTS", 10)
        .start();
    wait_begun(&app.db, 2);
    say(&app.db, 0, 50, "{}");
    wait_sent(&app, "webhook-2", 50);
    assert!(failing.received().len() <= 3, "the other still fails");
    wait_sent(&app, "webhook", 50);

    let all = expected(0..50);
    let of_well = counted(&well.received());
    assert_eq!(of_well.keys().cloned().collect::<BTreeSet<_>>(), all);
    assert!(of_well.values().all(|count| *count == 1), "{of_well:?}");
    let received = failing.received();
    verified(&received);
    verified(&well.received());
    let of_failing = counted(&received);
    assert_eq!(of_failing.keys().cloned().collect::<BTreeSet<_>>(), all);
    // The first batch came with each of the attempts that failed, as one message.
    let again = ids(&received[0]);
    assert_eq!(again.len(), 10);
    assert!(received[..7].iter().all(|one| one.id() == received[0].id()));
    let (of_first, others) = (of_failing[&again[0]], 50 - again.len());
    assert_eq!(of_first, 7, "six times more than needed");
    assert_eq!(
        of_failing.values().filter(|count| **count == 1).count(),
        others
    );

    let seen = progress(&app, "webhook");
    assert_eq!(
        (&seen["failed"], &seen["state"]),
        (&json!(6), &json!("sending"))
    );
    assert!(
        seen["last_error"].as_str().unwrap().contains("503"),
        "{seen}"
    );
    for (metric, value) in [
        ("sent_total", 50.0),
        ("failed_total", 6.0),
        ("pending", 0.0),
    ] {
        let name = format!("event_transport_{metric}");
        assert_eq!(
            app.metric_with(&name, "transport=\"webhook\""),
            value,
            "{name}"
        );
    }
    // Seven floods and hangs cost no memory.
    assert!(app.memory_peak() < 300 << 20);
}

#[test]
fn an_event_that_is_refused_costs_only_itself_is_tried_again_and_given_up_with_the_reason() {
    // Bodies that are too large are refused too; halves are not.
    let refusing = Receiver::answering(|request, _| match &request.body {
        body if body.len() > 20_000 => Reply::Status(413, ""),
        body if body.contains("poison") => Reply::Body(422, b"no poison".to_vec()),
        _ => Reply::Status(200, ""),
    });
    let app = to_webhook(&refusing).start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 100, "{}");
    say(&app.db, 100, 2, r#"{"poison": true}"#);
    say(&app.db, 102, 98, "{}");
    wait_until("all others are sent", || {
        let seen = progress(&app, "webhook");
        seen["sent"] == 198 && seen["pending"] == 0
    });
    let seen = progress(&app, "webhook");
    assert_eq!((&seen["refused"], &seen["dead"]), (&json!(2), &json!(0)));
    let waiting = "SELECT message_id || ' ' || error AS value FROM outbox WHERE target = 'events:webhook' ORDER BY message_id";
    assert_eq!(
        app.db.texts(waiting),
        [
            "event 100 it answered 422: no poison",
            "event 101 it answered 422: no poison"
        ]
    );
    // The first gets its last try, the second one that succeeds.
    app.db
        .execute("UPDATE outbox SET attempts = 9, due_at = now() WHERE message_id = 'event 100'");
    wait_until("it is given up", || progress(&app, "webhook")["dead"] == 1);
    refusing.answer(|_, _| Reply::Status(200, ""));
    app.db
        .execute("UPDATE outbox SET due_at = now() WHERE done_at IS NULL");
    wait_sent(&app, "webhook", 199);
    assert_eq!(
        app.db.texts("SELECT message_id || ' ' || error AS value FROM outbox WHERE done_at IS NOT NULL AND error LIKE 'it answered%' ORDER BY 1"),
        ["event 100 it answered 422: no poison"]
    );
    verified(&refusing.received());
    assert_eq!(
        app.metric_with("event_transport_dead_total", "webhook"),
        1.0
    );
}

/// The port of a TLS server whose certificate, in PEM, is its own work; it reads and answers nothing.
fn untrusted() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            // The client ends it.
            while tls.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
        }
    });
    (port, made.cert.pem())
}

#[test]
fn what_is_wrong_with_an_address_is_said_without_its_secrets_and_events_wait() {
    let receiver = Receiver::start();
    let (untrusted, own) = untrusted();
    let app = sending("webhook, webhook-2, loki, otlp")
        // A certificate that nobody knows.
        .env(
            "EVENT_WEBHOOK_URL",
            format!("https://localhost:{untrusted}/geheim"),
        )
        .env("EVENT_WEBHOOK_SECRET", KEY)
        // Nobody listens.
        .env("EVENT_WEBHOOK_2_URL", "http://127.0.0.1:1/geheim")
        .env("EVENT_WEBHOOK_2_SECRET", KEY)
        // A name that does not exist.
        .env("EVENT_LOKI_URL", "http://geheim:geheim@nowhere.invalid")
        .env("EVENT_LOKI_KEY", "geheim")
        .env("EVENT_OTLP_URL", "http://127.0.0.1:1")
        .start();
    wait_begun(&app.db, 4);
    say(&app.db, 0, 5, "{}");
    for (name, error) in [
        ("webhook", "certificate"),
        ("webhook-2", "no connection"),
        ("loki", ""),
        ("otlp", "no connection"),
    ] {
        wait_until(&format!("{name} has failed"), || {
            progress(&app, name)["state"] == "waiting"
        });
        let seen = progress(&app, name);
        assert!(
            seen["last_error"].as_str().unwrap().contains(error),
            "{seen}"
        );
        wait_until("five wait", || progress(&app, name)["pending"] == 5);
        assert!(progress(&app, name)["oldest_pending_s"].as_f64().unwrap() > 0.0);
    }
    let everything =
        app.get("/api/v1/events/transports").body + &app.log() + &app.get("/metrics").body;
    assert!(!everything.contains("geheim"));
    assert!(receiver.received().is_empty());
    drop(app);

    // Who is trusted is spoken to, and does not answer.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), own).unwrap();
    let app = to_webhook(&receiver)
        .env(
            "EVENT_WEBHOOK_URL",
            format!("https://localhost:{untrusted}"),
        )
        .env("NOTIFY_CA_FILE", dir.path().join("ca.pem").display())
        .start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 1, "{}");
    wait_until("it is waited for", || {
        let seen = progress(&app, "webhook");
        let error = seen["last_error"].as_str().unwrap_or_default().to_owned();
        assert!(!error.contains("certificate"), "{error}");
        error.contains("no answer within") || error.contains("no connection")
    });
    drop(app);

    let app = to_webhook(&receiver)
        .env("NOTIFY_ALLOW_PRIVATE", "false")
        .start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 1, "{}");
    wait_until("the address is refused", || {
        let seen = progress(&app, "webhook");
        let error = seen["last_error"].as_str().unwrap_or_default().to_owned();
        error.contains("NOTIFY_ALLOW_PRIVATE=true")
    });
    assert!(receiver.received().is_empty());
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_it_has_another_address() {
    let gone = Receiver::answering(|_, _| Reply::Status(410, ""));
    let mut app = to_webhook(&gone).start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 3, "{}");
    wait_until("it is disabled", || {
        progress(&app, "webhook")["state"] == "disabled"
    });
    say(&app.db, 3, 3, "{}");
    wait_until("they wait", || progress(&app, "webhook")["pending"] == 6);
    assert_eq!(gone.received().len(), 1);
    app.stop();
    let other = Receiver::start();
    let app = app.start_again_with(&[("EVENT_WEBHOOK_URL", &other.url())]);
    wait_sent(&app, "webhook", 6);
    assert_eq!(counted(&other.received()).len(), 6);
}

#[test]
fn a_backlog_that_is_full_loses_the_oldest_counted_and_the_rest_arrives_once() {
    let receiver = Receiver::answering(|_, _| Reply::Status(503, ""));
    let app = to_webhook(&receiver)
        .env("EVENT_BACKLOG_MAX_BYTES", 1 << 20)
        .env("EVENT_BATCH_EVENTS", 100)
        .start();
    wait_begun(&app.db, 1);
    // About 800 bytes each.
    let text = format!(r#"{{"text": "{}"}}"#, "ab".repeat(250));
    for part in 0..5 {
        say(&app.db, part * 1_000, 1_000, &text);
    }
    wait_until("the backlog is bounded", || {
        let seen = progress(&app, "webhook");
        let (pending, dropped) = (seen["pending"].as_i64(), seen["dropped"].as_i64());
        pending
            .zip(dropped)
            .is_some_and(|(pending, dropped)| pending + dropped == 5_000)
            && seen["pending_bytes"].as_i64() <= Some(1 << 20)
    });
    let seen = progress(&app, "webhook");
    let dropped = seen["dropped"].as_i64().unwrap();
    assert!(
        dropped > 1_000 && seen["pending_bytes"].as_i64() > Some(900_000),
        "{seen}"
    );
    assert!(app.log().contains("EVENT_BACKLOG_MAX_BYTES"));
    let before = receiver.received().len();
    receiver.answer(|_, _| Reply::Status(200, ""));
    wait_sent(&app, "webhook", 5_000 - dropped);
    let taken = counted(&receiver.received()[before..]);
    // The batch in memory when the backlog was cut is the only one that may have come before.
    assert_eq!(
        taken.keys().cloned().collect::<BTreeSet<_>>(),
        expected(dropped..5_000)
    );
    assert_eq!(
        app.metric_with("event_transport_dropped_total", "backlog_full"),
        dropped as f64
    );
}

#[test]
fn events_that_expire_before_a_receiver_is_back_are_counted() {
    let receiver = Receiver::answering(|_, _| Reply::Status(503, ""));
    let app = to_webhook(&receiver).env("EVENT_BATCH_EVENTS", 10).start();
    wait_begun(&app.db, 1);
    let yesterday = "now() - interval '1 day'";
    app.db
        .execute(&format!("SELECT make_events_day({yesterday})"));
    say(&app.db, 0, 100, "{}");
    app.db
        .execute(&format!("UPDATE events SET received_at = {yesterday}"));
    say(&app.db, 100, 50, "{}");
    wait_until("all wait", || progress(&app, "webhook")["pending"] == 150);
    // As retention does; ten of them are in memory.
    let day = app.db.texts(&format!(
        "SELECT 'events_p' || to_char(({yesterday}) AT TIME ZONE 'UTC', 'YYYYMMDD') AS value"
    ));
    app.db.execute(&format!("DROP TABLE {}", day[0]));
    wait_until("they are missed", || {
        progress(&app, "webhook")["dropped"] == 90
    });
    receiver.answer(|_, _| Reply::Status(200, ""));
    wait_sent(&app, "webhook", 60);
    assert_eq!(
        app.metric_with("event_transport_dropped_total", "expired"),
        90.0
    );
}
