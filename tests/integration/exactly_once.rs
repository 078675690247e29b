//! A batch is stored once, however often it is sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::result::QueryResult;
use tetcore_analytics::config::DatabaseUrl;
use tetcore_analytics::database::connect_writer;
use tetcore_analytics::ids::{MessageId, SessionId};
use tetcore_analytics::metrics::Metrics;
use tetcore_analytics::store::{
    Batch, Group, Kinds, NewRow, NodeTime, Outcome, RowBuffer, WriteContext, store_batches,
};

use crate::support::{TestDb, wait_until};

fn origin(rejected_max: u64) -> WriteContext {
    WriteContext {
        server_id: "here".into(),
        rejected_max,
        audit_months: Arc::default(),
    }
}

fn batch(kinds: &Kinds, ids: impl Iterator<Item = i64> + Clone) -> Arc<Batch> {
    batch_of(Utc::now(), kinds, ids)
}

fn batch_of(
    created_at: DateTime<Utc>,
    kinds: &Kinds,
    ids: impl Iterator<Item = i64> + Clone,
) -> Arc<Batch> {
    let mut rows = RowBuffer::default();
    for _ in ids.clone() {
        let row = NewRow {
            created_at,
            session: SessionId(1),
            kind: kinds.find("m"),
            node_time: NodeTime::Delta(-1_000),
            target: None,
        };
        rows.push(&row, |out| out.extend_from_slice(b"{\"n\":1}"));
    }
    let mut ids = ids.map(MessageId);
    rows.number(|| ids.next().unwrap());
    Arc::new(Batch::new(vec![Group {
        rows,
        sessions: Vec::new(),
        audit: false,
        received_at: Instant::now(),
        kept: None,
    }]))
}

#[test]
fn a_batch_whose_answer_was_lost_is_recognised() {
    let db = TestDb::new();
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    let first = store_batches(
        &mut conn,
        &kinds,
        std::slice::from_mut(&mut batch),
        &origin(10),
    )
    .unwrap();
    assert_eq!((first.stored, first.recognised), (100, 0));
    let second = store_batches(
        &mut conn,
        &kinds,
        std::slice::from_mut(&mut batch),
        &origin(10),
    )
    .unwrap();
    assert_eq!((second.stored, second.recognised), (100, 1));
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 100);
}

#[test]
fn what_was_rejected_before_is_known_when_a_batch_is_recognised() {
    let db = TestDb::new();
    db.execute("ALTER TABLE telemetry_messages ADD CHECK (id <> 50)");
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    let first = store_batches(
        &mut conn,
        &kinds,
        std::slice::from_mut(&mut batch),
        &origin(10),
    )
    .unwrap();
    assert_eq!((first.stored, first.rejected.len()), (99, 1));
    let second = store_batches(
        &mut conn,
        &kinds,
        std::slice::from_mut(&mut batch),
        &origin(10),
    )
    .unwrap();
    assert_eq!(
        (second.stored, second.rejected.len(), second.recognised),
        (99, 1, 1)
    );
    assert_eq!(db.count("SELECT count(*) FROM rejected_messages"), 1);
}

#[test]
fn a_fault_of_the_database_rejects_no_message() {
    let db = TestDb::new();
    db.execute("ALTER TABLE telemetry_messages RENAME TO hidden");
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    store_batches(
        &mut conn,
        &kinds,
        std::slice::from_mut(&mut batch),
        &origin(10),
    )
    .unwrap_err();
    assert_eq!(db.count("SELECT count(*) FROM rejected_messages"), 0);
    db.execute("ALTER TABLE hidden RENAME TO telemetry_messages");
    assert_eq!(
        store_batches(
            &mut conn,
            &kinds,
            std::slice::from_mut(&mut batch),
            &origin(10)
        )
        .unwrap()
        .stored,
        100
    );
}

/// When reserved numbers are used up, one is made up that is below zero.
#[test]
fn a_batch_whose_numbers_do_not_ascend_is_recognised() {
    let db = TestDb::new();
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = [batch(&kinds, (1..51).chain(-50..0))];
    for recognised in [0, 1] {
        let outcome = store_batches(&mut conn, &kinds, &mut batch, &origin(10)).unwrap();
        assert_eq!((outcome.stored, outcome.recognised), (100, recognised));
    }
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 100);
}

/// Three batches of 100 messages.
fn three_batches(kinds: &Kinds) -> Vec<Arc<Batch>> {
    let starts = [1, 101, 201];
    starts.map(|start| batch(kinds, start..start + 100)).into()
}

