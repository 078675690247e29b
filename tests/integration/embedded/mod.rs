//! The embedded PostgreSQL with real processes: started, killed, started again, by two at once.
//!
//! Each test has its own data directory and its own cluster, made without forcing it to disk.

mod recovery;
mod root;
mod start;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Text;
use tetcore_analytics::postgres::{EmbeddedOptions, EmbeddedPostgres};

/// How long any condition of these tests may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary data directory.
struct DataDir(tempfile::TempDir);

impl DataDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn cluster(&self) -> PathBuf {
        self.path().join("postgres")
    }

    fn options(&self) -> EmbeddedOptions {
        options(self.path())
    }

    fn start(&self) -> EmbeddedPostgres {
        EmbeddedPostgres::start(&self.options()).unwrap()
    }

    /// Writes the operator's own settings.
    fn customise(&self, settings: &str) {
        let custom = self.cluster().join("custom.conf");
        fs::write(&custom, settings).unwrap();
        fs::set_permissions(&custom, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.cluster().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    fn port(&self) -> u16 {
        let file = fs::read_to_string(self.path().join("postgres.port")).unwrap();
        file.trim().parse().unwrap()
    }
}

fn options(data_dir: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        data_dir: data_dir.to_owned(),
        bin_dir: None,
        durable: false,
    }
}

/// A command that runs as the user a file belongs to.
fn as_owner_of(path: &Path, program: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let owner = fs::metadata(path).unwrap();
    let own_uid = fs::metadata("/proc/self").map_or(owner.uid(), |own| own.uid());
    let mut command = Command::new(program);
    if own_uid != owner.uid() {
        command.gid(owner.gid()).uid(owner.uid());
    }
    command
}

fn kill(pid: u32, signal: &str) {
    let status = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$2\" \"$1\"", "sh"])
        .args([&pid.to_string(), signal])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {signal} {pid}");
}

fn is_running(pid: u32) -> bool {
    let status = Command::new("/bin/sh")
        .args(["-c", "kill -0 \"$1\" 2>/dev/null", "sh", &pid.to_string()])
        .status()
        .unwrap();
    status.success()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for_some(what, || condition().then_some(()));
}

fn wait_for_some<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    value: String,
}

fn execute(url: &str, statement: &str) {
    let mut connection = PgConnection::establish(url).unwrap();
    diesel::sql_query(statement)
        .execute(&mut connection)
        .unwrap();
}

/// The one text that `query` selects as `value`.
fn ask(url: &str, query: &str) -> String {
    let mut connection = PgConnection::establish(url).unwrap();
    let answer: Answer = diesel::sql_query(query)
        .get_result(&mut connection)
        .unwrap();
    answer.value
}

/// True if `url` leads to a database that answers.
fn answers(url: &str) -> bool {
    ask(url, "SELECT 'yes' AS value") == "yes"
}

/// Writes the row that [`finds_the_row`] finds again.
fn keep_a_row(url: &str) {
    execute(url, "CREATE TABLE kept AS SELECT 'yes' AS value");
}

fn finds_the_row(url: &str) -> bool {
    ask(url, "SELECT value FROM kept") == "yes"
}
