//! The start page, and the description of the routes.

use super::assert_sound;
use crate::support::{Browser, TestApp};

#[test]
fn the_start_page_is_sound_and_says_how_to_connect() {
    let app = TestApp::start();
    let browser = Browser::start();
    assert_sound(&browser, &app, "/", "#flag");
    let flag = format!("--telemetry-url 'ws://127.0.0.1:{}/submit 1'", app.port());
    assert!(browser.text("main").contains(&flag));
}

#[test]
fn the_description_of_the_routes_is_sound_and_opens_what_the_address_names() {
    let app = TestApp::start();
    let browser = Browser::start();
    assert_sound(&browser, &app, "/api/", "#routes details");
    browser.open(&app.url("/api/#get/nodes"));
    browser.reload();
    browser.wait_for("details[id='get/nodes'][open] table");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    browser.click("details[id='get/nodes'] summary");
    browser.wait_until("document.querySelectorAll('details[open]').length === 0");
}
