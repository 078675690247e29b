//! The pages, in headless Chromium against a real server. See
//! [`crate::support::Browser`] and [`crate::support::Network`] for what such
//! tests are made of; each page has a file of its own here.

mod alerts;
mod benchmarks;
mod browser;
mod chain;
mod events;
mod load;
mod network;
mod node;
mod nodes;
mod profiling;
mod reputation;
mod screenshots;
mod server;
mod start;
mod status;
mod trouble;

use serde_json::json;

use crate::support::{Browser, TestApp, wait_until};

/// What holds for every page, in every state: no error, no request to any other
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
    let about = browser
        .run("return document.querySelector('a[href*=\"/docs/PAGES.md#\"]')?.textContent ?? ''");
    assert_eq!(about, "About this page", "{path}");
    assert_eq!(browser.console_errors(), [""; 0], "{path}");
    assert_eq!(browser.requests_outside(app), [""; 0], "{path}");
}

/// The cells of a column of one of several tables, from top to bottom. What is
/// out of sight is not painted: see [`Browser::use_window`].
fn column(browser: &Browser, table: &str, title: &str) -> Vec<String> {
    let cells = browser.run(&format!(
        "const table = document.querySelector({});
         if (!table) return [];
         const titles = [...table.querySelectorAll('thead tr:first-child th')];
         const index = titles.findIndex((one) => one.textContent === {});
         return [...table.querySelectorAll('tbody tr:not(.space)')].map((row) => row.cells[index]?.textContent ?? '')",
        json!(table),
        json!(title)
    ));
    serde_json::from_value(cells).unwrap()
}

/// Waits until a column shows this, from top to bottom.
#[track_caller]
fn wait_for_column(browser: &Browser, table: &str, title: &str, expected: &[impl AsRef<str>]) {
    let expected: Vec<_> = expected.iter().map(AsRef::as_ref).collect();
    let what = format!("the column {title} of {table} shows {expected:?}");
    wait_until(&what, || column(browser, table, title) == expected);
}

/// Clicks the title of a column.
fn sort_by(browser: &Browser, table: &str, title: &str) {
    browser.run(&format!(
        "[...document.querySelectorAll({})].find((one) => one.textContent === {}).click()",
        json!(format!("{table} thead button")),
        json!(title)
    ));
}
