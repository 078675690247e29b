//! Errors that nodes report, over all nodes.

use serde_json::{Value, json};

use crate::blocks::{GENESIS, introduce, said};
use crate::support::TestApp;

#[test]
fn errors_of_all_nodes_come_newest_first_and_page_by_page() {
    let app = TestApp::start();
    let mut alice = app.node("/submit");
    let mut bob = app.node("/submit");
    introduce(&mut alice, "alice");
    introduce(&mut bob, "bob");
    app.wait_stored(2);
    let mut count = 2;
    let mut say = |node: &mut crate::support::FakeNode, payload: Value| {
        node.send(said(payload));
        count += 1;
        app.wait_stored(count);
    };
    let unable = |slot: u64| json!({"msg": "slots.unable_authoring_block", "slot": slot, "err": format!("reason {slot}, by /ip4/192.0.2.7/tcp/1")});
    say(&mut alice, unable(1));
    say(
        &mut bob,
        json!({"msg": "afg.bad_commit_msg_signature", "id": "Public(8c69)"}),
    );
    say(
        &mut alice,
        json!({"msg": "slots.pre_sealed_block", "header_num": "1", "hash_now": "0x01"}),
    );
    say(&mut alice, unable(2));

    let of = |rows: &Value| -> Vec<String> {
        let row = |row: &Value| {
            format!(
                "{} {}",
                row["peer_id"].as_str().unwrap(),
                row["msg"].as_str().unwrap()
            )
        };
        rows.as_array().unwrap().iter().map(row).collect()
    };
    let get = |query: &str| app.get(&format!("/api/v1/nodes/errors{query}")).json();
    let [unable, bad] = [
        "alice slots.unable_authoring_block",
        "bob afg.bad_commit_msg_signature",
    ];
    let all = get("");
    assert_eq!(of(&all), [unable, bad, unable]);
    assert_eq!(
        (
            &all[0]["name"],
            &all[0]["chain"],
            &all[0]["genesis_hash"],
            &all[0]["logs"]["slot"]
        ),
        (
            &json!("name of alice"),
            &json!("Development"),
            &json!(GENESIS),
            &json!(2)
        )
    );
    assert_eq!(of(&get("?peer_id=bob")), [bad]);
    assert_eq!(
        of(&get("?msg=slots.unable_authoring_block&chain=Development")),
        [unable, unable]
    );
    assert_eq!(of(&get("?chain=Other")), [""; 0]);
    assert_eq!(of(&get("?end_time=2026-01-01T00:00:00Z")), [""; 0]);

    let first = app.get("/api/v1/nodes/errors?limit=2");
    assert_eq!(of(&first.json()), [unable, bad]);
    let rest = app.get(&format!(
        "/api/v1/nodes/errors?limit=2&cursor={}",
        first.headers["x-next-cursor"]
    ));
    assert_eq!(of(&rest.json()), [unable]);
    assert_eq!(rest.json()[0]["logs"]["slot"], 1);
    assert!(!rest.headers.contains_key("x-next-cursor"));

    let hidden = app.ask(
        "GET",
        "/api/v1/nodes/errors",
        &[("x-forwarded-for", "192.0.2.1")],
        "",
    );
    assert!(
        hidden.body.contains("reason 2") && !hidden.body.contains("192.0.2.7"),
        "{}",
        hidden.body
    );
    let refused = app.get("/api/v1/nodes/errors?msg=block.import");
    assert!(refused.status == 400 && refused.body.contains("slots.unable_authoring_block"));
}
