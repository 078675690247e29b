//! The table of all nodes.

use serde_json::{Value, json};

use super::assert_sound;
use crate::blocks::said;
use crate::support::{Browser, Network, TestApp, free_port, wait_until};

const READY: &str = "#table [role=grid] td";

/// Opens the page in a window that is wide enough for all of its columns: what
/// is out of sight is not painted.
fn open(browser: &Browser, app: &TestApp, query: &str) {
    browser.use_window(3_000, 900, false);
    browser.open(&app.url(&format!("/dashboard/{query}")));
    browser.wait_for(READY);
}

/// The cells of a column, from top to bottom.
fn column(browser: &Browser, title: &str) -> Vec<String> {
    let cells = browser.run(&format!(
        "const titles = [...document.querySelectorAll('thead tr:first-child th')];
         const index = titles.findIndex((one) => one.textContent === {});
         return [...document.querySelectorAll('tbody tr:not(.space)')].map((row) => row.cells[index].textContent)",
        json!(title)
    ));
    serde_json::from_value(cells).unwrap()
}

/// Waits until a column shows this, from top to bottom.
#[track_caller]
fn wait_for_column(browser: &Browser, title: &str, expected: &[&str]) {
    let mut shown = Vec::new();
    let what = format!("the column {title} shows {expected:?}");
    wait_until(&what, || {
        shown = column(browser, title);
        shown == expected
    });
}

/// Clicks the title of a column.
fn sort_by(browser: &Browser, title: &str) {
    browser.run(&format!(
        "[...document.querySelectorAll('thead button')].find((one) => one.textContent === {}).click()",
        json!(title)
    ));
}

/// Of each node, by its name.
fn from_database(app: &TestApp, value: &str) -> Vec<String> {
    app.db.texts(&format!(
        "SELECT ({value})::text AS value FROM peer_connections p ORDER BY name"
    ))
}

/// The newest number of a node in messages of a kind.
fn newest(msg: &str, field: &str) -> String {
    format!(
        "SELECT logs ->> '{field}' FROM telemetry_logs l WHERE l.peer_connection_id = p.id AND msg = '{msg}' \
         AND logs ? '{field}' ORDER BY l.id DESC LIMIT 1"
    )
}

#[test]
fn the_nodes_page_is_sound() {
    let app = TestApp::start();
    let browser = Browser::start();
    assert_sound(&browser, &app, "/dashboard/", ".state.empty pre");
    let mut network = Network::start(&app, &[("Alpha", 3), ("Beta", 2)]);
    network.step();
    assert_sound(&browser, &app, "/dashboard/", READY);
    for menu in [
        ".bar .end > button",
        ".column-chooser summary",
        ".menu:last-child summary",
    ] {
        browser.click(menu);
        assert_eq!(browser.accessibility_faults(), [""; 0], "{menu}");
    }
}

#[test]
fn the_nodes_page_shows_what_the_database_has_and_moves() {
    // None of them is late before the test is over.
    let app = TestApp::builder()
        .env("NODE_HEARTBEAT_S", 300)
        .env("NODE_OFFLINE_S", 3_600)
        .start();
    let mut network = Network::start(&app, &[("Alpha", 5), ("Beta", 3)]);
    network.step();
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "?sort=name");
    browser.wait_for_text(".table-count", "8 nodes");

    let sorted = "SELECT name AS value FROM peer_connections ORDER BY lower(name)";
    let names = app.db.texts(sorted);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    wait_for_column(&browser, "Name", &names);
    for (title, value) in [
        ("Chain", "chain".to_owned()),
        ("Version", "version".to_owned()),
        (
            "Role",
            "CASE WHEN authority THEN 'validator' ELSE 'full' END".to_owned(),
        ),
        ("Status", "'online'".to_owned()),
        ("Best block", newest("block.import", "height")),
        ("Finalized", newest("notify.finalized", "height")),
        ("Peers", newest("system.interval", "peers")),
        ("Pool", newest("system.interval", "txcount")),
        ("Processor", "coalesce(cpu, '–')".to_owned()),
    ] {
        let values = from_database(&app, &value);
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        wait_for_column(&browser, title, &values);
    }

    sort_by(&browser, "Best block");
    network.import(2, 4_711);
    wait_until("the node with the new block comes first", || {
        column(&browser, "Best block")[0] == "4711"
            && column(&browser, "Name")[0] == network.node(2).name
    });
    network.disconnect(6);
    browser.wait_for_text(".table-totals", "7 online");
    browser.wait_for_text(".table-totals", "1 offline");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_nodes_page_comes_back_after_the_server() {
    let app = TestApp::builder().env("PORT", free_port()).start();
    let mut network = Network::start(&app, &[("Alpha", 2)]);
    network.step();
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "?sort=-height");
    browser.wait_for_text(".connection", "Live");
    browser.wait_for_text(".table-totals", "2 online");

    let app = app.start_again();
    browser.wait_for_text(".table-totals", "2 offline");
    network.reconnect_all(&app);
    network.import(1, 4_711);
    browser.wait_for_text(".connection", "Live");
    browser.wait_for_text(".table-totals", "2 online");
    wait_for_column(&browser, "Best block", &["4711", "101"]);
}

