//! Receivers that fail in every way, and a server that is killed.

use super::{KEY, lose, told, with_webhook};
use crate::status::{Beating, wait_judged, wait_state};
use crate::support::{Alertmanager, Receiver, Reply, TestApp, wait_until};

#[test]
fn a_receiver_that_fails_delays_no_other_and_gets_the_same_message_again() {
    // It hangs, refuses, redirects and cuts after it has the message; then it takes it.
    let failing = Receiver::answering(|_, before| match before {
        0 => Reply::Hang,
        1 => Reply::Status(500, ""),
        2 => Reply::Status(302, "location: http://127.0.0.1:9/\r\n"),
        3 => Reply::Cut,
        4 => Reply::Status(429, "retry-after: 1\r\n"),
        _ => Reply::Status(200, ""),
    });
    let well = Receiver::start();
    let app = with_webhook(&failing)
        .env(
            "NOTIFY_WEBHOOK_URL",
            format!("{}, {}", failing.url(), well.url()),
        )
        .start();
    wait_judged(&app.db);
    let _node = lose(&app, "12D3KooWfails");
    well.wait(1);
    assert!(failing.received().len() <= 1);
    for attempts in 1..=5 {
        wait_until("the attempt has ended", || {
            app.db.count(&format!(
                "SELECT count(*) FROM outbox WHERE target = 'webhook-1' AND attempts = {attempts} AND claimed_until IS NULL"
            )) == 1
        });
        // Waits of the schedule are minutes and hours.
        app.db
            .execute("UPDATE outbox SET due_at = now() WHERE target = 'webhook-1'");
    }
    let received = failing.wait(6);
    assert_eq!(received.len(), 6);
    assert!(
        received
            .iter()
            .all(|one| one.id() == received[0].id() && one.body == received[0].body)
    );
    wait_until("it is done", || {
        app.db
            .count("SELECT count(*) FROM outbox WHERE done_at IS NULL")
            == 0
    });
    assert_eq!(well.received().len(), 1);
    let targets = app.get("/api/v1/alerts/targets").json();
    assert_eq!(targets[0]["name"], "webhook-1");
    assert_eq!(targets[0]["pending"], 0);
}

#[test]
fn the_ninth_wait_is_the_last_and_what_is_given_up_says_why() {
    let refusing = Receiver::answering(|_, _| Reply::Status(503, ""));
    let app = with_webhook(&refusing).start();
    wait_judged(&app.db);
    let _node = lose(&app, "12D3KooWdead");
    refusing.wait(1);
    wait_until("the first attempt has ended", || {
        app.db
            .count("SELECT count(*) FROM outbox WHERE attempts = 1 AND claimed_until IS NULL")
            == 1
    });
    app.db
        .execute("UPDATE outbox SET attempts = 9, due_at = now()");
    wait_until("it is given up", || {
        app.db
            .texts("SELECT error AS value FROM outbox WHERE done_at IS NOT NULL")
            == ["it answered 503"]
    });
    let target = app.get("/api/v1/alerts/targets").json();
    assert_eq!(
        (&target[0]["dead"], &target[0]["last_error"]),
        (&1.into(), &"it answered 503".into())
    );
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_it_has_another_address() {
    let gone = Receiver::answering(|_, _| Reply::Status(410, ""));
    let app = with_webhook(&gone).start();
    wait_judged(&app.db);
    let _one = lose(&app, "12D3KooWone");
    wait_until("the target is disabled", || {
        !app.get("/api/v1/alerts/targets").json()[0]["disabled_at"].is_null()
    });
    let _two = lose(&app, "12D3KooWtwo");
    wait_until("both are given up", || {
        app.db
            .count("SELECT count(*) FROM outbox WHERE done_at IS NOT NULL AND error IS NOT NULL")
            == 2
    });
    assert_eq!(gone.received().len(), 1);
}

#[test]
fn a_server_that_is_killed_before_it_confirms_delivers_again_with_the_same_identity() {
    let receiver = Receiver::answering(|_, before| match before {
        0 => Reply::Hang,
        _ => Reply::Status(200, ""),
    });
    let mut app = with_webhook(&receiver).start();
    wait_judged(&app.db);
    let _node = lose(&app, "12D3KooWkill");
    receiver.wait(1);
    app.kill();
    // What it claimed comes free by itself, which takes longer than a test.
    app.db.execute("UPDATE outbox SET claimed_until = now()");
    let app = app.start_again();
    receiver.wait(2);
    wait_until("it is done", || {
        app.db
            .count("SELECT count(*) FROM outbox WHERE done_at IS NULL")
            == 0
    });
    let received = receiver.received();
    let of_node: Vec<_> = received
        .iter()
        .filter(|one| one.json()["data"]["peer_id"] == "12D3KooWkill")
        .collect();
    assert_eq!(of_node.len(), 2, "{:?}", told(&received));
    assert_eq!(of_node[0].id(), of_node[1].id());
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM alerts WHERE peer_id = '12D3KooWkill'"),
        1
    );
}

#[test]
fn private_addresses_are_refused_unless_they_are_allowed() {
    let receiver = Receiver::start();
    let app: TestApp = crate::status::builder()
        .env("NOTIFY_WEBHOOK_URL", receiver.url())
        .env("NOTIFY_WEBHOOK_SECRET", KEY)
        .start();
    wait_judged(&app.db);
    let _node = lose(&app, "12D3KooWprivate");
    wait_until("it is refused", || {
        let targets = app.get("/api/v1/alerts/targets").json();
        targets[0]["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("NOTIFY_ALLOW_PRIVATE=true"))
    });
    assert!(receiver.received().is_empty());
}

#[test]
fn a_real_alertmanager_sends_an_alert_on_and_its_end() {
    let team = Receiver::start();
    let Some(alertmanager) = Alertmanager::start(&team) else {
        return;
    };
    let app = crate::status::builder()
        .env("NODE_OFFLINE_S", 600)
        .env("NOTIFY_ALERTMANAGER_URL", alertmanager.url())
        .env("NOTIFY_ALLOW_PRIVATE", "true")
        .start();
    wait_judged(&app.db);
    let node = lose(&app, "12D3KooWreal");
    let fired = team.wait(1)[0].json();
    assert_eq!(fired["status"], "firing");
    let alert = &fired["alerts"][0];
    assert_eq!(alert["labels"]["peer_id"], "12D3KooWreal");
    assert!(
        alert["annotations"]["summary"]
            .as_str()
            .unwrap()
            .ends_with("is silent")
    );
    let node = Beating::go_on(node);
    wait_state(&app.db, "12D3KooWreal", "online");
    wait_until("its end has arrived", || {
        let received = team.received();
        received
            .iter()
            .any(|one| one.json()["status"] == "resolved")
    });
    let received = team.received();
    assert!(
        received
            .iter()
            .all(|one| one.json()["alerts"][0]["startsAt"] == alert["startsAt"])
    );
    node.stop();
}
