//! The embedded PostgreSQL with real processes: started, killed, started again, by two at once.
//!
//! Each test has its own data directory and its own cluster, made without forcing it to disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Text;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tetcore_analytics::store::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedPostgres};

/// How long any condition of these tests may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells the child process of [`Holder`] which data directory to hold.
const HOLD_VARIABLE: &str = "TETCORE_ANALYTICS_TEST_HOLD";

#[test]
fn a_second_start_finds_the_data_at_the_same_urls() {
    let data_dir = DataDir::new();
    let first = data_dir.start();
    let urls = (first.url().to_owned(), first.tcp_url().to_owned());
    keep_a_row(first.url());
    first.stop();

    let second = data_dir.start();
    assert_eq!((second.url(), second.tcp_url()), (&*urls.0, &*urls.1));
    assert!(finds_the_row(second.tcp_url()));
}

#[test]
fn the_cluster_is_deterministic_and_tuned() {
    let data_dir = DataDir::new();
    let postgres = data_dir.start();
    for (setting, expected) in [
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("wal_level", "minimal"),
        ("jit", "off"),
        ("listen_addresses", "127.0.0.1"),
    ] {
        let query = format!("SELECT current_setting('{setting}') AS value");
        assert_eq!(ask(postgres.url(), &query), expected, "{setting}");
    }
    let collation =
        "SELECT datcollate AS value FROM pg_database WHERE datname = current_database()";
    assert_eq!(ask(postgres.url(), collation), "C");
}

#[test]
fn the_operators_settings_are_read_last() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    data_dir.customise("work_mem = '17MB'\n");

    let postgres = data_dir.start();
    let query = "SELECT current_setting('work_mem') AS value";
    assert_eq!(ask(postgres.url(), query), "17MB");
}

#[test]
fn over_tcp_nobody_enters_without_the_password() {
    let data_dir = DataDir::new();
    let postgres = data_dir.start();
    let url = postgres.tcp_url();
    let (name_and_password, _) = url.split_once('@').unwrap();
    let (_, password) = name_and_password.rsplit_once(':').unwrap();
    let wrong = url.replace(password, "wrong");
    assert!(answers(url));
    assert!(PgConnection::establish(&wrong).is_err());
    assert!(!format!("{postgres:?}").contains(password));

    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(data_dir.path().join("postgres.password")), 0o600);
    assert_eq!(mode(data_dir.cluster()), 0o700);
    assert_eq!(mode(data_dir.path().join("socket")), 0o700);
}

#[test]
fn a_lost_password_file_is_replaced_by_a_new_password() {
    let data_dir = DataDir::new();
    let first = data_dir.start();
    let old = first.tcp_url().to_owned();
    first.stop();
    fs::remove_file(data_dir.path().join("postgres.password")).unwrap();

    let second = data_dir.start();
    assert_ne!(second.tcp_url(), old);
    assert!(answers(second.tcp_url()));
}

#[test]
fn two_servers_on_one_data_directory_are_refused() {
    let data_dir = DataDir::new();
    let first = data_dir.start();
    let refusal = EmbeddedPostgres::start(&data_dir.options()).unwrap_err();
    assert!(matches!(refusal, EmbeddedError::InUse { .. }), "{refusal}");
    assert!(answers(first.url()));
}

#[test]
fn a_killed_postgres_is_noticed_and_started_again_at_the_same_url() {
    let data_dir = DataDir::new();
    let mut postgres = data_dir.start();
    keep_a_row(postgres.url());
    assert!(!postgres.restart_if_dead().unwrap());

    kill(data_dir.postmaster(), "KILL");
    wait_for("its death to be noticed", || !postgres.is_alive().unwrap());
    assert!(postgres.restart_if_dead().unwrap());
    assert!(postgres.is_alive().unwrap());
    assert!(finds_the_row(postgres.url()));
}

