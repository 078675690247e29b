//! Peer reputation reported by nodes.

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::{assert_sound, column, sort_by, wait_for_column};
use crate::support::{Browser, Network, TestApp, free_port, wait_until};

const PATH: &str = "/dashboard/reputation";
const MATRIX: &str = "#matrix [role=grid]";
const OPINIONS: &str = "#opinions [role=grid]";
const CELL: &str = "#matrix [role=grid] td";

/// Opens the page in a window that is wide enough for all columns.
fn open(browser: &Browser, app: &TestApp, query: &str) {
    browser.use_window(3_000, 1_600, false);
    browser.open(&app.url(&format!("{PATH}{query}")));
    browser.wait_for(CELL);
}

/// A server that takes an hour within a second.
fn start() -> TestApp {
    let settings = Network::SETTINGS.iter();
    let app = settings.fold(TestApp::builder(), |app, (name, value)| {
        app.env(name, value)
    });
    app.start()
}

#[test]
fn the_reputation_page_is_sound() {
    let app = TestApp::start();
    let browser = Browser::start();
    assert_sound(&browser, &app, PATH, "#chart .state.empty");
    assert!(browser.text("#chart").contains("system.network_state"));

    let mut network = Network::start(&app, &[("Alpha", 8)]);
    network.step();
    network.wait_stored(&app);
    assert_sound(&browser, &app, PATH, CELL);
    browser.wait_for("#opinions [role=grid] td");
    browser.wait_for(".chart-canvas canvas");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
}

#[test]
fn the_matrix_shows_what_the_database_has_and_moves() {
    let app = TestApp::start();
    // Nodes 3 and 7 are old enough to report.
    let mut network = Network::start(&app, &[("Alpha", 8)]);
    network.rate(3, &[(0, -42, true), (1, 250, false), (2, -20_000, true)]);
    network.rate(7, &[(0, 10, false), (2, i64::from(i32::MIN), false)]);
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "?sort=name");
    wait_for_column(&browser, MATRIX, "Reports", &["2", "1", "2"]);
    for (title, value) in [
        ("Peer", "p.name"),
        ("Peer id", "rated.key"),
        ("Reports", "count(*)"),
        (
            "Connected",
            "count(*) FILTER (WHERE (rated.value ->> 'connected')::bool)",
        ),
    ] {
        let shown = app.db.texts(&format!(
            "SELECT ({value})::text AS value FROM telemetry_logs l, jsonb_each(l.logs #> '{{state,peerset,nodes}}') rated \
             JOIN peer_connections p ON p.peer_id = rated.key \
             WHERE l.msg = 'system.network_state' GROUP BY rated.key, p.name ORDER BY p.name"
        ));
        wait_for_column(&browser, MATRIX, title, &shown);
    }
    wait_for_column(
        &browser,
        MATRIX,
        "Lowest",
        &["−42", "250", "−2.15\u{202f}G"],
    );
    wait_for_column(
        &browser,
        MATRIX,
        "Median",
        &["−16", "250", "−1.07\u{202f}G"],
    );
    let (first, second) = (network.node(3).name.clone(), network.node(7).name.clone());
    wait_for_column(
        &browser,
        MATRIX,
        &first,
        &["−42 connected", "250", "−20\u{202f}k connected"],
    );
    wait_for_column(&browser, MATRIX, &second, &["10", "", "−2.15\u{202f}G"]);
    // Colours go with the numbers.
    let tones = browser.run(
        "return ['rep-n1', 'rep-p2', 'rep-n3', 'rep-p1', 'rep-n4'].map((tone) => document.querySelectorAll(`#matrix td.${tone}`).length > 0)",
    );
    assert_eq!(tones, json!([true, true, true, true, true]));

    sort_by(&browser, MATRIX, &first);
    let by_opinion = [2, 0, 1].map(|node| network.node(node).name.clone());
    wait_for_column(&browser, MATRIX, "Peer", &by_opinion);
    browser.fill("[aria-label='Search peers']", &network.node(1).peer_id);
    wait_for_column(&browser, MATRIX, "Peer", &by_opinion[2..]);
    browser.fill("[aria-label='Search peers']", "");

    // A newer report takes the place of the older one, with all that it no longer says.
    network.rate(3, &[(0, 7, false)]);
    network.wait_stored(&app);
    let name = network.node(0).name.clone();
    wait_until("the new opinion is there", || {
        let names = column(&browser, MATRIX, "Peer");
        let row = names.iter().position(|one| *one == name);
        names.len() == 2 && row.is_some_and(|row| column(&browser, MATRIX, &first)[row] == "7")
    });
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn only_peers_that_were_here_and_only_new_reports() {
    let app = start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    let report = |remote: &str| {
        let peers = json!({remote: {"reputation": 5, "connected": true}, "stranger": {"reputation": -5, "connected": false}});
        json!({"state": {"peerset": {"nodes": peers}}})
    };
    network.set_time(Some(Utc::now() - TimeDelta::hours(5)));
    let known = network.node(0).peer_id.clone();
    network.send(3, "system.network_state", report(&known));
    network.wait_stored(&app);
    let browser = Browser::start();
    browser.use_window(3_000, 1_600, false);
    browser.open(&app.url(PATH));
    browser.wait_for_text(
        "#matrix .state.empty",
        "There are no reports of the last hour.",
    );
    browser.wait_for_text("#chart .state.empty", "system.network_state");
    browser.click("[aria-label='Age of reports'] option[value='86400']");
    wait_for_column(
        &browser,
        MATRIX,
        "Peer",
        &["stranger", &network.node(0).name],
    );
    browser.click("#matrix input[type=checkbox]");
    wait_for_column(&browser, MATRIX, "Peer", &[&network.node(0).name]);
    browser.reload();
    wait_for_column(&browser, MATRIX, "Peer", &[&network.node(0).name]);
}

