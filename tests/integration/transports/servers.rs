//! Servers that die, and several of them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use super::{
    KEY, counted, expected, ids, progress, say, sending, to_webhook, wait_begun, wait_sent,
};
use crate::support::{Receiver, Reply, TestApp, wait_until};

/// Hangs with its first request, and takes all others.
fn hanging_once() -> Receiver {
    Receiver::answering(|_, before| match before {
        0 => Reply::Hang,
        _ => Reply::Status(200, ""),
    })
}

#[test]
fn a_server_that_is_killed_between_sending_and_confirming_sends_that_batch_twice_and_no_other() {
    let receiver = hanging_once();
    let mut app = to_webhook(&receiver)
        .env("EVENT_BATCH_EVENTS", 20)
        .env("NOTIFY_TIMEOUT_S", 60)
        .start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 100, "{}");
    receiver.wait(1);
    app.kill();
    let app = app.start_again();
    wait_sent(&app, "webhook", 100);
    let received = receiver.received();
    let counts = counted(&received);
    assert_eq!(
        counts.keys().cloned().collect::<BTreeSet<_>>(),
        expected(0..100)
    );
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count == 2).collect();
    assert_eq!(twice.len(), 20, "what was under way");
    assert!(ids(&received[0]).iter().all(|id| counts[id] == 2));
    assert_eq!(received[0].id(), received[1].id(), "the same message");
}

#[test]
fn at_most_once_sends_nothing_twice_and_counts_what_a_failure_costs() {
    let receiver = hanging_once();
    let mut app = to_webhook(&receiver)
        .env("EVENT_BATCH_EVENTS", 20)
        .env("EVENT_WEBHOOK_DELIVERY", "at_most_once")
        .env("NOTIFY_TIMEOUT_S", 60)
        .start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 100, "{}");
    receiver.wait(1);
    app.kill();
    let app = app.start_again();
    wait_sent(&app, "webhook", 80);
    let counts = counted(&receiver.received());
    assert_eq!(
        counts.keys().cloned().collect::<BTreeSet<_>>(),
        expected(0..100)
    );
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    receiver.answer(|_, _| Reply::Cut);
    say(&app.db, 100, 5, "{}");
    wait_until("it is lost", || progress(&app, "webhook")["dropped"] == 5);
    assert_eq!(
        app.metric_with("event_transport_dropped_total", "failed"),
        5.0
    );
}

#[test]
fn of_two_servers_one_sends_and_the_other_goes_on_when_it_is_killed() {
    let receiver = Receiver::start();
    let first = to_webhook(&receiver).env("EVENT_BATCH_EVENTS", 50).start();
    wait_begun(&first.db, 1);
    let second = TestApp::builder()
        .env("DATABASE_URL", first.db.url())
        .env("EVENT_TRANSPORTS", "webhook")
        .env("EVENT_WEBHOOK_URL", receiver.url())
        .env("EVENT_WEBHOOK_SECRET", KEY)
        .env("EVENT_BATCH_EVENTS", 50)
        .env("NOTIFY_ALLOW_PRIVATE", "true")
        .start();
    for part in 0..10 {
        say(&first.db, part * 100, 100, "{}");
    }
    wait_sent(&first, "webhook", 1_000);
    let counts = counted(&receiver.received());
    assert_eq!(counts.len(), 1_000);
    assert!(counts.values().all(|count| *count == 1), "each once");
    let sent_by = |app: &TestApp| app.metric("event_transport_sent_total");
    assert_eq!((sent_by(&first), sent_by(&second)), (1_000.0, 0.0));

    for part in 10..20 {
        say(&first.db, part * 100, 100, "{}");
    }
    let mut first = first;
    first.kill();
    wait_sent(&second, "webhook", 2_000);
    let counts = counted(&receiver.received());
    assert_eq!(
        counts.keys().cloned().collect::<BTreeSet<_>>(),
        expected(0..2_000)
    );
    let twice = counts.values().filter(|count| **count > 1).count();
    assert!(
        twice <= 50,
        "at most the batch under way came twice: {twice}"
    );
}

