//! One headless Chromium for all tests of a run, started when the first of them
//! asks. Each test has a browser context of its own in it, as a person has a
//! private window: cookies, storage, cache and downloads are apart.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The browser ends when its third descriptor is closed, however this process
/// ended.
const WITH_PIPE: &str = "exec \"$@\" 3<&0 4>/dev/null </dev/null";

/// Prints the path of the browser, or fails.
const FIND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/find-browser");

/// What the browser must not do: show windows, ask for a sandbox that needs
/// more than root has in a container, phone home, find other hosts, slow down
/// pages that are behind others, bring back pages from memory.
const ARGUMENTS: [&str; 20] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--password-store=basic",
    "--hide-scrollbars",
    "--disable-hang-monitor",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-back-forward-cache",
    "--remote-debugging-pipe",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "about:blank",
];

/// Answers each connection with a line, the address of the browser's `DevTools`,
/// or with why there is none.
pub(crate) struct BrowserOffer {
    address: SocketAddr,
    running: Arc<Mutex<Option<RunningBrowser>>>,
}

impl BrowserOffer {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let offer = Self {
            address: listener.local_addr()?,
            running: Arc::default(),
        };
        let running = Arc::clone(&offer.running);
        std::thread::spawn(move || {
            for mut asking in listener.incoming().flatten() {
                let answer = address_of(&running).unwrap_or_else(|error| error.to_string());
                if let Err(error) = writeln!(asking, "{answer}") {
                    eprintln!("a test that asked for the browser has left: {error}");
                }
            }
        });
        Ok(offer)
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn end(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        drop(running.take());
    }
}

/// The address of the browser that runs; starts it, also again after it ended.
fn address_of(running: &Mutex<Option<RunningBrowser>>) -> Result<String> {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(browser) = running.as_mut()
        && browser.process.try_wait()?.is_none()
    {
        return Ok(browser.devtools.clone());
    }
    Ok(running.insert(RunningBrowser::start()?).devtools.clone())
}

struct RunningBrowser {
    process: Child,
    devtools: String,
    _profile: tempfile::TempDir,
}

impl RunningBrowser {
    fn start() -> Result<Self> {
        let found = Command::new(FIND).stderr(Stdio::null()).output()?;
        let program = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        if program.is_empty() {
            return Err(Error::other("there is no Chromium or Google Chrome"));
        }
        let profile = tempfile::tempdir()?;
        let mut process = Command::new("sh")
            .args(["-c", WITH_PIPE, "sh", &program])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(ARGUMENTS)
            // What the browser leaves behind goes with its profile.
            .env("TMPDIR", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take();
        let stderr = stderr.ok_or_else(|| Error::other("standard error is not piped"))?;
        let mut said = BufReader::new(stderr).lines();
        let mut told = String::new();
        let devtools = said.by_ref().map_while(Result::ok).find_map(|line| {
            told = format!("{told}\n{line}");
            Some(line.strip_prefix("DevTools listening on ")?.to_owned())
        });
        // Read to its end, so that the browser can always write.
        std::thread::spawn(move || said.for_each(drop));
        let Some(devtools) = devtools else {
            process.kill()?;
            process.wait()?;
            return Err(Error::other(format!("{program} does not start:{told}")));
        };
        Ok(Self {
            process,
            devtools,
            _profile: profile,
        })
    }
}

impl Drop for RunningBrowser {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if let Err(error) = self.process.wait() {
            eprintln!("the browser may still run: {error}");
        }
    }
}