#[test]
fn what_others_think_of_a_peer_is_shown_over_time() {
    let app = start();
    let mut network = Network::start(&app, &[("Alpha", 8)]);
    let now = Utc::now();
    for minutes in (1..=30).rev() {
        network.set_time(Some(now - TimeDelta::minutes(minutes)));
        network.rate(3, &[(0, -10 * minutes, true), (1, 5, false)]);
        if minutes > 20 {
            network.rate(7, &[(0, 100 + minutes, false)]);
        }
    }
    network.set_time(None);
    network.wait_stored(&app);
    let browser = Browser::start();
    let peer = network.node(0).peer_id.clone();
    open(&browser, &app, &format!("?peer_id={peer}"));
    let (first, second) = (network.node(3).name.clone(), network.node(7).name.clone());
    wait_for_column(&browser, OPINIONS, "Reporter", &[&first, &second]);
    wait_for_column(&browser, OPINIONS, "Now", &["−10 connected", "121"]);
    wait_for_column(&browser, OPINIONS, "Change", &["+290", "−9"]);
    wait_for_column(&browser, OPINIONS, "Lowest", &["−300", "121"]);
    wait_for_column(&browser, OPINIONS, "Highest", &["−10", "130"]);
    let label = "document.querySelector('.chart-canvas').getAttribute('aria-label')";
    for line in [
        format!("{first}: from −300 to −10, latest −10."),
        format!("{second}: from 121 to 130, latest 121."),
    ] {
        browser.wait_until(&format!("{label}.includes({})", json!(line)));
    }

    // A line is hidden and shown by its row, also by keyboard.
    browser.click("#opinions tbody tr:not(.space)");
    browser.wait_for_text(".said", "removed");
    browser.wait_until(&format!("!{label}.includes({})", json!(first)));
    browser.press("Enter");
    browser.wait_until(&format!("{label}.includes({})", json!(first)));

    network.rate(3, &[(0, 33, false), (1, 5, false)]);
    network.wait_stored(&app);
    wait_for_column(&browser, OPINIONS, "Now", &["33", "121"]);

    // Another peer, by a row of the matrix, by the back button, and by its name.
    let field = |value: &str| {
        format!(
            "document.querySelector('.peer-field').value === {}",
            json!(value)
        )
    };
    let other = network.node(1);
    sort_by(&browser, MATRIX, "Peer");
    let by_name = [network.node(0).name.as_str(), other.name.as_str()];
    wait_for_column(&browser, MATRIX, "Peer", &by_name);
    browser.click("#matrix tbody:last-of-type tr:not(.space) ~ tr");
    browser.wait_until(&field(&other.name));
    browser.run("history.back()");
    browser.wait_until(&field(&network.node(0).name));
    browser.fill(".peer-field", &other.name);
    browser.press("Enter");
    browser.wait_until(&format!(
        "new URLSearchParams(location.search).get('peer_id') === {}",
        json!(other.peer_id)
    ));
    wait_for_column(&browser, OPINIONS, "Reporter", &[&first]);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn many_reporters_have_a_limited_number_of_columns_and_are_searched() {
    let app = TestApp::start();
    let mut network = Network::start(&app, &[("Alpha", 104)]);
    let reporters: Vec<_> = (0..104).filter(|node| network.node(*node).is_old).collect();
    for &node in &reporters {
        network.rate(node, &[(0, -1, true)]);
    }
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "");
    browser.wait_for_text("#matrix", "Columns for 24 of 26 reporters");
    wait_for_column(&browser, MATRIX, "Reports", &["26"]);
    let titles = |browser: &Browser| browser.texts(&format!("{MATRIX} thead tr:first-child th"));
    assert_eq!(titles(&browser).len(), 7 + 24);
    let wanted = &network.node(reporters[25]).name;
    browser.fill("[aria-label='Search reporter']", wanted);
    wait_until("there is one column left", || titles(&browser).len() == 8);
    wait_for_column(&browser, MATRIX, wanted, &["−1 connected"]);
    // Eight of them have lines.
    browser.wait_until("document.querySelectorAll('#chart .chart-legend button').length === 8");
    browser.wait_for_text("#opinions .table-totals", "8 lines");
}

#[test]
fn the_reputation_page_comes_back_after_the_server() {
    let mut app = TestApp::builder().env("PORT", free_port()).start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.rate(3, &[(0, -42, true)]);
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "");
    wait_for_column(&browser, MATRIX, "Median", &["−42"]);
    app.stop();
    browser.wait_for_text("#updated", "What is shown is from");
    assert_eq!(column(&browser, MATRIX, "Median"), ["−42"]);

    let app = app.start_again();
    network.reconnect_all(&app);
    network.rate(3, &[(0, 43, true)]);
    network.wait_stored(&app);
    wait_for_column(&browser, MATRIX, "Median", &["43"]);
    browser.wait_for_text("#updated", "Updated");
}
