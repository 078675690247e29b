//! The projection `node_identities` has what `afg.authority_set` says.

use serde_json::json;

use super::introduce;
use crate::support::{FakeNode, TestApp, corpus, wait_until};

const BY_SQL: &str = "
    WITH said AS (
        SELECT p.peer_id, p.genesis_hash, l.logs ->> 'authority_id' AS id, l.created_at AS at, l.id AS message, telemetry_integer(l.logs, 'authority_set_id') AS set_id,
               (l.logs ->> 'authorities')::jsonb ? (l.logs ->> 'authority_id') AS is_in_set
        FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id
        WHERE l.msg = 'afg.authority_set' AND p.peer_id IS NOT NULL AND l.logs ->> 'authority_id' NOT IN ('', '<unknown>', '5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM')
    )
    SELECT concat_ws(' ', peer_id, genesis_hash, id, min(at), max(at), (array_agg(set_id ORDER BY at DESC, set_id DESC))[1], (array_agg(is_in_set ORDER BY at DESC, set_id DESC))[1]) AS value
    FROM said GROUP BY peer_id, genesis_hash, id ORDER BY 1";

const BY_PROJECTION: &str = "SELECT concat_ws(' ', peer_id, genesis_hash, authority_id, first_at, last_at, authority_set_id, is_in_set) AS value FROM node_identities WHERE session_id = 0 ORDER BY 1";

fn claim(node: &mut FakeNode, id: &str, set_id: u64) {
    node.send(
        json!({"id": 1, "ts": "2026-11-21T08:02:05Z", "payload": {"msg": "afg.authority_set", "authority_id": id, "authority_set_id": set_id.to_string(), "authorities": "[\"5A\",\"5B\"]"}})
            .to_string(),
    );
}

#[test]
fn authorities_are_known_by_their_nodes() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    claim(&mut node, "5A", 6);
    app.wait_stored(1);
    app.wait_projected();
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM node_identities WHERE session_id <> 0"),
        1
    );
    introduce(&mut node, "late");
    claim(&mut node, "5A", 7);
    claim(&mut node, "5C", 8);
    claim(&mut node, "", 8);
    let mut sent = 5;
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
    let expected = app.db.texts(BY_SQL);
    assert!(expected.len() >= 4, "{expected:?}");
    assert_eq!(app.db.texts(BY_PROJECTION), expected);
    assert_eq!(
        app.db
            .count("SELECT count(*) FROM node_identities WHERE session_id <> 0"),
        0
    );
    app.rebuild_projections();
    assert_eq!(app.db.texts(BY_PROJECTION), expected);
}

#[test]
fn a_validator_is_found_by_its_key_however_it_is_written() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "alice");
    claim(
        &mut node,
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        1,
    );
    app.wait_stored(2);
    app.wait_projected();
    let found = |text: &str| {
        app.get(&format!("/api/v1/nodes?text={text}"))
            .json()
            .as_array()
            .unwrap()
            .len()
    };
    for same in [
        "5grwva",
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        // With the prefixes of Polkadot and Kusama.
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
        "HNZata7iMYWmk5RvZRTiAsSDhV8366zq2YGb3tLH5Upf74F",
        "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
    ] {
        assert_eq!(found(same), 1, "{same}");
    }
    assert_eq!(
        found("0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27e"),
        0
    );
}

#[test]
fn a_node_that_invents_authorities_has_no_more_than_a_hundred() {
    let app = TestApp::start();
    let mut node = app.node("/submit");
    introduce(&mut node, "liar");
    app.wait_stored(1);
    for round in 0..5_u32 {
        for number in 0..50 {
            claim(&mut node, &format!("5X{round}x{number}"), 1);
        }
        app.wait_stored(1 + 50 * (round + 1));
        app.wait_projected();
    }
    let ids = || app.db.count("SELECT count(*) FROM node_identities");
    wait_until("they are bounded", || ids() >= 100);
    assert!(ids() <= 150, "{}", ids());
}
