//! That the browser of the tests sees what it is there to see: a page with all
//! the faults that the others must not have.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;

use crate::support::{Browser, TestApp, wait_until};

/// The policy of the server stops inline handlers and requests to others.
const FAULTY: &str = r#"<!DOCTYPE html>
<html lang="en"><head><meta name="viewport" content="width=device-width"><title>Faulty</title><link rel="icon" href="data:,">
<style>#wide { width: 500px } @media (prefers-color-scheme: dark) { body { background: #111; color: #333 } }</style></head>
<body><main><h1>Faulty</h1><p id="wide">Some text.</p>
<label>Name <input id="name" value="old"></label> <button id="button">Press</button> <output id="said"></output>
<a id="file" download="rows.csv">Export</a> <a id="out" href="http://example.invalid/">Elsewhere</a></main>
<script>
  const said = document.getElementById("said");
  document.getElementById("name").addEventListener("input", (event) => { said.textContent = event.target.value; });
  document.getElementById("name").addEventListener("keydown", (event) => { if (event.shiftKey && event.key === "ArrowUp") said.textContent = "up"; });
  document.getElementById("button").addEventListener("click", () => setTimeout(() => { throw new Error("on purpose"); }));
  document.getElementById("file").href = URL.createObjectURL(new Blob(["name,height\nalpha,7\n"], { type: "text/csv" }));
  const busy = () => { for (const end = performance.now() + 120; performance.now() < end;); };
</script></body></html>"#;

/// A server whose start page has faults.
fn faulty() -> (TestApp, tempfile::TempDir) {
    let assets = tempfile::tempdir().unwrap();
    std::fs::write(assets.path().join("index.html"), FAULTY).unwrap();
    let app = TestApp::builder()
        .env("ASSETS_PATH", assets.path().display())
        .start_listening();
    (app, assets)
}

#[test]
fn what_is_wrong_with_a_page_is_seen() {
    let (app, _assets) = faulty();
    let browser = Browser::start();
    browser.open(&app.url("/"));
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    assert_eq!(browser.sideways_scroll(), 0);
    assert_eq!(browser.console_errors(), [""; 0]);
    assert_eq!(browser.requests(), [app.url("/")]);

    browser.set_dark(true);
    let faults = browser.accessibility_faults();
    let is_contrast = |fault: &String| fault.starts_with("serious color-contrast at ");
    assert!(
        !faults.is_empty() && faults.iter().all(is_contrast),
        "{faults:?}"
    );
    browser.use_phone();
    assert!(browser.sideways_scroll() > 100);
    browser.click("#button");
    wait_until("the exception is in the console", || {
        let errors = browser.console_errors();
        errors.iter().any(|error| error.contains("on purpose"))
    });
    browser.run("setTimeout(busy)");
    wait_until("a long task is seen", || {
        browser.long_tasks().iter().any(|task| *task >= 120.0)
    });
    browser.run("new WebSocket(`ws://${location.host}/nowhere`)");
    wait_until("the refused websocket is in the console", || {
        let errors = browser.console_errors();
        errors.iter().any(|error| error.contains("/nowhere"))
    });
    assert_eq!(browser.requests_outside(&app), [""; 0]);
    browser.click("#out");
    browser.wait_until("location.protocol === 'chrome-error:'");
    assert_eq!(browser.requests_outside(&app), ["http://example.invalid/"]);
}

#[test]
fn a_page_is_used_as_a_person_does() {
    let (app, _assets) = faulty();
    let browser = Browser::start_for_measuring();
    browser.open(&app.url("/"));
    browser.fill("#name", "altair");
    browser.wait_for_text("#said", "altair");
    browser.press("Shift+ArrowUp");
    assert_eq!(browser.text("#said"), "up");
    browser.fill("#name", "");
    assert_eq!(
        browser.run("return Promise.resolve(document.activeElement.value)"),
        ""
    );
    browser.press("Tab");
    assert_eq!(browser.run("return document.activeElement.id"), "button");
    for _ in 0..2 {
        let file = browser.download("#file");
        assert_eq!(
            (file.name.as_str(), file.text.as_str()),
            ("rows.csv", "name,height\nalpha,7\n")
        );
    }
    let picture = app.data_dir().join("page.png");
    browser.use_window(320, 200, false);
    browser.screenshot(&picture);
    let png = std::fs::read(picture).unwrap();
    assert_eq!(&png[12..24], b"IHDR\0\0\x01\x40\0\0\0\xc8");
}

#[test]
fn no_window_outlives_a_test_that_fails() {
    let mut window = String::new();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let browser = Browser::start();
        window = browser.window();
        assert!(Browser::has_window(&window));
        panic!("on purpose");
    }));
    assert!(failed.is_err());
    wait_until("the window is closed", || !Browser::has_window(&window));
}

#[test]
fn windows_know_nothing_of_each_other() {
    let (app, _assets) = faulty();
    let [one, other] = [Browser::start(), Browser::start()];
    for browser in [&one, &other] {
        browser.open(&app.url("/"));
        browser.requests();
    }
    one.run("document.cookie = 'a=1'; localStorage.a = '1'; console.error('on purpose')");
    one.fill("#name", "one");
    other.fill("#name", "other");
    one.press("Shift+ArrowUp");
    assert_eq!(
        (one.text("#said"), other.text("#said")),
        ("up".to_owned(), "other".to_owned())
    );
    assert_eq!(
        other.run("return document.cookie + localStorage.length"),
        "0"
    );
    assert_eq!(one.console_errors().len(), 1);
    assert_eq!(other.console_errors(), [""; 0]);
    one.reload();
    assert_eq!(other.requests(), [""; 0]);
    assert_eq!(one.requests(), [app.url("/")]);
    for browser in [&one, &other] {
        assert_eq!(
            browser.run("return [document.hasFocus(), document.visibilityState]"),
            json!([true, "visible"])
        );
    }
    let file = other.download("#file");
    assert_eq!(file.name, "rows.csv");
}
