//! A batch is stored once, however often it is sent.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tetcore_analytics::ids::{MessageId, SessionId};
use tetcore_analytics::metrics::Metrics;
use tetcore_analytics::store::{Batch, BatchOrigin, Group, Kinds, NewRow, RowBuffer, store_batch};

use crate::support::TestDb;

fn origin(rejected_max: u64) -> BatchOrigin {
    BatchOrigin {
        server_id: "here".into(),
        rejected_max,
    }
}

fn batch(kinds: &Kinds, ids: std::ops::Range<i64>) -> Arc<Batch> {
    let mut rows = RowBuffer::default();
    for _ in ids.clone() {
        let row = NewRow {
            created_at: Utc::now(),
            session: SessionId(1),
            kind: kinds.find("m"),
            node_ts: None,
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
    }]))
}

#[test]
fn a_batch_whose_answer_was_lost_is_recognised() {
    let db = TestDb::new();
    let mut conn = db.connect();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    let first = store_batch(&mut conn, &kinds, &mut batch, &origin(10)).unwrap();
    assert_eq!((first.stored, first.recognised), (100, false));
    let second = store_batch(&mut conn, &kinds, &mut batch, &origin(10)).unwrap();
    assert_eq!((second.stored, second.recognised), (100, true));
    assert_eq!(db.count("SELECT count(*) FROM telemetry_messages"), 100);
}

#[test]
fn what_was_rejected_before_is_known_when_a_batch_is_recognised() {
    let db = TestDb::new();
    db.execute("ALTER TABLE telemetry_messages ADD CHECK (id <> 50)");
    let mut conn = db.connect();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    let first = store_batch(&mut conn, &kinds, &mut batch, &origin(10)).unwrap();
    assert_eq!((first.stored, first.rejected.len()), (99, 1));
    let second = store_batch(&mut conn, &kinds, &mut batch, &origin(10)).unwrap();
    assert_eq!(
        (second.stored, second.rejected.len(), second.recognised),
        (99, 1, true)
    );
    assert_eq!(db.count("SELECT count(*) FROM rejected_messages"), 1);
}

#[test]
fn a_fault_of_the_database_rejects_no_message() {
    let db = TestDb::new();
    db.execute("ALTER TABLE telemetry_messages RENAME TO hidden");
    let mut conn = db.connect();
    let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
    let mut batch = batch(&kinds, 1..101);
    store_batch(&mut conn, &kinds, &mut batch, &origin(10)).unwrap_err();
    assert_eq!(db.count("SELECT count(*) FROM rejected_messages"), 0);
    db.execute("ALTER TABLE hidden RENAME TO telemetry_messages");
    assert_eq!(
        store_batch(&mut conn, &kinds, &mut batch, &origin(10))
            .unwrap()
            .stored,
        100
    );
}
