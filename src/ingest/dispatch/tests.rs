//! The rules of dispatch, one by one.

use super::*;
use crate::store::RowBuffer;

const ROW: Reservation = Reservation {
    rows: 1,
    bytes: 100,
    is_priority: false,
};

/// `DB_WRITE_TIMEOUT_S` of these tests: its default.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// `DB_SAVE_LATENCY_MS` of these tests: its default.
const LATENCY: Duration = Duration::from_millis(100);

fn dispatch(spooled: usize) -> Dispatch {
    let config = Config::from_lookup(&|name| match name {
        "DB_WRITERS" => Some("2".to_owned()),
        "DB_BATCH_SIZE" => Some("2".to_owned()),
        _ => None,
    });
    let mut dispatch = Dispatch::new(&config.unwrap(), spooled, Arc::default());
    dispatch.database_ready();
    dispatch
}

fn group(received_at: Instant) -> Group {
    Group {
        rows: RowBuffer::default(),
        sessions: Vec::new(),
        audit: false,
        received_at,
        kept: None,
    }
}

/// Half of what makes a batch large.
fn push(dispatch: &mut Dispatch, now: Instant) {
    dispatch.push(group(now), ROW);
}

/// A batch that is due now.
fn push_batch(dispatch: &mut Dispatch, now: Instant) {
    push(dispatch, now);
    push(dispatch, now);
}

#[track_caller]
fn written(step: Option<Step>) -> (InFlightId, WriteReason) {
    match step {
        Some(Step::Write { id, reason, .. }) => (id, reason),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn spilled(step: Option<Step>) -> Arc<Batch> {
    match step {
        Some(Step::Spill { batch, .. }) => batch,
        other => panic!("{other:?}"),
    }
}

/// How many may be read, and which not.
#[track_caller]
fn reads_spool(step: Option<Step>) -> (usize, Vec<SpoolNumber>) {
    match step {
        Some(Step::ReadOldest { limit, except }) => (limit, except),
        other => panic!("{other:?}"),
    }
}

fn spool_read(dispatch: &mut Dispatch, numbers: &[u64], now: Instant) -> InFlightId {
    let oldest = numbers.iter().map(|number| SpooledBatch {
        number: SpoolNumber::for_tests(*number),
        batch: Batch::new(Vec::new()),
    });
    let step = dispatch.spool_read(oldest.collect(), now);
    written(Some(step)).0
}

#[test]
fn no_more_batches_are_in_flight_than_there_are_writers() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, now);
    let (first, _) = written(dispatch.next_step(now));
    push_batch(&mut dispatch, now);
    written(dispatch.next_step(now));
    push_batch(&mut dispatch, now);
    assert!(dispatch.next_step(now).is_none());
    dispatch.stored(first, now);
    written(dispatch.next_step(now));
}

#[test]
fn an_outage_sends_batches_to_disk_and_is_probed_with_growing_backoff() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, now);
    let (id, _) = written(dispatch.next_step(now));
    assert_eq!(dispatch.not_stored(id, now), Some(Failure::Outage));
    spilled(dispatch.next_step(now));
    dispatch.spilled();
    push_batch(&mut dispatch, now);
    spilled(dispatch.next_step(now));
    dispatch.spilled();
    // A batch from the spool is the probe.
    let later = now + RETRY_FIRST;
    assert_eq!(dispatch.wake_at(now), Some(later));
    reads_spool(dispatch.next_step(later));
    assert!(dispatch.next_step(later).is_none());
    let id = spool_read(&mut dispatch, &[1], later);
    assert_eq!(dispatch.not_stored(id, later), Some(Failure::Outage));
    assert_eq!(dispatch.wake_at(later), Some(later + RETRY_FIRST * 2));
    // The next probe succeeds.
    let back = later + RETRY_FIRST * 2;
    reads_spool(dispatch.next_step(back));
    let id = spool_read(&mut dispatch, &[1], back);
    dispatch.stored(id, back);
    dispatch.deleted(1);
    reads_spool(dispatch.next_step(back));
}

