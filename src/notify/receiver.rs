//! What the kinds of targets share.

use std::panic;
use std::thread;
use std::time::Duration;

use super::client::{Answer, Client};
use crate::store::outbox::Delivery;

/// Requests to one target that are under way at once: a receiver that takes its time for each has
/// four times as many in a second, and none has to bear more than that.
pub(super) const REQUESTS_MAX: usize = 4;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver took it.
    Delivered,
    /// It is tried again after a while.
    Retry {
        /// The wait.
        wait: Duration,
        /// What it failed with.
        error: String,
    },
    /// It is given up.
    Dead(String),
    /// The receiver is gone for good: nothing is sent to it any more.
    Gone(String),
}

/// A kind of target.
pub(super) trait Receiver: Send + Sync {
    /// Most deliveries of one attempt.
    fn batch_max(&self) -> i64;

    /// Sends deliveries; a verdict for each.
    fn send(&self, client: &Client, deliveries: &[Delivery]) -> Vec<Verdict>;

    /// How often what is open is sent again; none for never.
    fn resend_interval(&self) -> Option<Duration> {
        None
    }
}

/// Attempts deliveries that have a request each, some of them at once; a verdict for each.
pub(super) fn each(
    deliveries: &[Delivery],
    attempt: impl Fn(&Delivery) -> Verdict + Sync,
) -> Vec<Verdict> {
    let attempt = &attempt;
    let size = deliveries.len().div_ceil(REQUESTS_MAX).max(1);
    let mut parts = deliveries.chunks(size);
    let first = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| {
                let run = move || part.iter().map(attempt).collect::<Vec<_>>();
                let named = thread::Builder::new().name("notify".to_owned());
                named.spawn_scoped(scope, run).map_err(|_none_left| run)
            })
            .collect();
        let mut verdicts: Vec<Verdict> = first.iter().map(attempt).collect();
        for other in others {
            verdicts.extend(match other {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|cause| panic::resume_unwind(cause)),
                // The system allows no more threads.
                Err(run) => run(),
            });
        }
        verdicts
    })
}

/// Whether an answer is a success, which only those from 200 to 299 are.
pub(super) fn accepted(answer: &Answer) -> bool {
    (200..=299).contains(&answer.status)
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use chrono::{DateTime, Utc};

    use super::*;

    fn deliveries(count: usize) -> Vec<Delivery> {
        let one = |id| Delivery {
            id,
            created_at: DateTime::<Utc>::UNIX_EPOCH,
            message_id: String::new(),
            payload: String::new(),
            attempts: 1,
        };
        (0..).map(one).take(count).collect()
    }

    #[test]
    fn some_requests_are_under_way_at_once_and_never_more() {
        let (now, changed) = (Mutex::new((0, 0)), Condvar::new());
        let verdicts = each(&deliveries(REQUESTS_MAX * 3), |_| {
            let mut at_once = now.lock().unwrap();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
            changed.notify_all();
            let is_alone = |at_once: &mut (usize, usize)| at_once.1 < REQUESTS_MAX;
            let waited = changed.wait_timeout_while(at_once, Duration::from_secs(30), is_alone);
            let (mut at_once, waited) = waited.unwrap();
            at_once.0 -= 1;
            match waited.timed_out() {
                true => Verdict::Dead(String::new()),
                false => Verdict::Delivered,
            }
        });
        assert_eq!(verdicts, vec![Verdict::Delivered; REQUESTS_MAX * 3]);
        assert_eq!(now.lock().unwrap().1, REQUESTS_MAX);
    }

    #[test]
    fn each_delivery_has_its_own_verdict() {
        for count in [0, 1, 3, 4, 5, 9, 32] {
            let verdicts = each(&deliveries(count), |one| Verdict::Dead(one.id.to_string()));
            let expected = (0..count).map(|id| Verdict::Dead(id.to_string()));
            assert_eq!(verdicts, expected.collect::<Vec<_>>());
        }
    }
}
