//! Why nodes are missing that this server did not let in.

use serde_json::{Value, json};

use crate::support::{Browser, FakeNode, TestApp, wait_until};

const TOKEN: &str = "token-0123456789abcdef";

fn knock(app: &TestApp, path: &str) {
    FakeNode::try_connect_from("127.0.0.1", app.port(), path, "");
}

fn refusals(app: &TestApp) -> Vec<Value> {
    let answer = app.get("/api/v1/refusals/");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json().as_array().unwrap().clone()
}

#[test]
fn refusals_have_an_address_a_reason_and_a_cure() {
    let app = TestApp::builder()
        .env("TELEMETRY_TOKENS", TOKEN)
        .env("ALLOWED_CHAINS", format!("0x{}", "1".repeat(64)))
        .start();
    assert_eq!(refusals(&app), Vec::<Value>::new());
    knock(&app, "/submit");
    knock(&app, "/t/wrong-0123456789abcdef/submit");
    knock(&app, "/telemetry");
    let mut node = app.node(&format!("/t/{TOKEN}/submit"));
    let introduction = json!({"msg": "system.connected", "network_id": "p", "chain": "Beta", "genesis_hash": format!("0x{}", "2".repeat(64))});
    for _ in 0..3 {
        node.send(json!({"id": 1, "payload": introduction}).to_string());
    }
    wait_until("the chain is refused", || refusals(&app).len() == 3);
    let found = refusals(&app);
    let shown: Vec<_> = found
        .iter()
        .map(|one| {
            (
                &one["reason"],
                &one["detail"],
                &one["count"],
                &one["ip_addr"],
            )
        })
        .collect();
    let here = json!("127.0.0.1");
    assert_eq!(
        shown,
        [
            (&json!("chain_refused"), &json!("Beta"), &json!(1), &here),
            (&json!("wrong_path"), &json!("/telemetry"), &json!(1), &here),
            (&json!("token"), &Value::Null, &json!(2), &here),
        ]
    );
    let cure = |at: usize| found[at]["cure"].as_str().unwrap();
    assert!(cure(0).contains("ALLOWED_CHAINS"));
    assert!(cure(1).contains("/t/TOKEN/submit") && cure(2).contains("TELEMETRY_TOKENS"));

    // Who may not see addresses sees the rest.
    let elsewhere = app.ask("GET", "/api/v1/refusals", &[("via", "1.1 proxy")], "");
    assert_eq!(elsewhere.json().as_array().unwrap().len(), 3);
    assert!(!elsewhere.body.contains("127.0.0.1") && !elsewhere.body.contains("wrong-0123"));

    let browser = Browser::start();
    browser.open(&app.url("/"));
    browser.wait_for("#refused li");
    browser.wait_for_text("#refused", "chain not admitted: Beta");
    browser.wait_for_text("#refused", "127.0.0.1");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    assert_eq!(browser.console_errors(), [""; 0]);
}
