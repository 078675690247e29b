//! Servers that are killed in the middle of a transaction of a projection.

use diesel::connection::SimpleConnection;
use serde_json::json;

use crate::events;
use crate::projections::{assert_rebuilt_alike, assert_true, interval, introduce};
use crate::span_hours::{self, span};
use crate::support::{TestApp, wait_until};

/// Intervals that a node sends in a round, and spans.
const INTERVALS: u64 = 100;

#[test]
fn kills_in_the_middle_of_transactions_of_projections_leave_them_true() {
    kill_in_the_middle(1);
}

#[test]
#[ignore = "minutes; run by make soak"]
fn twenty_kills_in_the_middle_of_transactions_of_each_projection_leave_them_true() {
    kill_in_the_middle(20);
}

/// Kills the server that maintains a projection while its transaction waits for
/// the table, so many times for each projection; another one goes on with it.
fn kill_in_the_middle(times: usize) {
    let first = TestApp::start();
    let second = TestApp::builder().env("DATABASE_URL", first.db.url());
    let mut apps = vec![second.start(), first];
    // A transaction of the events waits for their table, not for the day of it.
    apps[1].db.execute("SELECT make_events_day(now())");
    let names = "SELECT name AS value FROM projections ORDER BY name";
    let names = apps[1].db.texts(names);
    assert!(names.len() >= 2, "{names:?}");
    let kills = names.iter().cycle().take(names.len() * times);
    for (round, projection) in (0..).zip(kills) {
        let lease = format!("job_name=\"projection:{projection}\"");
        let holds = |app: &TestApp| app.metric_with("cluster_lease_held", &lease) == 1.0;
        wait_until("one server has the lease", || {
            apps.iter().filter(|app| holds(app)).count() == 1
        });
        let holder = apps.iter().position(holds).unwrap_or_default();
        let position = position(&apps[1], projection);
        let lock = Lock::take(&apps[1], projection);
        let mut nodes: Vec<_> = apps.iter().map(|app| app.node("/submit")).collect();
        for (node, peer_id) in nodes.iter_mut().zip(["one", "two"]) {
            introduce(node, peer_id);
            for height in 0..INTERVALS {
                interval(node, round * INTERVALS + height);
                let name = ["on_initialize", "on_finalize"][usize::from(height % 3 == 0)];
                node.send_text(&span("pallet", name, (round + 1) * (height + 1)));
                node.send_text(&import(round * INTERVALS + height));
                events::send(
                    node,
                    &events::line(&format!(
                        r#"{{"_e":1,"_id":{}}}"#,
                        round * INTERVALS + height
                    )),
                );
            }
        }
        lock.wait_for_transaction(&apps[1]);
        apps[holder].kill();
        lock.release();
        drop(nodes);
        let killed = apps.remove(holder);
        apps.insert(holder, killed.start_again());
        let now = self::position(&apps[1], projection);
        assert!(now >= position, "{projection}: {now} after {position}");
    }
    for app in &apps {
        wait_until("nothing waits", || app.metric("ingest_pending") == 0.0);
    }
    assert_true(&apps[1]);
    assert_rebuilt_alike(&apps[1]);
    span_hours::assert_true(&apps[1]);
    span_hours::assert_rebuilt_alike(&apps[1]);
    // What was in the memory of a killed server is lost; what is stored is extracted once.
    let said = "SELECT count(*) FROM (SELECT DISTINCT peer_id, logs FROM telemetry_logs WHERE msg = 'log') AS said";
    assert_eq!(
        apps[1].db.count("SELECT count(*) FROM events"),
        apps[1].db.count(said)
    );
    events::assert_rebuilt_alike(&apps[1]);
}

/// A block of its own that a node says to have made.
fn import(height: u64) -> String {
    let hash = format!("0x{height:064x}");
    let import = json!({"msg": "block.import", "height": height, "best": hash, "origin": "Own"});
    json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": import}).to_string()
}

/// How far a projection has come.
fn position(app: &TestApp, projection: &str) -> i64 {
    app.db.count(&format!(
        "SELECT coalesce(position, 0) FROM projections WHERE name = '{projection}'"
    ))
}

/// A lock that blocks writes to a table.
struct Lock {
    table: String,
    conn: diesel::PgConnection,
}

impl Lock {
    fn take(app: &TestApp, table: &str) -> Self {
        let mut conn = app.db.connect();
        conn.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE"))
            .unwrap();
        Self {
            table: table.to_owned(),
            conn,
        }
    }

    fn wait_for_transaction(&self, app: &TestApp) {
        let waiting = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{}'::regclass",
            self.table
        );
        wait_until("its transaction waits for the table", || {
            app.db.count(&waiting) > 0
        });
    }

    fn release(mut self) {
        self.conn.batch_execute("ROLLBACK").unwrap();
    }
}
