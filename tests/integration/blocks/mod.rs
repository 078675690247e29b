//! The projection `blocks` has what the messages have: who saw a block first, how long
//! the others took, and when it was finalized.

mod answers;
mod authoring;
mod authorities;
mod liars;
pub(crate) mod past;
mod scrapes;
mod software;
pub(crate) mod statements;

use serde_json::{Value, json};

use crate::support::{FakeNode, Random, TestApp, corpus};
use past::Past;

pub(crate) const GENESIS: &str =
    "0xb0a8d493285c2df73290dfb7e61f870f17b41801197a149ca93654499ea3dafe";

/// The blocks from the log, by plain SQL: the delays are an array of pairs.
pub(crate) const BY_SQL: &str = "
    WITH said AS (
        SELECT p.genesis_hash, p.peer_id, p.server_id, l.created_at AS at, telemetry_integer(l.logs, 'height') AS height, lower(l.logs ->> 'best') AS hash,
               CASE l.logs ->> 'origin' WHEN 'Own' THEN 1 WHEN 'NetworkBroadcast' THEN 2 ELSE 3 END AS origin
        FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id
        WHERE l.msg = 'block.import' AND p.peer_id IS NOT NULL AND coalesce(p.genesis_hash, '') <> '' AND l.logs ->> 'best' ~ '^0x[0-9a-fA-F]{64}$'
          AND l.logs ->> 'origin' NOT IN ('Genesis', 'NetworkInitialSync', 'File', 'WarpSync', 'GapSync')
    ), nodes AS (
        SELECT DISTINCT ON (genesis_hash, height, hash, peer_id) * FROM said ORDER BY genesis_hash, height, hash, peer_id, at, origin, server_id
    ), ranked AS (
        SELECT n.*, row_number() OVER w AS place, first_value(at) OVER w AS first_at, first_value(peer_id) OVER w AS first_peer
        FROM nodes n WINDOW w AS (PARTITION BY genesis_hash, height, hash ORDER BY at, peer_id)
    ), finals AS (
        SELECT p.genesis_hash, l.created_at AS at, f.height, lower(f.hash) AS hash
        FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id
        CROSS JOIN LATERAL (SELECT
            CASE l.msg WHEN 'notify.finalized' THEN telemetry_integer(l.logs, 'height') WHEN 'system.interval' THEN telemetry_integer(l.logs, 'finalized_height')
                WHEN 'afg.finalized_blocks_up_to' THEN telemetry_integer(l.logs, 'number') END AS height,
            CASE l.msg WHEN 'notify.finalized' THEN l.logs ->> 'best' WHEN 'system.interval' THEN l.logs ->> 'finalized_hash'
                WHEN 'afg.finalized_blocks_up_to' THEN l.logs ->> 'hash' END AS hash) AS f
        WHERE p.peer_id IS NOT NULL AND f.height IS NOT NULL AND f.hash ~ '^0x[0-9a-fA-F]{64}$'
    ), spread AS (
        SELECT genesis_hash, height, hash, array_agg(array[bucket, n] ORDER BY bucket) AS delays FROM (
            SELECT genesis_hash, height, hash, least(53, width_bucket(floor(extract(epoch FROM at - first_at) * 1000)::bigint, block_delay_bounds())) AS bucket, count(*) AS n
            FROM ranked WHERE place > 1 AND at <= first_at + interval '5 minutes' GROUP BY 1, 2, 3, 4) b
        GROUP BY 1, 2, 3
    )
    SELECT concat_ws(' ', r.genesis_hash, r.height, r.hash, r.first_at, r.first_peer,
        count(*), count(*) FILTER (WHERE origin = 1), count(*) FILTER (WHERE origin = 2), count(*) FILTER (WHERE origin = 3),
        coalesce((SELECT min(o.peer_id COLLATE \"C\") FROM said o WHERE o.genesis_hash = r.genesis_hash AND o.height = r.height AND o.hash = r.hash AND o.origin = 1), '-'), coalesce(s.delays::text, '-'),
        coalesce((SELECT min(f.at) FROM finals f WHERE f.genesis_hash = r.genesis_hash AND f.height >= r.height)::text, '-'),
        EXISTS (SELECT FROM finals f WHERE f.genesis_hash = r.genesis_hash AND f.height = r.height AND f.hash = r.hash)) AS value
    FROM ranked r LEFT JOIN spread s USING (genesis_hash, height, hash)
    WHERE r.at <= r.first_at + interval '5 minutes'
    GROUP BY r.genesis_hash, r.height, r.hash, r.first_at, r.first_peer, s.delays ORDER BY 1";

/// The same, as the projection has it.
pub(crate) const BY_PROJECTION: &str = "
    SELECT concat_ws(' ', c.genesis_hash, b.height, '0x' || encode(b.hash, 'hex'), b.first_at, f.peer_id,
        b.nodes, b.own, b.broadcast, b.other, coalesce(a.peer_id, '-'),
        coalesce((SELECT array_agg(array[i - 1, n] ORDER BY i) FROM unnest(b.delays) WITH ORDINALITY AS d (n, i) WHERE n > 0)::text, '-'),
        coalesce(b.finalized_at::text, '-'), b.is_final) AS value
    FROM blocks b JOIN chains c ON c.id = b.chain_id JOIN block_reporters f ON f.id = b.first_reporter_id LEFT JOIN block_reporters a ON a.id = b.author_id
    ORDER BY 1";

/// Hours that are not what their blocks add up to.
const WRONG_HOURS: &str = "
    SELECT h.chain_id || ' ' || h.hour AS value FROM chain_hours h CROSS JOIN LATERAL chain_blocks(h.chain_id, h.hour, h.hour + interval '1 hour') s
    WHERE NOT h.is_stale AND (h.blocks, h.heights, h.forks, h.nodes, h.delays, h.finalized, h.finality) <> (s.blocks, s.heights, s.forks, s.nodes, s.delays, s.finalized, s.finality)";

/// Compares many rows, and shows those that differ.
#[track_caller]
fn assert_same(found: &[String], expected: &[String]) {
    let beyond = |some: &[String], others: &[String]| -> Vec<String> {
        let odd = some.iter().filter(|row| !others.contains(row));
        odd.take(5).cloned().collect()
    };
    let differ = (beyond(found, expected), beyond(expected, found));
    assert_eq!(differ.0, differ.1);
    assert_eq!(found.len(), expected.len());
}

#[track_caller]
pub(crate) fn assert_true(app: &TestApp) {
    app.wait_projected();
    let expected = app.db.texts(BY_SQL);
    assert!(!expected.is_empty());
    assert_same(&app.db.texts(BY_PROJECTION), &expected);
    assert_eq!(app.db.texts(WRONG_HOURS), Vec::<String>::new());
}

#[track_caller]
fn assert_rebuilt_alike(app: &TestApp) {
    let grown = app.db.texts(BY_PROJECTION);
    app.rebuild_projections();
    assert_same(&app.db.texts(BY_PROJECTION), &grown);
    assert_eq!(app.db.texts(WRONG_HOURS), Vec::<String>::new());
}

/// The hash of a made-up block.
pub(crate) fn hash(height: u64, fork: u64) -> String {
    format!("0x{height:032x}{fork:032X}")
}

pub(crate) fn said(payload: Value) -> String {
    json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": payload}).to_string()
}

pub(crate) fn introduce(node: &mut FakeNode, peer_id: &str) {
    node.send(said(
        json!({"msg": "system.connected", "name": format!("name of {peer_id}"), "chain": "Development",
        "network_id": peer_id, "genesis_hash": GENESIS, "version": "1.0", "implementation": "node"}),
    ));
}

pub(crate) fn import(node: &mut FakeNode, height: u64, fork: u64, origin: &str) {
    node.send(said(
        json!({"msg": "block.import", "height": height, "best": hash(height, fork), "origin": origin}),
    ));
}

#[test]
fn blocks_say_what_the_messages_say_and_are_built_again_alike() {
    let app = TestApp::start();
    let mut random = Random::new(7);
    let mut nodes: Vec<FakeNode> = (0..5).map(|_| app.node("/submit")).collect();
    // Two connections of one node, one that introduces itself late, and one never.
    for (node, peer) in [(0, "alice"), (1, "alice"), (2, "bob")] {
        introduce(&mut nodes[node], peer);
    }
    let mut sent = 3;
    for height in 1..=60_u64 {
        let mut order = vec![0, 1, 2, 3, 4];
        for _ in 0..random.between(0, 5) {
            order.rotate_left(2);
            order.swap(0, 1);
        }
        for node in order {
            let origin = [
                "Own",
                "NetworkBroadcast",
                "ConsensusBroadcast",
                "NetworkInitialSync",
            ][random.between(0, 3) as usize];
            let fork = u64::from(random.between(0, 9) == 0);
            import(&mut nodes[node], height, fork, origin);
            sent += 1;
        }
        let finalized = height / 2;
        let fork = u64::from(random.between(0, 5) == 0);
        let node = &mut nodes[random.between(0, 4) as usize];
        node.send(said(match height % 4 {
            0 => json!({"msg": "notify.finalized", "height": finalized.to_string(), "best": hash(finalized, fork)}),
            1 => json!({"msg": "system.interval", "height": height, "best": hash(height, 0), "finalized_height": finalized, "finalized_hash": hash(finalized, fork)}),
            2 => json!({"msg": "afg.finalized_blocks_up_to", "number": finalized.to_string(), "hash": hash(finalized, fork)}),
            _ => json!({"msg": "system.interval", "peers": 7}),
        }));
        sent += 1;
        if height == 40 {
            introduce(&mut nodes[3], "carol");
            sent += 1;
        }
        if height % 7 == 0 {
            app.wait_stored(sent);
            app.wait_projected();
        }
    }
    let mut old = Vec::new();
    for file in ["v2", "v1"] {
        let mut node = app.node("/submit");
        for frame in corpus(file) {
            node.send(frame);
            sent += 1;
        }
        old.push(node);
    }
    app.wait_stored(sent);
    assert_true(&app);
    assert!(app.db.count("SELECT count(*) FROM session_blocks") > 0);
    assert_eq!(
        app.db
            .texts("SELECT name AS value FROM chains WHERE name = 'Development'")
            .len(),
        app.db.texts("SELECT name AS value FROM chains").len()
    );
    assert_rebuilt_alike(&app);
}

/// As after a restart: nothing of the projection is in memory.
fn forget(app: &TestApp, build_from: &str) {
    app.db.execute(&format!(
        "UPDATE projections SET build_from = '{build_from}' WHERE name = 'blocks'"
    ));
}

#[test]
fn a_message_that_comes_late_corrects_a_block_and_who_saw_it_first() {
    let app = TestApp::start();
    let mut past = Past::new(&app, &["a", "b", "c"]);
    let at = past.now_us() - 600_000_000;
    past.import("b", at, 10, 0, "NetworkBroadcast");
    past.import("c", at + 70_000, 10, 0, "NetworkBroadcast");
    past.tell_as_batch();
    app.wait_projected();
    assert_true(&app);
    past.import("a", at - 250_000, 10, 0, "Own");
    past.finalize("a", at + 400_000, 10, 0);
    past.tell_as_batch();
    forget(&app, "2001-01-01");
    app.wait_projected();
    assert_true(&app);
    let first = "SELECT concat_ws(' ', f.peer_id, nodes, own, is_final) AS value FROM blocks JOIN block_reporters f ON f.id = first_reporter_id";
    assert_eq!(app.db.texts(first), ["a 3 1 t"]);
    // An hour later it stays as it is, until a rebuild.
    app.db.execute("DELETE FROM block_arrivals");
    forget(&app, "2002-01-01");
    past.import("b", at - 900_000, 10, 0, "NetworkBroadcast");
    past.tell_as_batch();
    app.wait_projected();
    assert_eq!(app.db.texts(first), ["a 3 1 t"]);
    assert_eq!(app.db.count("SELECT left_out_late FROM chains"), 1);
    app.rebuild_projections();
    assert_eq!(app.db.texts(first), ["b 3 1 t"]);
    assert_true(&app);
}

#[test]
fn blocks_outlive_their_messages_and_a_rebuild() {
    let app = TestApp::start();
    let mut past = Past::new(&app, &["a", "b"]);
    let hour = 3_600_000_000;
    let now = past.now_us();
    for height in 0..4 {
        let at = now - (4 - i64::try_from(height).unwrap()) * hour;
        past.import("a", at, height, 0, "Own");
        past.import("b", at + 20_000, height, 0, "NetworkBroadcast");
    }
    past.tell();
    app.rebuild_projections();
    crate::support::wait_until("the hours that are over are added up", || {
        past.import("a", now, 5, 0, "Own");
        past.tell_as_batch();
        app.wait_projected();
        app.db
            .count("SELECT count(*) FROM chain_hours WHERE NOT is_stale")
            == 4
    });
    assert_true(&app);
    let grown = app.db.texts(BY_PROJECTION);
    // As if they were of last year, whose messages are gone.
    app.db.execute(
        "UPDATE blocks SET first_at = first_at - interval '400 days'; UPDATE chain_hours SET hour = hour - interval '400 days'; DELETE FROM telemetry_messages",
    );
    app.rebuild_projections();
    assert_eq!(app.db.texts(BY_PROJECTION).len(), grown.len());
    assert_eq!(app.db.count("SELECT count(*) FROM chain_hours"), 5);
}

#[test]
fn after_rollup_expiry_d_blocks_are_purged() {
    let app = TestApp::builder()
        .env("ROLLUP_EXPIRY_D", 10)
        .env("PURGE_INTERVAL_S", 1)
        .start();
    let mut past = Past::new(&app, &["a", "b"]);
    past.import("a", past.now_us() - 11 * 86_400_000_000, 1, 0, "Own");
    past.import("a", past.now_us() - 9 * 86_400_000_000, 2, 0, "Own");
    past.tell();
    app.rebuild_projections();
    crate::support::wait_until("the old block is purged", || {
        app.db.texts("SELECT height::text AS value FROM blocks") == ["2"]
            && app.db.count("SELECT count(*) FROM chain_hours") == 1
    });
}

#[test]
fn a_block_takes_less_than_400_bytes_whatever_the_number_of_nodes() {
    let app = TestApp::start();
    let peers: Vec<String> = (0..100)
        .map(|number| format!("12D3KooWPeerOfSomeLength{number:028}"))
        .collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    let mut past = Past::new(&app, &peers);
    let mut random = Random::new(11);
    let start = past.now_us() - 3_600_000_000;
    for height in 0..60_u64 {
        let at = start + i64::try_from(height).unwrap() * 6_000_000;
        for (place, peer) in peers.iter().enumerate() {
            // From some milliseconds to some seconds.
            let bits = random.between(6, 12);
            let delay = match place {
                0 => 0,
                _ => 1_000 * i64::try_from(random.between(3, 1 << bits)).unwrap(),
            };
            past.import(
                peer,
                at + delay,
                height,
                0,
                if place == 0 {
                    "Own"
                } else {
                    "NetworkBroadcast"
                },
            );
        }
        past.finalize(peers[1], at + 15_000_000, height, 0);
    }
    past.tell();
    app.rebuild_projections();
    assert_true(&app);
    // More of the same, so that pages are full.
    app.db.execute("INSERT INTO blocks SELECT (jsonb_populate_record(b, jsonb_build_object('height', b.height + 1000 * i))).* FROM blocks b, generate_series(1, 400) i");
    let most = "UPDATE blocks SET delays = array_fill(32767::smallint, '{54}')";
    for (change, limit) in [("SELECT", 330), (most, 400)] {
        app.db.execute(change);
        // What a transaction of the server may still see is kept, and goes the next time.
        crate::support::wait_until("the blocks are small", || {
            app.db.execute("VACUUM FULL blocks");
            let bytes = app
                .db
                .count("SELECT pg_total_relation_size('blocks') / count(*) FROM blocks");
            println!("{bytes} bytes a block");
            bytes < limit
        });
    }
}