#[test]
fn batches_that_are_stored_together_are_recognised_each_by_its_own_number() {
    let db = TestDb::new();
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batches = three_batches(&kinds);
    let mut store = |batches: &mut [Arc<Batch>]| -> Outcome {
        store_batches(&mut conn, &kinds, batches, &origin(10)).unwrap()
    };
    assert_eq!(store(&mut batches[1..2]).recognised, 0);
    let all = store(&mut batches);
    assert_eq!((all.stored, all.recognised), (300, 1));
    let again = store(&mut batches);
    assert_eq!((again.stored, again.recognised), (300, 3));
    let each = "SELECT count(DISTINCT id) FROM telemetry_messages";
    assert_eq!(db.count(each), 300);
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 300);
}

#[test]
fn a_batch_whose_file_outlived_its_entry_is_recognised_by_its_messages() {
    let db = TestDb::new();
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let then = Utc::now() - TimeDelta::days(31);
    let mut two = [
        batch_of(then, &kinds, 1..101),
        batch_of(then, &kinds, 101..201),
    ];
    let (stored, _) = two.split_at_mut(1);
    store_batches(&mut conn, &kinds, stored, &origin(10)).unwrap();
    // As the purge does after 30 days.
    db.execute("DELETE FROM ingest_batches");
    let outcome = store_batches(&mut conn, &kinds, &mut two, &origin(10)).unwrap();
    assert_eq!((outcome.stored, outcome.recognised), (200, 1));
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 200);
    // Readers of changes do not get it again.
    assert_eq!(db.count("SELECT min(id) FROM ingest_batches"), 101);
}

#[test]
fn a_batch_that_comes_twice_in_one_transaction_is_stored_once() {
    let db = TestDb::new();
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let batch = batch(&kinds, 1..101);
    let mut twice = [batch.clone(), batch];
    let outcome = store_batches(&mut conn, &kinds, &mut twice, &origin(10)).unwrap();
    assert_eq!((outcome.stored, outcome.recognised), (200, 1));
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 100);
}

#[test]
fn what_is_rejected_of_batches_that_are_stored_together_counts_for_its_own_batch() {
    let db = TestDb::new();
    db.execute("ALTER TABLE telemetry_messages ADD CHECK (id NOT IN (101, 250, 260))");
    let mut conn = db.connection();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batches = three_batches(&kinds);
    let mut store = |batches: &mut [Arc<Batch>]| -> Outcome {
        store_batches(&mut conn, &kinds, batches, &origin(10)).unwrap()
    };
    let all = store(&mut batches);
    assert_eq!(
        (all.stored, all.rejected.len(), all.recognised),
        (297, 3, 0)
    );
    for (number, rejected) in [(0, 0), (1, 1), (2, 2)] {
        let one = store(&mut batches[number..=number]);
        assert_eq!(
            (one.stored, one.rejected.len(), one.recognised),
            (100 - rejected, rejected, 1)
        );
    }
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 297);
}

/// The transaction of a writer that was given up may still end either way.
#[test]
fn a_batch_that_is_in_doubt_is_waited_for() {
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    for (end, stored) in [("COMMIT", 0), ("ROLLBACK", 300)] {
        let db = TestDb::new();
        let mut other = db.connect();
        other
            .batch_execute("BEGIN; INSERT INTO ingest_batches (id) VALUES (1), (101), (201)")
            .unwrap();
        let mut batches = three_batches(&kinds);
        std::thread::scope(|scope| {
            let storing = scope.spawn(|| {
                store_batches(&mut db.connection(), &kinds, &mut batches, &origin(10)).unwrap()
            });
            wait_until("it waits", || {
                // Other tests wait in the same cluster.
                db.count(
                    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                     WHERE NOT granted AND datname = current_database()",
                ) > 0
            });
            other.batch_execute(end).unwrap();
            assert_eq!(storing.join().unwrap().stored, 300);
        });
        assert_eq!(
            db.count("SELECT count(*) FROM telemetry_messages"),
            stored,
            "{end}"
        );
    }
}

/// In the database a connection may count as alive of which nothing is left.
#[test]
fn who_takes_the_place_of_a_writer_frees_what_that_one_has_locked() {
    let db = TestDb::new();
    let url = DatabaseUrl::new(db.url());
    let connect = |number| connect_writer(&url, number, Duration::from_secs(60)).unwrap();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut lost = connect(0);
    let mut other = connect(1);
    let ended = lost.transaction(|lost| {
        lost.batch_execute("INSERT INTO ingest_batches (id) VALUES (1), (101), (201)")?;
        let stored = store_batches(
            &mut connect(0),
            &kinds,
            &mut three_batches(&kinds),
            &origin(10),
        );
        assert_eq!(stored.unwrap().stored, 300);
        QueryResult::Ok(())
    });
    ended.unwrap_err();
    assert!(other.is_alive());
}
