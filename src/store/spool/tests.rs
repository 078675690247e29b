//! The spool, with real files.

use std::time::Instant;

use chrono::Utc;
use proptest::prelude::*;

use super::*;
use crate::ids::{MessageId, SessionId};
use crate::store::{Group, NewRow, NodeTime, RowBuffer};

fn kinds(metrics: &Arc<Metrics>) -> Arc<Kinds> {
    Arc::new(Kinds::new(10, metrics.clone()))
}

fn batch(kinds: &Kinds, ids: std::ops::Range<i64>) -> Batch {
    batch_of(kinds, ids, b"{\"a\":1}")
}

/// Rows with these fields.
fn batch_of(kinds: &Kinds, ids: std::ops::Range<i64>, fields: &[u8]) -> Batch {
    let mut rows = RowBuffer::default();
    for _ in ids.clone() {
        let row = NewRow {
            created_at: Utc::now(),
            session: SessionId(1),
            kind: kinds.find("m"),
            node_time: NodeTime::Delta(5),
            target: Some("t"),
        };
        rows.push(&row, |out| out.extend_from_slice(fields));
    }
    let mut ids = ids.map(MessageId);
    rows.number(|| ids.next().unwrap());
    Batch::new(vec![Group {
        rows,
        sessions: Vec::new(),
        audit: true,
        received_at: Instant::now(),
        kept: None,
    }])
}

fn open(dir: &Path, metrics: &Arc<Metrics>) -> Spool {
    Spool::open(dir, 1_000_000, kinds(metrics), metrics.clone()).unwrap()
}

fn oldest(spool: &mut Spool) -> Option<SpooledBatch> {
    spool.load(1, &[]).unwrap().pop()
}

/// The rows of each batch, the oldest first; empties the spool.
fn take_all(spool: &mut Spool) -> Vec<usize> {
    let mut rows = Vec::new();
    while let Some(spooled) = oldest(spool) {
        rows.push(spooled.batch.rows());
        spool.remove(spooled.number);
    }
    rows
}

#[test]
fn batches_come_back_in_order_also_in_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut spool = open(dir.path(), &metrics);
    let kinds = spool.kinds.clone();
    let first = batch(&kinds, 1..4);
    spool.push(&first).unwrap();
    assert!(!spool.is_empty());
    spool.push(&batch(&kinds, 4..6)).unwrap();
    let loaded = oldest(&mut spool).unwrap();
    assert_eq!(
        loaded.batch.groups[0].rows.bytes(),
        first.groups[0].rows.bytes()
    );
    assert!(loaded.batch.groups[0].audit);
    assert_eq!(loaded.batch.groups[0].rows.pending().len(), 3);
    drop(spool);
    let unfinished = dir.path().join("0000000000000003.part");
    fs::write(&unfinished, "half").unwrap();

    let metrics = Arc::new(Metrics::new().unwrap());
    let mut spool = open(dir.path(), &metrics);
    assert!(!unfinished.exists());
    assert_eq!(metrics.messages_received.get(), 5);
    assert_eq!(
        (metrics.pending.get(), metrics.spool_messages.get()),
        (5, 5)
    );
    let oldest = oldest(&mut spool).unwrap().number;
    spool.remove(oldest);
    spool.push(&batch(&kinds, 6..7)).unwrap();
    assert_eq!(take_all(&mut spool), [2, 1]);
    assert!(spool.is_empty());
}

#[test]
fn batches_are_taken_together_up_to_a_number_of_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut spool = Spool::open(dir.path(), u64::MAX, kinds(&metrics), metrics).unwrap();
    let kinds = spool.kinds.clone();
    let batch = |length: usize| {
        let fields = format!("{{\"a\":\"{}\"}}", "x".repeat(length));
        batch_of(&kinds, 1..2, fields.as_bytes())
    };
    let [bytes_max, overhead] =
        [TAKEN_BYTES_MAX, FILE_OVERHEAD].map(|bytes| usize::try_from(bytes).unwrap());
    let size = |batch: &Batch| record::encode(batch, &kinds).len() + overhead;
    // The first two are as many bytes as there may be.
    let first = batch(1_500_000);
    let around = size(&first) - 1_500_000;
    let second = batch(bytes_max - size(&first) - around);
    assert_eq!(size(&first) + size(&second), bytes_max);
    for batch in [first, second, batch(1)] {
        spool.push(&batch).unwrap();
    }
    assert_eq!(spool.load(9, &[]).unwrap().len(), 2);
}

