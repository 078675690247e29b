//! The change stream, while transactions end in any order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use proptest::prelude::*;
use tetcore_analytics::changes::{self, Position};

use crate::support::TestDb;

const WRITERS: usize = 4;

#[derive(Debug, Clone)]
enum Event {
    /// A writer stores a batch and changes its session, in the transaction that it
    /// has, or else begins.
    Store(usize),
    /// A writer ends its transaction.
    End { writer: usize, commits: bool },
    /// The reader takes a step. Unless it is kept, the reader ends before its
    /// position is durable, and starts again where it was.
    Read { is_kept: bool },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..WRITERS).prop_map(Event::Store),
        3 => (0..WRITERS, any::<bool>()).prop_map(|(writer, commits)| Event::End { writer, commits }),
        3 => any::<bool>().prop_map(|is_kept| Event::Read { is_kept }),
    ]
}

struct Writer {
    conn: PgConnection,
    session: usize,
    /// The batches of its transaction; none without a transaction.
    stored: Option<Vec<i64>>,
}

impl Writer {
    fn store(&mut self, batch: i64) {
        let stored = self.stored.get_or_insert_with(|| {
            self.conn.batch_execute("BEGIN").unwrap();
            Vec::new()
        });
        let session = self.session;
        let statements = format!(
            "INSERT INTO ingest_batches (id, last_id, first_at, last_at, server_id) \
             VALUES ({batch}, {batch}, now(), now(), 'other'); \
             UPDATE peer_connections SET revision = {batch} WHERE id = {session}"
        );
        self.conn.batch_execute(&statements).unwrap();
        stored.push(batch);
    }

    /// The batches that are stored by this.
    fn end(&mut self, commits: bool) -> Vec<i64> {
        let Some(stored) = self.stored.take() else {
            return Vec::new();
        };
        let (end, stored) = match commits {
            true => ("COMMIT", stored),
            false => ("ROLLBACK", Vec::new()),
        };
        self.conn.batch_execute(end).unwrap();
        stored
    }
}

struct Reader {
    conn: PgConnection,
    position: Position,
    /// What was seen, in its order.
    batches: Vec<i64>,
    /// The revision of each session that was seen last.
    revisions: BTreeMap<i64, i64>,
}

impl Reader {
    fn read(&mut self, is_kept: bool) {
        let found = changes::read(&mut self.conn, self.position).unwrap();
        assert!(found.next >= self.position);
        assert!(
            found
                .batches
                .is_sorted_by_key(|batch| (batch.transaction_id, batch.id))
        );
        if is_kept {
            self.position = found.next;
            self.batches
                .extend(found.batches.iter().map(|batch| batch.id));
            let sessions = found.sessions.iter();
            self.revisions
                .extend(sessions.map(|session| (session.id.0, session.revision)));
        }
    }
}

fn check(events: &[Event]) {
    let db = TestDb::new();
    db.execute(&format!(
        "INSERT INTO peer_connections (id, ip_addr, created_at, connection_id, server_id, last_seen_at) \
         SELECT i, '10.0.0.1', now(), i, 'other', now() FROM generate_series(0, {WRITERS} - 1) i"
    ));
    let mut conn = db.connect();
    let mut reader = Reader {
        position: changes::newest(&mut conn).unwrap(),
        conn,
        batches: Vec::new(),
        revisions: BTreeMap::new(),
    };
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|session| Writer {
            conn: db.connect(),
            session,
            stored: None,
        })
        .collect();
    let (mut next, mut stored) = (1, Vec::new());
    let ends = (0..WRITERS).map(|writer| Event::End {
        writer,
        commits: true,
    });
    for event in events.iter().cloned().chain(ends) {
        match event {
            Event::Store(writer) => {
                writers[writer].store(next);
                next += 1;
            }
            Event::End { writer, commits } => stored.extend(writers[writer].end(commits)),
            Event::Read { is_kept } => reader.read(is_kept),
        }
    }
    // Transactions of other databases hold the end of the stream back.
    let deadline = Instant::now() + Duration::from_secs(60);
    let after = changes::newest(&mut reader.conn).unwrap();
    while reader.position < after {
        assert!(Instant::now() < deadline, "it never comes to the end");
        reader.read(true);
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut seen = reader.batches;
    seen.sort_unstable();
    stored.sort_unstable();
    assert_eq!(seen, stored, "each once");
    let changed = db.count("SELECT count(*) FROM peer_connections WHERE revision > 0");
    assert_eq!(reader.revisions.len() as i64, changed);
    for (session, revision) in reader.revisions {
        let query = format!("SELECT revision FROM peer_connections WHERE id = {session}");
        assert_eq!(db.count(&query), revision);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn nothing_is_missed_or_seen_twice_in_whatever_order_transactions_end(
        events in prop::collection::vec(event(), 0..60),
    ) {
        check(&events);
    }
}
