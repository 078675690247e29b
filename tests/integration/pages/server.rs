//! Whether the server is well.

use serde_json::json;

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

    // The same as in the answer of the server about its database.
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

    // A page that is opened later shows it too, but no longer as something that goes on.
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

#[test]
fn each_reason_to_lose_a_message_has_words() {
    let app = TestApp::start();
    let browser = Browser::start();
    browser.open(&app.url(PATH));
    let metrics = app.get("/metrics").body;
    let told = browser.run(
        "return import('/dashboard/server-verdict.js').then((m) =>
           Object.values(m.LOSSES).map((l) => [`${l.name}{${l.label}=\"`, Object.keys(l.reasons).sort()]))",
    );
    for loss in told.as_array().unwrap() {
        let start = loss[0].as_str().unwrap();
        let series = metrics.lines().filter_map(|line| line.strip_prefix(start));
        let mut reasons: Vec<_> = series.map(|rest| rest.split('"').next().unwrap()).collect();
        reasons.sort_unstable();
        assert_eq!(loss[1], json!(reasons), "{start}");
    }
}
