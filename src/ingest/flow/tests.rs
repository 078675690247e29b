//! The rules of `flow`, one by one.

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

fn flow(spooled: usize) -> Flow {
    let config = Config::from_lookup(&|name| match name {
        "DB_WRITERS" => Some("2".to_owned()),
        "DB_BATCH_SIZE" => Some("2".to_owned()),
        _ => None,
    });
    let mut flow = Flow::new(&config.unwrap(), spooled);
    flow.database_ready();
    flow
}

fn group(received_at: Instant) -> Group {
    Group {
        rows: RowBuffer::default(),
        sessions: Vec::new(),
        audit: false,
        received_at,
    }
}

/// Half of what makes a batch large.
fn push(flow: &mut Flow, now: Instant) {
    flow.push(group(now), ROW);
}

/// A batch that is due now.
fn push_batch(flow: &mut Flow, now: Instant) {
    push(flow, now);
    push(flow, now);
}

#[track_caller]
fn written(step: Option<Step>) -> (Flight, Why) {
    match step {
        Some(Step::Write { flight, why, .. }) => (flight, why),
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

/// How many may be taken, and which not.
#[track_caller]
fn asked_disk(step: Option<Step>) -> (usize, Vec<SpoolNumber>) {
    match step {
        Some(Step::TakeOldest { most, except }) => (most, except),
        other => panic!("{other:?}"),
    }
}

fn taken(flow: &mut Flow, numbers: &[u64], now: Instant) -> Flight {
    let taken = numbers.iter().map(|number| SpooledBatch {
        number: SpoolNumber::for_tests(*number),
        batch: Batch::new(Vec::new()),
    });
    let step = flow.taken(taken.collect(), now);
    written(Some(step)).0
}

#[test]
fn no_more_batches_are_under_way_than_there_are_writers() {
    let now = Instant::now();
    let mut flow = flow(0);
    push_batch(&mut flow, now);
    let (first, _) = written(flow.next_step(now));
    push_batch(&mut flow, now);
    written(flow.next_step(now));
    push_batch(&mut flow, now);
    assert!(flow.next_step(now).is_none());
    flow.stored(first, now);
    written(flow.next_step(now));
}

#[test]
fn an_outage_sends_batches_to_disk_and_asks_again_with_growing_waits() {
    let now = Instant::now();
    let mut flow = flow(0);
    push_batch(&mut flow, now);
    let (flight, _) = written(flow.next_step(now));
    assert_eq!(flow.not_stored(flight, now), Some(Failed::Away));
    spilled(flow.next_step(now));
    flow.spilled();
    push_batch(&mut flow, now);
    spilled(flow.next_step(now));
    flow.spilled();
    // One from disk asks.
    let later = now + RETRY_FIRST;
    assert_eq!(flow.wake_at(now), Some(later));
    asked_disk(flow.next_step(later));
    assert!(flow.next_step(later).is_none());
    let flight = taken(&mut flow, &[1], later);
    assert_eq!(flow.not_stored(flight, later), Some(Failed::Away));
    assert_eq!(flow.wake_at(later), Some(later + RETRY_FIRST * 2));
    // The next time it is back.
    let back = later + RETRY_FIRST * 2;
    asked_disk(flow.next_step(back));
    let flight = taken(&mut flow, &[1], back);
    flow.stored(flight, back);
    flow.forgotten(1);
    asked_disk(flow.next_step(back));
}

#[test]
fn a_batch_that_always_fails_is_not_the_only_one_that_asks() {
    let now = Instant::now();
    let mut flow = flow(1);
    asked_disk(flow.next_step(now));
    let flight = taken(&mut flow, &[1], now);
    assert_eq!(flow.not_stored(flight, now), Some(Failed::Away));
    // Now it is the turn of what is in memory, however little that is.
    push(&mut flow, now);
    let later = now + RETRY_FIRST;
    let (flight, _) = written(flow.next_step(later));
    flow.stored(flight, later);
    // Others were stored, so the next time the fault is its own.
    asked_disk(flow.next_step(later));
    let flight = taken(&mut flow, &[1], later);
    assert_eq!(flow.not_stored(flight, later), Some(Failed::Alone));
    // New messages flow, and others from disk too.
    push_batch(&mut flow, later);
    written(flow.next_step(later));
    assert!(flow.next_step(later).is_none());
    flow.spooled.add();
    let number = SpoolNumber::for_tests(1);
    assert_eq!(asked_disk(flow.next_step(later)), (1, vec![number]));
    flow.nothing_taken();
    let wake_at = flow.wake_at(later).unwrap();
    assert_eq!(asked_disk(flow.next_step(wake_at)), (1, Vec::new()));
}

#[test]
fn batches_that_fail_while_others_are_stored_are_tried_one_by_one() {
    let now = Instant::now();
    let mut flow = flow(3);
    asked_disk(flow.next_step(now));
    let together = taken(&mut flow, &[1, 2, 3], now);
    push_batch(&mut flow, now);
    let (other, _) = written(flow.next_step(now));
    let later = now + LATENCY;
    flow.stored(other, later);
    assert_eq!(flow.not_stored(together, later), Some(Failed::Alone));
    // None of them is left alone yet.
    assert_eq!(asked_disk(flow.next_step(later)), (1, Vec::new()));
}

#[test]
fn what_waits_on_disk_takes_turns_with_new_messages() {
    let now = Instant::now();
    let mut flow = flow(5);
    push_batch(&mut flow, now);
    asked_disk(flow.next_step(now));
    // A writer is kept for it.
    written(flow.next_step(now));
    push_batch(&mut flow, now);
    assert!(flow.next_step(now).is_none());
    let flight = taken(&mut flow, &[1], now);
    flow.stored(flight, now);
    // While it is being forgotten, no other is taken.
    written(flow.next_step(now));
    flow.forgotten(4);
    assert!(flow.next_step(now).is_none());
}

#[test]
fn more_is_taken_from_disk_with_each_success_and_one_after_a_failure() {
    let now = Instant::now();
    let mut flow = flow(1_000);
    for (most, count) in [(1, 1), (4, 4), (16, 3), (16, 16), (64, 64), (256, 256)] {
        assert_eq!(asked_disk(flow.next_step(now)), (most, Vec::new()));
        let numbers: Vec<u64> = (0..count).collect();
        let flight = taken(&mut flow, &numbers, now);
        flow.stored(flight, now);
        flow.forgotten(1_000);
    }
    assert_eq!(asked_disk(flow.next_step(now)).0, 256);
    let flight = taken(&mut flow, &[1, 2], now);
    flow.not_stored(flight, now);
    assert_eq!(asked_disk(flow.next_step(now + RETRY_FIRST)).0, 1);
}

#[test]
fn a_database_that_does_not_answer_sends_batches_to_disk() {
    let now = Instant::now();
    let mut flow = flow(0);
    for _ in 0..2 {
        push_batch(&mut flow, now);
        written(flow.next_step(now));
    }
    push_batch(&mut flow, now);
    assert!(flow.next_step(now).is_none());
    let stuck = now + STUCK_AFTER;
    assert_eq!(flow.wake_at(now), Some(now + LATENCY));
    assert_eq!(flow.wake_at(now + LATENCY), Some(stuck));
    assert!(!flow.is_stuck(stuck - LATENCY));
    assert!(flow.is_stuck(stuck));
    spilled(flow.next_step(stuck));
}

#[test]
fn a_database_that_is_too_slow_sends_batches_to_disk() {
    let start = Instant::now();
    let mut flow = flow(0);
    // Each batch takes half a second, and another one comes in half of that.
    let step = Duration::from_millis(250);
    let mut flights = VecDeque::new();
    let mut is_spilled = false;
    for tick in 0..20 {
        let now = start + step * tick;
        if tick >= 2 && tick % 2 == 0 {
            flow.stored(flights.pop_front().unwrap(), now);
        }
        for _ in 0..20 {
            push_batch(&mut flow, now);
        }
        while let Some(next) = flow.next_step(now) {
            match next {
                Step::Write { flight, .. } => flights.push_back(flight),
                Step::Spill { .. } => {
                    is_spilled = true;
                    flow.spilled();
                }
                Step::TakeOldest { .. } => flow.nothing_taken(),
            }
        }
        // It is slow, and not away.
        assert!(!flow.is_stuck(now) || tick < 2);
    }
    assert!(is_spilled);
}

#[test]
fn a_memory_that_sockets_wait_for_is_emptied_to_disk() {
    let now = Instant::now();
    let mut flow = flow(0);
    for _ in 0..2 {
        push_batch(&mut flow, now);
        written(flow.next_step(now));
    }
    // Three quarters of `QUEUE_BYTES_MAX`.
    for _ in 0..4 {
        let reservation = Reservation {
            bytes: 12 << 20,
            ..ROW
        };
        flow.push(group(now), reservation);
    }
    assert!(
        flow.next_step(now).is_none(),
        "sockets may wait for a moment"
    );
    flow.overflow();
    for _ in 0..3 {
        spilled(flow.next_step(now));
        flow.spilled();
    }
    assert!(flow.next_step(now).is_none(), "there is room again");
}

#[test]
fn each_writer_that_does_not_answer_in_time_is_given_up_alone() {
    let now = Instant::now();
    let mut flow = flow(0);
    push_batch(&mut flow, now);
    let (silent, _) = written(flow.next_step(now));
    // The other one works on all the time.
    let mut last = now;
    for second in 1..60 {
        last = now + Duration::from_secs(second);
        push_batch(&mut flow, last);
        let (flight, _) = written(flow.next_step(last));
        flow.stored(flight, last);
        assert_eq!(flow.overdue(last), None);
    }
    let end = now + WRITE_TIMEOUT;
    assert_eq!(flow.wake_at(last), Some(end));
    assert_eq!(flow.overdue(end), Some(silent));
    assert_eq!(flow.not_stored(silent, end), Some(Failed::Away));
    assert_eq!(flow.overdue(end), None);
    // What it had is sent again, and its own answer comes too late.
    let again = end + RETRY_FIRST;
    let (flight, why) = written(flow.next_step(again));
    assert_eq!(why, Why::Again);
    assert!(flow.stored(silent, again).is_none());
    assert_eq!(flow.not_stored(silent, again), None);
    assert!(flow.stored(flight, again).is_some());
}

#[test]
fn who_asks_during_an_outage_is_given_up_in_time_too() {
    let now = Instant::now();
    let mut flow = flow(0);
    push_batch(&mut flow, now);
    let (first, _) = written(flow.next_step(now));
    push_batch(&mut flow, now);
    let (silent, _) = written(flow.next_step(now));
    flow.not_stored(first, now);
    // Who was silent before does not keep others from asking.
    let later = now + RETRY_FIRST;
    let (asking, _) = written(flow.next_step(later));
    push_batch(&mut flow, later);
    spilled(flow.next_step(later));
    flow.spilled();
    assert!(flow.next_step(later).is_none());
    assert_eq!(flow.overdue(now + WRITE_TIMEOUT), Some(silent));
    flow.not_stored(silent, now + WRITE_TIMEOUT);
    assert_eq!(flow.overdue(later + WRITE_TIMEOUT), Some(asking));
}

#[test]
fn a_disk_without_room_is_asked_again_later() {
    let now = Instant::now();
    let mut flow = flow(0);
    flow.ready = false;
    push_batch(&mut flow, now);
    let batch = spilled(flow.next_step(now));
    assert!(flow.not_spilled(batch, ROW, now));
    assert!(flow.next_step(now).is_none());
    let batch = spilled(flow.next_step(now + SPOOL_RETRY));
    assert!(!flow.not_spilled(batch, ROW, now + SPOOL_RETRY));
    spilled(flow.next_step(now + SPOOL_RETRY * 2));
}

#[test]
fn a_batch_on_disk_that_cannot_be_read_is_asked_for_later_and_stops_nothing() {
    let now = Instant::now();
    let mut flow = flow(1);
    asked_disk(flow.next_step(now));
    assert!(flow.not_taken(now));
    assert!(flow.next_step(now).is_none());
    push_batch(&mut flow, now);
    let (flight, _) = written(flow.next_step(now));
    flow.not_stored(flight, now);
    // What is in memory asks whether the database is back.
    let back = now + RETRY_FIRST;
    let (flight, _) = written(flow.next_step(back));
    flow.stored(flight, back);
    assert_eq!(flow.wake_at(back), Some(now + SPOOL_RETRY));
    let later = now + SPOOL_RETRY;
    asked_disk(flow.next_step(later));
    assert!(!flow.not_taken(later));
}

#[test]
fn draining_to_disk_takes_also_what_is_with_a_writer() {
    let now = Instant::now();
    let mut flow = flow(0);
    push_batch(&mut flow, now);
    written(flow.next_step(now));
    flow.drain(false);
    assert!(!flow.is_drained());
    flow.drain(true);
    spilled(flow.next_step(now));
    assert!(!flow.is_drained());
    flow.spilled();
    assert!(flow.is_drained());
}

#[test]
fn draining_to_the_database_does_not_wait_for_what_is_on_disk() {
    let now = Instant::now();
    let mut flow = flow(1);
    asked_disk(flow.next_step(now));
    taken(&mut flow, &[1], now);
    push(&mut flow, now);
    flow.drain(false);
    let (flight, why) = written(flow.next_step(now));
    assert_eq!(why, Why::Due(FlushReason::Shutdown));
    assert!(!flow.is_drained());
    flow.stored(flight, now);
    assert!(flow.is_drained());
}
