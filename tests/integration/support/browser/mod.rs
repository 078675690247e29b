//! A headless Chromium that tests drive as a person does.
//!
//! All tests of a run share one process, which `tests/with_postgres` starts.
//! [`Browser::start`] gives a window in a context of its own (cookies, storage,
//! cache and downloads); it closes with its value, also when a test panics, and
//! even when the test process is killed. What a test waits for is waited for
//! with a deadline, and when a test fails, it says how the page looked.
//!
//! ```ignore
//! let browser = Browser::start();
//! browser.open(&app.url("/dashboard/"));            // until the load event
//! browser.wait_for("#nodes [role=row]");            // CSS selector
//! browser.wait_until("rows.length === 40");         // JavaScript expression
//! browser.wait_for_text("#status", "online");
//! browser.fill("#search", "altair");                // as typed
//! browser.click("#chain option[value=alpha]");      // as soon as it can be clicked
//! browser.press("Shift+Tab");
//! assert_eq!(browser.texts("td.name"), ["altair-00"]);
//! let count = browser.run("return document.images.length"); // may return a promise
//! let csv = browser.download("#csv").text;
//! browser.set_dark(true);
//! browser.use_phone();                              // and use_desktop()
//! assert_eq!(browser.sideways_scroll(), 0);
//! assert_eq!(browser.accessibility_faults(), [""; 0]);
//! assert_eq!(browser.console_errors(), [""; 0]);    // since the last call
//! assert_eq!(browser.requests_outside(&app), [""; 0]);
//! let slow = browser.long_tasks();                  // milliseconds each, over 50
//! ```

mod devtools;
mod keys;
mod watch;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{PATIENCE, TestApp};
use devtools::{DevTools, Refusal};

/// Time between two looks at a page: often enough for a test, and seldom
/// enough not to disturb what is measured.
const LOOK: Duration = Duration::from_millis(25);

/// Sizes of windows, in CSS pixels.
const DESKTOP: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);

/// Brings an element into view, and gives the point of the window where a
/// person would click it, or why that is not possible. An option of a list is
/// chosen at once, for the open list is no part of the page.
const AIM: &str = "
    const found = document.querySelector(css);
    if (!found) return 'it is not there';
    if (found.matches(':disabled')) return 'it is disabled';
    if (found instanceof HTMLOptionElement) {
      const list = found.closest('select');
      if (!list.checkVisibility() || list.matches(':disabled')) return 'its list cannot be used';
      list.focus();
      if (!found.selected) {
        found.selected = true;
        list.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
        list.dispatchEvent(new Event('change', { bubbles: true }));
      }
      return null;
    }
    found.scrollIntoView({ block: 'nearest', inline: 'nearest', behavior: 'instant' });
    const [box] = found.getClientRects();
    if (!box || !box.width || !box.height) return 'it cannot be seen';
    const middle = (from, to, end) => (Math.max(from, 0) + Math.min(to, end)) / 2;
    const [x, y] = [middle(box.left, box.right, innerWidth), middle(box.top, box.bottom, innerHeight)];
    const hit = document.elementFromPoint(x, y);
    if (!hit || !found.contains(hit)) return `it is covered by ${hit?.outerHTML.slice(0, 200)}`;
    window.testHit = false;
    addEventListener('click', (event) => { window.testHit = found.contains(event.target); }, { capture: true, once: true });
    return { x, y };";

/// Whether the last click reached its element: the page may move or replace it
/// between the aim and the click. A page that was left has been clicked.
const HIT: &str = "return window.testHit ?? true";

/// Puts the focus into a field and marks what is in it, or says why it cannot.
const FOCUS: &str = "
    const found = document.querySelector(css);
    if (!found) return 'it is not there';
    if (!found.checkVisibility() || found.matches(':disabled')) return 'it cannot be used';
    found.scrollIntoView({ block: 'nearest', inline: 'nearest', behavior: 'instant' });
    found.focus();
    if (document.activeElement !== found) return 'it takes no focus';
    found.select();
    return null;";

/// A window with one page.
pub struct Browser {
    devtools: RefCell<DevTools>,
    downloads: tempfile::TempDir,
    width: Cell<u32>,
}

/// A file that was downloaded.
pub struct Download {
    pub name: String,
    pub text: String,
}

impl Browser {
    /// A browser with the window of a desktop, in light mode.
    pub fn start() -> Self {
        Self::start_with(true)
    }

    /// A browser that does not keep a log of its requests, so that what a page
    /// costs can be measured; [`Browser::requests_outside`] is not for it.
    pub fn start_for_measuring() -> Self {
        Self::start_with(false)
    }