#[test]
fn an_outage_has_one_probe_at_a_time() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, now);
    let (first, _) = written(dispatch.next_step(now));
    dispatch.not_stored(first, now);
    let later = now + RETRY_FIRST;
    written(dispatch.next_step(later));
    push_batch(&mut dispatch, later);
    spilled(dispatch.next_step(later));
}

#[test]
fn a_batch_that_always_fails_is_not_the_only_probe() {
    let now = Instant::now();
    let mut dispatch = dispatch(1);
    reads_spool(dispatch.next_step(now));
    let id = spool_read(&mut dispatch, &[1], now);
    assert_eq!(dispatch.not_stored(id, now), Some(Failure::Outage));
    // Now it is the turn of what is in memory, however little that is.
    push(&mut dispatch, now);
    let later = now + RETRY_FIRST;
    let (id, _) = written(dispatch.next_step(later));
    dispatch.stored(id, later);
    // Others were stored, so the next time the fault is its own.
    reads_spool(dispatch.next_step(later));
    let id = spool_read(&mut dispatch, &[1], later);
    assert_eq!(dispatch.not_stored(id, later), Some(Failure::BatchOnly));
    // New messages proceed, and other batches from the spool too.
    push_batch(&mut dispatch, later);
    written(dispatch.next_step(later));
    assert!(dispatch.next_step(later).is_none());
    dispatch.spooled.add();
    let number = SpoolNumber::for_tests(1);
    assert_eq!(reads_spool(dispatch.next_step(later)), (1, vec![number]));
    dispatch.nothing_to_read();
    let wake_at = dispatch.wake_at(later).unwrap();
    assert_eq!(reads_spool(dispatch.next_step(wake_at)), (1, Vec::new()));
}

#[test]
fn batches_that_fail_while_others_are_stored_are_tried_one_by_one() {
    let now = Instant::now();
    let mut dispatch = dispatch(3);
    reads_spool(dispatch.next_step(now));
    let together = spool_read(&mut dispatch, &[1, 2, 3], now);
    push_batch(&mut dispatch, now);
    let (other, _) = written(dispatch.next_step(now));
    let later = now + LATENCY;
    dispatch.stored(other, later);
    assert_eq!(
        dispatch.not_stored(together, later),
        Some(Failure::BatchOnly)
    );
    // None of them is deferred yet.
    assert_eq!(reads_spool(dispatch.next_step(later)), (1, Vec::new()));
}

#[test]
fn a_success_before_a_batch_was_sent_says_nothing_of_its_failure() {
    let now = Instant::now();
    let mut dispatch = dispatch(1);
    push_batch(&mut dispatch, now);
    reads_spool(dispatch.next_step(now));
    let (id, _) = written(dispatch.next_step(now));
    dispatch.stored(id, now);
    let id = spool_read(&mut dispatch, &[1], now);
    assert_eq!(dispatch.not_stored(id, now), Some(Failure::Outage));
}

#[test]
fn the_spool_alternates_with_new_messages() {
    let now = Instant::now();
    let mut dispatch = dispatch(5);
    push_batch(&mut dispatch, now);
    reads_spool(dispatch.next_step(now));
    // A writer is kept for it.
    written(dispatch.next_step(now));
    push_batch(&mut dispatch, now);
    assert!(dispatch.next_step(now).is_none());
    let id = spool_read(&mut dispatch, &[1], now);
    dispatch.stored(id, now);
    // While it is being deleted, no other is read.
    let (id, _) = written(dispatch.next_step(now));
    dispatch.deleted(4);
    assert!(dispatch.next_step(now).is_none());
    // Then it comes before what is in memory.
    push_batch(&mut dispatch, now);
    dispatch.stored(id, now);
    reads_spool(dispatch.next_step(now));
}

#[test]
fn more_is_read_from_the_spool_with_each_success_and_one_after_a_failure() {
    let now = Instant::now();
    let mut dispatch = dispatch(1_000);
    for (limit, count) in [(1, 1), (4, 4), (16, 3), (16, 16), (64, 64), (256, 256)] {
        assert_eq!(reads_spool(dispatch.next_step(now)), (limit, Vec::new()));
        let numbers: Vec<u64> = (0..count).collect();
        let id = spool_read(&mut dispatch, &numbers, now);
        dispatch.stored(id, now);
        dispatch.deleted(1_000);
    }
    assert_eq!(reads_spool(dispatch.next_step(now)).0, 256);
    let id = spool_read(&mut dispatch, &[1, 2], now);
    dispatch.not_stored(id, now);
    assert_eq!(reads_spool(dispatch.next_step(now + RETRY_FIRST)).0, 1);
}

