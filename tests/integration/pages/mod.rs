//! The pages, in headless Chromium against a real server. See
//! [`crate::support::Browser`] and [`crate::support::Network`] for what such
//! tests are made of; each page has a file of its own here.

mod browser;
mod network;
mod nodes;
mod screenshots;
mod start;
mod words;

use crate::support::{Browser, TestApp};

/// What holds for every page, in every state: no error, no request to anybody
/// else, nothing that axe-core objects to, in light and dark and on a phone,
/// where nothing sticks out. `ready` is what the page shows when it is done.
#[track_caller]
fn assert_sound(browser: &Browser, app: &TestApp, path: &str, ready: &str) {
    let look = |how: &str| {
        browser.open(&app.url(path));
        browser.wait_for(ready);
        assert_eq!(browser.accessibility_faults(), [""; 0], "{path}, {how}");
    };
    browser.set_dark(true);
    look("dark");
    browser.set_dark(false);
    look("light");
    browser.use_phone();
    look("phone");
    assert_eq!(browser.sideways_scroll(), 0, "{path} is wider than a phone");
    browser.use_desktop();
    assert_eq!(browser.console_errors(), [""; 0], "{path}");
    assert_eq!(browser.requests_outside(app), [""; 0], "{path}");
}