#[test]
fn there_is_room_up_to_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let kinds = kinds(&metrics);
    let batch = batch(&kinds, 1..4);
    let bytes = u64::try_from(record::encode(&batch, &kinds).len()).unwrap() + FILE_OVERHEAD;
    let open = |bytes_max: u64| {
        let dir = dir.path().join(bytes_max.to_string());
        Spool::open(&dir, bytes_max, kinds.clone(), metrics.clone()).unwrap()
    };
    let mut spool = open(bytes);
    assert!(spool.has_room());
    spool.push(&batch).unwrap();
    assert!(!spool.has_room());
    let mut spool = open(bytes - 1);
    assert!(matches!(spool.push(&batch), Err(SpoolError::Full)));
    assert!(spool.is_empty() && spool.has_room());
}

#[test]
fn batches_are_taken_together_as_far_as_one_transaction_holds_them() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut spool = Spool::open(dir.path(), u64::MAX, kinds(&metrics), metrics.clone()).unwrap();
    let kinds = spool.kinds.clone();
    let mut next = 1;
    // The first three are as many rows as there may be.
    for rows in [100, 200, 16_084, 20_000, 1] {
        spool.push(&batch(&kinds, next..next + rows)).unwrap();
        next += rows;
    }
    let mut take = |most, except: &[SpoolNumber]| -> Vec<usize> {
        let taken = spool.load(most, except).unwrap();
        taken.iter().map(|taken| taken.batch.rows()).collect()
    };
    assert_eq!(take(2, &[]), [100, 200]);
    assert_eq!(take(9, &[]), [100, 200, 16_084]);
    assert_eq!(take(9, &[SpoolNumber(2)]), [100, 16_084]);
    let first_three = [1, 2, 3].map(SpoolNumber);
    assert_eq!(take(9, &first_three), [20_000], "one is always taken");
    let first_four = [1, 2, 3, 4].map(SpoolNumber);
    assert_eq!(take(9, &first_four), [1]);
    assert_eq!(take(9, &[1, 2, 3, 4, 5].map(SpoolNumber)), [0_usize; 0]);
    fs::remove_file(spool.path(SpoolNumber(2))).unwrap();
    assert_eq!(
        spool.load(9, &[]).unwrap().len(),
        1,
        "up to what cannot be read"
    );
    spool.load(9, &[SpoolNumber(1)]).unwrap_err();
}

#[test]
fn a_torn_file_costs_only_itself() {
    for damage in [0, 10, record::HEADER_BYTES, record::HEADER_BYTES + 20] {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut spool = open(dir.path(), &metrics);
        let kinds = spool.kinds.clone();
        for start in [1, 11, 21] {
            spool.push(&batch(&kinds, start..start + 5)).unwrap();
        }
        let second = spool.path(SpoolNumber(2));
        drop(spool);
        let whole = fs::read(&second).unwrap();
        fs::write(&second, &whole[..damage]).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut spool = open(dir.path(), &metrics);
        assert_eq!(take_all(&mut spool), [5, 5], "cut at {damage}");
        assert_eq!(metrics.spool_torn.get(), 1);
        assert_eq!(metrics.pending.get(), 10);
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let kinds = kinds(&metrics);
    let file = record::encode(&batch(&kinds, 1..3), &kinds);
    record::decode(&file, &kinds).unwrap();
    for place in 0..file.len() {
        let mut changed = file.clone();
        changed[place] ^= 0x40;
        assert!(record::decode(&changed, &kinds).is_err(), "byte {place}");
    }
}

#[test]
fn a_full_spool_refuses_and_a_second_server_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut spool = Spool::open(dir.path(), 10_000, kinds(&metrics), metrics.clone()).unwrap();
    let kinds = spool.kinds.clone();
    spool.push(&batch(&kinds, 1..2)).unwrap();
    spool.push(&batch(&kinds, 2..3)).unwrap();
    assert!(matches!(
        spool.push(&batch(&kinds, 3..4)),
        Err(SpoolError::Full)
    ));
    let number = oldest(&mut spool).unwrap().number;
    spool.remove(number);
    spool.push(&batch(&kinds, 3..4)).unwrap();
    let second = Spool::open(dir.path(), 10_000, kinds.clone(), metrics);
    assert!(matches!(second, Err(SpoolError::InUse(_))));
}

