//! The story of one node.

use serde_json::json;
use tetcore_analytics::metrics::DisconnectReason;

use super::assert_sound;
use crate::support::{Browser, Network, TestApp, free_port, wait_until};

/// What the page shows when its messages are there.
const READY: &str = ".message";

fn path(peer: &str, query: &str) -> String {
    format!("/dashboard/node?peer_id={peer}{query}")
}

fn open(browser: &Browser, app: &TestApp, peer: &str, query: &str) {
    browser.open(&app.url(&path(peer, query)));
    browser.wait_for(READY);
}

/// Waits until a figure at the top shows this.
#[track_caller]
fn wait_for_figure(browser: &Browser, title: &str, expected: &str) {
    let (title, expected) = (json!(title), json!(expected));
    browser.wait_until(&format!(
        "[...document.querySelectorAll('#figures div')].find((one) => one.firstChild.textContent === {title})
           .lastChild.textContent === {expected}"
    ));
}

/// Kind and fields of the messages in the list, from top to bottom.
fn messages(browser: &Browser) -> Vec<String> {
    browser.texts(".message summary")
}

/// The text of the first match.
fn first(app: &TestApp, query: &str) -> String {
    let mut texts = app.db.texts(query);
    assert!(!texts.is_empty(), "{query}");
    texts.remove(0)
}

/// Messages of a peer in the database.
fn stored(app: &TestApp, peer: &str, condition: &str) -> usize {
    let count = app.db.count(&format!(
        "SELECT count(*) FROM telemetry_logs l JOIN peer_connections p ON p.id = peer_connection_id \
         WHERE p.peer_id = '{peer}' AND {condition}"
    ));
    usize::try_from(count).unwrap()
}

/// A network with a chain of four nodes, of which the last is an old one.
fn start() -> (TestApp, Network, Browser) {
    let app = TestApp::start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    network.step();
    network.wait_stored(&app);
    (app, network, Browser::start())
}

#[test]
fn the_page_of_a_node_is_sound() {
    let (app, mut network, browser) = start();
    assert_sound(&browser, &app, "/dashboard/node", ".state.empty a");
    network.disconnect(3);
    wait_until("away", || app.get("/nodes?online=true").json()[3].is_null());
    network.reconnect(3);
    network.wait_stored(&app);
    let peer = network.node(3).peer_id.clone();
    assert_sound(&browser, &app, &path(&peer, ""), READY);
    assert_sound(
        &browser,
        &app,
        &path(&peer, "&msg=x"),
        ".state.empty button",
    );

    browser.use_window(360, 740, true);
    open(&browser, &app, &peer, "");
    browser.wait_for(".presence-list .away");
    for details in [".presence-list details", ".message details", ".chart-table"] {
        browser.run(&format!("document.querySelector('{details}').open = true"));
    }
    browser.wait_for(".json li");
    assert_eq!(browser.sideways_scroll(), 0);
    for dark in [false, true] {
        browser.set_dark(dark);
        assert_eq!(browser.accessibility_faults(), [""; 0]);
    }
    // A wrong link is explained.
    browser.open(&app.url(&path("nobody", "")));
    browser.wait_for_text(".state", "No node with this peer id ever connected.");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
}

#[test]
fn the_page_of_a_node_shows_what_the_database_has() {
    let (app, network, browser) = start();
    let node = network.node(0);
    let peer = &node.peer_id;
    open(&browser, &app, peer, "");
    assert_eq!(browser.text("h1"), node.name);
    browser.wait_for_text("#state", "Online for");

    let facts = browser.texts("#facts dd");
    for column in ["chain", "version", "cpu", "linux_distro", "linux_kernel"] {
        let value = first(
            &app,
            &format!("SELECT {column} AS value FROM peer_connections WHERE peer_id = '{peer}'"),
        );
        assert!(facts.contains(&value), "{value} in {facts:?}");
    }
    let newest = |msg: &str, field: &str| {
        first(
            &app,
            &format!(
                "SELECT logs ->> '{field}' AS value FROM telemetry_logs l JOIN peer_connections p ON p.id = peer_connection_id \
                 WHERE p.peer_id = '{peer}' AND msg = '{msg}' AND logs ? '{field}' ORDER BY l.id DESC LIMIT 1"
            ),
        )
    };
    wait_for_figure(&browser, "Best block", &newest("block.import", "height"));
    wait_for_figure(&browser, "Finalized", &newest("notify.finalized", "height"));
    wait_for_figure(&browser, "Peers", &newest("system.interval", "peers"));
    let pool = format!("{} tx", newest("system.interval", "txcount"));
    wait_for_figure(&browser, "Pool", &pool);
    wait_for_figure(&browser, "Finality lag", "2 blocks");
    wait_for_figure(&browser, "Behind chain", "0 blocks");

    let all = stored(&app, peer, "true");
    browser.wait_for_text("#filters option", &format!("All kinds ({all})"));
    let kinds = app.db.texts(&format!(
        "SELECT msg AS value FROM telemetry_logs l JOIN peer_connections p ON p.id = peer_connection_id \
         WHERE p.peer_id = '{peer}' ORDER BY l.created_at DESC, l.id DESC"
    ));
    assert_eq!(browser.texts(".message-kind"), kinds);
    let height = json!(format!("latest {}.", node.height));
    browser.wait_until(&format!(
        "document.querySelector('.chart-canvas').ariaLabel.includes({height})"
    ));
}

