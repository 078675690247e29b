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

/// Copies a folder with all that is in it.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => std::fs::copy(&path, &target).map(|_bytes| ()).unwrap(),
        }
    }
}

#[test]
fn a_page_of_which_a_part_does_not_load_reloads_once_and_says_so() {
    let assets = tempfile::tempdir().unwrap();
    copy(&crate::tidy::root().join("static"), assets.path());
    let module = assets.path().join("lib/table-pace.js");
    let text = std::fs::read(&module).unwrap();
    std::fs::remove_file(&module).unwrap();
    let app = TestApp::builder()
        .env("ASSETS_PATH", assets.path().display())
        .start();
    let browser = Browser::start();
    browser.open(&app.url("/dashboard/"));
    browser.wait_for_text("main [role=alert]", "A part of this page did not load.");
    let loads = browser.requests();
    let loads = loads.iter().filter(|url| url.ends_with("/nodes.js"));
    assert_eq!(loads.count(), 2, "it reloaded once by itself");
    std::fs::write(&module, text).unwrap();
    browser.click("main [role=alert] button");
    browser.wait_for("#table .state.empty");
    assert_eq!(browser.texts("main [role=alert]:not(:empty)"), [""; 0]);
}
