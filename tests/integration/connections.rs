//! What a connection to the database keeps, and what it does not.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tetcore_analytics::config::{Config, DatabaseUrl};
use tetcore_analytics::database::{DatabaseError, Pools, ReadFrom};
use tetcore_analytics::messages::{Window, count_by_kind, windows};
use tetcore_analytics::metrics::Metrics;

use crate::support::{ChaosProxy, TestDb};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

#[test]
fn queries_cannot_write_and_leave_no_setting_behind() {
    let db = TestDb::new();
    let config = Config::from_lookup(&|name| (name == "DB_POOL_SIZE").then(|| "1".to_owned()));
    let pools = Pools::new(&DatabaseUrl::new(db.url()), &config.unwrap().store);
    let metrics = Metrics::new().unwrap();
    let setting = |name: &str| format!("SELECT current_setting('{name}') AS value");
    let mut conn = pools.read(ReadFrom::Replica, &metrics).unwrap();
    let within: QueryResult<Value> =
        conn.transaction(|conn| diesel::sql_query(setting("statement_timeout")).get_result(conn));
    assert_eq!(within.unwrap().value, "30s");
    let written: Result<(), DatabaseError> = conn.transaction(|conn| {
        let insert = "INSERT INTO message_kinds (id, msg) VALUES (99, 'm')";
        Ok(conn.batch_execute(insert)?)
    });
    let refusal = written.unwrap_err().to_string();
    assert!(refusal.contains("read-only"), "{refusal}");
    // It can be used again, and as somebody else of a pooler finds it.
    assert!(conn.is_alive());
    let left: QueryResult<Vec<Value>> = conn.transaction(|conn| {
        conn.batch_execute("COMMIT; BEGIN")?;
        diesel::sql_query("SELECT name || ' = ' || setting AS value FROM pg_settings WHERE source = 'session' AND name !~ '^(tcp_|transaction_)' ORDER BY name COLLATE \"C\"").load(conn)
    });
    let left: Vec<String> = left.unwrap().into_iter().map(|row| row.value).collect();
    assert_eq!(left, ["TimeZone = UTC", "client_encoding = UTF8"]);
}

#[test]
fn a_query_of_many_windows_keeps_the_locks_of_none() {
    let db = TestDb::new();
    db.execute(
        "DO $$ BEGIN FOR i IN 1..60 LOOP
            EXECUTE format('CREATE TABLE old%1$s PARTITION OF telemetry_messages FOR VALUES FROM (%2$L) TO (%3$L)',
                i, date_trunc('day', now()) - i * interval '1 day', date_trunc('day', now()) - (i - 1) * interval '1 day');
        END LOOP; END $$",
    );
    let now = Utc::now();
    let span = Window {
        from: now - TimeDelta::days(60),
        until: now,
    };
    let locks: QueryResult<Count> = db.connection().transaction(|conn| {
        for window in windows(span, TimeDelta::days(3)) {
            count_by_kind(conn, &[1], window)?;
        }
        diesel::sql_query(
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' \
             AND relation::regclass::text LIKE 'old%'",
        )
        .get_result(conn)
    });
    assert_eq!(locks.unwrap().count, 0);
}

/// Something in between acknowledges what is asked, and passes nothing on.
#[test]
fn housekeeping_goes_on_without_an_answer_that_is_lost() {
    let db = TestDb::new();
    let proxy = ChaosProxy::start(&db.url(), 13);
    let url = DatabaseUrl::new(proxy.url(&db.url()));
    let pools = Pools::new(&url, &Config::from_lookup(&|_| None).unwrap().store);
    let system = actix_web::rt::System::new();
    let ask = || {
        let asked = pools.housekeep(Duration::from_secs(3), |conn| {
            diesel::sql_query("SELECT 1").execute(conn)
        });
        system.block_on(asked).is_ok()
    };
    assert!(ask());
    proxy.forget_connections();
    assert!(!ask());
    assert!(ask(), "over a new connection");
    // Its thread waits for good, and the system would wait for that.
    std::mem::forget(system);
}