#[test]
fn the_page_of_a_node_moves_when_a_message_arrives() {
    let (app, mut network, browser) = start();
    let peer = network.node(0).peer_id.clone();
    open(&browser, &app, &peer, "");
    wait_for_figure(&browser, "Best block", "101");
    network.import(0, 4_711);
    wait_for_figure(&browser, "Best block", "4711");
    browser.wait_for_text(".message summary", "height 4711");
    let count = json!(format!("block.import ({})", 2));
    browser.wait_until(&format!(
        "[...document.querySelectorAll('#filters option')].some((one) => one.textContent === {count})"
    ));
    browser
        .wait_until("document.querySelector('.chart-canvas').ariaLabel.includes('latest 4711.')");
    // The others of its chain are ahead.
    network.import(1, 4_721);
    wait_for_figure(&browser, "Behind chain", "10 blocks");

    // While somebody reads a message, new ones wait.
    browser.click(".message summary");
    let shown = messages(&browser).len();
    network.import(0, 4_712);
    browser.wait_for_text(".messages-newer", "Show 1 new");
    assert_eq!(messages(&browser).len(), shown);
    browser.click(".messages-newer");
    browser.wait_for_text(".message summary", "height 4712");
    browser.click("#filters button");
    browser.run("document.querySelector('.message [open]').open = false");
    network.import(0, 4_713);
    browser.wait_for_text(".messages-newer", "Show 1 new");
    browser.click("#filters button");
    browser.wait_for_text(".message summary", "height 4713");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn gaps_are_told_with_their_reasons_as_they_happen() {
    let (app, mut network, browser) = start();
    let peer = network.node(1).peer_id.clone();
    open(&browser, &app, &peer, "");
    browser.wait_for_text("#presence", "Online all the time");
    network.disconnect(1);
    browser.wait_for_text("#state", "Offline for");
    browser.wait_for_text(".presence-list .away p", "Closed by the node");
    network.reconnect(1);
    browser.wait_for_text("#state", "Online for");
    browser.wait_for_text(
        ".presence-list .away p",
        "Its process kept running meanwhile.",
    );
    browser.wait_for_text(".presence-sums", "offline once");

    // A long past, with a new version.
    app.db.execute(&format!(
        "UPDATE peer_connections SET created_at = now() - interval '50 min', disconnected_at = now() - interval '40 min',
           disconnect_reason = 'idle', version = '0.9', startup_time = 1 WHERE peer_id = '{peer}' AND disconnected_at IS NOT NULL;
         UPDATE peer_connections SET created_at = now() - interval '30 min' WHERE peer_id = '{peer}' AND disconnected_at IS NULL"
    ));
    browser.reload();
    browser.wait_for_text(".presence-list .away", "Offline for 10");
    let told = browser.text(".presence-list .away");
    let version = first(
        &app,
        &format!(
            "SELECT version AS value FROM peer_connections WHERE peer_id = '{peer}' AND disconnected_at IS NULL"
        ),
    );
    for part in [
        "No message for too long: connection dropped (NODE_IDLE_TIMEOUT_S).",
        "It came back as a new process.",
        &format!("Its version changed from 0.9 to {version}."),
    ] {
        assert!(told.contains(part), "{told}");
    }
    browser.wait_for_text(".presence-sums", "Online 80");
    browser.click(".presence-list .away a");
    browser.wait_until("new URLSearchParams(location.search).has('from')");
    browser.wait_for_text(".presence-sums", "offline once");
    browser.run("history.back()");
    browser.wait_until("!new URLSearchParams(location.search).has('from')");
}

#[test]
fn the_page_of_a_node_comes_back_after_the_server() {
    // A node that sends a message now and then is not missing.
    let app = TestApp::builder()
        .env("PORT", free_port())
        .env("NODE_HEARTBEAT_S", 300)
        .env("NODE_OFFLINE_S", 3_600)
        .start();
    let mut network = Network::start(&app, &[("Alpha", 2)]);
    network.step();
    network.wait_stored(&app);
    let peer = network.node(0).peer_id.clone();
    let browser = Browser::start();
    open(&browser, &app, &peer, "");
    browser.wait_for_text(".connection", "Live");

    let app = app.start_again();
    browser.wait_for_text("#state", "Offline for");
    browser.wait_for_text(".presence-list .away p", "This server stopped.");
    network.reconnect_all(&app);
    network.import(0, 4_711);
    wait_for_figure(&browser, "Best block", "4711");
    browser.wait_for_text("#state", "Online for");
    browser.wait_for_text(".message summary", "height 4711");
    network.wait_stored(&app);
    // Neither a gap nor a repeat.
    let all = stored(&app, &peer, "true");
    wait_until("all messages are shown once", || {
        messages(&browser).len() == all
    });
}

#[test]
fn an_answer_about_sessions_that_comes_late_changes_nothing() {
    let (app, mut network, browser) = start();
    let peer = network.node(1).peer_id.clone();
    open(&browser, &app, &peer, "");
    browser.wait_for_text("#state", "Online for");
    // The next answer about sessions arrives only when it is let go.
    browser.run(
        "const ask = window.fetch;
         window.fetch = async (...what) => {
           const answer = await ask(...what);
           if (String(what[0]).includes('/sessions') && !window.held) await new Promise((go) => { window.held = go; });
           return answer;
         };",
    );
    network.disconnect(1);
    browser.wait_until("window.held !== undefined");
    network.reconnect(1);
    browser.wait_for_text(".presence-list .away p", "Closed by the node");
    browser.wait_for_text("#state", "Online for");
    browser.run("window.held()");
    network.import(1, 4_711);
    wait_for_figure(&browser, "Best block", "4711");
    browser.wait_for_text("#state", "Online for");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn messages_are_filtered_and_paged() {
    let (app, mut network, browser) = start();
    for ready in 0..230 {
        network.send(3, "txpool.import", json!({"ready": ready, "future": 0}));
    }
    network.profile(3, "pallet_test", "on_test", 4_711);
    network.wait_stored(&app);
    let peer = network.node(3).peer_id.clone();
    open(&browser, &app, &peer, "");
    let wait_for_count = |count: usize| {
        wait_until(&format!("{count} messages are shown"), || {
            messages(&browser).len() == count
        });
    };
    wait_for_count(100);
    browser.click("#filters option[value='txpool.import']");
    browser.wait_for_text(".message summary", "ready 229");
    wait_for_count(100);
    browser.click("#messages .bar > button");
    wait_for_count(200);
    browser.click("#messages .bar > button");
    wait_for_count(stored(&app, &peer, "msg = 'txpool.import'"));
    browser.wait_for_text("#messages .bar", "all in this time range");
    let times = browser
        .run("return [...document.querySelectorAll('.message time')].map((one) => one.dateTime)");
    let times: Vec<chrono::DateTime<chrono::Utc>> = serde_json::from_value(times).unwrap();
    assert!(times.is_sorted_by(|a, b| a >= b));

    browser.fill("[aria-label='Text in the message']", "\"READY\": 17,");
    wait_for_count(1);
    assert!(messages(&browser)[0].contains("ready 17"));
    // What does not pass is not shown when it arrives, either. The pointer is
    // elsewhere, or what arrives would wait.
    browser.click("#messages-title");
    network.send(3, "txpool.import", json!({"ready": 18, "future": 0}));
    network.send(3, "txpool.import", json!({"ready": 17, "future": 1}));
    browser.wait_for_text(".message summary", "future 1");
    wait_for_count(2);
    browser.reload();
    wait_for_count(2);

    browser.fill("[aria-label='Text in the message']", "");
    browser.click("#filters option[value='']");
    browser.fill("[aria-label='Target']", "pallet_test");
    wait_for_count(1);
    browser.fill("[aria-label='Target']", "nothing");
    browser.wait_for_text("#messages", "No messages match the filters.");
    browser.click("#messages .state button");
    wait_for_count(100);
    browser.wait_until("[...new URLSearchParams(location.search).keys()].join() === 'peer_id'");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_link_to_a_moment_restores_the_view() {
    let (app, mut network, browser) = start();
    for height in 200..420 {
        network.import(2, height);
    }
    network.wait_stored(&app);
    let peer = network.node(2).peer_id.clone();
    open(&browser, &app, &peer, "&text=height&msg=block.import");
    browser.click("#messages .bar > button");
    wait_until("a message of long ago is shown", || {
        messages(&browser)
            .iter()
            .any(|one| one.contains("height 300 "))
    });
    browser.run(
        "[...document.querySelectorAll('.message')].find((one) => one.innerText.includes('height 300 ')).querySelector('a').click()",
    );
    let chosen = ".message[aria-current]";
    browser.wait_for_text(chosen, "height 300 ");
    let link = browser.run("return location.href");

    // Somebody else follows the link, later.
    browser.open("about:blank");
    network.import(2, 4_711);
    network.wait_stored(&app);
    browser.open(link.as_str().unwrap());
    browser.wait_for_text(chosen, "height 300 ");
    browser.wait_for_text("#moment", "Viewing");
    // What came before and after it.
    for height in [299, 301] {
        let height = format!("height {height} ");
        wait_until(&height, || {
            messages(&browser).iter().any(|one| one.contains(&height))
        });
    }
    let shown = messages(&browser);
    assert!(
        shown
            .iter()
            .all(|one| one.starts_with("block.import") && !one.contains("4711"))
    );
    browser.wait_until(&format!(
        "(() => {{ const {{ top, bottom }} = document.querySelector('{chosen}').getBoundingClientRect(); return top >= 0 && bottom <= innerHeight; }})()"
    ));
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    browser.click("#moment button");
    browser.wait_until("document.querySelector('.message[aria-current]') === null");

    // Keys on a chart lead to a moment, too.
    browser.run("document.querySelector('.chart-canvas').focus()");
    browser.press("End");
    browser.press("Enter");
    browser.wait_until("new URLSearchParams(location.search).has('at')");
    browser.wait_for(chosen);
}

#[test]
fn what_a_node_says_is_shown_to_the_digit_and_does_no_harm() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    let evil = "<img src=x onerror=\"document.title='run'\">";
    let introduction = json!({"msg": "system.connected", "name": evil, "network_id": "peer-1", "chain": evil,
        "genesis_hash": "0x01", "version": evil, "implementation": evil, "authority": false, "config": "",
        "startup_time": "1700000000000"});
    let say = |node: &mut crate::support::FakeNode, payload: &str| {
        node.send(format!(
            "{{\"id\":1,\"ts\":\"2026-01-01T00:00:00Z\",\"payload\":{payload}}}"
        ));
    };
    say(&mut node, &introduction.to_string());
    let odd =
        json!({"msg": "odd", "": "", "deep": {"er": [1, {"est": [null, true, evil]}]}, evil: evil});
    say(&mut node, &odd.to_string());
    let long = r#"{"msg":"long","number":18446744073709551615}"#;
    say(&mut node, long);
    app.wait_stored(3);
    let browser = Browser::start();
    open(&browser, &app, "peer-1", "");
    assert_eq!(browser.text("h1"), evil);
    browser.wait_for_text(".message summary", "number 18446744073709551615");
    // The same when it arrives.
    say(&mut node, &long.replace("long", "live"));
    browser.wait_for_text(".message summary", "live");
    browser.click(".message summary");
    browser.wait_for_text(".message .json", "number: 18446744073709551615");
    // Branches are built as they are opened.
    browser.wait_until(
        "(document.querySelectorAll('#messages details').forEach((one) => { one.open = true; }),
           document.querySelector('#messages').innerText.includes('[ 3 items ]'))",
    );
    assert_ne!(browser.run("return document.title"), "run");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn every_reason_for_the_end_of_a_session_has_words() {
    let (app, _network, browser) = start();
    browser.open(&app.url("/dashboard/node"));
    for reason in DisconnectReason::ALL {
        let label = reason.label();
        let words = browser.run(&format!(
            "return import('/dashboard/lib/reasons.js').then((m) => m.reasonWords('{label}'))"
        ));
        // Without words of its own a reason is shown like this.
        assert_ne!(words, label.replace('_', " "), "{label}");
    }
}
