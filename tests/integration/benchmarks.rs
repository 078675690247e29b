//! `/host_systems` and `/benchmarks`.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{TestApp, corpus};

fn machine() -> Value {
    json!({"description": "rack 4", "os": "Debian 12", "cpu_qty": 16, "cpu_clock": 3_400, "ram_mb": 65_536, "disk_info": "NVMe"})
}

/// The same row without its number.
fn without_id(mut row: Value) -> Value {
    let id = row.as_object_mut().unwrap().remove("id").unwrap();
    assert!(id.as_i64().unwrap() > 0);
    row
}

#[test]
fn machines_and_runs_are_entered_and_read() {
    let app = TestApp::start();
    let entered = app.post("/host_systems/", &machine());
    assert_eq!(entered.status, 200, "{}", entered.body);
    let system = entered.json();
    assert_eq!(without_id(system.clone()), machine());
    assert_eq!(app.get("/host_systems").json(), json!([system]));

    let run = json!({
        "description": "empty blocks", "host_system_id": system["id"], "chain_spec": {"name": "dev"},
        "benchmark_spec": {"blocks": 100}, "ts_start": "2026-11-20T00:00:00.25", "ts_end": "2026-11-20T02:00:00+01:00",
    });
    let entered = app.post("/benchmarks", &run).json();
    assert_eq!(entered["ts_start"], "2026-11-20T00:00:00.250Z");
    assert_eq!(entered["ts_end"], "2026-11-20T01:00:00Z");
    assert_eq!(entered["benchmark_spec"], json!({"blocks": 100}));
    assert_eq!(entered["setup"], Value::Null);
    assert_eq!(app.get("/benchmarks/").json(), json!([entered]));

    let phase = json!({"benchmark_id": entered["id"], "name": "import", "phase": "start", "created_at": "2026-11-20T00:10:00Z"});
    let event = app.post("/benchmarks/events", &phase).json();
    assert_eq!(without_id(event.clone()), phase);
    let events = app.get(&format!("/benchmarks/{}/events/", entered["id"]));
    assert_eq!(events.json(), json!([event]));
}

#[test]
fn a_run_shows_the_targets_of_the_spans_seen_meanwhile() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    let frames = corpus("v1");
    for frame in &frames {
        node.send_text(std::str::from_utf8(frame).unwrap());
    }
    app.wait_stored(u32::try_from(frames.len()).unwrap());
    let (before, after) = (
        Utc::now() - TimeDelta::hours(1),
        Utc::now() + TimeDelta::hours(1),
    );
    let run = |start, end| {
        let run = app
            .post("/benchmarks", &json!({"ts_start": start, "ts_end": end}))
            .json();
        app.get(&format!("/benchmarks/{}/targets", run["id"]))
            .json()
    };
    let spans = app
        .db
        .count("SELECT count(*) FROM telemetry_logs WHERE msg = 'tracing.profiling'");
    assert_eq!(
        run(before, after),
        json!([{"target": "pallet_babe", "qty": spans, "names": ["on_initialize"]}])
    );
    assert_eq!(
        run(before - TimeDelta::days(1), before - TimeDelta::hours(23)),
        json!([])
    );

    // The older form names the node under test, and its phases tell how long it took.
    let peer_id = app
        .db
        .texts("SELECT peer_id AS value FROM peer_connections")
        .remove(0);
    for (peer, expected) in [(peer_id.as_str(), 1), ("somebody else", 0)] {
        let setup = json!({"setup": {"substrate": {"peerId": peer}}});
        let run = app.post("/benchmarks", &setup).json();
        let phase = json!({"benchmark_id": run["id"], "name": "all", "phase": "start", "created_at": before});
        assert_eq!(app.post("/benchmarks/events", &phase).status, 200);
        let targets = app
            .get(&format!("/benchmarks/{}/targets", run["id"]))
            .json();
        assert_eq!(targets.as_array().unwrap().len(), expected, "{peer}");
    }
}

