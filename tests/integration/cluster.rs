//! Several servers of one database: heartbeats, leases, lost servers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{TestApp, TestAppBuilder, TestDb, wait_until};

/// A server beside another one, on its database.
fn beside(app: &TestApp) -> TestApp {
    TestApp::builder().env("DATABASE_URL", app.db.url()).start()
}

fn servers(app: &TestApp) -> Vec<Value> {
    let answer = app.get("/api/v1/servers").json();
    answer.as_array().unwrap().clone()
}

fn leases(app: &TestApp) -> f64 {
    app.metric("cluster_lease_held")
}

/// Names of the jobs, which some server has each.
fn jobs(app: &TestApp) -> BTreeSet<String> {
    let all = servers(app);
    let leases = all.iter().flat_map(|server| {
        let leases = server["leases"].as_array().unwrap().iter();
        leases.map(|lease| lease.as_str().unwrap().to_owned())
    });
    leases.collect()
}

#[test]
fn servers_say_who_they_are_and_what_they_do() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    node.send(
        json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": {"msg": "hello"}}).to_string(),
    );
    wait_until("the server has all jobs and one session", || {
        let all = servers(&app);
        let server = all.first();
        server.is_some_and(|server| server["sessions"] == 1)
            && jobs(&app).len() as f64 == leases(&app)
            && leases(&app) > 0.0
    });
    let all = servers(&app);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["alive"], true);
    assert_eq!(all[0]["stopped_at"], Value::Null);
    assert_eq!(all[0]["version"], env!("CARGO_PKG_VERSION"));
    assert!(all[0]["name"].is_string());
    assert!(jobs(&app).contains("retention"));
    let other = beside(&app);
    wait_until("both are listed", || servers(&app).len() == 2);
    assert_eq!(leases(&other), 0.0, "each job is that of one server");
}

#[test]
fn a_server_that_leaves_in_order_says_so_and_gives_its_jobs_away() {
    let mut first = TestApp::start();
    wait_until("the first has the jobs", || leases(&first) > 0.0);
    let count = leases(&first);
    let second = beside(&first);
    first.stop();
    wait_until("the second has all jobs", || leases(&second) == count);
    let stopped = servers(&second)
        .into_iter()
        .find(|server| server["alive"] == false)
        .unwrap();
    assert!(stopped["stopped_at"].is_string());
    assert_eq!(stopped["leases"], json!([]));
}

#[test]
fn the_jobs_of_a_killed_server_are_taken_over() {
    let mut first = TestApp::start();
    wait_until("the first has the jobs", || leases(&first) > 0.0);
    let count = leases(&first);
    let second = beside(&first);
    first.kill();
    wait_until("the second has all jobs", || leases(&second) == count);
    let token = first.db.count("SELECT min(token) FROM leases");
    assert!(token > 1, "a new holder has a higher token");
}

#[test]
fn a_paused_server_that_resumes_has_lost_its_jobs() {
    let first = TestApp::start();
    wait_until("the first has the jobs", || leases(&first) > 0.0);
    let count = leases(&first);
    let second = beside(&first);
    first.signal("STOP");
    wait_until("the second has all jobs", || leases(&second) == count);
    first.signal("CONT");
    wait_until("the first knows it", || leases(&first) == 0.0);
    assert_eq!(leases(&second), count);
}

#[test]
fn sessions_of_a_lost_server_are_ended_by_another() {
    let mut first = TestApp::start();
    let mut node = first.node("/submit");
    node.send(
        json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": {"msg": "hello"}}).to_string(),
    );
    first.wait_stored(1);
    let second = beside(&first);
    let open = "SELECT count(*) FROM peer_connections WHERE disconnected_at IS NULL";
    assert_eq!(first.db.count(open), 1);
    first.kill();
    wait_until("its session is ended", || first.db.count(open) == 0);
    let reasons = first
        .db
        .texts("SELECT disconnect_reason AS value FROM peer_connections");
    assert_eq!(reasons, ["server_lost"]);
    drop(second);
}

#[test]
fn a_database_that_refuses_for_a_while_makes_nobody_lost() {
    let first = TestApp::builder().db(TestDb::new()).start();
    let mut node = first.node("/submit");
    node.send(
        json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": {"msg": "hello"}}).to_string(),
    );
    first.wait_stored(1);
    let second = beside(&first);
    wait_until("both are listed", || servers(&second).len() == 2);
    first.db.refuse_connections();
    wait_until("heartbeats fail", || {
        first.metric("cluster_heartbeat_failures_total") > 3.0
            && second.metric("cluster_heartbeat_failures_total") > 3.0
    });
    first.db.allow_connections();
    wait_until("some server has the jobs again", || {
        leases(&first) + leases(&second) > 0.0
    });
    let open = "SELECT count(*) FROM peer_connections WHERE disconnected_at IS NULL";
    assert_eq!(first.db.count(open), 1);
}

/// Each knows only later what the other has added.
#[test]
fn servers_of_one_database_share_one_limit_of_kinds() {
    const MAX: i64 = 100;
    let start = |builder: TestAppBuilder| builder.env("MESSAGE_KINDS_MAX", MAX).start();
    let first = start(TestApp::builder());
    let second = start(TestApp::builder().env("DATABASE_URL", first.db.url()));
    let mut nodes = [first.node("/submit"), second.node("/submit")];
    for number in 0..MAX {
        for (server, node) in nodes.iter_mut().enumerate() {
            let msg = format!("invented.{server}.{number}");
            node.send(json!({"id": 1, "payload": {"msg": msg, "n": number}}).to_string());
            node.send(json!({"id": 1, "payload": {"msg": "block.import"}}).to_string());
        }
    }
    for app in [&first, &second] {
        app.wait_stored(2 * u32::try_from(MAX).unwrap());
    }
    let count = |query: &str| first.db.count(query);
    let listed = "SELECT count(*) FROM message_kinds WHERE msg LIKE 'invented.%'";
    assert_eq!(count(listed), MAX);
    // Those beyond it keep their names.
    let named = "SELECT count(DISTINCT CASE msg WHEN '(unlisted)' THEN logs ->> 'msg' ELSE msg END) \
                 FROM telemetry_logs WHERE msg <> 'block.import' AND logs ->> 'n' IS NOT NULL";
    assert_eq!(count(named), 2 * MAX);
    let unlisted = "SELECT count(*) FROM telemetry_logs WHERE msg = '(unlisted)'";
    assert_eq!(count(unlisted), MAX);
}
