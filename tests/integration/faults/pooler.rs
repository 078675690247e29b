//! `PgBouncer` between the server and its database.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::json;
use tetcore_analytics::config::DatabaseUrl;
use tetcore_analytics::database::{connect, statement};

use super::assert_all_stored;
use crate::support::{FeedClient, Load, PATIENCE, PgBouncer, TestApp, TestDb, wait_until};

/// Fewer connections than the server alone has to it, so that all its jobs share them.
const POOL_SIZE: u32 = 5;

/// A setting of a connection that somebody has set.
#[derive(Debug, PartialEq, QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    setting: String,
}

/// What may be found set: how soon the database notices that a client is gone, and what
/// `PgBouncer` itself sets for each of its clients.
const HARMLESS: [&str; 7] = [
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_keepalives_count",
    "tcp_user_timeout",
    "application_name",
    "client_encoding",
    "TimeZone",
];

/// Settings that were left behind on any of the connections of the pool.
fn left_behind(url: &str) -> Vec<Setting> {
    let mut all: Vec<PgConnection> = (0..POOL_SIZE)
        .map(|_| {
            let mut conn = PgConnection::establish(url).unwrap();
            // Keeps the connection from the others.
            conn.batch_execute("BEGIN").unwrap();
            conn
        })
        .collect();
    let found = all.iter_mut().flat_map(|conn| {
        let found: Vec<Setting> = diesel::sql_query(
            "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name NOT LIKE 'transaction\\_%'",
        )
        .load(conn)
        .unwrap();
        conn.batch_execute("CREATE TEMP TABLE written (id int) ON COMMIT DROP")
            .unwrap();
        found
    });
    let mut found: Vec<Setting> = found.collect();
    found.retain(|setting| !HARMLESS.contains(&setting.name.as_str()));
    found
}

/// Stores messages, asks everything that reads, and writes by HTTP, all at once.
fn is_served(app: &TestApp) {
    let load = Load::start(app.port(), 0, 1_000);
    let mut node = app.node("/submit");
    node.send(
        r#"{"id":1,"payload":{"msg":"system.connected","name":"n","chain":"c","genesis_hash":"0xc","network_id":"peer"}}"#,
    );
    let mut audited = app.node("/audit");
    audited.send(r#"{"id":1,"payload":{"msg":"audited"}}"#);
    wait_until("the node is known", || {
        app.get("/nodes").body.contains("peer")
    });
    for number in 0..20 {
        let feed = &mut FeedClient::connect(app);
        feed.ask(&json!({"peer_id": "peer", "interest": "subscribe", "start_time": "2020-01-01T00:00:00Z"}));
        assert!(!feed.items(1).0.is_empty());
        let entered = app.post(
            "/host_systems",
            &json!({"description": format!("host {number}"), "os": "o", "cpu_qty": 1, "cpu_clock": 1, "ram_mb": 1, "disk_info": "d"}),
        );
        assert!(entered.status < 300, "{entered:?}");
        for path in [
            "/nodes",
            "/nodes/logs?peer_id=peer",
            "/nodes/log_stats?peer_id=peer",
            "/api/v1/series?peer_id=peer",
            "/api/v1/profiling",
            "/reputation",
            "/host_systems",
            "/stats/db",
            "/health",
        ] {
            let answer = app.get(path);
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }
    let sent = load.stop();
    assert_all_stored("pooled", app, sent.numbers.end, |query| app.db.count(query));
    app.wait_projected();
    let audited = "SELECT count(*) FROM telemetry_messages_audit";
    assert_eq!(app.db.count(audited), 1);
    assert_eq!(app.metric("ingest_messages_rejected_total"), 0.0);
    assert_eq!(app.metric("store_spool_messages"), 0.0);
}

#[test]
fn pgbouncer_in_transaction_mode() {
    let db = TestDb::empty();
    let Some(bouncer) = PgBouncer::start(&db, POOL_SIZE, "pool_mode = transaction") else {
        return;
    };
    let url = bouncer.url(&db);
    let app = TestApp::builder().env("DATABASE_URL", &url).db(db).start();
    is_served(&app);
    assert_eq!(left_behind(&url), [], "for others on the same connections");
}

#[test]
fn pgbouncer_in_session_mode() {
    let db = TestDb::empty();
    let Some(bouncer) = PgBouncer::start(&db, 40, "pool_mode = session") else {
        return;
    };
    let url = bouncer.url(&db);
    let app = TestApp::builder().env("DATABASE_URL", &url).db(db).start();
    is_served(&app);
}

/// Statements that stay prepared on a connection of a job, after each of two was carried out
/// three times.
fn prepared(url: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Sum {
        #[diesel(sql_type = BigInt)]
        sum: i64,
    }
    #[derive(QueryableByName)]
    struct Prepared {
        #[diesel(sql_type = Text)]
        statement: String,
    }
    let mut conn = connect(&DatabaseUrl::new(url), "tests", PATIENCE).unwrap();
    for number in 0..3 {
        let sums = conn.transaction(|conn| {
            let of_one = statement("SELECT $1 + $1 AS sum").bind::<BigInt, _>(number);
            let of_two = statement("SELECT $2 - $1 AS sum")
                .bind::<BigInt, _>(number)
                .bind::<BigInt, _>(10);
            QueryResult::Ok([
                of_one.get_result::<Sum>(conn)?.sum,
                of_two.get_result::<Sum>(conn)?.sum,
            ])
        });
        assert_eq!(sums.unwrap(), [number * 2, 10 - number]);
    }
    let find = "SELECT statement FROM pg_prepared_statements ORDER BY prepare_time";
    let found: QueryResult<Vec<Prepared>> =
        conn.transaction(|conn| diesel::sql_query(find).load(conn));
    let found = found.unwrap().into_iter();
    found.map(|prepared| prepared.statement).collect()
}

#[test]
fn statements_stay_prepared_only_without_a_pooler() {
    let db = TestDb::new();
    assert_eq!(
        prepared(&db.url()),
        [
            "SELECT $1 + $1 AS sum\n-- $1",
            "SELECT $2 - $1 AS sum\n-- $1 $2"
        ]
    );
    // It refuses what it does not know, or leaves it out.
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\nignore_startup_parameters = options",
        "pool_mode = session\nignore_startup_parameters = options",
    ] {
        let Some(bouncer) = PgBouncer::start(&db, POOL_SIZE, settings) else {
            return;
        };
        assert_eq!(prepared(&bouncer.url(&db)), [""; 0], "{settings}");
    }
    // Options that the address has itself stay as they are, and nothing is found out.
    let own = format!("{}?options=-c%20geqo%3Doff", db.url());
    assert_eq!(prepared(&own), [""; 0]);
}
