use std::time::Duration;

use serde_json::json;

use super::{count, introduce, numbers, say};
use crate::support::{FeedClient, TestApp};

#[test]
fn a_message_comes_with_its_own_fields_and_nothing_else() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"peer_id": "peer", "msg": "block.import", "interest": "subscribe", "request_id": 1}));
    assert_eq!(feed.next(), json!({"ack": {"request_id": 1}}));
    say(&mut node, 1, json!({"msg": "other"}));
    say(
        &mut node,
        1,
        json!({"msg": "block.import", "height": 7, "best": "0x07", "": "empty"}),
    );
    let answer = feed.next();
    assert_eq!(
        answer["peer_message"],
        json!({"peer_id": "peer", "msg": "block.import"})
    );
    let item = answer["data"][0].as_object().unwrap();
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    app.wait_stored(3);
    let stored = app.db.texts("SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS value FROM block_imports");
    let expected = json!({"height": 7, "best": "0x07", "": "empty", "created_at": stored[0]});
    assert_eq!(json!(item), expected);
    assert!(answer["cursor"].is_string());
}

#[test]
fn whole_chains_all_nodes_and_all_kinds_can_be_followed() {
    let app = TestApp::start();
    let mut feed = FeedClient::connect(&app);
    for (id, request) in [
        json!({"chain": "A", "msg": "count", "interest": "subscribe", "request_id": 1}),
        json!({"chain": "0xB", "interest": "subscribe", "request_id": 2}),
        json!({"msg": "count", "interest": "subscribe", "request_id": 3}),
    ]
    .iter()
    .enumerate()
    {
        feed.ask(request);
        assert_eq!(feed.next(), json!({"ack": {"request_id": id + 1}}));
    }
    let (mut one, mut two) = (app.node("/submit"), app.node("/audit"));
    introduce(&mut one, 1, "one", "A");
    introduce(&mut two, 1, "two", "B");
    count(&mut one, 1, 1..2);
    count(&mut two, 1, 2..3);
    let mut got = Vec::new();
    while got.len() < 5 {
        let answer = feed.next_with("data");
        for item in answer["data"].as_array().unwrap() {
            got.push(format!(
                "{} {} {} {}",
                answer["peer_message"], item["peer_id"], item["n"], item["msg"]
            ));
        }
    }
    got.sort();
    assert_eq!(
        got,
        [
            r#"{"chain":"0xB"} "two" 2 "count""#,
            r#"{"chain":"0xB"} "two" null "system.connected""#,
            r#"{"chain":"A","msg":"count"} "one" 1 null"#,
            r#"{"msg":"count"} "one" 1 null"#,
            r#"{"msg":"count"} "two" 2 null"#,
        ]
    );
    feed.expect_no_items(Duration::from_millis(600));
}

#[test]
fn what_is_not_wanted_any_more_does_not_come() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"peer_id": "peer", "msg": "count", "interest": "subscribe", "request_id": 1}));
    feed.ask(&json!({"peer_id": "peer", "msg": "other", "interest": "subscribe", "request_id": 2}));
    feed.next();
    feed.next();
    count(&mut node, 1, 0..1);
    assert_eq!(numbers(&feed.items(1).0), [0]);
    feed.ask(
        &json!({"peer_id": "peer", "msg": "count", "interest": "unsubscribe", "request_id": 3}),
    );
    assert_eq!(feed.next(), json!({"ack": {"request_id": 3}}));
    count(&mut node, 1, 1..2);
    say(&mut node, 1, json!({"msg": "other", "n": 5}));
    assert_eq!(numbers(&feed.items(1).0), [5]);
    assert!(app.metric("feed_subscriptions") == 1.0);
    drop(feed);
    crate::support::wait_until("the subscriber is gone", || {
        app.metric("feed_subscribers") == 0.0
    });
}

#[test]
fn addresses_in_messages_are_for_those_who_may_see_them() {
    let app = TestApp::builder()
        .env("READ_TOKENS", "read-token-0123456789")
        .start_listening();
    let anonymous = crate::support::FakeNode::try_connect(app.port(), "/feed").1;
    assert!(anonymous.starts_with("HTTP/1.1 401"), "{anonymous}");
    let open = TestApp::start();
    let mut node = open.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    // Through a proxy it is not known as local.
    let mut outside = FeedClient::connect_with(&open, &[("via", "1.1 proxy")]);
    let mut inside = FeedClient::connect(&open);
    for feed in [&mut outside, &mut inside] {
        feed.ask(&json!({"peer_id": "peer", "msg": "m", "interest": "subscribe", "request_id": 1}));
        feed.next();
    }
    say(
        &mut node,
        1,
        json!({"msg": "m", "address": "/ip4/192.0.2.7/tcp/30333"}),
    );
    assert_eq!(inside.items(1).0[0]["address"], "/ip4/192.0.2.7/tcp/30333");
    assert_eq!(outside.items(1).0[0]["address"], "/ip4/-/tcp/30333");
}

/// As nodes of early 2021 send them each half minute.
#[test]
fn a_history_of_large_messages_comes_in_parts() {
    let app = TestApp::builder().env("NODE_BYTES_PER_S_MAX", 0).start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let text = "x".repeat(400_000);
    for n in 0..30 {
        say(&mut node, 1, json!({"msg": "blob", "n": n, "text": text}));
    }
    app.wait_stored(31);
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"peer_id": "peer", "msg": "blob", "interest": "subscribe", "start_time": "2020-01-01T00:00:00"}));
    let mut got = Vec::new();
    while got.len() < 30 {
        let answer = feed.next_with("data");
        let items = answer["data"].as_array().unwrap();
        assert!(items.len() <= 11, "{} messages in one text", items.len());
        got.extend(numbers(items));
    }
    assert_eq!(got, (0..30).collect::<Vec<_>>());
    feed.expect_no_items(Duration::from_millis(600));
}
