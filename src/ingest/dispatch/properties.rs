//! What dispatch keeps whatever happens, in whatever order: random events against
//! a model of writers, database and spool.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::ids::SessionId;
use crate::store::{NewRow, NodeTime, RowBuffer, RowKind};

const WRITERS: usize = 3;

/// Steps that one event may cause; more would be a loop without end.
const STEPS_MAX: usize = 1_000;

#[derive(Debug, Clone)]
enum Event {
    /// A socket has read so many messages.
    Push(usize),
    /// So many milliseconds pass.
    Wait(u64),
    /// A writer answers: stored.
    Stored(usize),
    /// A writer answers: not stored. With `committed` the answer is wrong.
    NotStored { writer: usize, committed: bool },
    /// A writer that was replaced commits after all.
    LateCommit,
    /// The spool answers its last request.
    SpoolAnswers { succeeds: bool },
    /// Sockets wait for the memory budget.
    MemoryPressure,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..=5_usize).prop_map(Event::Push),
        3 => (0..2_000_u64).prop_map(Event::Wait),
        1 => (5_000..70_000_u64).prop_map(Event::Wait),
        4 => (0..WRITERS).prop_map(Event::Stored),
        3 => (0..WRITERS, any::<bool>())
            .prop_map(|(writer, committed)| Event::NotStored { writer, committed }),
        1 => Just(Event::LateCommit),
        4 => any::<bool>().prop_map(|succeeds| Event::SpoolAnswers { succeeds }),
        1 => Just(Event::MemoryPressure),
    ]
}

/// A request to the spool.
#[derive(Debug)]
enum SpoolRequest {
    Append(Arc<Batch>, Reservation),
    Read(usize, Vec<SpoolNumber>),
    Delete(Vec<SpoolNumber>),
}

/// Everything around dispatch.
struct World {
    dispatch: Dispatch,
    now: Instant,
    pushed: i64,
    released: Reservation,
    /// Messages by the number of their batch, which is recognised.
    database: BTreeMap<i64, Vec<i64>>,
    disk: BTreeMap<u64, Batch>,
    next_file: u64,
    writers: BTreeMap<InFlightId, Vec<Arc<Batch>>>,
    /// What replaced writers may still commit.
    late: Vec<Vec<Arc<Batch>>>,
    spool: VecDeque<SpoolRequest>,
}

impl World {
    fn new() -> Self {
        let mut config = Config::from_lookup(&|_| None).unwrap();
        config.store.writers = WRITERS;
        config.ingest.batch_rows = 4;
        config.ingest.queue_rows_max = 64;
        let mut dispatch = Dispatch::new(&config, 0, Arc::default());
        dispatch.database_ready();
        Self {
            dispatch,
            now: Instant::now(),
            pushed: 0,
            released: Reservation::default(),
            database: BTreeMap::new(),
            disk: BTreeMap::new(),
            next_file: 1,
            writers: BTreeMap::new(),
            late: Vec::new(),
            spool: VecDeque::new(),
        }
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Push(count) => self.push(count),
            Event::Wait(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Event::Stored(writer) => {
                if let Some(id) = self.writer(writer) {
                    self.stored(id);
                }
            }
            Event::NotStored { writer, committed } => {
                if let Some(id) = self.writer(writer) {
                    let batches = self.writers.remove(&id).unwrap();
                    if committed {
                        self.commit(&batches);
                    }
                    self.dispatch.not_stored(id, self.now);
                }
            }
            Event::LateCommit => {
                if let Some(batches) = self.late.pop() {
                    self.commit(&batches);
                }
            }
            Event::SpoolAnswers { succeeds } => self.spool_answers(succeeds),
            Event::MemoryPressure => self.dispatch.memory_pressure(),
        }
        self.proceed();
    }

    fn push(&mut self, count: usize) {
        let mut rows = RowBuffer::default();
        for _ in 0..count {
            let row = NewRow {
                created_at: DateTime::from_timestamp_micros(self.pushed).unwrap(),
                session: SessionId(1),
                kind: RowKind::Stored(1),
                node_time: NodeTime::Unknown,
                target: None,
            };
            rows.push(&row, |out| out.extend_from_slice(b"{}"));
            self.pushed += 1;
        }
        let group = Group {
            rows,
            sessions: Vec::new(),
            audit: false,
            received_at: self.now,
            kept: None,
        };
        let reservation = Reservation {
            rows: count,
            bytes: count * 100,
            is_priority: false,
        };
        self.dispatch.push(group, reservation);
    }

    /// Does all that dispatch asks for now.
    fn proceed(&mut self) {
        while let Some(id) = self.dispatch.overdue(self.now) {
            let batches = self.writers.remove(&id).unwrap();
            self.late.push(batches);
            self.dispatch.not_stored(id, self.now);
        }
        let mut steps = 0;
        while let Some(step) = self.dispatch.next_step(self.now) {
            steps += 1;
            assert!(steps < STEPS_MAX, "steps without end: {step:?}");
            self.take(step);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write { id, batches, .. } => {
                self.writers.insert(id, batches);
                assert!(self.writers.len() <= WRITERS);
            }
            Step::Spill { batch, reservation } => {
                self.spool
                    .push_back(SpoolRequest::Append(batch, reservation));
            }
            Step::ReadOldest { limit, except } => {
                self.spool.push_back(SpoolRequest::Read(limit, except));
            }
        }
    }

