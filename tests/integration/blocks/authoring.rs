//! The projection `authorings` has what nodes say of the blocks that they build; with the blocks that came of
//! it, it says which were missed.

use serde_json::{Value, json};

use super::past::Past;
use super::{GENESIS, assert_same, hash, introduce, said};
use crate::support::{FakeNode, TestApp, corpus};

const BY_SQL: &str = "
    WITH told AS (
        SELECT p.peer_id, coalesce(p.genesis_hash, '') AS genesis_hash, l.created_at AS at, l.msg, telemetry_integer(l.logs, CASE l.msg WHEN 'slots.pre_sealed_block' THEN 'header_num' ELSE 'number' END) AS height,
               lower(l.logs ->> CASE l.msg WHEN 'slots.pre_sealed_block' THEN 'hash_previously' ELSE 'hash' END) AS before, lower(l.logs ->> 'hash_now') AS after
        FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id
        WHERE l.msg IN ('prepared_block_for_proposing', 'slots.pre_sealed_block') AND p.peer_id IS NOT NULL
    )
    SELECT concat_ws(' ', peer_id, genesis_hash, height, before, min(at) FILTER (WHERE after IS NULL), min(at) FILTER (WHERE after IS NOT NULL), min(after)) AS value
    FROM told GROUP BY peer_id, genesis_hash, height, before ORDER BY 1";

const BY_PROJECTION: &str = "
    SELECT concat_ws(' ', peer_id, genesis_hash, height, '0x' || encode(prepared_hash, 'hex'), prepared_at, sealed_at, '0x' || encode(hash, 'hex')) AS value
    FROM authorings WHERE session_id = 0 ORDER BY 1";

fn prepared(height: u64, fork: u64) -> Value {
    json!({"msg": "prepared_block_for_proposing", "number": height.to_string(), "hash": hash(height, 1_000 + fork)})
}

fn sealed(height: u64, fork: u64) -> Value {
    json!({"msg": "slots.pre_sealed_block", "header_num": height.to_string(), "hash_previously": hash(height, 1_000 + fork), "hash_now": hash(height, fork)})
}

fn build(node: &mut FakeNode, height: u64) {
    node.send(said(prepared(height, 0)));
    node.send(said(sealed(height, 0)));
}

#[test]
fn what_nodes_build_is_known_by_node_and_rebuilt_alike() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    build(&mut node, 7);
    app.wait_stored(2);
    app.wait_projected();
    let waiting = "SELECT count(*) FROM authorings WHERE session_id <> 0";
    assert_eq!(app.db.count(waiting), 1, "its node is not known yet");
    introduce(&mut node, "late");
    build(&mut node, 8);
    // Once more, as after a reconnect; one without a hash says nothing.
    build(&mut node, 8);
    node.send(said(
        json!({"msg": "prepared_block_for_proposing", "number": "9", "hash": "0x1"}),
    ));
    let mut sent = 8;
    let mut others = Vec::new();
    for file in ["v2", "v1"] {
        let mut node = app.node("/submit");
        for frame in corpus(file) {
            node.send(frame);
            sent += 1;
        }
        others.push(node);
    }
    app.wait_stored(sent);
    app.wait_projected();
    let expected: Vec<String> = app
        .db
        .texts(BY_SQL)
        .into_iter()
        .filter(|row| !row.contains(" 9 0x1"))
        .collect();
    assert!(expected.len() > 4, "{expected:?}");
    assert_same(&app.db.texts(BY_PROJECTION), &expected);
    assert_eq!(app.db.count(waiting), 0);
    app.rebuild_projections();
    assert_same(&app.db.texts(BY_PROJECTION), &expected);
}

