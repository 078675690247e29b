//! Events of a time are sent again by a command.

use std::process::{Command, Output};

use chrono::{SecondsFormat, TimeDelta, Utc};

use super::{KEY, counted, progress, say, to_webhook, wait_begun, wait_sent};
use crate::support::{Receiver, Reply, TestApp};

fn replay(app: &TestApp, receiver: &Receiver, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .args(["events", "replay"])
        .args(args)
        .env("DATABASE_URL", app.db.url())
        .env("EVENT_TRANSPORTS", "webhook, console")
        .env("EVENT_WEBHOOK_URL", receiver.url())
        .env("EVENT_WEBHOOK_SECRET", KEY)
        .env("EVENT_CONSOLE_FILTER", "severity=error")
        .env("EVENT_BATCH_EVENTS", "7")
        .env("NOTIFY_ALLOW_PRIVATE", "true")
        .current_dir(app.data_dir())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn events_of_a_time_are_sent_again_with_their_identities() {
    let receiver = Receiver::answering(|_, _| Reply::Status(200, ""));
    let app = to_webhook(&receiver).start();
    wait_begun(&app.db, 1);
    say(&app.db, 0, 30, "{}");
    app.db.execute(
        "SELECT make_events_day(now() - interval '2 days'); UPDATE events SET received_at = now() - interval '2 days' WHERE data ->> 'n' < '2'",
    );
    wait_sent(&app, "webhook", 30);
    let first = counted(&receiver.received());
    let time =
        |days: i64| (Utc::now() - TimeDelta::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);

    // All but those of 0, 1 and 10 to 19, which are older.
    let recent = time(1);
    let output = replay(
        &app,
        &receiver,
        &["--transport", "webhook", "--from", &recent],
    );
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("18 of 18 events sent, 0 refused"),
        "{}",
        said(&output)
    );
    let both = counted(&receiver.received());
    assert_eq!(
        both.keys().collect::<Vec<_>>(),
        first.keys().collect::<Vec<_>>()
    );
    assert_eq!(both.values().filter(|count| **count == 2).count(), 18);

    let (old, recent) = (time(3), time(1));
    let output = replay(
        &app,
        &receiver,
        &["--transport", "console", "--from", &old, "--to", &recent],
    );
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = [11, 14, 17].map(|n| format!("\"event_id\":\"event {n}\""));
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(errors.iter().all(|id| lines.contains(id)), "{lines}");

    receiver.answer(|request, _| match request.body.contains("event 25") {
        true => Reply::Status(422, ""),
        false => Reply::Status(200, ""),
    });
    let output = replay(
        &app,
        &receiver,
        &["--transport", "webhook", "--from", &recent],
    );
    assert!(
        said(&output).contains("17 of 18 events sent, 1 refused: event 25: it answered 422"),
        "{}",
        said(&output)
    );
    // The cursor of the server has not moved.
    assert_eq!(progress(&app, "webhook")["sent"], 30);
    let output = replay(&app, &receiver, &["--transport", "loki", "--from", &recent]);
    assert!(!output.status.success());
    assert!(
        said(&output).contains("EVENT_TRANSPORTS has no loki; it has: webhook, console"),
        "{}",
        said(&output)
    );
}