#[test]
fn a_database_that_does_not_answer_sends_batches_to_disk() {
    let start = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, start);
    let (stored, _) = written(dispatch.next_step(start));
    dispatch.stored(stored, start);
    let now = start + STALLED_AFTER * 2;
    assert!(!dispatch.is_stalled(now), "nothing waits");
    for _ in 0..2 {
        push_batch(&mut dispatch, now);
        written(dispatch.next_step(now));
    }
    push_batch(&mut dispatch, now);
    assert!(dispatch.next_step(now).is_none());
    let stalled = now + STALLED_AFTER;
    assert_eq!(dispatch.wake_at(now), Some(now + LATENCY));
    assert_eq!(dispatch.wake_at(now + LATENCY), Some(stalled));
    assert!(!dispatch.is_stalled(stalled - LATENCY));
    assert!(dispatch.is_stalled(stalled));
    spilled(dispatch.next_step(stalled));
}

#[test]
fn a_database_that_is_too_slow_sends_batches_to_disk() {
    let start = Instant::now();
    let mut dispatch = dispatch(0);
    // Each batch takes half a second, and another one comes in half of that.
    let step = Duration::from_millis(250);
    let mut in_flight = VecDeque::new();
    let mut is_spilled = false;
    for tick in 0..20 {
        let now = start + step * tick;
        if tick >= 2 && tick % 2 == 0 {
            dispatch.stored(in_flight.pop_front().unwrap(), now);
        }
        for _ in 0..20 {
            push_batch(&mut dispatch, now);
        }
        while let Some(next) = dispatch.next_step(now) {
            match next {
                Step::Write { id, .. } => in_flight.push_back(id),
                Step::Spill { .. } => {
                    is_spilled = true;
                    dispatch.spilled();
                }
                Step::ReadOldest { .. } => dispatch.nothing_to_read(),
            }
        }
        // It is slow, and available.
        assert!(!dispatch.is_stalled(now) || tick < 2);
    }
    assert!(is_spilled);
}

#[test]
fn memory_pressure_sends_batches_to_disk() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    for _ in 0..2 {
        push_batch(&mut dispatch, now);
        written(dispatch.next_step(now));
    }
    // Three quarters of `QUEUE_BYTES_MAX`.
    for _ in 0..4 {
        let reservation = Reservation {
            bytes: 12 << 20,
            ..ROW
        };
        dispatch.push(group(now), reservation);
    }
    assert!(
        dispatch.next_step(now).is_none(),
        "sockets may wait for a moment"
    );
    dispatch.memory_pressure();
    for _ in 0..3 {
        spilled(dispatch.next_step(now));
        dispatch.spilled();
    }
    assert!(dispatch.next_step(now).is_none(), "the budget lasts again");
}

#[test]
fn each_writer_that_does_not_answer_in_time_is_replaced_alone() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, now);
    let (hung, _) = written(dispatch.next_step(now));
    // The other one works on all the time.
    let mut last = now;
    for second in 1..60 {
        last = now + Duration::from_secs(second);
        push_batch(&mut dispatch, last);
        let (id, _) = written(dispatch.next_step(last));
        dispatch.stored(id, last);
        assert_eq!(dispatch.overdue(last), None);
    }
    let end = now + WRITE_TIMEOUT;
    assert_eq!(dispatch.wake_at(last), Some(end));
    assert_eq!(dispatch.overdue(end), Some(hung));
    assert_eq!(dispatch.not_stored(hung, end), Some(Failure::Outage));
    assert_eq!(dispatch.overdue(end), None);
    // What it had is sent again, and its own answer comes too late.
    let again = end + RETRY_FIRST;
    let (id, reason) = written(dispatch.next_step(again));
    assert_eq!(reason, WriteReason::Retry);
    assert!(dispatch.stored(hung, again).is_none());
    assert_eq!(dispatch.not_stored(hung, again), None);
    assert!(dispatch.stored(id, again).is_some());
}

