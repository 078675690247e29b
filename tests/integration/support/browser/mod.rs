//! A headless Chromium that tests drive as a person does.
//!
//! [`Browser::start`] gives one with its own profile; it ends with its value,
//! also when a test panics, and even when the test process is killed. There is
//! one at a time in a test process. What a test waits for is waited for with a
//! deadline, and when a test fails, it says how the page looked.
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
//! assert_eq!(browser.console_errors(), [""; 0]);    // since it was last asked
//! assert_eq!(browser.requests_outside(&app), [""; 0]);
//! let slow = browser.long_tasks();                  // milliseconds each, over 50
//! ```

mod driver;
mod watch;

use std::cell::Cell;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{PATIENCE, TestApp};
use driver::{Driver, Refusal};

/// Time between two looks at a page: often enough for a test, and seldom
/// enough not to disturb what is measured.
const LOOK: Duration = Duration::from_millis(25);

/// Sizes of windows, in CSS pixels.
const DESKTOP: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);

/// Whose turn it is to have a browser: two at once are slow, and `cargo test`
/// runs tests as threads of one process.
static TURN: Mutex<()> = Mutex::new(());

/// A browser with one window.
pub struct Browser {
    driver: Driver,
    width: Cell<u32>,
    _turn: MutexGuard<'static, ()>,
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
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let browser = Self {
            driver: Driver::start(logs_network),
            width: Cell::new(0),
            _turn: turn,
        };
        // Whatever page it starts with asks for things of its own.
        browser.open("about:blank");
        if logs_network {
            browser.requests();
        }
        browser.note_long_tasks();
        browser.use_desktop();
        browser.set_dark(false);
        browser
    }

    /// Opens a page, and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        let opened = self.driver.post("url", &json!({"url": url}));
        opened.unwrap_or_else(|refusal| panic!("{url} does not open: {refusal:?}"));
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        self.driver.post("refresh", &json!({})).unwrap();
    }

    /// Runs the body of a JavaScript function, and gives what it returns, or
    /// what a promise gives that it returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.try_run(script, &json!([]))
            .unwrap_or_else(|refusal| panic!("{}: {}\n{script}", refusal.error, refusal.message))
    }

    fn try_run(&self, script: &str, arguments: &Value) -> Result<Value, Refusal> {
        let body = json!({"script": script, "args": arguments});
        self.driver.post("execute/sync", &body)
    }

    /// Waits until a JavaScript expression is true in the page.
    #[track_caller]
    pub fn wait_until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        self.wait(expression, || match self.try_run(&script, &json!([])) {
            Ok(value) => value == true,
            // The page may still be on its way to what the expression names.
            Err(refusal) if refusal.error == "javascript error" => false,
            Err(refusal) => panic!("{refusal:?} in {expression}"),
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
        self.act(css, "click", &json!({}));
    }

    /// Types into the first match of a CSS selector, in place of what is there.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let text = if text.is_empty() {
            key("Delete")
        } else {
            text.to_owned()
        };
        // Control and A mark what is there; NULL lets all keys go.
        let text = format!("{}a\u{e000}{text}", key("Control"));
        self.act(css, "value", &json!({"text": text}));
    }

    /// Presses keys together where the focus is, such as `Tab`, `Shift+Tab`, `a`.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let keys: Vec<_> = keys.split('+').map(key).collect();
        let step = |kind: &str, key: &String| json!({"type": kind, "value": key});
        let down = keys.iter().map(|key| step("keyDown", key));
        let up = keys.iter().rev().map(|key| step("keyUp", key));
        let steps: Vec<_> = down.chain(up).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": steps});
        let pressed = self.driver.post("actions", &json!({"actions": [keyboard]}));
        pressed.unwrap();
    }

    /// Does something to the first match of a CSS selector: waits until it is
    /// there, not covered, and not replaced in the meantime.
    #[track_caller]
    fn act(&self, css: &str, action: &str, body: &Value) {
        let selector = json!({"using": "css selector", "value": css});
        let mut last = None;
        self.wait(&format!("{css} takes a {action}"), || {
            let done = self.driver.post("element", &selector).and_then(|found| {
                let id = found.as_object().and_then(|found| found.values().next());
                let id = id.and_then(Value::as_str).unwrap();
                self.driver.post(&format!("element/{id}/{action}"), body)
            });
            match done {
                Ok(_) => true,
                Err(refusal)
                    if matches!(
                        refusal.error.as_str(),
                        "no such element"
                            | "stale element reference"
                            | "element not interactable"
                            | "element click intercepted"
                    ) =>
                {
                    last = Some(refusal);
                    false
                }
                Err(refusal) => panic!("{css}: {refusal:?}, after {last:?}"),
            }
        });
    }

    /// Clicks what leads to a file, and waits until it is downloaded.
    #[track_caller]
    pub fn download(&self, css: &str) -> Download {
        let folder = self.driver.downloads();
        self.click(css);
        let mut finished = None;
        self.wait("a download", || {
            let files = std::fs::read_dir(&folder).into_iter().flatten();
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
        self.driver
            .devtools("Emulation.setDeviceMetricsOverride", &size);
        self.driver
            .devtools("Emulation.setTouchEmulationEnabled", &touch);
        self.width.set(width);
    }

    /// By how many pixels the page is wider than the window.
    #[track_caller]
    pub fn sideways_scroll(&self) -> i64 {
        let width = self.run("return document.scrollingElement.scrollWidth");
        (width.as_i64().unwrap() - i64::from(self.width.get())).max(0)
    }

    /// Whether the person prefers dark pages; nobody here wants to see them move.
    pub fn set_dark(&self, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.driver
            .devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// What can be seen, as a PNG.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        std::fs::write(path, self.try_screenshot().unwrap()).unwrap();
    }

    fn try_screenshot(&self) -> Result<Vec<u8>, Refusal> {
        let png = self.driver.get("screenshot")?;
        Ok(BASE64.decode(png.as_str().unwrap_or_default()).unwrap())
    }

    /// An argument by which the processes of this browser are known.
    pub fn profile(&self) -> String {
        self.driver.profile()
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
        if let Ok(text) = self.try_run(read, &json!([])) {
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

/// The character by which the protocol names a key.
fn key(name: &str) -> String {
    let code = match name {
        "Backspace" => '\u{e003}',
        "Tab" => '\u{e004}',
        "Enter" => '\u{e007}',
        "Shift" => '\u{e008}',
        "Control" => '\u{e009}',
        "Alt" => '\u{e00a}',
        "Escape" => '\u{e00c}',
        "Space" => ' ',
        "PageUp" => '\u{e00e}',
        "PageDown" => '\u{e00f}',
        "End" => '\u{e010}',
        "Home" => '\u{e011}',
        "ArrowLeft" => '\u{e012}',
        "ArrowUp" => '\u{e013}',
        "ArrowRight" => '\u{e014}',
        "ArrowDown" => '\u{e015}',
        "Delete" => '\u{e017}',
        other => {
            let mut characters = other.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None) => character,
                _ => panic!("no key is called {other}"),
            }
        }
    };
    code.to_string()
}
