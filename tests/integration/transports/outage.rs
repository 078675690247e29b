//! A receiver that is dead for an hour.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use super::{KEY, progress, sending};
use crate::support::{Receiver, Reply, TestApp, wait_until};

const TOKEN: &str = "relayer-token-0123456789";

/// Time between two posts, which are answered when they are stored, and events of each.
const PACE: Duration = Duration::from_millis(100);
const POSTED: i64 = 2;

/// What comes before the outage, to compare with.
const BEFORE: Duration = Duration::from_secs(30);

/// The longest wait of a sender and a backlog of an hour take a while.
const CATCH_UP_MAX: Duration = Duration::from_secs(600);

/// A receiver that may be dead, and what it has taken.
struct Mortal {
    receiver: Receiver,
    is_dead: Arc<AtomicBool>,
    taken: Arc<Mutex<Taken>>,
}

/// By the number of an event: how often it came, and seconds from its time to its first arrival.
type Taken = BTreeMap<i64, (usize, f64)>;

impl Mortal {
    fn start() -> Self {
        let is_dead = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(Mutex::new(Taken::new()));
        let (dead, kept) = (is_dead.clone(), taken.clone());
        let receiver = Receiver::answering(move |request, before| {
            if dead.load(Ordering::SeqCst) {
                let ways = [Reply::Cut, Reply::Hang, Reply::Status(503, "")];
                return ways[before % ways.len()].clone();
            }
            let now = Utc::now().timestamp_millis();
            let body = request.json();
            let mut kept = kept.lock().unwrap();
            for event in body["data"]["events"].as_array().unwrap() {
                let field = |name: &str| event["data"][name].as_i64().unwrap();
                let delay = (now - field("timestamp")) as f64 / 1_000.0;
                kept.entry(field("n")).or_insert((0, delay)).0 += 1;
            }
            Reply::Status(204, "")
        });
        Self {
            receiver,
            is_dead,
            taken,
        }
    }

    fn die(&self, is_dead: bool) {
        self.is_dead.store(is_dead, Ordering::SeqCst);
    }

    /// Each of these and no other has come; how many of them more than once.
    fn twice(&self, events: Range<i64>) -> usize {
        let taken = self.taken.lock().unwrap();
        assert!(taken.keys().copied().eq(events), "lost, or not said");
        taken.values().filter(|(count, _)| *count > 1).count()
    }

    /// How long events took: the median, 99 % of them at most, the longest.
    fn delays(&self, events: Range<i64>) -> [f64; 3] {
        let taken = self.taken.lock().unwrap();
        let mut delays: Vec<_> = taken.range(events).map(|(_, (_, delay))| *delay).collect();
        delays.sort_by(f64::total_cmp);
        [50, 99, 100].map(|part| delays[(delays.len() - 1) * part / 100])
    }
}

/// What was posted.
#[derive(Clone, Copy)]
struct Posted {
    /// The number of the next event.
    next: i64,
    accepted: i64,
}

impl Posted {
    /// Posts events for so long.
    fn go_on(mut self, app: &TestApp, duration: Duration) -> Self {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let started_at = Instant::now();
        let mut due = started_at;
        while started_at.elapsed() < duration {
            let now = Utc::now().timestamp_millis();
            let event = |n: i64| json!({"_e": 1, "_id": n, "n": n, "timestamp": now});
            let events: Value = (self.next..self.next + POSTED).map(event).collect();
            let answer = app.ask("POST", "/events", &headers, &events.to_string());
            assert_eq!(answer.status, 200, "{}", answer.body);
            self.next += POSTED;
            self.accepted += answer.json()["accepted"].as_i64().unwrap();
            due += PACE;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self
    }
}

#[test]
#[ignore = "an hour, or OUTAGE_S seconds; run by make soak"]
fn a_receiver_that_is_dead_for_an_hour_costs_no_event_and_delays_no_other_receiver() {
    let outage = std::env::var("OUTAGE_S").map_or(3_600, |seconds| seconds.parse().unwrap());
    let (mortal, well) = (Mortal::start(), Mortal::start());
    let app = sending("webhook, webhook-2")
        .env("TELEMETRY_TOKENS", format!("relayer:{TOKEN}"))
        .env("EVENT_WEBHOOK_URL", mortal.receiver.url())
        .env("EVENT_WEBHOOK_SECRET", KEY)
        .env("EVENT_WEBHOOK_2_URL", well.receiver.url())
        .env("EVENT_WEBHOOK_2_SECRET", KEY)
        .start();
    wait_until("the transports have begun", || {
        app.db.count("SELECT count(*) FROM event_transports") == 2
    });
    let sent = |name: &str, posted: Posted| {
        wait_until(&format!("{name} has sent all"), || {
            let seen = progress(&app, name);
            seen["sent"] == posted.accepted && seen["pending"] == 0
        });
    };
    let begin = Posted {
        next: 0,
        accepted: 0,
    };
    let before = begin.go_on(&app, BEFORE);
    sent("webhook", before);
    mortal.die(true);
    let during = before.go_on(&app, Duration::from_secs(outage));
    sent("webhook-2", during);
    let waiting = during.accepted - before.accepted;
    wait_until("all of the outage wait", || {
        progress(&app, "webhook")["pending"] == waiting
    });

    mortal.die(false);
    let back_at = Instant::now();
    let (mut after, mut seen) = (during, Value::Null);
    // Events go on while it catches up, so a few always wait.
    while seen["oldest_pending_s"]
        .as_f64()
        .is_none_or(|oldest| oldest > 2.0)
    {
        assert!(back_at.elapsed() < CATCH_UP_MAX, "{seen}");
        after = after.go_on(&app, Duration::from_secs(1));
        seen = progress(&app, "webhook");
    }
    let caught_up_s = back_at.elapsed().as_secs_f64();
    for name in ["webhook", "webhook-2"] {
        sent(name, after);
        seen = progress(&app, name);
        for what in ["refused", "dead", "dropped"] {
            assert_eq!(seen[what], 0, "{name}: {seen}");
        }
    }
    assert_eq!(after.accepted, after.next, "each of them was accepted");
    let twice = [&mortal, &well].map(|one| one.twice(0..after.next));
    assert_eq!(twice, [0, 0], "an attempt that failed was taken by nobody");

    let failed = &progress(&app, "webhook")["failed"];
    eprintln!(
        "dead for {outage} s: {0} accepted = {0} delivered, {twice:?} twice; {waiting} waited, {failed} attempts failed, caught up {caught_up_s:.1} s after it was back; memory at most {1} MiB",
        after.accepted,
        app.memory_peak() >> 20,
    );
    for (what, events) in [
        ("before", 0..before.next),
        ("during", before.next..during.next),
        ("after", during.next..after.next),
    ] {
        let [half, most, longest] = well.delays(events);
        eprintln!(
            "the other receiver {what}: median {half:.3} s, 99 % {most:.3} s, longest {longest:.3} s"
        );
    }
}