pub(crate) fn unknown_ids_are_404_and_bad_fields_are_named(app: &TestApp) {
    let run = json!({"ts_start": "2026-11-20T00:00:00", "ts_end": "2026-11-21T00:00:00"});
    let with = |field: &str, value: Value| {
        let mut run = run.clone();
        run[field] = value;
        run
    };
    for (path, body, status, parameter) in [
        (
            "/benchmarks",
            with("host_system_id", json!(77)),
            404,
            "host_system_id",
        ),
        (
            "/benchmarks",
            with("host_system_id", json!("x")),
            400,
            "host_system_id",
        ),
        (
            "/benchmarks",
            with("ts_end", json!("2026-11-19T00:00:00")),
            400,
            "ts_end",
        ),
        (
            "/benchmarks",
            with("ts_start", Value::Null),
            400,
            "ts_start",
        ),
        ("/benchmarks", with("ts_start", json!(5)), 400, "ts_start"),
        (
            "/benchmarks",
            with("chain_spec", json!({"a": "\0"})),
            400,
            "chain_spec",
        ),
        ("/benchmarks", with("colour", json!("red")), 400, "colour"),
        ("/benchmarks", json!({}), 400, "ts_start"),
        (
            "/benchmarks/events",
            json!({"benchmark_id": 77, "name": "n", "phase": "p"}),
            404,
            "benchmark_id",
        ),
        (
            "/benchmarks/events",
            json!({"benchmark_id": 77, "name": "n"}),
            400,
            "phase",
        ),
        ("/host_systems", json!({"description": "d"}), 400, "os"),
    ] {
        let answer = app.post(path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        assert_eq!(
            answer.json()["error"]["parameter"],
            parameter,
            "{path} {body}"
        );
    }
    for (path, status) in [
        ("/benchmarks/77/targets", 404),
        ("/benchmarks/77/events", 404),
        ("/benchmarks/x/targets", 400),
        ("/benchmarks/0/events", 400),
    ] {
        let answer = app.get(path);
        assert_eq!(
            (answer.status, &answer.json()["error"]["parameter"]),
            (status, &json!("id")),
            "{path}"
        );
    }
    assert_eq!(app.post("/benchmarks", &json!([])).status, 400);
    assert_eq!(app.db.count("SELECT count(*) FROM benchmarks"), 0);
}

/// Enters a run with this text as its setup.
fn enter(app: &TestApp, setup: &str) -> crate::support::Answer {
    let body = format!("{{\"setup\": {setup}}}");
    app.ask(
        "POST",
        "/benchmarks",
        &[("content-type", "application/json")],
        &body,
    )
}

#[test]
fn numbers_are_kept_to_the_digit_or_refused() {
    let app = TestApp::start();
    let kept = [
        "12345678901234567890123",
        "9007199254740993",
        "0.1000000000000000055511151231257827",
    ];
    for number in kept {
        let entered = enter(&app, &format!("{{\"x\": {number}}}"));
        assert_eq!(entered.status, 200, "{}", entered.body);
        let shown = format!("\"setup\":{{\"x\": {number}}}");
        assert!(entered.body.contains(&shown), "{}", entered.body);
        assert!(app.get("/benchmarks").body.contains(&shown));
    }
    assert_eq!(enter(&app, r#"{"x": 1e300}"#).status, 200);
    assert_eq!(
        app.get("/benchmarks").json()[0]["setup"],
        json!({"x": 1e300})
    );
    let nested = "[".repeat(200) + &"]".repeat(200);
    for setup in [
        r#"{"x": [1.7976931348623157e308]}"#,
        r#"{"x": 1e400}"#,
        r#"{"x": 1e-4000}"#,
        r#"{"x": 1e131072}"#,
        r#"{"x": "\u0000"}"#,
        r#"{"x": "\ud800"}"#,
        &format!("{{\"x\": {nested}}}"),
        "[1]",
        "1",
    ] {
        let refused = enter(&app, setup);
        assert_eq!(refused.status, 400, "{setup}: {}", refused.body);
        assert_eq!(refused.json()["error"]["parameter"], "setup", "{setup}");
    }
    assert_eq!(app.get("/benchmarks").json().as_array().unwrap().len(), 4);
}

#[test]
fn a_run_is_deleted_with_its_phases() {
    let app = TestApp::start();
    let run = enter(&app, "{}").json();
    let (path, id) = (format!("/benchmarks/{}", run["id"]), &run["id"]);
    let phase = json!({"benchmark_id": id, "name": "import", "phase": "start"});
    assert_eq!(app.post("/benchmarks/events", &phase).status, 200);
    let gone = app.ask("DELETE", &path, &[], "");
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    assert_eq!(app.get("/benchmarks").json(), json!([]));
    assert_eq!(app.get(&format!("{path}/events")).status, 404);
    assert_eq!(app.ask("DELETE", &path, &[], "").status, 404);
    assert_eq!(app.ask("DELETE", "/benchmarks/x", &[], "").status, 400);
}
