//! The Chain page: where a chain is, how its blocks spread and become final.

use serde_json::json;

use super::{assert_sound, wait_for_column};
use crate::blocks::GENESIS;
use crate::blocks::past::Past;
use crate::support::{Browser, TestApp, write_mmdb};

const PATH: &str = "/dashboard/chain";

/// What the page shows when there are blocks.
const READY: &str = "#blocks [role=grid] td";

const PEERS: [&str; 5] = ["alice", "bob", "carol", "dave", "eve"];

/// Three hours of a chain, which forked once, with machines.
fn told(app: &TestApp) -> Past<'_> {
    let mut past = Past::new(app, &PEERS);
    let end = past.now_us();
    for height in 1..=1_800_u64 {
        let at = end - i64::try_from(1_801 - height).unwrap() * 6_000_000;
        // It spreads more slowly as time goes by.
        let pace = 40_000 + i64::try_from(height).unwrap() * 60;
        for (place, peer) in (0..).zip(PEERS) {
            let origin = if place == 0 {
                "Own"
            } else {
                "NetworkBroadcast"
            };
            past.import(peer, at + place * pace, height, 0, origin);
        }
        if height == 1_790 {
            past.import("eve", at + 30_000, height, 1, "Own");
        }
        if height < 1_798 {
            past.finalize("bob", at + 14_000_000, height, 0);
        }
    }
    past.tell();
    app.db.execute(
        "UPDATE peer_connections SET ip_addr = '81.2.' || 69 + id % 2 || '.7', cpu = 'AMD EPYC 7B13', core_count = 8, memory_bytes = 68719476736, linux_kernel = '6.1.0-' || id % 3, linux_distro = 'Debian GNU/Linux 12 (bookworm)', \
         target_os = 'linux', target_arch = 'x86_64', is_virtual_machine = id % 2 = 0, cpu_hashrate_score = 700 + id * 50, memory_memcpy_score = 14000, disk_random_write_score = 500",
    );
    app.rebuild_projections();
    past
}

#[test]
fn the_page_of_a_chain_is_sound() {
    let app = TestApp::start();
    let browser = Browser::start();
    assert_sound(&browser, &app, PATH, ".state.empty");
    let _past = told(&app);
    assert_sound(&browser, &app, PATH, READY);
}

#[test]
fn the_page_shows_where_the_chain_is_who_saw_its_blocks_first_and_what_its_nodes_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("city.mmdb");
    let of = |country: &str, provider: &str| json!({"country": {"iso_code": country}, "as_name": provider});
    write_mmdb(
        &file,
        "of a test",
        &[
            ("81.2.69.0/24", of("DE", "Hosting GmbH")),
            ("81.2.70.0/24", of("FI", "Other Oy")),
        ],
    );
    let app = TestApp::builder()
        .env("GEOIP_DATABASE", file.display())
        .start();
    let _past = told(&app);
    let browser = Browser::start();
    browser.use_window(1_600, 1_400, false);
    browser.open(&app.url(PATH));
    browser.wait_for(READY);
    let fact = |name: &str| {
        browser
            .text(&format!("[data-name='{name}'] dd"))
            .replace('\u{202f}', " ")
    };
    assert!(fact("Best").starts_with("1800"), "{}", fact("Best"));
    assert!(
        fact("Block time").starts_with("6 s"),
        "{}",
        fact("Block time")
    );
    assert!(
        fact("Nodes online").starts_with('5'),
        "{}",
        fact("Nodes online")
    );
    assert!(fact("Forks").starts_with('1'), "{}", fact("Forks"));
    assert!(fact("Last block").contains("ago"), "{}", fact("Last block"));
    browser.wait_until(
        "document.querySelector('#propagation .chart-canvas').ariaLabel.includes('95 %')",
    );
    browser.wait_for_text("#hardware", "AMD EPYC 7B13");
    browser.wait_for_text("#machines", "6.1.0-1");
    browser.run("const choice = document.querySelector('#fact select'); choice.value = 'target_arch'; choice.dispatchEvent(new Event('change'))");
    browser.wait_for_text("#machines", "x86_64");
    browser.wait_until("location.search.includes('fact=target_arch')");
    browser.wait_for_text("#locations", "more than a third of 5 nodes.");
    let mut places: Vec<String> = browser
        .texts("#locations tr")
        .iter()
        .map(|place| place.replace(['\t', '\u{202f}'], " "))
        .collect();
    places.sort();
    assert_eq!(
        places,
        [
            "Finland 3 60 %",
            "Germany 2 40 %",
            "Hosting GmbH 2 40 %",
            "Other Oy 3 60 %"
        ]
    );
    let row = browser.text("#blocks tbody tr:not(.space)");
    assert!(row.contains("name of alice"), "{row}");
    // Who missed blocks comes first; a block of eve was lost to a fork.
    wait_for_column(
        &browser,
        "#authors",
        "Node",
        &["name of eve", "name of alice"],
    );
    wait_for_column(&browser, "#authors", "Missed", &["1", "0"]);
    browser.click("#authors tbody a");
    browser.wait_for_text("#authored", "1 block built: 1 missed. 1 lost");
    browser.wait_for_text("#authored li", "block 1790 lost");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
}

#[test]
fn a_link_leads_to_a_block_and_its_moment() {
    let app = TestApp::start();
    let _past = told(&app);
    let browser = Browser::start();
    browser.use_window(1_600, 1_400, false);
    browser.open(&app.url(&format!("{PATH}?chain={GENESIS}&height=1790")));
    browser.wait_for(READY);
    let heights = || super::column(&browser, "#blocks", "Block");
    assert_eq!(heights()[..3], ["1790", "1790", "1789"]);
    let outcomes = super::column(&browser, "#blocks", "Outcome");
    assert!(outcomes[..2].contains(&"lost".to_owned()), "{outcomes:?}");
    assert!(outcomes[..2].contains(&"final".to_owned()), "{outcomes:?}");
    browser.click("#blocks .table-bar button");
    browser.wait_until(
        "document.querySelector('#blocks tbody tr:not(.space)').textContent.includes('1800')",
    );
    let address = browser.run("return location.search");
    assert_eq!(address, json!(format!("?chain={GENESIS}")));
    // A time of the past: only blocks of it.
    let moments = app.db.texts("SELECT to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS value FROM blocks WHERE height IN (700, 710) ORDER BY height");
    browser.open(&app.url(&format!("{PATH}?from={}&to={}", moments[0], moments[1])));
    browser.wait_for(READY);
    assert_eq!(heights().last().unwrap(), "700");
    assert_eq!(heights()[0], "709");
}

#[test]
fn the_table_of_all_nodes_has_a_line_for_each_chain() {
    let app = TestApp::start();
    let _past = told(&app);
    let browser = Browser::start();
    browser.open(&app.url("/dashboard/"));
    browser.wait_for("#lines .chain-line");
    let line = browser.text("#lines .chain-line").replace('\u{202f}', " ");
    for part in [
        "Development",
        "Best",
        "1800",
        "Block time",
        "6 s",
        "Propagation",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    browser.open(&app.url("/dashboard/?chain=0x1234"));
    browser.wait_until("document.getElementById('lines').hidden");
    browser.use_phone();
    browser.open(&app.url(&format!("/dashboard/?chain={GENESIS}")));
    browser.wait_for("#lines .chain-line");
    assert_eq!(browser.sideways_scroll(), 0);
    browser.use_desktop();
    browser.click("#lines a");
    browser.wait_for(READY);
}