#[test]
fn nodes_are_found_and_the_view_can_be_shared() {
    let app = TestApp::start();
    let mut network = Network::start(&app, &[("Alpha", 5), ("Beta", 3)]);
    for node in 0..8 {
        network.import(node, 200 + u64::try_from(node).unwrap());
    }
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "?sort=-height");
    wait_for_column(
        &browser,
        "Best block",
        &["207", "206", "205", "204", "203", "202", "201", "200"],
    );
    sort_by(&browser, "Best block");
    browser.click(".bar .end > button");
    browser.fill("[aria-label='Filter Best block']", "> 201");
    browser.fill("[aria-label='Filter Chain']", "!beta");
    let three = ["202", "203", "204"];
    wait_for_column(&browser, "Best block", &three);
    browser.wait_for_text(".table-count", "3 of 8 nodes");
    browser.fill(".table-search", &network.node(3).peer_id);
    wait_for_column(&browser, "Best block", &["203"]);
    browser.fill(".table-search", "");
    wait_for_column(&browser, "Best block", &three);

    browser.reload();
    wait_for_column(&browser, "Best block", &three);
    browser.fill("[aria-label='Filter Best block']", "many");
    browser.wait_for_text(".table-empty", "No nodes match your search and filters.");
    browser.click(".table-empty button");
    browser.wait_for_text(".table-count", "8 nodes");

    // Chains are told apart by their genesis hashes.
    let texts = browser.texts("#chains button");
    assert_eq!(texts.len(), 3, "{texts:?}");
    browser.click("#chains button:nth-child(3)");
    wait_for_column(&browser, "Best block", &["205", "206", "207"]);
    let genesis = json!(network.hash(1, 0));
    browser.wait_until(&format!(
        "new URLSearchParams(location.search).get('chain') === {genesis}"
    ));
    browser.run("history.back()");
    browser.wait_for_text(".table-count", "8 nodes");
}

#[test]
fn nodes_are_pinned_and_opened_by_keyboard() {
    let app = TestApp::start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    for node in 0..4 {
        network.import(node, 200 + u64::try_from(node).unwrap());
    }
    network.wait_stored(&app);
    let browser = Browser::start();
    open(&browser, &app, "?sort=-height");
    wait_for_column(&browser, "Best block", &["203", "202", "201", "200"]);
    browser.run("document.querySelector('[role=grid]').focus()");
    for key in ["ArrowDown", "ArrowDown", "ArrowRight"] {
        browser.press(key);
    }
    browser.press(" ");
    wait_for_column(&browser, "Best block", &["201", "203", "202", "200"]);
    browser.reload();
    wait_for_column(&browser, "Best block", &["201", "203", "202", "200"]);
    assert_eq!(
        browser.texts("tbody.pinned a"),
        [network.node(1).name.clone()]
    );

    browser.run("document.querySelector('[role=grid]').focus()");
    for key in ["ArrowDown", "ArrowRight", "Enter"] {
        browser.press(key);
    }
    let peer = json!(network.node(3).peer_id);
    browser.wait_until(&format!(
        "location.pathname === '/dashboard/node' && new URLSearchParams(location.search).get('peer_id') === {peer}"
    ));
}