    fn writer(&self, place: usize) -> Option<InFlightId> {
        self.writers.keys().nth(place).copied()
    }

    fn stored(&mut self, id: InFlightId) {
        let batches = self.writers.remove(&id).unwrap();
        self.commit(&batches);
        match self.dispatch.stored(id, self.now).unwrap().source {
            Source::Memory(reservation) => self.release(reservation),
            Source::Spool(numbers) => self.spool.push_back(SpoolRequest::Delete(numbers)),
        }
    }

    /// The database recognises a number that it has.
    fn commit(&mut self, batches: &[Arc<Batch>]) {
        for batch in batches {
            let before = self.database.insert(number(batch), messages(batch));
            assert!(before.is_none_or(|before| before == messages(batch)));
        }
    }

    fn spool_answers(&mut self, succeeds: bool) {
        match self.spool.pop_front() {
            None => {}
            Some(SpoolRequest::Append(batch, reservation)) if succeeds => {
                let copies = self
                    .disk
                    .values()
                    .filter(|other| number(other) == number(&batch));
                assert_eq!(copies.count(), 0, "a batch is in the spool once");
                self.disk.insert(self.next_file, (*batch).clone());
                self.next_file += 1;
                self.release(reservation);
                self.dispatch.spilled();
            }
            Some(SpoolRequest::Append(batch, reservation)) => {
                self.dispatch.not_spilled(batch, reservation, self.now);
            }
            Some(SpoolRequest::Read(limit, except)) if succeeds => self.spool_reads(limit, &except),
            Some(SpoolRequest::Read(..)) => {
                self.dispatch.read_failed(self.now);
            }
            Some(SpoolRequest::Delete(numbers)) => {
                self.disk
                    .retain(|file, _| !numbers.contains(&SpoolNumber::for_tests(*file)));
                self.dispatch.deleted(self.disk.len());
            }
        }
    }

    fn spool_reads(&mut self, limit: usize, except: &[SpoolNumber]) {
        let files = self.disk.iter().map(|(file, batch)| SpooledBatch {
            number: SpoolNumber::for_tests(*file),
            batch: batch.clone(),
        });
        let oldest: Vec<_> = files
            .filter(|file| !except.contains(&file.number))
            .take(limit)
            .collect();
        if oldest.is_empty() {
            self.dispatch.nothing_to_read();
        } else {
            let step = self.dispatch.spool_read(oldest, self.now);
            self.take(step);
        }
    }

    fn release(&mut self, reservation: Reservation) {
        self.released.rows += reservation.rows;
        self.released.bytes += reservation.bytes;
    }

    /// Ends in order. To disk means that the database fails; otherwise nothing fails.
    fn end(&mut self, to_disk: bool) {
        self.dispatch.drain(to_disk);
        for _ in 0..STEPS_MAX {
            self.proceed();
            if self.dispatch.is_drained() {
                return;
            }
            match self.writer(0) {
                Some(id) if to_disk => {
                    self.writers.remove(&id);
                    self.dispatch.not_stored(id, self.now);
                }
                Some(id) => self.stored(id),
                None => {}
            }
            self.spool_answers(true);
            self.now += Duration::from_millis(100);
        }
        panic!("it is never drained: {:?}", self.dispatch);
    }

    /// Each message is stored or on disk, in one batch with one number.
    fn check(&self) {
        let on_disk = self.disk.values();
        let on_disk = on_disk.map(|batch| (number(batch), messages(batch)));
        let stored = self.database.clone().into_iter();
        let by_number: BTreeMap<i64, Vec<i64>> = stored.chain(on_disk).collect();
        let all: Vec<i64> = by_number.into_values().flatten().collect();
        let distinct: BTreeSet<i64> = all.iter().copied().collect();
        assert_eq!(distinct, (0..self.pushed).collect(), "nothing is lost");
        assert_eq!(all.len(), distinct.len(), "nothing has two numbers");
        let rows = usize::try_from(self.pushed).unwrap();
        let released = (self.released.rows, self.released.bytes);
        assert_eq!(released, (rows, rows * 100), "the budget is whole again");
    }
}

fn number(batch: &Batch) -> i64 {
    let mut rows = batch.groups.iter().flat_map(|group| group.rows.views());
    rows.next().unwrap().0.id.0
}

fn messages(batch: &Batch) -> Vec<i64> {
    let rows = batch.groups.iter().flat_map(|group| group.rows.views());
    rows.map(|(row, _)| row.created_at.timestamp_micros())
        .collect()
}

proptest! {
    #[test]
    fn every_message_is_stored_or_on_disk_in_one_batch(
        events in prop::collection::vec(event(), 0..200),
        to_disk in any::<bool>(),
    ) {
        let mut world = World::new();
        events.iter().for_each(|event| world.happens(event));
        world.end(to_disk);
        world.check();
    }
}
