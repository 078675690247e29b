use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{introduce, say};
use crate::support::{FeedClient, TestApp, TestDb};

const SPANS: u64 = 400;

/// The same windows by SQL.
fn by_sql(db: &TestDb, of: &str, interval: u64) -> Vec<String> {
    db.texts(&format!(
        "SELECT to_char(date_bin('{interval} s', created_at, '2000-01-01Z') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
           || ' ' || target || ' ' || name || ' ' || count(*) || ' ' || round(({of})::numeric, 3) AS value \
         FROM profiling_spans GROUP BY date_bin('{interval} s', created_at, '2000-01-01Z'), target, name ORDER BY 1"
    ))
}

#[test]
fn windows_are_what_sql_says_from_history_and_live() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let started_at = Utc::now();
    let mut feeds: Vec<(FeedClient, &str, &str)> = Vec::new();
    for n in 0..SPANS {
        let span = json!({
            "msg": "tracing.profiling", "target": format!("t{}", n % 2), "name": format!("n{}", n % 3),
            "time": n * 7_919 % 1_000, "values": {"x": 1},
        });
        say(&mut node, 1, span);
        if n == SPANS / 2 {
            for (kind, sql) in [
                ("mean", "avg(nanoseconds)"),
                (
                    "Median",
                    "percentile_cont(0.5) WITHIN GROUP (ORDER BY nanoseconds)",
                ),
                ("MIN", "min(nanoseconds)"),
                ("max", "max(nanoseconds)"),
                (
                    "percentile90",
                    "percentile_cont(0.9) WITHIN GROUP (ORDER BY nanoseconds)",
                ),
            ] {
                let mut feed = FeedClient::connect(&app);
                feed.ask(&json!({
                    "peer_id": "peer", "msg": "tracing.profiling", "interest": "subscribe",
                    "start_time": started_at.to_rfc3339(), "aggregate_type": kind, "aggregate_interval": 2,
                }));
                feeds.push((feed, kind, sql));
            }
        }
        std::thread::sleep(Duration::from_millis(12));
    }
    app.wait_stored(u32::try_from(SPANS).unwrap() + 1);
    for (mut feed, kind, sql) in feeds {
        let expected = by_sql(&app.db, sql, 2);
        let (items, _) = feed.items(expected.len());
        let mut got: Vec<String> = items
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                let value = (row["time"].as_f64().unwrap() * 1e3).round() / 1e3;
                let count = &row["values"]["count"];
                format!(
                    "{} {} {} {count} {value:.3}",
                    text("created_at"),
                    text("target"),
                    text("name")
                )
            })
            .collect();
        got.sort();
        assert_eq!(got, expected, "{kind}");
        let first: DateTime<Utc> = items[0]["created_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(first.timestamp() % 2, 0);
    }
}

#[test]
fn any_numeric_field_can_be_aggregated_also_one_in_a_text() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, 1, "peer", "chain");
    let mut feed = FeedClient::connect(&app);
    let mut feed_v1 = FeedClient::connect_v1(&app);
    for feed in [&mut feed, &mut feed_v1] {
        feed.ask(&json!({
            "peer_id": "peer", "msg": "notify.finalized", "interest": "subscribe", "request_id": 1,
            "aggregate_type": "max", "aggregate_interval": 1, "aggregate_key": "height",
        }));
        feed.next();
    }
    say(
        &mut node,
        1,
        json!({"msg": "notify.finalized", "height": "41", "best": "0x0"}),
    );
    say(
        &mut node,
        1,
        json!({"msg": "notify.finalized", "height": "x", "best": "0x0"}),
    );
    let answer = feed.next_with("data");
    assert_eq!(
        answer["aggregate"],
        json!({"type": "max", "interval": 1, "key": "height"})
    );
    let row = &answer["data"][0];
    assert_eq!(
        (row["time"].as_f64(), &row["name"], &row["values"]["count"]),
        (Some(41.0), &json!(null), &json!(1))
    );
    let answer = feed_v1.next_with("data");
    assert_eq!(
        answer["data"],
        json!([{"value": 41.0, "count": 1, "name": null, "target": null, "created_at": row["created_at"]}])
    );
}