    fn start_with(logs_network: bool) -> Self {
        let browser = Self {
            devtools: RefCell::new(DevTools::start()),
            downloads: tempfile::tempdir().unwrap(),
            width: Cell::new(0),
        };
        for domain in ["Page", "Runtime", "Log"] {
            browser.command(&format!("{domain}.enable"), &json!({}));
        }
        if logs_network {
            browser.command("Network.enable", &json!({}));
        }
        browser.command("Page.setLifecycleEventsEnabled", &json!({"enabled": true}));
        let ignore = json!({"ignore": true});
        browser.command("Security.setIgnoreCertificateErrors", &ignore);
        // As if it were the only window: a page behind others gets no focus.
        let focus = json!({"enabled": true});
        browser.command("Emulation.setFocusEmulationEnabled", &focus);
        browser.note_long_tasks();
        browser.use_desktop();
        browser.set_dark(false);
        browser.keep_downloads();
        browser
    }

    fn keep_downloads(&self) {
        let context = self.devtools.borrow().context.clone();
        let downloads = json!({"behavior": "allow", "browserContextId": context, "downloadPath": self.downloads.path()});
        self.command("Browser.setDownloadBehavior", &downloads);
    }

    /// A command of the protocol that always works.
    #[track_caller]
    fn command(&self, method: &str, parameters: &Value) -> Value {
        self.devtools.borrow_mut().command(method, parameters)
    }

