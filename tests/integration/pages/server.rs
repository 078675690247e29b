//! Whether the server is well.

use serde_json::{Value, json};

use super::assert_sound;
use crate::support::{Browser, Network, TestApp, free_port};

const PATH: &str = "/dashboard/server";
const WELL: &str = ".verdict[data-level=well]";
const TROUBLE: &str = ".verdict[data-level=trouble]";

fn open(browser: &Browser, app: &TestApp) {
    browser.open(&app.url(PATH));
    browser.wait_for(WELL);
}

/// CSS selector of a figure, or of the words beneath it.
fn tile(name: &str, line: usize) -> String {
    format!(".tile[data-name={name}] dd:nth-of-type({line})")
}

/// A number as the pages write it.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut groups: Vec<_> = digits.as_bytes().rchunks(3).collect();
    groups.reverse();
    let groups: Vec<_> = groups
        .iter()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join("\u{202f}")
}

#[test]
fn the_server_page_is_sound() {
    let app = TestApp::start();
    let browser = Browser::start();
    assert_sound(&browser, &app, PATH, WELL);
    browser.open(&app.url(PATH));
    browser.wait_for_text(".findings", "No node is connected.");

    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.step();
    assert_sound(&browser, &app, PATH, WELL);
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
}

#[test]
fn the_server_page_shows_what_the_database_has_and_moves() {
    let app = TestApp::start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.step();
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app);
    let stored = || app.db.count("SELECT count(*) FROM telemetry_logs");
    let shows_stored = |browser: &Browser| {
        let expected = format!("{} in all", grouped(stored()));
        browser.wait_for_text(&tile("stored", 2), &expected);
        browser.wait_for_text(&tile("received", 2), &expected);
    };
    shows_stored(&browser);
    browser.wait_for_text(&tile("connections", 1), "4");
    browser.wait_for_text(&tile("lost", 1), "0");
    browser.wait_for_text(".card .chip.good", "No message was lost");

    let before = stored();
    for _ in 0..3 {
        network.step();
    }
    network.wait_stored(&app);
    assert!(stored() > before);
    shows_stored(&browser);
    let kinds = app.db.texts(
        "SELECT msg AS value FROM telemetry_logs GROUP BY msg ORDER BY count(*) DESC LIMIT 1",
    );
    let shown = "section:has(th[scope=col]):last-child tbody tr:first-child th";
    browser.wait_for_text(shown, &kinds[0]);
    // What a node calls its messages is text.
    let kind = "<img src=x onerror=\"document.title='run'\">";
    network.send(1, kind, json!({}));
    let kinds = "section:has(th[scope=col]):last-child tbody";
    browser.wait_for_text(kinds, kind);
    assert_ne!(browser.run("return document.title"), "run");
    network.disconnect(0);
    browser.wait_for_text(&tile("connections", 1), "3");

    // The same as the server says of its database.
    let relations = app.get("/stats/db").json();
    let tables: Vec<&str> = relations
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["kind"] == "table" && one["partition_of"].is_null())
        .map(|one| one["relation"].as_str().unwrap())
        .collect();
    browser.wait_for_text("[aria-label='Size by table']", tables[0]);
    let mut shown = browser.texts("[aria-label='Size by table'] tbody th");
    shown.sort();
    let mut tables: Vec<_> = tables.into_iter().map(str::to_owned).collect();
    tables.sort();
    assert_eq!(shown, tables);
    assert_eq!(browser.console_errors(), [""; 0]);

    // Each chart has a point for each answer.
    browser.wait_until("[...document.querySelectorAll('.chart-canvas')].every((one) => one.getAttribute('aria-label').includes('latest'))");
}

#[test]
fn losses_are_loud() {
    let app = TestApp::builder()
        .env("NODES_PER_CONNECTION_MAX", 1)
        .start();
    let browser = Browser::start();
    open(&browser, &app);
    let mut node = app.node("/submit");
    let message = |id: u32| json!({"id": id, "ts": "2026-01-01T00:00:00Z", "payload": {"msg": "block.import", "height": 1}});
    node.send(message(1).to_string());
    browser.wait_for_text(&tile("received", 2), "1 in all");
    browser.wait_for(WELL);
    for id in 2..5 {
        node.send(message(id).to_string());
    }
    node.send("no JSON");
    browser.wait_for(TROUBLE);
    let what = "3 messages were lost since this page was opened: too many nodes on a connection.";
    browser.wait_for_text(".verdict-head", what);
    browser.wait_for_text(".findings", "NODES_PER_CONNECTION_MAX");
    browser.wait_for_text(&tile("lost", 1), "3");
    browser.wait_for(".tile.bad[data-name=lost]");
    browser.wait_for_text(
        "[aria-label='Losses by reason'] tr.bad td:nth-child(3)",
        "3",
    );
    browser.wait_for_text("[aria-label='Losses by reason'] tr.warn th", "not JSON");
    let balance = "5 received = 1 stored + 0 waiting + 3 dropped + 0 refused by the database + 1 invalid frames";
    browser.wait_for_text("section.card", balance);
    for is_dark in [true, false] {
        browser.set_dark(is_dark);
        assert_eq!(browser.accessibility_faults(), [""; 0]);
    }

    // Who comes later sees it too, but no longer as something that goes on.
    browser.reload();
    browser.wait_for(".verdict[data-level=attention]");
    browser.wait_for_text(
        ".verdict-head",
        "3 messages were lost since the server started",
    );
}