#[test]
fn a_probe_of_an_outage_has_a_deadline_too() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, now);
    let (first, _) = written(dispatch.next_step(now));
    push_batch(&mut dispatch, now);
    let (hung, _) = written(dispatch.next_step(now));
    dispatch.not_stored(first, now);
    // A writer that hung before does not prevent the probe.
    let later = now + RETRY_FIRST;
    let (probe, _) = written(dispatch.next_step(later));
    push_batch(&mut dispatch, later);
    spilled(dispatch.next_step(later));
    dispatch.spilled();
    assert!(dispatch.next_step(later).is_none());
    assert_eq!(dispatch.overdue(now + WRITE_TIMEOUT), Some(hung));
    dispatch.not_stored(hung, now + WRITE_TIMEOUT);
    // Its failure says nothing of the probe: there is no other one.
    spilled(dispatch.next_step(now + WRITE_TIMEOUT + RETRY_FIRST * 2));
    assert_eq!(dispatch.overdue(later + WRITE_TIMEOUT), Some(probe));
}

#[test]
fn a_full_disk_is_tried_again_later() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    dispatch.ready = false;
    push_batch(&mut dispatch, now);
    let batch = spilled(dispatch.next_step(now));
    assert!(dispatch.not_spilled(batch, ROW, now));
    assert!(dispatch.next_step(now).is_none());
    assert_eq!(dispatch.wake_at(now), Some(now + SPOOL_RETRY));
    let batch = spilled(dispatch.next_step(now + SPOOL_RETRY));
    assert!(!dispatch.not_spilled(batch, ROW, now + SPOOL_RETRY));
    spilled(dispatch.next_step(now + SPOOL_RETRY * 2));
}

#[test]
fn a_spool_that_cannot_be_read_is_tried_again_later_and_stops_nothing() {
    let now = Instant::now();
    let mut dispatch = dispatch(1);
    reads_spool(dispatch.next_step(now));
    assert!(dispatch.read_failed(now));
    assert!(dispatch.next_step(now).is_none());
    push_batch(&mut dispatch, now);
    let (id, _) = written(dispatch.next_step(now));
    dispatch.not_stored(id, now);
    // A batch from memory is the probe.
    let back = now + RETRY_FIRST;
    let (id, _) = written(dispatch.next_step(back));
    dispatch.stored(id, back);
    assert_eq!(dispatch.wake_at(back), Some(now + SPOOL_RETRY));
    let later = now + SPOOL_RETRY;
    reads_spool(dispatch.next_step(later));
    assert!(!dispatch.read_failed(later));
}

#[test]
fn draining_to_disk_includes_what_is_in_flight() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, now);
    written(dispatch.next_step(now));
    dispatch.drain(false);
    assert!(!dispatch.is_drained());
    dispatch.drain(true);
    spilled(dispatch.next_step(now));
    assert!(!dispatch.is_drained());
    dispatch.spilled();
    assert!(dispatch.is_drained());
}

#[test]
fn draining_to_disk_spills_a_batch_once_although_its_write_fails_meanwhile() {
    let now = Instant::now();
    let mut dispatch = dispatch(0);
    push_batch(&mut dispatch, now);
    let (id, _) = written(dispatch.next_step(now));
    dispatch.drain(true);
    dispatch.not_stored(id, now);
    spilled(dispatch.next_step(now));
    dispatch.spilled();
    assert!(dispatch.next_step(now).is_none());
    assert!(dispatch.is_drained());
}

#[test]
fn draining_to_the_database_does_not_wait_for_the_spool() {
    let now = Instant::now();
    let mut dispatch = dispatch(1);
    reads_spool(dispatch.next_step(now));
    spool_read(&mut dispatch, &[1], now);
    push(&mut dispatch, now);
    dispatch.drain(false);
    let (id, reason) = written(dispatch.next_step(now));
    assert_eq!(reason, WriteReason::Due(FlushReason::Shutdown));
    assert!(!dispatch.is_drained());
    dispatch.stored(id, now);
    assert!(dispatch.is_drained());
}
