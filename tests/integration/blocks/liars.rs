//! Who lies about blocks, or is far behind, moves nothing for the others.

use serde_json::json;

use super::past::Past;
use super::{BY_PROJECTION, GENESIS, hash};
use crate::support::TestApp;

const PEERS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// An hour of a chain with a block every six seconds.
fn hour(past: &mut Past<'_>, start: i64) {
    for height in 0..600_u64 {
        let at = start + i64::try_from(height).unwrap() * 6_000_000;
        let height = height + 5_000;
        for (place, peer) in (0..).zip(PEERS) {
            let origin = if place == 0 {
                "Own"
            } else {
                "NetworkBroadcast"
            };
            past.import(peer, at + place * 90_000, height, 0, origin);
            let interval = json!({"height": height, "best": hash(height, 0), "finalized_height": height - 3, "finalized_hash": hash(height - 3, 0)});
            past.say(peer, at + 1_000_000 + place, "system.interval", &interval);
        }
    }
}

#[test]
fn a_liar_and_a_node_far_behind_change_nothing_and_are_counted() {
    let app = TestApp::start();
    let mut past = Past::new(&app, &PEERS);
    let start = past.now_us() - 7_200_000_000;
    hour(&mut past, start);
    past.tell();
    app.rebuild_projections();
    super::assert_true(&app);
    let honest = app.db.texts(BY_PROJECTION);
    assert_eq!(honest.len(), 600);
    past.join("liar", GENESIS, "Development");
    past.join("syncing", GENESIS, "Development");
    let mut sent = 0;
    for number in 0..3_000_u64 {
        let at = start + 60_000_000 + i64::try_from(number).unwrap() * 1_000_000;
        past.import("syncing", at, number, 0, "NetworkBroadcast");
        let fields = json!({"height": 1_u64 << 53, "best": hash(number, 7), "origin": "Own"});
        past.say("liar", at, "block.import", &fields);
        past.import("liar", at, 4_000_000_000 + number, 9, "Own");
        past.finalize("liar", at, 3_000_000_000, 0);
        sent += 1;
    }
    past.tell();
    app.rebuild_projections();
    assert_eq!(app.db.texts(BY_PROJECTION), honest);
    assert_eq!(app.db.count("SELECT left_out_behind FROM chains"), sent);
    // The finalized block is one and the same, once for each write.
    assert!(app.db.count("SELECT left_out_ahead FROM chains") > 2 * sent);
    assert_eq!(
        app.db
            .count("SELECT chain_height(array_agg(best_height)) FROM nodes"),
        5_599
    );
}

#[test]
fn a_million_invented_blocks_are_bounded_for_each_node_and_hour() {
    let app = TestApp::start();
    let mut past = Past::new(&app, &PEERS);
    let start = past.now_us() - 7_200_000_000;
    // Within one hour of the clock.
    let start = start - start.rem_euclid(3_600_000_000);
    hour(&mut past, start);
    past.join("liar", GENESIS, "Development");
    for number in 0..20_000_u64 {
        past.import(
            "liar",
            start + 1_000_000_000,
            5_160 + number % 7,
            1 + number,
            "Own",
        );
    }
    past.tell();
    app.rebuild_projections();
    assert_eq!(
        app.db.count("SELECT count(*) FROM blocks WHERE nodes = 5"),
        600
    );
    assert_eq!(
        app.db.count("SELECT count(*) FROM blocks WHERE nodes = 1"),
        7_500
    );
    assert_eq!(app.db.count("SELECT left_out_excess FROM chains"), 12_500);
}
