//! The table of all nodes: what is wrong comes first, and can be shared.

use serde_json::{Value, json};

use super::{assert_sound, column, wait_for_column};
use crate::support::{Browser, FeedClient, TestApp, TestDb, wait_until};

const TABLE: &str = "#table";

/// Nodes that are judged by another server: `bob` is gone, `node 3` stands, `node 5` is late, `node 6` syncs, `carol`
/// left long ago, all others are well.
pub(super) fn ill(settings: &[(&str, &str)]) -> TestApp {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO leases VALUES ('status', 'other', 1, now(), now() + interval '1 day');
         INSERT INTO status_progress VALUES ('nodes', now() - interval '20 days', now());
         INSERT INTO servers (id, version, started_at, heartbeat_at) VALUES ('s', '1', now() - interval '30 days', now() + interval '1 day');
         INSERT INTO peer_connections (id, ip_addr, peer_id, name, chain, genesis_hash, version, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
         SELECT i, '10.0.0.1', 'p' || i, 'node ' || i, 'Main', '0x1', '1.0.' || i % 2, now() - i * interval '1 minute', i, 's', now(), NULL, NULL FROM generate_series(1, 6) i
         UNION ALL SELECT 7, '10.0.0.1', 'p7', 'bob', 'Main', '0x1', '0.9', now() - interval '3 days', 7, 's', now() - interval '5 hours', now() - interval '5 hours', 'idle'
         UNION ALL SELECT 8, '10.0.0.1', 'p8', 'carol', 'Other', '0x2', '0.9', now() - interval '9 days', 8, 's', now() - interval '8 days', now() - interval '8 days', 'idle';
         INSERT INTO node_status
         SELECT 'p' || i, CASE i WHEN 8 THEN '0x2' ELSE '0x1' END, CASE i WHEN 3 THEN 'stalled' WHEN 5 THEN 'late' WHEN 6 THEN 'syncing' WHEN 7 THEN 'offline' WHEN 8 THEN 'offline' ELSE 'online' END,
                CASE i WHEN 3 THEN 'best_block_stands' ELSE 'silent' END, CASE i WHEN 7 THEN now() - interval '5 hours' WHEN 8 THEN now() - interval '8 days' ELSE now() - interval '2 minutes' END,
                CASE i WHEN 8 THEN now() - interval '8 days' ELSE now() END, 1, i, now() - interval '20 days' FROM generate_series(1, 8) i;
         SELECT setval('status_changes_id_seq', 100)",
    );
    let builder = settings
        .iter()
        .fold(TestApp::builder().db(db), |app, (name, value)| {
            app.env(name, value)
        });
    let app = builder.start();
    app.wait_projected();
    // Another server maintains the nodes from now on.
    app.db.execute(
        "UPDATE leases SET holder = 'other', token = token + 1, expires_at = now() + interval '1 day' WHERE name = 'projection:nodes';
         UPDATE nodes SET best_height = CASE peer_id WHEN 'p3' THEN 900 WHEN 'p4' THEN 9007199254740991 ELSE 1000 END, finalized_height = 990, peers = 7",
    );
    app
}

fn open(browser: &Browser, app: &TestApp, query: &str) {
    browser.use_window(3_000, 900, false);
    browser.open(&app.url(&format!("/dashboard/{query}")));
    browser.wait_for("#table [role=grid] td");
}

fn click_trouble(browser: &Browser, words: &str) {
    browser.run(&format!(
        "[...document.querySelectorAll('#trouble button')].find((one) => one.textContent === {}).click()",
        json!(words)
    ));
}

fn asked(browser: &Browser, parameter: &str) -> Value {
    browser.run(&format!(
        "return new URLSearchParams(location.search).get({})",
        json!(parameter)
    ))
}

const ALL: [&str; 7] = [
    "bob", "node 3", "node 5", "node 6", "node 1", "node 2", "node 4",
];

