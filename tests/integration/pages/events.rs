//! The stream of events, their chart, and what was said around one.

use serde_json::{Value, json};

use super::assert_sound;
use crate::events::{line, send};
use crate::projections::introduce;
use crate::support::{Browser, TestApp, wait_until};

#[test]
fn the_events_page_has_stream_chart_jobs_and_what_was_said_around_an_event() {
    let app = TestApp::builder()
        .env("EVENT_TRANSPORTS", "console")
        .start();
    let browser = Browser::start();
    browser.open(&app.url("/dashboard/events"));
    browser.wait_for_text("#state", "No events in this time range.");

    let mut node = app.node("/submit");
    introduce(&mut node, "alice");
    send(&mut node, &json!({"msg": "just.before", "n": 1}));
    send(
        &mut node,
        &line(
            r#"{"_e":1,"name":"slash","severity":"error","amount":12345678901234567890,"who":"<b>bob</b>"}"#,
        ),
    );
    send(&mut node, &line(r#"{"_e":1,"#));
    let jobs: Vec<Value> = (0..5).map(|id| json!({"_e": 1, "_id": id, "name": "job.finished", "service_id": "relayer", "job_id": "swap", "duration_ms": 20})).collect();
    assert_eq!(app.post("/events", &json!(jobs)).status, 200);
    // They come live.
    browser.wait_until("document.querySelectorAll('#stream > li').length === 6");
    assert_sound(&browser, &app, "/dashboard/events", "#stream .name");
    assert_eq!(browser.texts("nav [aria-current=page]"), ["Events"]);
    browser.wait_for_text("#jobs", "relayer");
    browser.wait_for_text("#malformed", "is no JSON");
    browser.wait_for_text("#transports", "console");
    browser.wait_for_text("#chart", "job.finished");

    browser.open(&app.url("/dashboard/events?severity=error"));
    browser.wait_until("document.querySelectorAll('#stream > li').length === 1");
    browser.wait_for_text("#stream", "<b>bob</b>");
    browser.click("#stream summary");
    browser.wait_for_text("#stream .json", "12345678901234567890");
    browser.run("[...document.querySelectorAll('#stream button')].find((one) => one.textContent === 'What was said around it').click()");
    browser.wait_for_text(".around", "just.before");
    // What is open does not move: new ones wait to be asked for.
    send(
        &mut node,
        &line(r#"{"_e":1,"name":"again","severity":"fatal"}"#),
    );
    browser.wait_for_text("#newer", "Show 1 new event");
    browser.click("#newer");
    browser.wait_until("document.querySelectorAll('#stream > li').length === 2");

    browser.open(&app.url("/dashboard/events?measure=sum&field=duration_ms&group_by=service_id"));
    browser.wait_for_text("#chart", "Sum of duration_ms by service_id");
    browser.run("document.querySelector('#chart details').open = true");
    wait_until("the sum is drawn", || {
        browser.texts("#chart td").iter().any(|cell| cell == "100")
    });
}