#[test]
fn a_restart_does_without_tcp_while_its_port_is_taken() {
    let data_dir = DataDir::new();
    let mut postgres = data_dir.start();
    let port = data_dir.port();
    kill(data_dir.postmaster(), "KILL");
    wait_for("its death to be noticed", || !postgres.is_alive().unwrap());
    let taken = wait_for_some("its port to be free", || {
        TcpListener::bind(("127.0.0.1", port)).ok()
    });

    assert!(postgres.restart_if_dead().unwrap());
    assert!(answers(postgres.url()));
    drop(taken);
}

#[test]
fn a_taken_port_is_replaced_at_the_next_start() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    let port = data_dir.port();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();

    let postgres = data_dir.start();
    assert_ne!(data_dir.port(), port);
    assert!(answers(postgres.tcp_url()));
    drop(taken);
}

#[test]
fn a_killed_server_takes_its_postgres_with_it() {
    let data_dir = DataDir::new();
    let mut server = Holder::start(&data_dir);
    let postmaster = data_dir.postmaster();
    server.kill();
    wait_for("postgres to end", || !is_running(postmaster));

    let postgres = data_dir.start();
    assert!(finds_the_row(postgres.url()));
}

#[test]
fn a_postgres_that_outlived_its_server_is_replaced() {
    let data_dir = DataDir::new();
    let mut server = Holder::start(&data_dir);
    let postmaster = data_dir.postmaster();
    // As when a container or a session is ended: everything but PostgreSQL is killed.
    kill(server.watchdog(), "KILL");
    server.kill();
    assert!(is_running(postmaster));

    let postgres = data_dir.start();
    assert_ne!(data_dir.postmaster(), postmaster);
    assert!(finds_the_row(postgres.url()));
}

#[test]
fn a_stale_pid_file_does_not_stop_the_start() {
    let data_dir = DataDir::new();
    let mut postgres = data_dir.start();
    kill(data_dir.postmaster(), "KILL");
    wait_for("its death to be noticed", || !postgres.is_alive().unwrap());
    postgres.stop();
    let pid_file = data_dir.cluster().join("postmaster.pid");
    let stale = fs::read_to_string(&pid_file).unwrap();
    let (_, rest) = stale.split_once('\n').unwrap();
    // The number belongs to somebody else by now: a process of the same user, as in a container.
    let mut innocent = as_owner_of(&data_dir.cluster(), "sleep")
        .arg("600")
        .spawn()
        .unwrap();
    fs::write(&pid_file, format!("{}\n{rest}", innocent.id())).unwrap();

    let postgres = data_dir.start();
    assert!(answers(postgres.url()));
    assert!(innocent.try_wait().unwrap().is_none(), "it was left alone");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[test]
fn an_interrupted_first_start_is_done_again() {
    let data_dir = DataDir::new();
    let unfinished = data_dir.path().join("postgres.unfinished-1/base");
    fs::create_dir_all(&unfinished).unwrap();

    let postgres = data_dir.start();
    assert!(answers(postgres.url()));
    assert!(!unfinished.exists());
}

#[test]
fn data_of_another_major_version_is_refused_with_cause_and_cure() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    fs::write(data_dir.cluster().join("PG_VERSION"), "9\n").unwrap();

    let refusal = EmbeddedPostgres::start(&data_dir.options()).unwrap_err();
    assert!(
        matches!(refusal, EmbeddedError::OtherMajorVersion { made_by: 9, .. }),
        "{refusal}"
    );
    assert!(refusal.to_string().contains("docs/EMBEDDED_POSTGRES.md"));
}

#[test]
fn a_wrong_setting_of_the_operator_is_named() {
    let data_dir = DataDir::new();
    data_dir.start().stop();
    data_dir.customise("no_such_setting = 1\n");

    let refusal = EmbeddedPostgres::start(&data_dir.options()).unwrap_err();
    assert!(refusal.to_string().contains("no_such_setting"), "{refusal}");
}

#[test]
fn a_bin_dir_without_postgres_is_refused() {
    let data_dir = DataDir::new();
    let options = EmbeddedOptions {
        bin_dir: Some("/nowhere".into()),
        ..data_dir.options()
    };
    let refusal = EmbeddedPostgres::start(&options).unwrap_err();
    assert!(refusal.to_string().contains("PG_BIN_DIR /nowhere"));
}

