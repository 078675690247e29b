//! Changes of status in the live feed.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::answers::story;
use super::{Beating, start, wait_state};
use crate::support::{FeedClient, TestApp};

/// A server that judges nothing, with changes that others kept.
fn app() -> TestApp {
    let db = story();
    db.execute("INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day')");
    TestApp::builder().db(db).start()
}

fn subscribe(app: &TestApp, more: Value) -> FeedClient {
    let mut client = FeedClient::connect(app);
    let mut request = json!({"topic": "status", "interest": "subscribe"});
    let more = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(more);
    client.ask(&request);
    client
}

fn ids(message: &Value) -> Vec<i64> {
    let changes = message["status"].as_array().unwrap().iter();
    changes
        .map(|change| change["id"].as_i64().unwrap())
        .collect()
}

/// Keeps a change of `bob`, as another server does.
fn keep(app: &TestApp, id: i64, state: &str) {
    app.db.execute(&format!(
        "INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, revision)
         VALUES ({id}, 'node', 'b', '0x1', 'bob', 'main', 'x', '{state}', 'y', now(), now(), {id})"
    ));
}

#[test]
fn changes_of_status_come_as_another_server_keeps_them_and_go_on_after_a_cursor() {
    let app = app();
    let mut client = subscribe(&app, json!({}));
    let mut of_dev = subscribe(&app, json!({"chain": "dev"}));
    assert_eq!(client.next(), json!({"status": [], "cursor": "8"}));
    assert_eq!(of_dev.next()["cursor"], "8");
    keep(&app, 9, "late");
    let first = client.next();
    assert_eq!((ids(&first), &first["cursor"]), (vec![9], &json!("9")));
    let change = &first["status"][0];
    assert_eq!(change, &app.get("/api/v1/status/changes?since=8").json()[0]);
    drop(client);
    keep(&app, 10, "missing");
    let mut client = subscribe(&app, json!({"cursor": "9"}));
    assert_eq!(client.next()["cursor"], "9");
    assert_eq!(ids(&client.next()), [10]);
    keep(&app, 11, "online");
    assert_eq!(ids(&client.next()), [11]);
    // Of another chain nothing came.
    app.db
        .execute("UPDATE status_changes SET chain = 'dev' WHERE id = 11");
    keep(&app, 12, "late");
    app.db
        .execute("UPDATE status_changes SET chain = 'dev' WHERE id = 12");
    client.ask(&json!({"topic": "status", "interest": "unsubscribe", "request_id": 1}));
    loop {
        if client.next().get("ack").is_some() {
            break;
        }
    }
    keep(&app, 13, "late");
    let mut other = subscribe(&app, json!({"cursor": "12"}));
    other.next();
    assert_eq!(ids(&other.next()), [13]);
    client.ask(&json!({"interest": "unsubscribe", "msg": "-", "request_id": 2}));
    assert_eq!(client.next()["request_id"], 2, "nothing came in between");
}

#[test]
fn the_history_of_changes_is_whole_however_long_it_is() {
    let app = app();
    app.db.execute(
        "INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, revision)
         SELECT 100 + i, 'node', 'b', '0x1', 'bob', CASE WHEN i % 2 = 0 THEN 'main' ELSE 'dev' END, 'x', 'late', 'y', now(), now(), i FROM generate_series(1, 3500) i",
    );
    for (more, expected) in [
        (json!({"cursor": "0"}), 3_507),
        (
            json!({"start_time": (Utc::now() - TimeDelta::hours(6)).to_rfc3339()}),
            3_502,
        ),
        (json!({"cursor": "50", "chain": "dev"}), 1_750),
    ] {
        let mut client = subscribe(&app, more.clone());
        client.next();
        let mut found: Vec<i64> = Vec::new();
        while found.len() < expected {
            let message = client.next();
            let new = ids(&message);
            assert!(new.len() <= 1_000 && !new.is_empty());
            found.extend(new);
        }
        assert_eq!(found.len(), expected, "{more}");
        assert!(
            found.is_sorted() && *found.last().unwrap() >= 3_599,
            "{more}"
        );
    }
}

#[test]
fn what_this_server_judges_comes_as_well() {
    let app = start();
    let mut client = subscribe(&app, json!({}));
    client.next();
    let node = Beating::start(&app, "a");
    wait_state(&app.db, "a", "online");
    let message = client.next();
    let change = &message["status"][0];
    assert_eq!(
        (&change["peer_id"], &change["to_state"]),
        (&json!("a"), &json!("online"))
    );
    drop(node.stop());
}
