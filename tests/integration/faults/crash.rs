//! The server is killed while messages come.

use std::time::{Duration, Instant};

use super::wait_long;
use crate::support::{Load, Random, TestApp};

/// `DB_SAVE_LATENCY_MS` of this test: its default.
const SAVE_LATENCY: Duration = Duration::from_millis(100);

/// What a batch in flight may take on a machine that does everything at once.
const IN_FLIGHT_MAX: Duration = Duration::from_millis(1_000);

#[test]
fn the_server_killed_4_times() {
    server_killed(4);
}

#[test]
#[ignore = "minutes; run by make soak"]
fn the_server_killed_20_times() {
    server_killed(20);
}

/// Every second time the database is away, and messages wait on disk; the next
/// kill may come while they are being stored.
fn server_killed(times: u32) {
    let mut random = Random::new(3);
    let mut app = TestApp::builder()
        .env("DB_SAVE_LATENCY_MS", SAVE_LATENCY.as_millis())
        .start();
    let mut rounds = Vec::new();
    let mut next = 0;
    for round in 0..times {
        let is_away = round % 2 == 1;
        let load = Load::start(app.port(), next, 2_000);
        std::thread::sleep(Duration::from_millis(random.between(100, 800)));
        if is_away {
            app.db.refuse_connections();
            std::thread::sleep(Duration::from_millis(random.between(300, 1_500)));
        }
        let on_disk = app.metric("store_spool_messages");
        let killed_at = Instant::now();
        app.kill();
        let sent = load.end();
        next = sent.numbers.end;
        rounds.push((sent, killed_at, is_away, on_disk));

        app = app.start_again_listening();
        if is_away {
            assert!(on_disk > 0.0);
            assert!(app.metric("ingest_messages_taken_up_total") > 0.0);
            app.db.allow_connections();
        }
    }
    wait_long(&app, "the spool is taken up", || {
        app.metric("ingest_pending") == 0.0
    });
    let mut lost_in_all = 0;
    for (sent, killed_at, is_away, on_disk) in rounds {
        let lost = lost(&app, sent.numbers.start, sent.numbers.end);
        let age = lost.first().map_or(Duration::ZERO, |first| {
            killed_at.saturating_duration_since(sent.sent_at(*first))
        });
        eprintln!(
            "killed with the database {}: {} of {} messages lost, the oldest {} ms old; {on_disk} were on disk",
            if is_away { "away" } else { "up" },
            lost.len(),
            sent.numbers.len(),
            age.as_millis()
        );
        assert!(age <= SAVE_LATENCY + IN_FLIGHT_MAX);
        lost_in_all += lost.len();
    }
    let stored = app
        .db
        .count("SELECT count(*) FROM telemetry_logs WHERE msg = 'm'");
    assert_eq!(stored + lost_in_all as i64, i64::from(next), "duplicates");
    eprintln!("killed {times} times: {next} sent, {stored} stored, {lost_in_all} lost");
}

/// The numbers that are not stored, of those from `first` to before `end`.
fn lost(app: &TestApp, first: u32, end: u32) -> Vec<u32> {
    let missing = format!(
        "SELECT n::text AS value FROM generate_series({first}, {end} - 1) n \
         EXCEPT SELECT logs ->> 'n' FROM telemetry_logs WHERE msg = 'm'"
    );
    let numbers = app.db.texts(&missing);
    let mut numbers: Vec<u32> = numbers.iter().map(|n| n.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}