#[test]
fn trouble_comes_first_and_is_a_filter_by_click() {
    let app = ill(&[]);
    let browser = Browser::start();
    assert_sound(&browser, &app, "/dashboard/", "#trouble button");
    open(&browser, &app, "");
    browser.wait_for("#trouble button");
    wait_for_column(&browser, TABLE, "Name", &ALL);
    assert_eq!(
        browser.texts("#trouble button"),
        [
            "1 offline",
            "1 stalled",
            "1 late",
            "1 syncing",
            "All that need attention"
        ]
    );
    wait_for_column(
        &browser,
        TABLE,
        "Status",
        &[
            "offline", "stalled", "late", "syncing", "online", "online", "online",
        ],
    );
    let is = |title: &str, expected: &[&str]| wait_for_column(&browser, TABLE, title, expected);
    // One that claims a height of its own moves nothing for its neighbours.
    is("Behind", &["–", "100", "0", "0", "0", "0", "0"]);
    assert_eq!(
        column(&browser, TABLE, "Finality lag")[..3],
        ["10", "−90", "10"]
    );
    assert!(column(&browser, TABLE, "Offline for")[0].starts_with("5\u{202f}h"));
    assert!(
        column(&browser, TABLE, "Last seen")[1..]
            .iter()
            .filter(|text| *text == "now")
            .count()
            >= 5
    );
    assert_eq!(browser.texts("tr.past .name"), ["bob"]);

    click_trouble(&browser, "1 stalled");
    is("Name", &["node 3"]);
    assert_eq!(asked(&browser, "where.trouble"), "stalled");
    assert_eq!(browser.texts(".table-chips li"), ["Trouble: stalled\n×"]);
    browser.click(".table-chips button");
    is("Name", &ALL);
    click_trouble(&browser, "All that need attention");
    is("Name", &["bob", "node 3", "node 5"]);
    browser.reload();
    is("Name", &["bob", "node 3", "node 5"]);

    // It falls silent, four times within the hour, and another server says so.
    app.db.execute(
        "INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, revision)
         SELECT 200 + i, 'node', 'p1', '0x1', 'node 1', 'Main', CASE i % 2 WHEN 0 THEN 'late' ELSE 'online' END, CASE i % 2 WHEN 0 THEN 'online' ELSE 'late' END, 'silent', now(), now(), i FROM generate_series(1, 7) i",
    );
    is("Name", &["bob", "node 3", "node 1", "node 5"]);
    browser.wait_for_text("#trouble", "1 flapping");
    browser.wait_for_text("#trouble", "2 late");
    click_trouble(&browser, "All that need attention");

    browser.wait_for_text(".table-bar", "Show nodes that left long ago");
    browser.run("[...document.querySelectorAll('.table-bar button')].find((one) => one.textContent.startsWith('Show nodes that left')).click()");
    wait_until("carol is shown", || {
        column(&browser, TABLE, "Name")
            .last()
            .is_some_and(|name| name == "carol")
    });
    assert_eq!(asked(&browser, "gone"), "1");
    browser.run("history.back()");
    browser.wait_until("!new URLSearchParams(location.search).has('gone')");
    browser.wait_for_text(".table-count", "7 of 8 nodes");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_link_has_columns_and_filters_and_marks_what_is_wrong_with_them() {
    let app = ill(&[]);
    let browser = Browser::start();
    browser.use_window(3_000, 900, false);
    browser.open(&app.url("/dashboard/?where.behind=abc&where.nonsense=1&where.state=stalled"));
    browser.wait_for_text(".table-empty", "No nodes match your search and filters.");
    assert_eq!(browser.texts(".table-chips li.bad").len(), 2);
    assert_eq!(browser.texts(".table-chips li").len(), 3);
    for _ in 0..2 {
        browser.click(".table-chips li.bad button");
    }
    wait_for_column(&browser, TABLE, "Name", &["node 3"]);
    browser
        .wait_until("!location.search.includes('nonsense') && !location.search.includes('behind')");

    browser.click(".column-chooser summary");
    browser.click(".column-chooser label[title='Transactions in the pool']");
    browser.run("[...document.querySelectorAll('.column-chooser label')].find((one) => one.textContent === 'Peer id').click()");
    assert_eq!(asked(&browser, "columns"), "!transactions,peer_id");
    let link = browser.run("return location.pathname + location.search");
    let other = Browser::start();
    other.use_window(3_000, 900, false);
    other.open(&app.url(link.as_str().unwrap()));
    wait_for_column(&other, TABLE, "Peer id", &["p3"]);
    assert_eq!(column(&other, TABLE, "Pool"), [""; 1], "it is not shown");
    other.press("/");
    assert_eq!(other.run("return document.activeElement.type"), "search");
    other.press("n");
    assert_eq!(other.run("return document.activeElement.value"), "n");
}

#[test]
fn on_a_phone_there_are_name_status_since_and_behind() {
    let app = ill(&[]);
    let browser = Browser::start();
    browser.use_phone();
    browser.open(&app.url("/dashboard/"));
    browser.wait_for("#table [role=grid] td");
    assert_eq!(
        browser.texts("thead tr:first-child th"),
        ["Pin", "Name", "Status", "Since", "Behind"]
    );
    let is_whole = "const table = document.querySelector('.table-scroll'); return table.scrollWidth - table.clientWidth";
    assert_eq!(browser.run(is_whole), 0);
}

#[test]
fn where_websockets_are_blocked_the_table_goes_on_by_http() {
    let app = ill(&[("FEED_CONNECTIONS_MAX", "1")]);
    let other = FeedClient::connect(&app);
    let browser = Browser::start();
    browser.use_window(3_000, 900, false);
    browser.open(&app.url("/dashboard/"));
    browser.wait_for("#table .table-empty .state.loading");
    assert_eq!(
        browser.text(".table-totals"),
        "",
        "nothing is told before it is known"
    );
    browser.wait_for_text("#blocked", "Live updates are blocked");
    wait_for_column(&browser, TABLE, "Name", &ALL);
    wait_for_column(
        &browser,
        TABLE,
        "Behind",
        &["–", "100", "0", "0", "0", "0", "0"],
    );
    assert_eq!(
        browser.text(".connection [role=status]"),
        "Live updates blocked"
    );
    app.db
        .execute("UPDATE node_status SET state = 'missing', since = now() WHERE peer_id = 'p2'");
    wait_for_column(
        &browser,
        TABLE,
        "Name",
        &[
            "bob", "node 2", "node 3", "node 5", "node 6", "node 1", "node 4",
        ],
    );
    drop(other);
    browser.wait_for_text(".connection", "Live");
    browser.wait_until("document.getElementById('blocked').hidden");
}

#[test]
fn shares_are_counted_and_each_is_a_filter_by_click() {
    let app = ill(&[]);
    app.db.execute("UPDATE peer_connections SET target_os = 'linux', memory_bytes = id * 1073741824, core_count = 8 WHERE id < 5");
    let browser = Browser::start();
    browser.use_window(1_400, 900, false);
    browser.open(&app.url("/dashboard/"));
    browser.wait_for("#trouble button");
    browser.run("[...document.querySelectorAll('.table-bar button')].find((one) => one.textContent === 'Shares').click()");
    browser.wait_for("#shares button");
    let lines = |title: &str| {
        let lines = browser.run(&format!(
            "const card = [...document.querySelectorAll('#shares section')].find((one) => one.firstChild.textContent === {});
             return [...card.querySelectorAll('li')].map((one) => one.textContent.replaceAll('\\u202f', ' '))",
            json!(title)
        ));
        serde_json::from_value::<Vec<String>>(lines).unwrap()
    };
    assert_eq!(
        lines("Version"),
        ["1.0.03 · 42.9 %", "1.0.13 · 42.9 %", "0.91 · 14.3 %"]
    );
    assert_eq!(
        lines("Cores"),
        ["8 cores4 · 57.1 %", "not reported3 · 42.9 %"]
    );
    assert_eq!(lines("Memory")[0], "4 GiB1 · 14.3 %");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    browser.run("[...document.querySelectorAll('#shares button')].find((one) => one.textContent.startsWith('1.0.1')).click()");
    browser.wait_for_text(".table-count", "3 of 7 nodes");
    assert_eq!(asked(&browser, "where.version"), "=1.0.1");
    browser.run("[...document.querySelectorAll('#shares button')].find((one) => one.textContent.startsWith('3')).click()");
    browser.wait_for_text(".table-count", "1 of 7 nodes");
    browser.reload();
    browser.wait_for("#shares button");
    browser.wait_for_text(".table-count", "1 of 7 nodes");
    browser.use_phone();
    assert_eq!(browser.sideways_scroll(), 0);
    assert_eq!(browser.console_errors(), [""; 0]);
}
