//! The rules of `flow`, one by one.

use super::*;
use crate::store::RowBuffer;

const ROW: Share = Share {
    rows: 1,
    bytes: 100,
    reserved: false,
};

fn flow(spooled: usize) -> Flow {
    let config = Config::from_lookup(&|name| match name {
        "DB_WRITERS" => Some("2".to_owned()),
        "DB_BATCH_SIZE" => Some("1".to_owned()),
        _ => None,
    });
    let mut flow = Flow::new(&config.unwrap(), spooled);
    flow.database_ready();
    flow
}

fn push(flow: &mut Flow, now: Instant) {
    let group = Group {
        rows: RowBuffer::default(),
        sessions: Vec::new(),
        audit: false,
        received_at: now,
    };
    flow.push(group, ROW);
}

fn written(step: Option<Step>) -> Arc<Batch> {
    match step {
        Some(Step::Write { batch, .. }) => batch,
        other => panic!("{other:?}"),
    }
}

fn spilled(step: Option<Step>) -> Arc<Batch> {
    match step {
        Some(Step::Spill { batch, .. }) => batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_more_batches_are_under_way_than_there_are_writers() {
    let now = Instant::now();
    let mut flow = flow(0);
    push(&mut flow, now);
    written(flow.next_step(now));
    push(&mut flow, now);
    written(flow.next_step(now));
    push(&mut flow, now);
    assert!(flow.next_step(now).is_none());
    flow.stored(Origin::Memory, now);
    written(flow.next_step(now));
}

#[test]
fn an_outage_sends_batches_to_disk_and_asks_again_with_growing_waits() {
    let now = Instant::now();
    let mut flow = flow(0);
    push(&mut flow, now);
    let batch = written(flow.next_step(now));
    assert!(flow.not_stored(batch, ROW, Origin::Memory, now));
    spilled(flow.next_step(now));
    flow.spilled();
    push(&mut flow, now);
    spilled(flow.next_step(now));
    flow.spilled();
    // One from disk asks.
    let later = now + RETRY_FIRST;
    assert_eq!(flow.wake_at(now), Some(later));
    assert!(matches!(flow.next_step(later), Some(Step::TakeOldest)));
    assert!(flow.next_step(later).is_none());
    flow.taken(later);
    let number = Origin::Spool(SpoolNumber::for_tests(1));
    let empty = Arc::new(Batch::new(Vec::new()));
    assert!(!flow.not_stored(empty, Share::default(), number, later));
    assert_eq!(flow.wake_at(later), Some(later + RETRY_FIRST * 2));
    // The next time it is back.
    let back = later + RETRY_FIRST * 2;
    assert!(matches!(flow.next_step(back), Some(Step::TakeOldest)));
    flow.taken(back);
    assert_eq!(flow.stored(number, back), Some(back - now));
    flow.forgotten(1);
    assert!(matches!(flow.next_step(back), Some(Step::TakeOldest)));
}

#[test]
fn what_waits_on_disk_is_stored_while_new_messages_keep_flowing() {
    let now = Instant::now();
    let mut flow = flow(5);
    push(&mut flow, now);
    written(flow.next_step(now));
    assert!(matches!(flow.next_step(now), Some(Step::TakeOldest)));
    flow.taken(now);
    assert!(flow.next_step(now).is_none());
}

#[test]
fn a_database_that_does_not_answer_sends_batches_to_disk() {
    let now = Instant::now();
    let mut flow = flow(0);
    for _ in 0..2 {
        push(&mut flow, now);
        written(flow.next_step(now));
    }
    push(&mut flow, now);
    assert!(flow.next_step(now).is_none());
    let stuck = now + STUCK_AFTER;
    assert!(flow.wake_at(now).is_some_and(|wake_at| wake_at <= stuck));
    spilled(flow.next_step(stuck));
}

#[test]
fn writers_that_never_answer_are_given_up_also_during_an_outage() {
    let now = Instant::now();
    let mut flow = flow(0);
    let batches: Vec<_> = (0..2)
        .map(|_| {
            push(&mut flow, now);
            written(flow.next_step(now))
        })
        .collect();
    let late = now + ABANDON_AFTER;
    assert!(!flow.should_abandon(late - STUCK_AFTER));
    assert!(flow.should_abandon(late));
    for batch in batches {
        flow.not_stored(batch, ROW, Origin::Memory, late);
    }
    assert!(!flow.should_abandon(late));
    // Now one asks, and is silent as well.
    let again = late + RETRY_LAST;
    written(flow.next_step(again));
    assert!(flow.should_abandon(again + ABANDON_AFTER));
}

#[test]
fn a_disk_without_room_is_asked_again_later() {
    let now = Instant::now();
    let mut flow = flow(0);
    flow.ready = false;
    push(&mut flow, now);
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
    assert!(matches!(flow.next_step(now), Some(Step::TakeOldest)));
    assert!(flow.not_taken(now));
    assert!(flow.next_step(now).is_none());
    push(&mut flow, now);
    let batch = written(flow.next_step(now));
    assert!(flow.not_stored(batch, ROW, Origin::Memory, now));
    // What is in memory asks whether the database is back.
    let back = now + RETRY_FIRST;
    written(flow.next_step(back));
    flow.stored(Origin::Memory, back);
    assert_eq!(flow.wake_at(back), Some(now + SPOOL_RETRY));
    let later = now + SPOOL_RETRY;
    assert!(matches!(flow.next_step(later), Some(Step::TakeOldest)));
    assert!(!flow.not_taken(later));
}

#[test]
fn draining_to_disk_takes_also_what_is_with_a_writer() {
    let now = Instant::now();
    let mut flow = flow(0);
    push(&mut flow, now);
    let batch = written(flow.next_step(now));
    flow.drain(false, Vec::new());
    assert!(!flow.is_drained());
    flow.drain(true, vec![batch]);
    spilled(flow.next_step(now));
    assert!(!flow.is_drained());
    flow.spilled();
    assert!(flow.is_drained());
}