#[test]
fn blocks_that_were_made_and_missed_are_told_apart() {
    let app = TestApp::start();
    let mut past = Past::new(&app, &["a", "b", "c"]);
    let start = past.now_us() - 600_000_000;
    let at = |second: i64| start + second * 1_000_000;
    let tell = |past: &mut Past, peer: &str, second: i64, fields: Value| {
        let msg = fields["msg"].as_str().unwrap().to_owned();
        past.say(peer, at(second), &msg, &fields);
    };
    // All have the blocks before, and finalize them.
    for peer in ["a", "b", "c"] {
        past.import(peer, at(0), 9, 0, "NetworkBroadcast");
    }
    // a makes 10, which becomes final with 12.
    tell(&mut past, "a", 6, prepared(10, 0));
    tell(&mut past, "a", 6, sealed(10, 0));
    past.import("a", at(6), 10, 0, "Own");
    past.import("b", at(7), 10, 0, "NetworkBroadcast");
    // a and b make 11 at once; that of b is lost.
    for (peer, fork) in [("a", 0), ("b", 1)] {
        tell(&mut past, peer, 12, prepared(11, fork));
        tell(&mut past, peer, 12, sealed(11, fork));
        past.import(peer, at(12), 11, fork, "Own");
    }
    past.finalize("a", at(14), 11, 0);
    // c is at level 0: it tells only of the import.
    past.import("c", at(18), 12, 0, "Own");
    past.finalize("a", at(20), 12, 0);
    // b seals 13, and nobody takes it; c gives 13 up; a makes it, as a collator does: without a seal.
    tell(&mut past, "b", 24, prepared(13, 1));
    tell(&mut past, "b", 24, sealed(13, 1));
    tell(&mut past, "c", 24, prepared(13, 2));
    tell(&mut past, "a", 25, prepared(13, 0));
    past.import("a", at(25), 13, 0, "Own");
    past.tell();
    app.rebuild_projections();

    let of = |peer: &str| {
        let blocks = app.get(&format!("/api/v1/nodes/{peer}/authored")).json();
        let blocks = blocks.as_array().unwrap().iter();
        let words =
            |block: &Value| format!("{} {}", block["height"], block["outcome"].as_str().unwrap());
        blocks.map(words).collect::<Vec<_>>()
    };
    assert_eq!(of("a"), ["13 open", "11 final", "10 final"]);
    assert_eq!(of("b"), ["13 not_taken", "11 lost"]);
    assert_eq!(of("c"), ["13 not_sealed", "12 final"]);
    let of_c = app.get("/api/v1/nodes/c/authored").json();
    assert!(of_c[0]["hash"].is_null() && of_c[1]["prepared_at"].is_null());
    assert_eq!(of_c[1]["hash"], hash(12, 0).to_lowercase());

    let authors = app.get(&format!("/api/v1/chains/{GENESIS}/authors")).json();
    let authors = authors.as_array().unwrap().iter();
    let words = |one: &Value| {
        let number = |name: &str| one[name].as_i64().unwrap();
        let numbers = [
            "final",
            "open",
            "lost",
            "not_taken",
            "not_sealed",
            "last_height",
        ]
        .map(number);
        format!("{} {numbers:?}", one["name"].as_str().unwrap())
    };
    assert_eq!(
        authors.map(words).collect::<Vec<_>>(),
        [
            "name of b [0, 0, 1, 1, 0, 13]",
            "name of c [1, 0, 0, 0, 1, 13]",
            "name of a [2, 1, 0, 0, 0, 13]"
        ]
    );
    // Where there is no seal, the hash stays.
    past.say(
        "c",
        at(31),
        "prepared_block_for_proposing",
        &json!({"number": "14", "hash": hash(14, 0)}),
    );
    past.import("a", at(31), 14, 0, "NetworkBroadcast");
    past.tell();
    app.rebuild_projections();
    assert_eq!(of("c")[0], "14 open");
    // What is asked for bounds what is read.
    let before = chrono::DateTime::from_timestamp_micros(at(10))
        .unwrap()
        .format("%Y-%m-%dT%H:%M:%SZ");
    let early = app
        .get(&format!("/api/v1/nodes/a/authored?end_time={before}"))
        .json();
    assert_eq!(early.as_array().unwrap().len(), 1);
    assert_eq!(app.get("/api/v1/nodes/nobody/authored").status, 404);
    assert_eq!(
        app.get(
            "/api/v1/nodes/a/authored?start_time=2026-01-01T00:00:00Z&end_time=2026-03-01T00:00:00Z"
        )
        .status,
        400
    );
}