#[test]
fn a_database_that_is_away_is_explained_and_its_return_seen() {
    let app = TestApp::start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app);
    app.db.refuse_connections();
    network.step();
    browser.wait_for(TROUBLE);
    browser.wait_for_text(".verdict", "Start the database, or check DATABASE_URL");
    browser.wait_for_text(".verdict", "on disk");
    browser.wait_for(".tile.warn[data-name=pending]");
    browser.wait_for_text(".facts .bad", "the database");
    assert_eq!(browser.accessibility_faults(), [""; 0]);

    app.db.allow_connections();
    network.wait_stored(&app);
    browser.wait_for(WELL);
    browser.wait_for_text(&tile("pending", 2), "none on disk");
    browser.wait_for_text(".facts .good", "up");
}

#[test]
fn the_last_state_stays_while_the_server_is_away() {
    let mut app = TestApp::builder().env("PORT", free_port()).start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.step();
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app);
    let stored = app.db.count("SELECT count(*) FROM telemetry_logs");
    let in_all = format!("{} in all", grouped(stored));
    browser.wait_for_text(&tile("stored", 2), &in_all);
    app.stop();
    browser.wait_for(".verdict[data-level=away]");
    browser.wait_for_text(".verdict", "What is shown is from");
    assert!(browser.text(&tile("stored", 2)).contains(&in_all));
    assert_eq!(browser.accessibility_faults(), [""; 0]);

    let app = app.start_again();
    browser.wait_for(WELL);
    browser.wait_for_text(&tile("stored", 2), "0 in all");
    network.reconnect_all(&app);
    network.wait_stored(&app);
    let stored = app.metric("ingest_messages_stored_total");
    browser.wait_for_text(&tile("stored", 2), &format!("{stored} in all"));
    browser.wait_for_text(&tile("connections", 1), "4");
}

/// What an expression gives in terms of `m`, a module of `static`.
fn evaluate(browser: &Browser, module: &str, expression: &str) -> Value {
    browser.run(&format!(
        "return Promise.all([import('/dashboard/{module}'), import('/dashboard/lib/metrics.js')])
             .then(([m, {{ Metrics }}]) => {expression})"
    ))
}

#[test]
fn metrics_are_read_as_they_are_written() {
    let app = TestApp::start();
    let browser = Browser::start();
    browser.open(&app.url(PATH));
    let text = json!(
        "# HELP a_total Help.\na_total{kind=\"x \\\"}\\\" \\\\ \\n\",b=\"1\"} 3\na_total{kind=\"y\"} 4.5\n\nb +Inf\nc 1e3 1700000000000\n\
         h_bucket{le=\"0.1\"} 2\nh_bucket{le=\"1\"} 6\nh_bucket{le=\"+Inf\"} 8\nh_sum 5\nh_count 8\n"
    );
    let later = json!(
        "a_total 12.5\nh_bucket{le=\"0.1\"} 2\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"+Inf\"} 12\nh_sum 9\nh_count 12\n"
    );
    for (expression, expected) in [
        (
            "one.all('a_total')[0].labels",
            json!({"kind": "x \"}\" \\ \n", "b": "1"}),
        ),
        ("one.sum('a_total')", json!(7.5)),
        ("one.by('a_total', 'kind')[0]", json!(["y", 4.5])),
        ("one.value('b') === Infinity", json!(true)),
        ("one.value('c')", json!(1000)),
        ("one.value('d')", Value::Null),
        // 5 more within 2 s.
        ("m.rate(one, two, 'a_total')", json!(2.5)),
        ("m.rate(two, one, 'a_total')", Value::Null),
        ("m.rate(null, two, 'a_total')", Value::Null),
        // All 4 that came between the two lie between 0.1 and 1.
        ("m.quantile(one, two, 'h', 0.5)", json!(0.55)),
        ("m.quantile(null, one, 'h', 0.25)", json!(0.1)),
        // Beyond the last bucket nothing is known.
        ("m.quantile(null, one, 'h', 0.99)", json!(1)),
        ("m.quantile(one, one, 'h', 0.5)", Value::Null),
        ("m.mean(one, two, 'h')", json!(1)),
    ] {
        let given = evaluate(
            &browser,
            "lib/metrics.js",
            &format!(
                "{{ const one = new Metrics({text}, 0); const two = new Metrics({later}, 2000); return {expression}; }}"
            ),
        );
        let is_near = match (given.as_f64(), expected.as_f64()) {
            (Some(given), Some(expected)) => (given - expected).abs() < 1e-9,
            _ => given == expected,
        };
        assert!(is_near, "{expression} gives {given}");
    }
}