    /// Opens a page, and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        let mut devtools = self.devtools.borrow_mut();
        let opened = devtools.command("Page.navigate", &json!({"url": url}));
        assert!(
            opened["errorText"].is_null(),
            "{url} does not open: {opened}"
        );
        if let Some(loader) = opened["loaderId"].as_str() {
            let loaded = devtools.wait_loaded(loader, true);
            loaded.unwrap_or_else(|refusal| panic!("{url} does not open: {refusal:?}"));
        } else {
            // Only the part behind # is another.
            drop(devtools);
            self.wait_until(&format!("location.href === new URL({}).href", json!(url)));
        }
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        let mut devtools = self.devtools.borrow_mut();
        let loaded = devtools.loaded();
        devtools.command("Page.reload", &json!({}));
        devtools.wait_loaded(&loaded, false).unwrap();
    }

    /// Runs the body of a JavaScript function, and gives what it returns, or
    /// what a promise gives that it returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.try_run(script)
            .unwrap_or_else(|Refusal(message)| panic!("{message}\n{script}"))
    }

    fn try_run(&self, script: &str) -> Result<Value, Refusal> {
        let script = json!({
            "expression": format!("(function () {{ {script}\n}})()"),
            "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut devtools = self.devtools.borrow_mut();
        let mut answer = devtools.call("Runtime.evaluate", &script)?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            exception => Err(Refusal(devtools::words(exception))),
        }
    }

    /// Waits until a JavaScript expression is true in the page.
    #[track_caller]
    pub fn wait_until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        self.wait(expression, || match self.try_run(&script) {
            Ok(value) => value == true,
            // The page may still be on its way to what the expression names.
            Err(_) => false,
        });
    }

    /// Waits until something matches a CSS selector and can be seen.
    #[track_caller]
    pub fn wait_for(&self, css: &str) {
        self.wait_until(&format!(
            "[...document.querySelectorAll({})].some((found) => found.checkVisibility())",
            json!(css)
        ));
    }

    /// Waits until the text of the first match of a CSS selector contains this.
    #[track_caller]
    pub fn wait_for_text(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.wait_until(&format!(
            "document.querySelector({css}).innerText.includes({text})"
        ));
    }

    /// The text of the first match of a CSS selector, as it can be read.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let texts = self.texts(css);
        let first = texts.into_iter().next();
        first.unwrap_or_else(|| panic!("nothing matches {css}"))
    }

    /// The texts of all matches of a CSS selector, in the order of the page.
    #[track_caller]
    pub fn texts(&self, css: &str) -> Vec<String> {
        let css = json!(css);
        let texts = self.run(&format!(
            "return [...document.querySelectorAll({css})].map((found) => found.innerText)"
        ));
        serde_json::from_value(texts).unwrap()
    }

    /// Clicks the first match of a CSS selector, as soon as it can be clicked.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let what = format!("{css} takes a click");
        self.wait(&what, || {
            let point = self.act(css, "click", AIM);
            if point.is_null() {
                return true;
            }
            for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
                let mut event = point.clone();
                event["type"] = json!(kind);
                if kind != "mouseMoved" {
                    event["button"] = json!("left");
                    event["clickCount"] = json!(1);
                }
                self.command("Input.dispatchMouseEvent", &event);
            }
            !self.try_run(HIT).is_ok_and(|hit| hit == false)
        });
    }

    /// Types into the first match of a CSS selector, in place of what is there.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        self.act(css, "text", FOCUS);
        if text.is_empty() {
            self.press("Delete");
        }
        let mut letter = [0; 4];
        for character in text.chars() {
            self.type_keys(&[character.encode_utf8(&mut letter)]);
        }
    }

    /// Presses keys together where the focus is, such as `Tab`, `Shift+Tab`, `a`.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        self.type_keys(&keys.split('+').collect::<Vec<_>>());
    }

    #[track_caller]
    fn type_keys(&self, keys: &[&str]) {
        for event in keys::press(keys) {
            self.command("Input.dispatchKeyEvent", &event);
        }
    }

    /// Runs a script on the first match of a CSS selector, again and again until
    /// it no longer gives a text, which says why the action is not possible yet.
    #[track_caller]
    fn act(&self, css: &str, action: &str, script: &str) -> Value {
        let script = format!("const css = {};{script}", json!(css));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reason = match self.try_run(&script) {
                Ok(Value::String(reason)) => reason,
                Ok(done) => return done,
                Err(refusal) if refusal.is_of_navigation() => refusal.0,
                Err(refusal) => panic!("{css}: {refusal:?}"),
            };
            assert!(
                Instant::now() < deadline,
                "{css} takes no {action}: {reason}"
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Clicks what leads to a file, and waits until it is downloaded.
    #[track_caller]
    pub fn download(&self, css: &str) -> Download {
        let folder = self.downloads.path();
        self.click(css);
        let mut finished = None;
        self.wait("a download", || {
            let files = std::fs::read_dir(folder).into_iter().flatten();
            finished = files.map(|file| file.unwrap().path()).find(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                // Until it is complete it has another name, and an empty file keeps its own.
                let is_whole = !name.starts_with('.') && !name.ends_with(".crdownload");
                is_whole && path.metadata().is_ok_and(|file| file.len() > 0)
            });
            finished.is_some()
        });
        let path = finished.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        Download {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text,
        }
    }

    /// The window of a desktop: 1280 × 800 pixels.
    pub fn use_desktop(&self) {
        self.use_window(DESKTOP.0, DESKTOP.1, false);
    }

    /// The window of a phone, with touch: 390 × 844 pixels.
    pub fn use_phone(&self) {
        self.use_window(PHONE.0, PHONE.1, true);
    }

    /// A window of any size, in CSS pixels.
    pub fn use_window(&self, width: u32, height: u32, is_phone: bool) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        let touch = json!({"enabled": is_phone});
        self.command("Emulation.setDeviceMetricsOverride", &size);
        self.command("Emulation.setTouchEmulationEnabled", &touch);
        self.width.set(width);
    }

    /// By how many pixels the page is wider than the window.
    #[track_caller]
    pub fn sideways_scroll(&self) -> i64 {
        let width = self.run("return document.scrollingElement.scrollWidth");
        (width.as_i64().unwrap() - i64::from(self.width.get())).max(0)
    }

    /// Whether dark pages are preferred; motion is reduced.
    pub fn set_dark(&self, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.command("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// What can be seen, as a PNG.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        std::fs::write(path, self.try_screenshot().unwrap()).unwrap();
    }

    fn try_screenshot(&self) -> Result<Vec<u8>, Refusal> {
        let mut devtools = self.devtools.borrow_mut();
        let picture = devtools.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        Ok(BASE64
            .decode(picture["data"].as_str().unwrap_or_default())
            .unwrap())
    }

    /// By what [`Browser::has_window`] knows this one.
    pub fn window(&self) -> String {
        self.devtools.borrow().target.clone()
    }

    /// Whether a window is still open.
    pub fn has_window(window: &str) -> bool {
        let targets = DevTools::connect().command("Target.getTargets", &json!({}));
        let targets = targets["targetInfos"].as_array().unwrap();
        targets.iter().any(|one| one["targetId"] == window)
    }

    #[track_caller]
    fn wait(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "waited in vain for: {what}");
            std::thread::sleep(LOOK);
        }
    }

    /// Says how the page looked when a test failed.
    fn tell(&self) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("page").replace("::", "-");
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        if let Ok(png) = self.try_screenshot() {
            let _ = std::fs::write(&picture, png);
            eprintln!("the page looked like this: {}", picture.display());
        }
        let read = "return `${location}\n${document.body.innerText.slice(0, 2000)}`";
        if let Ok(text) = self.try_run(read) {
            eprintln!("it was {}", text.as_str().unwrap_or_default());
        }
        if let Ok(errors) = self.try_console_errors() {
            eprintln!("its console said {errors:#?}");
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
    }
}
