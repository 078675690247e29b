//! Tells systemd how the server is (`sd_notify`), where it started the server: that telemetry is taken, that the
//! server stops, and, with `WatchdogSec=`, that it is alive.

use std::time::Duration;

use actix::{Arbiter, ArbiterHandle};
use sd_notify::NotifyState;
use tokio::sync::oneshot;

/// Telemetry is taken from now on.
pub(super) fn listening() {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status("telemetry is taken, the database is awaited"),
    ]);
}

/// The database is there too.
pub(super) fn ready() {
    tell(&[NotifyState::Status("telemetry is taken and stored")]);
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("what was read is stored"),
    ]);
}

/// Sends signs of life as long as all these threads, on which the actors run, do what they are given. There are two
/// in each `WatchdogSec=`, after which systemd ends the server and starts it anew.
pub(super) fn watch(threads: &[&Arbiter]) {
    let Some(time_max) = sd_notify::watchdog_enabled() else {
        return;
    };
    let threads: Vec<_> = threads.iter().map(|thread| thread.handle()).collect();
    let interval = time_max / 2;
    actix_web::rt::spawn(async move {
        loop {
            if answer_in_time(&threads, interval).await {
                tell(&[NotifyState::Watchdog]);
            } else {
                log::error!(
                    "a thread that everything depends on does not answer: no sign of life for systemd"
                );
            }
            tokio::time::sleep(interval / 2).await;
        }
    });
}

/// Whether all of them do something within `patience`.
async fn answer_in_time(threads: &[ArbiterHandle], patience: Duration) -> bool {
    let answers: Vec<_> = threads.iter().map(ask).collect();
    let all = futures::future::join_all(answers);
    let answered = tokio::time::timeout(patience, all).await;
    answered.is_ok_and(|answers| answers.iter().all(Result::is_ok))
}

/// Ready as soon as the thread has done it; an error if the thread has ended.
fn ask(thread: &ArbiterHandle) -> oneshot::Receiver<()> {
    let (answer, answered) = oneshot::channel();
    // The asker may have given up; where the thread has ended, the answer is dropped.
    thread.spawn_fn(move || {
        answer.send(()).ok();
    });
    answered
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd could not be told how the server is: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[actix_web::test]
    async fn a_thread_that_hangs_or_has_ended_is_no_sign_of_life() {
        let (alive, other) = (Arbiter::new(), Arbiter::new());
        let threads = [alive.handle(), other.handle()];
        let long = Duration::from_secs(60);
        assert!(answer_in_time(&threads, long).await);
        let (go_on, hangs) = mpsc::channel::<()>();
        other.spawn_fn(move || {
            hangs.recv().ok();
        });
        assert!(!answer_in_time(&threads, Duration::from_millis(20)).await);
        drop(go_on);
        assert!(answer_in_time(&threads, long).await);
        other.stop();
        other.join().unwrap();
        assert!(!answer_in_time(&threads, long).await);
        alive.stop();
    }
}