#[derive(Debug, Clone)]
enum Event {
    /// A batch of so many messages goes to disk.
    Push(usize),
    /// The oldest batches are read, at most so many; those stored are removed.
    Load { most: usize, stored: bool },
    /// The server ends, in order or not, and starts again.
    Restart,
    /// A file loses its end: the batch of this place, and the bytes that stay.
    Tear { place: usize, bytes: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (1..20_usize).prop_map(Event::Push),
        3 => (1..5_usize, any::<bool>()).prop_map(|(most, stored)| Event::Load { most, stored }),
        1 => Just(Event::Restart),
        1 => (0..8_usize, 0..2_000_u64).prop_map(|(place, bytes)| Event::Tear { place, bytes }),
    ]
}

/// Whether the file was cut.
fn tear(dir: &Path, number: SpoolNumber, bytes: u64) -> bool {
    let path = dir.join(format!("{:016x}.batch", number.0));
    let is_shorter = bytes < fs::metadata(&path).unwrap().len();
    if is_shorter {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(bytes).unwrap();
    }
    is_shorter
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Batches come back in their order, each until it is removed, over restarts;
    /// torn files are counted and take nothing with them.
    #[test]
    fn the_spool_gives_back_what_it_was_given(events in prop::collection::vec(event(), 0..60)) {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut spool = open(dir.path(), &metrics);
        // The rows of each file, none if it was torn.
        let mut model: BTreeMap<SpoolNumber, Option<usize>> = BTreeMap::new();
        let mut torn = 0;
        for event in events.into_iter().chain([Event::Load { most: usize::MAX, stored: true }]) {
            match event {
                Event::Push(rows) => {
                    let number = SpoolNumber(spool.next);
                    let ids = 0..i64::try_from(rows).unwrap();
                    spool.push(&batch(&spool.kinds.clone(), ids)).unwrap();
                    model.insert(number, Some(rows));
                }
                Event::Load { most, stored } => {
                    let loaded = spool.load(most, &[]).unwrap();
                    let expected: Vec<_> = model
                        .iter()
                        .filter_map(|(number, rows)| Some((*number, (*rows)?)))
                        .take(most)
                        .collect();
                    let rows = loaded.iter().map(|one| (one.number, one.batch.rows()));
                    prop_assert_eq!(rows.collect::<Vec<_>>(), expected);
                    let last = loaded.last().map(|one| one.number);
                    model.retain(|number, rows| {
                        let is_passed = last.is_none_or(|last| *number < last) || loaded.len() < most;
                        torn += u64::from(rows.is_none() && is_passed);
                        rows.is_some() || !is_passed
                    });
                    for one in loaded.into_iter().filter(|_| stored) {
                        spool.remove(one.number);
                        model.remove(&one.number);
                    }
                }
                Event::Restart => {
                    drop(spool);
                    spool = open(dir.path(), &metrics);
                }
                Event::Tear { place, bytes } => {
                    if let Some((number, rows)) = model.iter_mut().nth(place)
                        && tear(dir.path(), *number, bytes)
                    {
                        *rows = None;
                    }
                }
            }
            prop_assert_eq!(spool.len(), model.len());
            let files = spool.files.values();
            let sums = files.fold((0, 0), |(bytes, rows), file| (bytes + file.bytes, rows + u64::from(file.rows)));
            prop_assert_eq!((spool.bytes, spool.rows), sums);
            prop_assert_eq!(metrics.spool_torn.get(), torn);
        }
        prop_assert!(spool.is_empty());
    }
}