#[test]
fn what_is_shown_is_exported_and_names_do_no_harm() {
    let names = [
        "=1+1",
        "a \"quoted\", name",
        "<img src=x onerror=\"document.title='run'\">",
    ];
    let app = TestApp::start();
    let _nodes: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let mut node = app.node("/submit");
            let introduction = json!({"msg": "system.connected", "name": name, "network_id": format!("peer-{number}"),
                "chain": "Alpha", "genesis_hash": "0x01", "version": "1", "implementation": "x", "authority": false,
                "config": "", "startup_time": "1700000000000"});
            node.send(json!({"id": 1, "ts": "2026-01-01T00:00:00Z", "payload": introduction}).to_string());
            let import = json!({"msg": "block.import", "height": 300 + number, "best": "0x02"});
            node.send(json!({"id": 1, "ts": "2026-01-01T00:00:00Z", "payload": import}).to_string());
            node
        })
        .collect();
    app.wait_stored(6);
    let browser = Browser::start();
    open(&browser, &app, "?sort=height");
    wait_for_column(&browser, "Name", &names);
    wait_for_column(&browser, "Best block", &["300", "301", "302"]);
    assert_ne!(browser.run("return document.title"), "run");

    browser.fill(".table-search", "1");
    browser.click(".column-chooser summary");
    browser.click(".column-chooser label[title='Transactions in the pool']");
    browser.click(".column-chooser summary");
    browser.fill(".table-search", "");
    wait_for_column(&browser, "Name", &names);
    browser.click(".menu:last-child summary");
    let csv = browser.download(".menu:last-child .menu-panel button:nth-child(2)");
    assert_eq!(csv.name, "nodes.csv");
    let mut lines = csv.text.split("\r\n");
    let fields: Vec<_> = lines.next().unwrap().split(',').collect();
    assert_eq!(fields[..2], ["name", "state"]);
    assert!(fields.contains(&"peer_id"), "rows are told apart");
    assert!(!fields.contains(&"transactions") && fields.contains(&"height"));
    let starts = ["'=1+1,", "\"a \"\"quoted\"\", name\","];
    for start in starts {
        let line = lines.next().unwrap();
        assert!(line.starts_with(start), "{line}");
    }
    browser.click(".menu:last-child summary");
    let file = browser.download(".menu:last-child .menu-panel button:last-child");
    let rows: Value = serde_json::from_str(&file.text).unwrap();
    let exported = |field| -> Vec<&Value> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| &row[field]).collect()
    };
    assert_eq!(exported("name"), names);
    assert_eq!(exported("height"), [300, 301, 302]);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_network_as_it_was_is_shared_by_link_and_says_that_it_is_the_past() {
    let app = super::trouble::ill(&[]);
    let browser = Browser::start();
    let at = |hours: i64| {
        (chrono::Utc::now() - chrono::TimeDelta::hours(hours))
            .format("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    };
    let path = format!("/dashboard/?at={}", at(6));
    assert_sound(&browser, &app, &path, "#table [role=grid] td");
    open(&browser, &app, &format!("?at={}", at(6)));
    browser.wait_for_text("#moment", "The past: the network as it was at");
    // Of the nodes of today only one was there, and well.
    wait_for_column(&browser, "Name", &["bob"]);
    wait_for_column(&browser, "Status", &["online"]);
    browser.wait_until("document.getElementById('lines').hidden");
    // An hour on, and to a moment of choice.
    browser.click("#moment a:nth-child(2)");
    browser.wait_until(&format!(
        "location.search.includes('at={}')",
        at(5).get(..13).unwrap()
    ));
    browser.wait_for("#table [role=grid] td");
    browser.click(".moment-menu summary");
    browser.run(
        "const input = document.querySelector('.moment input'); input.value = '2020-01-01T00:00:00'; input.form.requestSubmit()",
    );
    browser.wait_for_text("#table", "No node was connected then");
    browser.click("#moment a:last-child");
    browser.wait_until("!location.search.includes('at=')");
    wait_for_column(
        &browser,
        "Name",
        &[
            "bob", "node 3", "node 5", "node 6", "node 1", "node 2", "node 4",
        ],
    );
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn shown_rows_are_copied_with_their_peer_ids() {
    let app = super::trouble::ill(&[]);
    let browser = Browser::start();
    open(&browser, &app, "");
    browser.fill(".table-search", "node ");
    wait_for_column(
        &browser,
        "Name",
        &["node 3", "node 5", "node 6", "node 1", "node 2", "node 4"],
    );
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }");
    browser.click(".menu:last-child summary");
    browser.click(".menu:last-child .menu-panel button:first-child");
    browser.wait_for_text(".said", "6 nodes with");
    let copied = browser.run("return window.copied");
    let copied: Vec<Vec<&str>> = copied
        .as_str()
        .unwrap()
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(copied.len(), 7);
    assert_eq!((copied[0][0], copied[1][0]), ("name", "node 3"));
    let peer = copied[0]
        .iter()
        .position(|field| *field == "peer_id")
        .unwrap();
    assert_eq!(
        copied[1..].iter().map(|row| row[peer]).collect::<Vec<_>>(),
        ["p3", "p5", "p6", "p1", "p2", "p4"]
    );
    // Without https browsers copy in another way.
    browser.run("navigator.clipboard.writeText = async () => { throw new Error('refused'); }; document.execCommand = (what) => { window.copied = [what, document.activeElement.value.split('\\n').length]; return true; }");
    browser.click(".menu:last-child summary");
    browser.click(".menu:last-child .menu-panel button:first-child");
    browser.wait_until("JSON.stringify(window.copied) === '[\"copy\",8]'");
}

#[test]
fn of_many_chains_each_is_found_by_its_name() {
    let app = TestApp::start();
    let mut nodes: Vec<_> = (0..9).map(|_| app.node("/submit")).collect();
    for (number, node) in nodes.iter_mut().enumerate() {
        let chain = format!("Chain {}", number.min(7));
        node.send(said(json!({"msg": "system.connected", "network_id": format!("peer {number}"), "name": format!("node {number}"), "chain": chain, "genesis_hash": format!("0x{}", number.min(7))})));
    }
    app.wait_stored(9);
    let browser = Browser::start();
    open(&browser, &app, "");
    // Those with the most nodes stand beside each other.
    browser.wait_for_text("#chains button:nth-child(2)", "Chain 7");
    browser.wait_for_text("#more-chains summary", "8 chains");
    browser.click("#more-chains summary");
    browser.fill("#more-chains input", "chain 6");
    let shown = browser.texts("#more-chains button:not([hidden])");
    assert!(
        shown.len() == 1 && shown[0].starts_with("Chain 6"),
        "{shown:?}"
    );
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    browser.click("#more-chains button:not([hidden])");
    browser.wait_for_text("#more-chains summary", "Chain 6");
    browser.wait_until("location.search.includes('chain=0x6')");
    wait_for_column(&browser, "Name", &["node 6"]);
    assert_eq!(browser.console_errors(), [""; 0]);
}
