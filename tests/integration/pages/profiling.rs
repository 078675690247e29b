//! How long spans took.

use serde_json::{Value, json};

use super::assert_sound;
use crate::support::{Browser, Network, TestApp, free_port, wait_until};

const PATH: &str = "/dashboard/profiling";

/// What the page shows when there are spans.
const READY: &str = "#ranking [role=grid] td input";

/// In a window that is wide enough for all columns.
fn open(browser: &Browser, app: &TestApp, query: &str) {
    browser.use_window(1_600, 1_000, false);
    browser.open(&app.url(&format!("{PATH}{query}")));
    browser.wait_for(READY);
}

/// The rows of the ranking, as they are exported.
fn exported(browser: &Browser) -> Vec<Value> {
    browser.click(".table-bar .menu:last-child summary");
    let file = browser.download(".table-bar .menu:last-child .menu-panel button:last-child");
    browser.press("Escape");
    serde_json::from_str(&file.text).unwrap()
}

/// Waits until the chart says this of its series.
#[track_caller]
fn wait_for_chart(browser: &Browser, words: &str) {
    let words = json!(words);
    browser.wait_until(&format!(
        "document.querySelector('.chart-canvas').ariaLabel.replaceAll('\\u202f', ' ').includes({words})"
    ));
}

/// Waits until the ranking has these targets, from top to bottom.
#[track_caller]
fn wait_for_targets(browser: &Browser, expected: &[&str]) {
    wait_until(&format!("the ranking has {expected:?}"), || {
        browser.texts("#ranking tbody tr:not(.space) td:nth-child(2)") == expected
    });
}

/// Nodes 3 and 7 are old ones.
fn start() -> (TestApp, Network, Browser) {
    let app = TestApp::start();
    let network = Network::start(&app, &[("Alpha", 8)]);
    (app, network, Browser::start())
}

#[test]
fn the_page_of_the_spans_is_sound() {
    let (app, mut network, browser) = start();
    assert_sound(&browser, &app, PATH, ".state.empty pre");
    network.step();
    network.wait_stored(&app);
    assert_sound(&browser, &app, PATH, READY);
    browser.use_window(360, 740, true);
    for scale in ["log", "linear"] {
        browser.open(&app.url(&format!("{PATH}?scale={scale}")));
        browser.wait_for(READY);
        assert_eq!(browser.sideways_scroll(), 0);
    }
}

#[test]
fn the_ranking_shows_what_the_database_has() {
    let (app, mut network, browser) = start();
    network.step();
    network.step();
    network.wait_stored(&app);
    open(&browser, &app, "");
    let rows = exported(&browser);
    let expected = app.db.texts(
        "SELECT json_build_array(target, name, count(*), sum(time), percentile_cont(0.5) WITHIN GROUP (ORDER BY time),
                percentile_cont(0.9) WITHIN GROUP (ORDER BY time), min(time), max(time))::text AS value
         FROM (SELECT logs ->> 'target' AS target, logs ->> 'name' AS name, (logs ->> 'time')::float8 AS time
               FROM telemetry_logs WHERE msg = 'tracing.profiling') spans
         GROUP BY target, name ORDER BY sum(time) DESC",
    );
    assert!(expected.len() > 3);
    let expected: Vec<Value> = expected
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let fields = [
        "target",
        "name",
        "count",
        "total",
        "median",
        "percentile90",
        "min",
        "max",
    ];
    let shown: Vec<Value> = rows
        .iter()
        .map(|row| fields.map(|field| as_float(&row[field])).into())
        .collect();
    let expected: Vec<Value> = expected
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(as_float).collect())
        .collect();
    assert_eq!(shown, expected);
    let shares: f64 = rows.iter().map(|row| row["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
}

/// 3 and 3.0 are the same number, and the last digits are those of the order of
/// a sum.
fn as_float(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) => json!((number * 1_000.0).round() / 1_000.0),
        None => value.clone(),
    }
}