#[test]
fn a_long_data_directory_still_has_a_socket() {
    let data_dir = DataDir::new();
    let options = EmbeddedOptions {
        data_dir: data_dir.path().join("long".repeat(30)),
        ..data_dir.options()
    };
    let postgres = EmbeddedPostgres::start(&options).unwrap();
    assert!(postgres.url().contains("%2Ftmp%2Ftetcore-analytics-"));
    assert!(answers(postgres.url()));
    let encoded = postgres.url().split(['@', ':']).nth(2).unwrap();
    let socket_dir = encoded.replace("%2F", "/");
    drop(postgres);
    fs::remove_dir_all(socket_dir).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_in_the_terminal_does_not_reach_postgres() {
    let data_dir = DataDir::new();
    let _postgres = data_dir.start();
    let postmaster = data_dir.postmaster();
    let stat = fs::read_to_string(format!("/proc/{postmaster}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let group = after_name.split_whitespace().nth(2).unwrap();
    assert_eq!(group, postmaster.to_string(), "it leads its own group");
}

#[test]
fn started_by_root_it_runs_as_somebody_else() {
    let data_dir = DataDir::new();
    if fs::metadata(data_dir.path()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: needs root");
        return;
    }
    // Its own directory it may open; what lies above is the operator's.
    fs::set_permissions(data_dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let _postgres = data_dir.start();
    assert_ne!(fs::metadata(data_dir.cluster()).unwrap().uid(), 0);
    assert_eq!(fs::metadata(data_dir.path()).unwrap().uid(), 0);
}

#[test]
fn started_by_root_beneath_a_closed_directory_it_finds_another_place() {
    let closed = DataDir::new();
    if fs::metadata(closed.path()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let options = EmbeddedOptions {
        data_dir: closed.path().join("data"),
        ..closed.options()
    };
    let mode = || fs::metadata(closed.path()).unwrap().mode() & 0o777;
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let first = EmbeddedPostgres::start(&options).unwrap();
    keep_a_row(first.url());
    first.stop();
    let second = EmbeddedPostgres::start(&options).unwrap();
    assert!(finds_the_row(second.url()));
    second.stop();

    assert_eq!(mode(), 0o700, "what is not ours stays as it is");
    let cluster = fs::canonicalize(options.data_dir.join("postgres")).unwrap();
    assert!(cluster.starts_with("/var/lib/tetcore-analytics"));
    fs::remove_dir_all(cluster.parent().unwrap()).unwrap();
}

/// Not a test of its own: what [`Holder`] runs in another process. Without its variable it does
/// nothing.
#[test]
fn holds_a_cluster_until_it_is_killed() {
    let Some(data_dir) = std::env::var_os(HOLD_VARIABLE) else {
        return;
    };
    let postgres = EmbeddedPostgres::start(&options(Path::new(&data_dir))).unwrap();
    keep_a_row(postgres.url());
    println!("\nholding");
    loop {
        thread::park();
    }
}

/// Another process with an embedded PostgreSQL, to be killed.
struct Holder {
    process: Child,
}

impl Holder {
    fn start(data_dir: &DataDir) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg(name_of_this_module("holds_a_cluster_until_it_is_killed"))
            .env(HOLD_VARIABLE, data_dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let is_holding = said
            .lines()
            .map_while(Result::ok)
            .any(|line| line == "holding");
        let holder = Self { process };
        assert!(is_holding, "the other process did not start its PostgreSQL");
        holder
    }

    /// The shell that would stop PostgreSQL when this process ends.
    fn watchdog(&self) -> u32 {
        let mut system = System::new().unwrap();
        let what = ProcessRefreshKind::nothing().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let holder = Pid::from_u32(self.process.id());
        let watchdog = system
            .processes()
            .values()
            .find(|process| process.parent() == Some(holder) && process.name() != "postgres");
        watchdog.unwrap().pid().as_u32()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.kill();
        }
    }
}

/// The name of a test of this file as the test runner knows it: without the crate.
fn name_of_this_module(test: &str) -> String {
    match module_path!().split_once("::") {
        Some((_, module)) => format!("{module}::{test}"),
        None => test.to_owned(),
    }
}

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
