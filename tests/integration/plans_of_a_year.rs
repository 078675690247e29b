//! On a history of 400 days, in both tables, each statement locks the partitions
//! of its time only. PostgreSQL has room for 64 locks a connection by default,
//! and each partition takes one, and one for each of its indexes.

use std::sync::{Arc, Barrier};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::plans;
use crate::support::{TestDb, wait_until};

/// Partitions as long as there are people to remember: a day each, up to tomorrow.
const HISTORY: &str = "
    DO $$ BEGIN
        FOR i IN -1..399 LOOP
            FOR t IN 0..1 LOOP
                EXECUTE format('CREATE TABLE %1$s_d%2$s PARTITION OF %1$s FOR VALUES FROM (%3$L) TO (%4$L)',
                    (ARRAY['telemetry_messages', 'telemetry_messages_audit'])[t + 1], i + 1,
                    date_trunc('day', now()) - i * interval '1 day', date_trunc('day', now()) - (i - 1) * interval '1 day');
            END LOOP;
            COMMIT;
        END LOOP;
    END $$";

/// What one statement may lock: a month of one table with its four indexes, or the
/// ten days of both in the examples of `plans`, and the tables beside them.
const LOCKS_MAX: i64 = 200;

/// Locks for which PostgreSQL has room by default.
const LOCKS_OF_ALL: i64 = 64 * 100;

/// Connections that query at the same time.
const PEOPLE: usize = 24;

#[derive(QueryableByName)]
struct Locks {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

fn of_a_year() -> TestDb {
    let db = TestDb::new();
    db.execute(HISTORY);
    db.execute(
        "UPDATE message_kinds SET id = CASE msg WHEN 'block.import' THEN 100 ELSE 101 END WHERE msg IN ('block.import', 'system.interval')",
    );
    db
}

/// Locks of tables and indexes of this connection, in its open transaction.
fn locks(conn: &mut PgConnection) -> i64 {
    let locks: Locks = diesel::sql_query(
        "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'",
    )
    .get_result(conn)
    .unwrap();
    locks.count
}

/// The partitions that a query reads.
fn partitions(conn: &mut PgConnection, query: &str) -> Vec<String> {
    let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN {query}"))
        .load(conn)
        .unwrap();
    let text: String = lines.into_iter().map(|line| line.plan + "\n").collect();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut found: Vec<String> = words
        .filter(|word| {
            let day = word.rsplit_once("_d").map(|(_, day)| day);
            word.starts_with("telemetry_messages")
                && day.is_some_and(|day| day.chars().all(|c| c.is_ascii_digit()))
        })
        .map(str::to_owned)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn each_statement_locks_the_partitions_of_its_time_only() {
    let db = of_a_year();
    let mut conn = db.connect();
    conn.batch_execute("SET plan_cache_mode = force_custom_plan; SET random_page_cost = 1.1")
        .unwrap();
    for (name, sql, types, values) in plans::statements() {
        conn.batch_execute(&format!(
            "PREPARE statement ({types}) AS {sql};
             BEGIN; EXECUTE statement ({values})"
        ))
        .unwrap();
        let locks = locks(&mut conn);
        assert!(
            locks <= LOCKS_MAX,
            "{name} locks {locks} tables and indexes"
        );
        conn.batch_execute("COMMIT; DEALLOCATE statement").unwrap();
    }
}

/// The statements of docs/ANALYSE.md, and a panel of Grafana over a day.
fn people_ask(conn: &mut PgConnection) -> Vec<String> {
    let document = include_str!("../../docs/ANALYSE.md");
    let blocks = document.split("```sql\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let mut asked: Vec<String> = blocks
        .flat_map(|block| block.split(';'))
        .map(|statement| {
            let lines = statement.lines().filter(|line| !line.starts_with("--"));
            lines.collect::<Vec<_>>().join("\n").trim().to_owned()
        })
        .filter(|statement| !statement.is_empty())
        .collect();
    let panel = document
        .split('`')
        .find(|text| text.starts_with("SELECT") && text.contains("$__timeFilter"));
    let (from, until) = ("now() - interval '1 day'", "now()");
    let mut constant = |time: &str| {
        let value: Line = diesel::sql_query(format!("SELECT ({time})::text AS \"QUERY PLAN\""))
            .get_result(conn)
            .unwrap();
        value.plan
    };
    let filter = format!(
        "created_at BETWEEN '{}' AND '{}'",
        constant(from),
        constant(until)
    );
    asked.push(panel.unwrap().replace("$__timeFilter(created_at)", &filter));
    for view in ["substrate_logs", "tetcore_logs"] {
        let columns = "id, logs, peer_connection_id, created_at";
        asked.push(format!(
            "SELECT {columns} FROM {view} WHERE {filter} ORDER BY created_at"
        ));
    }
    asked
}

#[test]
fn what_the_documents_ask_has_room_for_two_dozen_people_at_once() {
    let db = of_a_year();
    let mut conn = db.connect();
    let asked = people_ask(&mut conn);
    assert!(asked.len() > 12, "{}", asked.len());
    for query in &asked {
        let read = partitions(&mut conn, query);
        assert!(read.len() <= 2 * 3, "{query}\nreads {read:?}");
    }
    // Each keeps the locks of all its queries until all have finished.
    let all_have_asked = Arc::new(Barrier::new(PEOPLE));
    let people = (0..PEOPLE).map(|_| {
        let (mut conn, asked, barrier) = (db.connect(), asked.clone(), all_have_asked.clone());
        std::thread::spawn(move || {
            conn.batch_execute("BEGIN").unwrap();
            let answers = asked
                .iter()
                .map(|query| conn.batch_execute(query))
                .collect::<Vec<_>>();
            let locks = match answers.iter().all(Result::is_ok) {
                true => locks(&mut conn),
                false => i64::MAX,
            };
            barrier.wait();
            (answers, locks)
        })
    });
    let people: Vec<_> = people.collect();
    let mut of_all = 0;
    for person in people {
        let (answers, locks) = person.join().unwrap();
        for answer in answers {
            answer.unwrap();
        }
        of_all += locks;
    }
    assert!(of_all < LOCKS_OF_ALL, "{of_all} locks");
}

#[test]
fn the_last_minutes_are_the_same_by_now_and_within_last() {
    let db = of_a_year();
    db.execute(
        "INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs)
         SELECT i, now() - i * interval '30 minutes', 1, 100, '{}' FROM generate_series(0, 3000) i",
    );
    let mut conn = db.connect();
    let exactly = "SELECT id FROM telemetry_logs WHERE created_at >= now() - interval '2 days'";
    let pruned = "SELECT id FROM telemetry_logs WHERE within_last(created_at, '2 days')";
    assert_eq!(partitions(&mut conn, pruned).len(), 2 * 4);
    let missing = format!("SELECT count(*) FROM ({exactly} EXCEPT {pruned}) x");
    assert_eq!(db.count(&missing), 0);
    assert_eq!(db.count(&format!("SELECT count(*) FROM ({pruned}) x")), 96);
    // A plan that is kept knows an earlier time; what it finds is exact all the same.
    conn.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE kept AS SELECT count(*) FROM telemetry_logs WHERE within_last(created_at, '1 second'); EXECUTE kept").unwrap();
    wait_until("all messages are older than a second", || {
        db.count("SELECT count(*) FROM telemetry_messages WHERE created_at >= now() - interval '1 second'") == 0
    });
    let kept: Locks = diesel::sql_query("EXECUTE kept")
        .get_result(&mut conn)
        .unwrap();
    assert_eq!(kept.count, 0);
}