#[test]
fn each_aggregate_is_that_of_the_spans() {
    let (app, mut network, browser) = start();
    // Up to 31 ns the histograms of hours are exact.
    for time_ns in [10, 20, 30] {
        network.profile(3, "pallet_test", "on_test", time_ns);
    }
    network.wait_stored(&app);
    for (aggregate, expected) in [
        ("mean", "20 ns"),
        ("median", "20 ns"),
        ("percentile90", "28 ns"),
        ("min", "10 ns"),
        ("max", "30 ns"),
    ] {
        // A window of a day has them all.
        open(
            &browser,
            &app,
            &format!("?span=7d&interval=86400&aggregate={aggregate}"),
        );
        wait_for_chart(&browser, &format!("latest {expected}."));
    }
    browser.click("#how option[value=min]");
    wait_for_chart(&browser, "latest 10 ns.");
    browser.click("#how option[value='43200']");
    wait_for_chart(&browser, "Minimum of each 12 h.");
    browser.click("#how option[value='']");
    wait_for_chart(&browser, "Minimum of each 1 h.");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_first_span_brings_the_page_to_life_and_others_move_it() {
    let (app, mut network, browser) = start();
    browser.open(&app.url(&format!("{PATH}?span=15m&interval=1")));
    browser.wait_for_text(".state.empty", "Nodes since 2021 send none.");
    network.profile(3, "pallet_test", "on_test", 4_711);
    browser.wait_for(READY);
    wait_for_targets(&browser, &["pallet_test"]);
    wait_for_chart(&browser, "latest 4.71 µs.");
    network.profile(7, "pallet_test", "on_test", 815_000);
    wait_for_chart(&browser, "latest 815 µs.");
    network.profile(7, "pallet_other", "on_test", 99_000_000);
    wait_for_targets(&browser, &["pallet_other", "pallet_test"]);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_page_of_the_spans_comes_back_after_the_server() {
    let app = TestApp::builder().env("PORT", free_port()).start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.profile(3, "pallet_test", "on_test", 4_711);
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "?span=15m&interval=1");
    wait_for_chart(&browser, "latest 4.71 µs.");
    browser.wait_for_text(".connection", "Live");

    let app = app.start_again();
    network.reconnect_all(&app);
    browser.wait_for_text(".connection", "Live");
    network.profile(3, "pallet_test", "on_test", 815_000);
    wait_for_chart(&browser, "from 4.71 µs to 815 µs, latest 815 µs.");
    wait_for_targets(&browser, &["pallet_test"]);
}

#[test]
fn spans_are_chosen_for_the_chart_and_the_view_can_be_shared() {
    let (app, mut network, browser) = start();
    for number in 1..=10 {
        network.profile(3, &format!("pallet_{number}"), "on_test", 1_000 * number);
    }
    network.wait_stored(&app);
    open(&browser, &app, "");
    let shown = |count: usize| {
        wait_until(&format!("{count} are in the chart"), || {
            browser.texts(".chart-legend button").len() == count
        });
    };
    shown(5);
    wait_for_chart(&browser, "pallet_10::on_test");
    browser.click("#ranking tbody:last-child tr:nth-child(2) input");
    shown(4);
    for row in [7, 8, 9, 10] {
        browser.click(&format!(
            "#ranking tbody:last-child tr:nth-child({row}) td:nth-child(2)"
        ));
    }
    shown(8);
    browser.click("#ranking tbody:last-child tr:nth-child(11) td:nth-child(2)");
    browser.wait_for_text(".said", "At most 8 fit into the chart.");
    shown(8);
    browser.reload();
    shown(8);
    browser.run("history.back()");
    shown(7);

    // By keyboard.
    browser.run("document.querySelector('[role=grid]').focus()");
    for key in ["ArrowDown", "ArrowDown", "Enter"] {
        browser.press(key);
    }
    shown(6);
    browser.fill(".table-search", "pallet_3");
    wait_for_targets(&browser, &["pallet_3"]);
    browser.click("#how button");
    browser.wait_until("new URLSearchParams(location.search).get('scale') === 'linear'");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    browser.wait_until("new URLSearchParams(location.search).get('q') === 'pallet_3'");
}

#[test]
fn the_spans_of_one_node_are_shown_by_its_name() {
    let (app, mut network, browser) = start();
    network.profile(3, "pallet_three", "on_test", 1_000);
    network.profile(7, "pallet_seven", "on_test", 2_000);
    network.wait_stored(&app);
    open(&browser, &app, "");
    wait_for_targets(&browser, &["pallet_seven", "pallet_three"]);
    browser.fill("#node input", &network.node(3).name);
    browser.press("Tab");
    wait_for_targets(&browser, &["pallet_three"]);
    let peer = &network.node(3).peer_id;
    let asked = json!(peer);
    browser.wait_until(&format!(
        "new URLSearchParams(location.search).get('peer_id') === {asked}"
    ));
    browser.fill("#node input", "nobody");
    browser.press("Tab");
    browser.wait_for_text("#node .wrong", "No node is called so");
    browser.open(&app.url(&format!("{PATH}?peer_id={}", network.node(0).peer_id)));
    browser.wait_for_text(".state.empty", "This node sent no spans in this time.");
    browser.run("document.querySelector('#node input').value = ''; document.querySelector('#node input').dispatchEvent(new Event('change'))");
    wait_for_targets(&browser, &["pallet_seven", "pallet_three"]);
}
