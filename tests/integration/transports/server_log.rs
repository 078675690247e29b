//! The log of the server, sent by a transport too.

use serde_json::Value;

use crate::support::{Received, Receiver, Reply, TestApp, wait_until};

fn lines(requests: &[Received]) -> Vec<String> {
    let mut lines = Vec::new();
    for request in requests {
        let body = request.json();
        for stream in body["streams"].as_array().unwrap() {
            assert_eq!(stream["stream"]["origin"], "server");
            assert_eq!(stream["stream"]["job"], "tetcore-analytics");
            let values = stream["values"].as_array().unwrap().iter();
            lines.extend(values.map(|value: &Value| value[1].as_str().unwrap().to_owned()));
        }
    }
    lines
}

#[test]
fn the_log_is_sent_and_a_receiver_that_is_down_costs_lines_that_are_counted() {
    let loki = Receiver::start();
    let mut app = TestApp::builder()
        .env("LOG_TRANSPORT", "loki-2")
        .env("EVENT_LOKI_2_URL", loki.url())
        .env("NOTIFY_ALLOW_PRIVATE", "true")
        .env("RUST_LOG", "trace")
        .start();
    let shipped = |app: &TestApp, result: &str| {
        app.metric_with("log_transport_lines_total", &format!("result=\"{result}\""))
    };
    wait_until("lines have arrived", || !loki.received().is_empty());
    wait_until("they are counted", || shipped(&app, "sent") > 0.0);
    app.ask("GET", "/nowhere", &[("x-request-id", "7b0c-41.Z")], "");
    wait_until("a line about a request has its id", || {
        let sent = lines(&loki.received());
        sent.iter().any(|line| {
            line.starts_with("tetcore_analytics::http")
                && line.contains(" request_id=7b0c-41.Z: GET ")
        })
    });

    loki.answer(|_, _| Reply::Status(503, ""));
    // Each request is some lines.
    let log_much = || {
        for _ in 0..50 {
            app.get("/health");
        }
    };
    wait_until("more wait than may", || {
        log_much();
        shipped(&app, "lost") > 0.0
    });
    assert!(
        app.log()
            .contains("the transport loki-2 takes no lines of the log")
    );
    let lost = shipped(&app, "lost");
    loki.answer(|_, _| Reply::Status(204, ""));
    wait_until("it goes on", || {
        log_much();
        shipped(&app, "sent") > 2_048.0
    });
    assert!(lost > 0.0);

    let before = loki.received().len();
    app.stop();
    let received = loki.received();
    let last = lines(&received[before..]).join("\n");
    assert!(last.contains("SIGTERM: storing what was read"), "{last}");
    // What the thread that sends it logs is not sent, so there is no loop.
    let all = lines(&received);
    assert!(
        all.iter()
            .all(|line| !line.starts_with("ureq") && !line.contains("takes no lines of the log"))
    );
}
