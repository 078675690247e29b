//! Killing the server, PostgreSQL, or both, and starting again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tetcore_analytics::postgres::EmbeddedPostgres;

use super::{
    DataDir, answers, as_owner_of, finds_the_row, is_running, keep_a_row, kill, options, wait_for,
    wait_for_some,
};

/// Tells the child process of [`Holder`] which data directory to hold.
const HOLD_VARIABLE: &str = "TETCORE_ANALYTICS_TEST_HOLD";

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
