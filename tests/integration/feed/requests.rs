use serde_json::json;

use crate::support::{FeedClient, TestApp};

#[test]
fn bad_requests_get_clear_errors_and_harm_nobody() {
    let app = TestApp::start();
    let mut feed = FeedClient::connect(&app);
    for (request, word) in [
        ("no json", "JSON"),
        ("[]", "JSON object"),
        (r#"{"interest":"subscribe","sart_time":""}"#, "sart_time"),
        (
            r#"{"interest":"subscribe","peer_id":"p","msg":"m","start_time":"soon"}"#,
            "start_time",
        ),
        (
            r#"{"interest":"subscribe","aggregate_type":"mode"}"#,
            "aggregate_type",
        ),
        (
            r#"{"interest":"unsubscribe","peer_id":"p","msg":"m"}"#,
            "no such subscription",
        ),
    ] {
        feed.send(request);
        let answer = feed.next();
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(word), "{request}: {error}");
        assert!(answer.get("request_id").is_none());
    }
    let twice = json!({"peer_id": "p", "msg": "m", "interest": "subscribe", "request_id": "a"});
    feed.ask(&twice);
    assert_eq!(feed.next(), json!({"ack": {"request_id": "a"}}));
    feed.ask(&twice);
    assert_eq!(feed.next()["request_id"], "a");
    // Old clients send no request_id.
    feed.ask(&json!({"peer_id": "q", "msg": "m", "interest": "subscribe"}));
    for number in 0..98 {
        feed.ask(&json!({"peer_id": "p", "msg": format!("m{number}"), "interest": "subscribe"}));
    }
    feed.ask(
        &json!({"peer_id": "p", "msg": "one too many", "interest": "subscribe", "request_id": 9}),
    );
    let answer = feed.next();
    assert_eq!(answer["request_id"], 9);
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("100 subscriptions")
    );
    let mut feed = FeedClient::connect_v1(&app);
    feed.ask(&json!({"interest": "maybe", "request_id": 7}));
    assert_eq!(
        feed.next(),
        json!({"error": {"code": "bad_request", "message": "interest must be subscribe or unsubscribe"}, "request_id": 7})
    );
}

#[test]
fn subscribers_beyond_the_limit_are_refused() {
    let app = TestApp::builder().env("FEED_CONNECTIONS_MAX", 1).start();
    let first = FeedClient::connect(&app);
    crate::support::wait_until("the subscriber is there", || {
        app.metric("feed_subscribers") == 1.0
    });
    let refused = crate::support::FakeNode::try_connect(app.port(), "/feed").1;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(first);
}
