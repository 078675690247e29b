//! Structured events: found once in whatever a node or a program sends, however it is stored,
//! and the same when they are extracted anew.

mod logs;
mod posting;
mod questions;

use serde_json::{Value, json};

use crate::projections::introduce;
use crate::support::{FakeNode, TestApp, TestDb, corpus, wait_until};

/// All events, in the order of their numbers.
pub(crate) const EVENTS: &str = "SELECT to_jsonb(e)::text AS value FROM events e ORDER BY id";

/// Names of events with their sources.
const NAMES: &str = "SELECT concat_ws(' ', source, name) AS value FROM events ORDER BY id";

pub(crate) fn send(node: &mut FakeNode, payload: &Value) {
    node.send(json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": payload}).to_string());
}

/// A message with this line.
pub(crate) fn line(text: &str) -> Value {
    json!({"msg": "log", "lines": text})
}

/// Sends a message and waits until it is stored: the first `stored` are then.
fn say(app: &TestApp, node: &mut FakeNode, payload: &Value, stored: &mut u32) {
    send(node, payload);
    *stored += 1;
    app.wait_stored(*stored);
}

#[track_caller]
pub(crate) fn assert_rebuilt_alike(app: &TestApp) {
    app.wait_projected();
    let grown = app.db.texts(EVENTS);
    app.rebuild_projections();
    assert_eq!(app.db.texts(EVENTS), grown);
}

#[test]
fn any_number_of_events_waits_for_a_node_that_introduces_itself_late() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    let mut stored = 0;
    for numbers in [0..1_100, 1_100..2_200] {
        let lines: Vec<String> = numbers
            .map(|n| format!(r#"{{"_e":1,"name":"many","n":{n}}}"#))
            .collect();
        say(&app, &mut node, &line(&lines.join("\n")), &mut stored);
    }
    app.wait_projected();
    assert_eq!(app.db.count("SELECT count(*) FROM waiting_events"), 2_200);
    introduce(&mut node, "alice");
    wait_until("its node is known", || {
        app.db.count("SELECT count(*) FROM events") > 0
    });
    app.wait_projected();
    let in_order = "SELECT count(*) FROM (SELECT data ->> 'n' AS n, row_number() OVER (ORDER BY id) AS place \
                    FROM events WHERE source = 'alice') e WHERE n::bigint = place - 1";
    assert_eq!(app.db.count(in_order), 2_200);
    assert_eq!(app.db.count("SELECT count(*) FROM waiting_events"), 0);
}

#[test]
fn events_are_found_once_wherever_they_stand_and_are_extracted_again_alike() {
    let app = TestApp::start();
    let mut stored = 0;
    let mut node = app.node("/submit");
    say(
        &app,
        &mut node,
        &line(r#"{"_e":1,"name":"early","n":12345678901234567890123}"#),
        &mut stored,
    );
    app.wait_projected();
    assert_eq!(app.db.count("SELECT count(*) FROM waiting_events"), 1);
    introduce(&mut node, "alice");
    stored += 1;
    app.wait_stored(stored);
    wait_until("its node is known", || {
        app.db.texts(NAMES) == ["alice early"]
    });

    let lines = "start {\"_e\":1}\n{\"_e\":1,\"_id\":\"x\",\"name\":\"one\",\"level\":\"warning\"}\n  {\"\\u005fe\":1.0,\"name\":\"two\"}\r\n{\"_e\":1,}\n{\"_e\":\"1\"}";
    say(&app, &mut node, &line(lines), &mut stored);
    say(
        &app,
        &mut node,
        &json!({"msg": "runtime.event", "_e": 1e0, "name": "own", "amount": 1e3, "timestamp": 1_700_000_000}),
        &mut stored,
    );
    say(
        &app,
        &mut node,
        &json!({"msg": "x", "b": [{"c": "{\"_e\":1,\"name\":\"nested\"}"}], "a": "{\"_e\":1,\"name\":\"first\"}"}),
        &mut stored,
    );
    app.wait_projected();
    let names = [
        "alice early",
        "alice one",
        "alice two",
        "alice own",
        "alice first",
        "alice nested",
    ];
    assert_eq!(app.db.texts(NAMES), names);

    // After a reconnect the node sends all of it again; another node says the same.
    drop(node);
    let mut again = app.node("/submit");
    introduce(&mut again, "alice");
    stored += 1;
    say(&app, &mut again, &line(lines), &mut stored);
    let mut other = app.node("/submit");
    introduce(&mut other, "bob");
    stored += 1;
    say(&app, &mut other, &line(lines), &mut stored);
    let mut audit = app.node("/audit");
    introduce(&mut audit, "carol");
    stored += 1;
    say(
        &app,
        &mut audit,
        &line(r#"{"_e":1,"name":"kept"}"#),
        &mut stored,
    );
    let mut nameless = app.node("/submit");
    say(
        &app,
        &mut nameless,
        &line(r#"{"_e":1,"name":"nameless"}"#),
        &mut stored,
    );
    nameless.leave();
    wait_until("the session of the nameless one has ended", || {
        app.db.count("SELECT count(*) FROM events WHERE name = 'nameless' AND source LIKE 'session:%' AND peer_id IS NULL") == 1
    });
    app.wait_projected();
    let mut all = names.to_vec();
    all.extend(["bob one", "bob two", "carol kept"]);
    assert_eq!(app.db.texts(NAMES)[..all.len()], all);
    assert_eq!(app.db.count("SELECT count(*) FROM waiting_events"), 0);

    let one = app.db.texts("SELECT concat_ws(' ', severity, \"time\" AT TIME ZONE 'UTC', chain, audit, length(event_id), data->>'_id') AS value FROM events WHERE name IN ('one', 'own', 'kept') ORDER BY id");
    assert_eq!(
        one,
        [
            "warn 2026-11-21 08:02:05 Development f 32 x",
            "info 2023-11-14 22:13:20 Development f 32",
            "warn 2026-11-21 08:02:05 Development f 32 x",
            "info 2026-11-21 08:02:05 Development t 32",
        ]
    );
    assert_eq!(
        app.db
            .texts("SELECT data->>'n' AS value FROM events WHERE name = 'early'"),
        ["12345678901234567890123"]
    );
    assert_eq!(
        app.db.texts("SELECT reason AS value FROM malformed_events"),
        ["is no JSON"; 3]
    );
    let count =
        |outcome: &str| app.metric_with("event_extracted_total", &format!("outcome=\"{outcome}\""));
    assert_eq!((count("stored"), count("duplicate")), (10.0, 2.0));
    assert_eq!((count("malformed"), count("ignored")), (3.0, 6.0));
    assert_rebuilt_alike(&app);
}

/// Nothing that nodes say by themselves is an event.
#[test]
fn genuine_frames_hold_no_events_and_cost_none() {
    let app = TestApp::start();
    let mut sent = 0;
    for file in ["v2", "v1"] {
        let mut node = app.node("/submit");
        for frame in corpus(file) {
            node.send(frame);
            sent += 1;
        }
        app.wait_stored(sent);
    }
    app.wait_projected();
    assert_eq!(app.db.count("SELECT count(*) FROM events"), 0);
    assert_eq!(app.db.count("SELECT count(*) FROM malformed_events"), 0);
    assert_eq!(app.metric("event_extracted_total"), 0.0);
}

#[test]
fn two_servers_and_kills_leave_each_event_once() {
    let first = TestApp::start();
    let second = TestApp::builder()
        .env("DATABASE_URL", first.db.url())
        .start();
    let mut apps = vec![first, second];
    let mut sent = 0;
    for round in 0..4_usize {
        let mut nodes: Vec<FakeNode> = apps.iter().map(|app| app.node("/submit")).collect();
        for (place, node) in nodes.iter_mut().enumerate() {
            introduce(node, &format!("node{place}"));
            for number in 0..100 {
                // Each is sent twice, and again in the next round.
                for _ in 0..2 {
                    send(
                        node,
                        &line(&format!(r#"{{"_e":1,"_id":"{}-{number}"}}"#, round / 2)),
                    );
                    sent += 1;
                }
            }
        }
        let lease = "job_name=\"projection:events\"";
        let holder = apps
            .iter()
            .position(|app| app.metric_with("cluster_lease_held", lease) == 1.0);
        let holder = holder.unwrap_or(0);
        wait_until("all is read", || {
            apps.iter().all(|app| app.metric("ingest_pending") == 0.0)
                && apps[0]
                    .db
                    .count("SELECT count(*) FROM telemetry_logs WHERE msg = 'log'")
                    == sent
        });
        drop(nodes);
        if round < 3 {
            let mut killed = apps.remove(holder);
            killed.kill();
            // The first one has the database.
            apps.insert(holder, killed.start_again());
        }
    }
    let app = &apps[0];
    app.wait_projected();
    assert_eq!(app.db.count("SELECT count(*) FROM events"), 400);
    assert_eq!(
        app.db
            .count("SELECT count(DISTINCT (source, data->>'_id')) FROM events"),
        400
    );
    assert_rebuilt_alike(app);
}

#[test]
fn expired_events_go_with_their_days_and_those_of_audit_stay() {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason) \
         VALUES (1, '::1', 'peer', now() - interval '9 days', 1, 'other', now(), now(), 'closed'); \
         INSERT INTO message_kinds VALUES (99, 'log'); \
         INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs) \
         SELECT d, now() - d * interval '1 day', 1, 99, jsonb_build_object('lines', '{\"_e\":1,\"_id\":' || d || '}') FROM generate_series(0, 8) AS d; \
         INSERT INTO telemetry_messages_audit (id, created_at, peer_connection_id, kind_id, logs) \
         VALUES (100, now() - interval '8 days', 1, 99, jsonb_build_object('lines', '{\"_e\":1,\"_id\":\"audit\"}'))",
    );
    let mut app = TestApp::builder().db(db).start();
    app.rebuild_projections();
    assert_eq!(app.db.count("SELECT count(*) FROM events"), 10);
    let numbers = app.db.texts("SELECT id::text AS value FROM events WHERE received_at > now() - interval '47 hours' ORDER BY id");
    app.stop();
    let other = TestApp::builder()
        .env("DATABASE_URL", app.db.url())
        .env("EVENT_EXPIRY_H", 48)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    // A day goes when all of it is expired.
    wait_until("expired days are gone", || {
        app.db.count("SELECT count(*) FROM events WHERE NOT audit AND received_at < date_trunc('day', now() - interval '48 hours', 'UTC')") == 0
    });
    wait_until("their identities are gone", || {
        app.db.count("SELECT count(*) FROM event_identities WHERE NOT audit AND received_at < now() - interval '48 hours'") == 0
    });
    assert_eq!(app.db.count("SELECT count(*) FROM events WHERE audit"), 1);
    // Extracting anew does not bring them back, and the others keep their numbers.
    app.db
        .execute("UPDATE projections SET position = NULL, build_end = NULL, built_until = NULL");
    wait_until("they are extracted again", || {
        app.db
            .count("SELECT count(*) FROM projections WHERE position IS NULL")
            == 0
    });
    drop(other);
    let kept = "SELECT id::text AS value FROM events WHERE received_at > now() - interval '47 hours' ORDER BY id";
    assert_eq!(app.db.texts(kept), numbers);
    assert_eq!(app.db.count("SELECT count(*) FROM events WHERE NOT audit AND received_at < now() - interval '49 hours'"), 0);
}

#[test]
fn jobs_of_services_are_counted_once_by_hours() {
    let app = TestApp::start();
    let job = |id: u32, name: &str, more: Value| {
        let mut event = json!({"_e": 1, "_id": format!("{id} {name}"), "name": name, "service_id": "relayer", "blueprint_id": 7, "job_id": id % 2});
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        event
    };
    let mut events = Vec::new();
    for id in 0..100 {
        events.push(job(id, "job.started", json!({})));
        events.push(match id % 10 {
            0 => job(id, "job.failed", json!({"duration_ms": 5, "error": if id % 20 == 0 { "refused" } else { "timeout" }})),
            _ => job(id, "job.finished", json!({"duration_ms": id.to_string()})),
        });
    }
    // Without a service it is an event like any other.
    events.push(json!({"_e": 1, "name": "job.failed", "error": "nobody"}));
    for _ in 0..2 {
        assert_eq!(app.post("/events", &json!(events[..150])).status, 200);
    }
    let mut node = app.node("/submit");
    introduce(&mut node, "alice");
    let own = json!({"_e": 1, "name": "job.finished", "service_id": "keeper", "duration_ms": 1500});
    send(&mut node, &own);
    assert_eq!(app.post("/events", &json!(events)).status, 200);
    wait_until("all is read", || app.metric("ingest_pending") == 0.0);
    app.wait_projected();
    assert_eq!(app.db.count("SELECT count(*) FROM events"), 202);

    let jobs = app.get("/api/v1/events/jobs").json();
    let jobs: Vec<&Value> = jobs.as_array().unwrap().iter().collect();
    let of = |service: &str, job: &str| {
        *jobs
            .iter()
            .find(|one| one["service_id"] == service && one["job_id"] == job)
            .unwrap()
    };
    let even = of("relayer", "0");
    assert_eq!(
        [&even["started"], &even["finished"], &even["failed"]],
        [50, 40, 10]
    );
    assert_eq!(
        (&even["errors"], &even["blueprint_id"]),
        (&json!({"refused": 5, "timeout": 5}), &json!("7"))
    );
    assert_eq!(
        (&even["max_ms"], even["failed_at"].is_string()),
        (&json!(98.0), true)
    );
    let half = even["p50_ms"].as_f64().unwrap();
    assert!((half - 37.0).abs() <= 37.0 / 32.0, "{half}");
    let odd = of("relayer", "1");
    assert_eq!(
        [&odd["started"], &odd["finished"], &odd["failed"]],
        [50, 50, 0]
    );
    let keeper = of("keeper", "");
    assert_eq!(
        (&keeper["finished"], &keeper["p99_ms"], &keeper["failed_at"]),
        (&json!(1), &json!(1500.0), &Value::Null)
    );
    assert_eq!(
        app.get("/api/v1/events/jobs?service_id=keeper")
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let count = |labels: &str| app.metric_with("event_jobs_total", labels);
    assert_eq!(count("outcome=\"failed\",service=\"relayer\""), 10.0);
    assert_eq!(count("outcome=\"finished\""), 91.0);
    assert_eq!(
        app.metric_with("event_job_seconds_count", "service=\"keeper\""),
        1.0
    );

    let hours =
        "SELECT to_jsonb(h)::text AS value FROM job_hours h ORDER BY hour, service_id, job_id";
    let grown = app.db.texts(hours);
    assert_rebuilt_alike(&app);
    assert_eq!(app.db.texts(hours), grown);
}

#[test]
fn jobs_that_fail_or_do_not_run_fire() {
    let app = TestApp::start();
    app.wait_projected();
    let hours = |service: &str, from: u32, until: u32, failed: u32| {
        format!(
            "INSERT INTO job_hours (hour, service_id, job_id, started, finished, failed, errors, duration_buckets, duration_counts, last_at)
             SELECT h, '{service}', 'swap', 0, 10 - {failed}, {failed}, '{{}}', '{{}}', '{{}}', h FROM
             (SELECT date_trunc('hour', now(), 'UTC') - i * interval '1 hour' AS h FROM generate_series({from}, {until}) i) hours;"
        )
    };
    app.db.execute(
        &[
            hours("well", 0, 20, 1),
            hours("failing", 0, 1, 4),
            hours("silent", 4, 20, 0),
            hours("rare", 4, 8, 0),
        ]
        .concat(),
    );
    let open = |rule: &str| {
        let alerts = app
            .get(&format!("/api/v1/alerts?open=true&rule={rule}"))
            .json();
        alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                format!(
                    "{} {}",
                    one["name"].as_str().unwrap(),
                    one["summary"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
    };
    wait_until("both have fired", || {
        !open("job_failing").is_empty() && !open("job_not_running").is_empty()
    });
    assert_eq!(
        open("job_failing"),
        ["failing failed in 8 of 20 runs of swap"]
    );
    assert_eq!(
        open("job_not_running"),
        ["silent has told nothing of swap for two hours"]
    );
}