#[test]
fn while_events_are_extracted_anew_none_is_sent_and_none_is_missed() {
    let receiver = Receiver::start();
    let app = to_webhook(&receiver).start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 10, "{}");
    wait_sent(&app, "webhook", 10);
    app.db.execute(
        "UPDATE projections SET position = NULL WHERE name = 'events'; CREATE TABLE kept AS SELECT * FROM events",
    );
    say(&app.db, 10, 10, "{}");
    app.db.execute(
        "INSERT INTO kept SELECT * FROM events WHERE (data ->> 'n')::int >= 10; DELETE FROM events; \
         INSERT INTO events SELECT * FROM kept WHERE data ->> 'n' = '19'",
    );
    // Some rounds go by.
    let rounds = app
        .db
        .count("SELECT token FROM leases WHERE name = 'transport:webhook'");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(1);
    wait_until("some rounds have gone by", || {
        std::time::Instant::now() > until
    });
    assert_eq!(
        app.db
            .count("SELECT token FROM leases WHERE name = 'transport:webhook'"),
        rounds
    );
    assert_eq!(counted(&receiver.received()).len(), 10);
    app.db.execute(
        "INSERT INTO events SELECT * FROM kept WHERE data ->> 'n' <> '19'; UPDATE projections SET position = 0 WHERE name = 'events'",
    );
    wait_sent(&app, "webhook", 20);
    let counts = counted(&receiver.received());
    assert_eq!(
        counts.keys().cloned().collect::<BTreeSet<_>>(),
        expected(0..20)
    );
    assert!(counts.values().all(|count| *count == 1));
}

#[test]
fn events_from_before_a_transport_was_first_used_are_not_sent_and_its_cursor_outlives_it() {
    let receiver = Receiver::start();
    let mut app = to_webhook(&receiver).start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 5, "{}");
    wait_sent(&app, "webhook", 5);
    app.stop();
    say(&app.db, 5, 5, "{}");
    let other = Receiver::start();
    let app = app.start_again_with(&[
        ("EVENT_TRANSPORTS", "webhook, webhook-2"),
        ("EVENT_WEBHOOK_2_URL", &other.url()),
        ("EVENT_WEBHOOK_2_SECRET", KEY),
    ]);
    wait_begun(&app.db, 2);
    wait_sent(&app, "webhook", 10);
    say(&app.db, 10, 5, "{}");
    wait_sent(&app, "webhook-2", 5);
    wait_sent(&app, "webhook", 15);
    assert_eq!(counted(&receiver.received()).len(), 15);
    let of_other = counted(&other.received());
    assert_eq!(
        of_other.keys().cloned().collect::<BTreeSet<_>>(),
        expected(10..15)
    );
}

#[test]
fn standard_output_that_nobody_reads_stops_nothing_and_has_each_event_once() {
    use std::process::{Command, Stdio};
    let receiver = Receiver::start();
    let app = sending("webhook")
        .env("EVENT_WEBHOOK_URL", receiver.url())
        .env("EVENT_WEBHOOK_SECRET", KEY)
        .start();
    wait_begun(&app.db, 1);
    let dir = tempfile::tempdir().unwrap();
    // Its output is a pipe that is open and never read.
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .env("PORT", "0")
        .env("LISTEN_ADDRESS", "127.0.0.1")
        .env("DATABASE_URL", app.db.url())
        .env("DATA_DIR", dir.path())
        .env("EVENT_TRANSPORTS", "console")
        .env("EVENT_BATCH_AGE_MS", "50")
        .env("NOTIFY_TIMEOUT_S", "1")
        .env("RUST_LOG", "info")
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_until("it has begun", || {
        app.db
            .count("SELECT count(*) FROM event_transports WHERE name = 'console'")
            == 1
    });
    let text = format!(r#"{{"text": "{}"}}"#, "x".repeat(1_000));
    say(&app.db, 0, 500, &text);
    wait_until("it says that nobody reads", || {
        app.db.count("SELECT count(*) FROM event_transports WHERE name = 'console' AND error = 'standard output is not read'") == 1
    });
    // The log goes on, the other transport too, and the end is in order.
    let said = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(
        said.contains("the transport console takes no events"),
        "{said}"
    );
    wait_sent(&app, "webhook", 500);
    // A reader that comes late finds each once, and what is said meanwhile after it.
    let sent = "SELECT sent FROM event_transports WHERE name = 'console'";
    assert!(app.db.count(sent) < 500);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let events = lines.by_ref().map(Result::unwrap);
        let events = events.filter(|line| line.starts_with('{'));
        let id = |line: String| {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            event["event_id"].as_str().unwrap().to_owned()
        };
        events.map(id).collect::<Vec<_>>()
    });
    wait_until("all are out", || app.db.count(sent) == 500);
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
    let ids = reader.join().unwrap();
    assert_eq!(ids.len(), 500, "none twice");
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected(0..500));
}
