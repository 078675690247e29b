//! The start page, and the description of the routes.

use super::assert_sound;
use crate::support::{Browser, FakeNode, Network, TestApp};

#[test]
fn the_start_page_says_how_to_connect_and_becomes_the_live_view_with_the_first_node() {
    let app = TestApp::start();
    let browser = Browser::start();
    assert_sound(&browser, &app, "/", "#live .dot");
    let line = format!("--telemetry-url 'ws://127.0.0.1:{}/submit 1'", app.port());
    assert_eq!(browser.text("#flag"), line);
    browser.wait_for_text("#live", "Waiting for the first node.");

    FakeNode::try_connect(app.port(), "/telemetry");
    browser.wait_for_text("#live", "A node requests /telemetry");
    browser.wait_for_text("#live", &line);

    let mut network = Network::start(&app, &[("Alpha", 1)]);
    browser.wait_until("location.pathname === '/dashboard/'");
    browser.wait_for_text("main", &network.node(0).name);
    network.import(0, 4_711);
    browser.wait_for_text("main", "4711");
    assert_eq!(browser.console_errors(), [""; 0]);
    assert_eq!(browser.requests_outside(&app), [""; 0]);

    // A reader who comes back for the line stays on the page.
    assert_sound(&browser, &app, "/", "#live a");
    assert_eq!(browser.run("return location.pathname"), "/");
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
