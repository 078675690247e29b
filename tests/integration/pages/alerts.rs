//! What is wrong for long enough, what is silenced, and where it is delivered.

use super::assert_sound;
use crate::support::{Browser, Receiver, TestApp, wait_until};

const TOKEN: &str = "a-token-for-writing-0123";

/// Alerts as another server keeps them: two open ones, one that was resolved, and a delivery that was given up.
const ALERTS: &str = "
    INSERT INTO alerts (id, rule, key, severity, subject, peer_id, genesis_hash, name, chain, summary, began_at, fired_at, resolved_at, flaps, delivered) VALUES
    (1, 'node_missing', 'p9/0x1', 'warning', 'node', 'p9', '0x1', 'gone by', 'Main', 'is silent', now() - interval '3 hours', now() - interval '3 hours', now() - interval '2 hours', 0, true),
    (2, 'chain_stalled', '0x1/', 'critical', 'chain', NULL, '0x1', NULL, 'Main', 'has had no new block than 7', now() - interval '5 minutes', now() - interval '3 minutes', NULL, 0, true),
    (3, 'node_missing', 'p1/0x1', 'warning', 'node', 'p1', '0x1', 'alice', 'Main', 'is silent', now() - interval '2 minutes', now() - interval '90 seconds', NULL, 2, true);
    SELECT setval(pg_get_serial_sequence('alerts', 'id'), 10);
    INSERT INTO outbox (target, message_id, alert_id, payload, attempts, done_at, error) VALUES ('webhook-1', 'm', 1, '{}', 10, now(), 'it answered 503');
    INSERT INTO outbox (target, message_id, alert_id, payload, due_at) VALUES ('webhook-1', 'n', 2, '{}', now() + interval '1 hour')";

fn start() -> TestApp {
    let receiver = Receiver::start();
    let app = TestApp::builder()
        .env("NOTIFY_WEBHOOK_URL", receiver.url())
        .env(
            "NOTIFY_WEBHOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        )
        .env("API_TOKENS", TOKEN)
        .start();
    wait_until("the outbox has its days", || {
        app.db
            .count("SELECT count(*) FROM pg_inherits WHERE inhparent = 'outbox'::regclass")
            >= 2
    });
    app.db.execute(
        "UPDATE leases SET holder = 'other', token = token + 1, expires_at = now() + interval '1 day' WHERE name = 'alerts'",
    );
    app
}

#[test]
fn the_alerts_page_has_what_is_open_and_silences_it() {
    let app = start();
    let browser = Browser::start();
    assert_sound(&browser, &app, "/dashboard/alerts", "#targets li");
    browser.wait_for_text("#verdict", "No alert is open.");
    app.db.execute(ALERTS);
    assert_sound(&browser, &app, "/dashboard/alerts", "#resolved li");
    browser.wait_for_text("#verdict", "2 alerts open: 1 critical, 1 warning.");
    assert_eq!(browser.texts("#open .name"), ["chain Main", "alice"]);
    browser.wait_for_text("#open", "flaps");
    assert_eq!(browser.texts("#resolved .name"), ["gone by"]);
    browser.wait_for_text("#targets", "1 waiting");
    browser.wait_for_text("#targets", "1 given up");
    browser.wait_for_text("#targets", "last failure: it answered 503");
    assert_eq!(browser.texts("nav [aria-current=page]"), ["Alerts"]);
    // Cause and action, a click away; what a node or a chain is about, another.
    browser.wait_for_text("#open summary", "Compare with a node elsewhere");
    browser.click("#open summary");
    browser.wait_for_text("#open details[open]", "block production has stopped");
    let links = browser.run("return [...document.querySelectorAll('#open .name')].map((one) => one.getAttribute('href'))");
    assert_eq!(
        links,
        serde_json::json!(["chain?chain=0x1", "node?peer_id=p1"])
    );

    // A silence of one, with an end and a comment; the token is asked for.
    browser.click("#open li:last-child button");
    browser.wait_for_text("dialog h2", "Add silence");
    for is_dark in [true, false] {
        browser.set_dark(is_dark);
        assert_eq!(browser.accessibility_faults(), [""; 0]);
    }
    browser.click("dialog [type=submit]");
    browser
        .wait_until("!document.querySelector('dialog [type=password]').closest('.field').hidden");
    browser.fill("dialog [type=password]", TOKEN);
    browser.click("dialog [type=submit]");
    browser.wait_for("dialog [name=comment][aria-invalid=true]");
    browser.fill("dialog [name=comment]", "moves house");
    browser.click("dialog [type=submit]");
    browser.wait_for_text("#silences", "node_missing of node p1");
    browser.wait_for_text("#silences", "moves house");
    browser.wait_for_text("#verdict", "1 silenced");
    browser.wait_for_text("#open li:last-child", "silenced");
    let silences = app.get("/api/v1/alerts/silences").json();
    assert_eq!(
        (&silences[0]["rule"], &silences[0]["peer_id"]),
        (&"node_missing".into(), &"p1".into())
    );

    browser.click("#silences li button");
    browser.wait_for_text("dialog", "What is still open is delivered then.");
    browser.click("dialog [type=submit]");
    browser.wait_for_text("#silences", "Nothing is silenced.");
    assert_eq!(
        app.get("/api/v1/alerts/silences").json(),
        serde_json::json!([])
    );

    browser.run("document.querySelector('#choice select').value = 'critical'; document.querySelector('#choice select').dispatchEvent(new Event('change'))");
    browser.wait_for_text("#verdict", "1 alert open: 1 critical.");
    browser.wait_until("location.search === '?severity=critical'");
    browser.run("history.back()");
    browser.wait_for_text("#verdict", "2 alerts open");
}