/// What a minute ago and now differ in, and the level and words of the one
/// finding that this leads to, if any.
const FAULTS: [(&str, &str, &str, &str); 13] = [
    ("", "", "", ""),
    (
        "ingest_messages_dropped_total{reason=\"queue_full\"} 1",
        "ingest_messages_dropped_total{reason=\"queue_full\"} 3",
        "trouble",
        "2 messages were lost in the last minute: queue full.",
    ),
    (
        "ingest_messages_dropped_total{reason=\"queue_full\"} 3",
        "ingest_messages_dropped_total{reason=\"queue_full\"} 3",
        "attention",
        "3 messages were lost since the server started (none in the last minute)",
    ),
    (
        "ingest_messages_dropped_total{reason=\"chain_refused\"} 1",
        "ingest_messages_dropped_total{reason=\"chain_refused\"} 3",
        "",
        "",
    ),
    (
        "ingest_messages_rejected_total{reason=\"data\"} 0",
        "ingest_messages_rejected_total{reason=\"data\"} 1",
        "attention",
        "1 message was refused by the database in the last minute",
    ),
    (
        "store_spool_bytes 1000\nstore_spool_bytes_max 10000",
        "store_spool_bytes 4000\nstore_spool_bytes_max 10000\nstore_spool_messages 7",
        "attention",
        "It grows, and is full in 2 min at this pace.",
    ),
    (
        "",
        "store_spool_bytes 9000\nstore_spool_bytes_max 10000\nstore_spool_messages 7",
        "trouble",
        "90 % of SPOOL_MAX_BYTES",
    ),
    (
        "",
        "ingest_queue_messages 95\ningest_queue_messages_max 100",
        "trouble",
        "The queue in memory is 95 % full, by messages.",
    ),
    (
        "ingest_connections_refused_total{reason=\"token\"} 0",
        "ingest_connections_refused_total{reason=\"token\"} 1",
        "attention",
        "1 connection was refused in the last minute: no valid token in the path.",
    ),
    (
        "panics_total 0",
        "panics_total 1",
        "trouble",
        "1 bug in the program since the server started (1 in the last minute).",
    ),
    (
        "store_receive_to_commit_seconds_bucket{le=\"8\"} 0",
        "store_receive_to_commit_seconds_bucket{le=\"8\"} 9",
        "attention",
        "Messages take up to 7 s until they are stored.",
    ),
    (
        "",
        "host_memory_bytes 100\nhost_memory_available_bytes 3",
        "attention",
        "The machine has 3 B of 100 B of memory left.",
    ),
    ("", "ingest_connections 0", "note", "No node is connected."),
];

#[test]
fn each_fault_has_its_finding() {
    let app = TestApp::start();
    let browser = Browser::start();
    browser.open(&app.url(PATH));
    for (before, now, level, words) in FAULTS {
        let own = |text: &str| {
            let lines = text
                .lines()
                .map(|line| format!("tetcore_analytics_{line}\n"));
            json!(lines.collect::<String>())
        };
        let found = evaluate(
            &browser,
            "server-verdict.js",
            &format!(
                "m.judge({{ now: new Metrics({}, 60000), before: new Metrics({}, 0), ready: {{ status: 'ok', checks: [] }} }})",
                own(now),
                own(before)
            ),
        );
        let plain = found.to_string().replace('\u{202f}', " ");
        let found: Value = serde_json::from_str(&plain).unwrap();
        let found = found.as_array().unwrap();
        if level.is_empty() {
            assert!(found.is_empty(), "{now}: {found:?}");
            continue;
        }
        assert_eq!(found.len(), 1, "{now}: {found:?}");
        assert_eq!(found[0]["level"], level, "{now}");
        let what = found[0]["what"].as_str().unwrap();
        assert!(what.contains(words), "{now}: {what}");
        assert!(!found[0]["advice"].as_str().unwrap().is_empty());
    }
}

#[test]
fn each_reason_to_lose_a_message_has_words() {
    let app = TestApp::start();
    let browser = Browser::start();
    browser.open(&app.url(PATH));
    let metrics = app.get("/metrics").body;
    let told = "Object.values(m.LOSSES).map(l => [`${l.name}{${l.label}=\"`, Object.keys(l.reasons).sort()])";
    let told = evaluate(&browser, "server-verdict.js", told);
    for loss in told.as_array().unwrap() {
        let start = loss[0].as_str().unwrap();
        let series = metrics.lines().filter_map(|line| line.strip_prefix(start));
        let mut reasons: Vec<_> = series.map(|rest| rest.split('"').next().unwrap()).collect();
        reasons.sort_unstable();
        assert_eq!(loss[1], json!(reasons), "{start}");
    }
}
