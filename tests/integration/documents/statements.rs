//! SQL of the documents, on a database with messages of every kind and with events.

use diesel::connection::SimpleConnection;
use serde_json::json;

use super::{documents, read};
use crate::support::{TestApp, corpus};

/// Documents whose statements are for people who only read; the others are for the owner.
const FOR_READERS: [&str; 5] = [
    "README.md",
    "docs/ANALYSE.md",
    "docs/CHAINS.md",
    "docs/EVENTS.md",
    "docs/STATUS.md",
];

/// A server that has stored and projected what nodes and services say.
pub fn filled() -> TestApp {
    let app = TestApp::start();
    let frames = corpus("v2");
    let mut node = app.node("/submit");
    for frame in &frames {
        node.send(frame);
    }
    let event = json!([{"_e": 1, "name": "transfer", "severity": "error", "amount": "7"}]);
    assert_eq!(app.post("/events", &event).status, 200);
    app.wait_stored(u32::try_from(frames.len() + 1).unwrap());
    app.wait_projected();
    app
}

#[test]
fn statements_work_for_those_they_are_for() {
    let app = filled();
    // Roles belong to the whole cluster.
    let role = format!(
        "reader_of_{}",
        app.db.texts("SELECT current_database() AS value")[0]
    );
    let granted = app.run(&["database", "grant-read", &role]);
    assert!(granted.status.success(), "{granted:?}");
    let mut conn = app.db.connect();
    let mut count = 0;
    for document in documents() {
        let is_for_readers = FOR_READERS.contains(&document.path.as_str());
        let session = match is_for_readers {
            true => format!("SET SESSION AUTHORIZATION \"{role}\""),
            false => "RESET SESSION AUTHORIZATION".to_owned(),
        };
        conn.batch_execute(&session).unwrap();
        let statements = document.blocks("sql");
        // Those with variables of Grafana are tried as its panels are.
        for statement in statements
            .iter()
            .filter(|block| !block.contains('$'))
            .flat_map(|block| block.split(";\n"))
        {
            if !statement.trim().is_empty() {
                conn.batch_execute(statement)
                    .unwrap_or_else(|error| panic!("{}: {error}\n{statement}", document.path));
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
    conn.batch_execute(&format!(
        "RESET SESSION AUTHORIZATION; DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""
    ))
    .unwrap();

    let panel = "SELECT created_at AS time, concat_ws(' ', name, chain, right(peer_id, 6)) AS metric, height FROM node_intervals \
                 WHERE created_at > now() - interval '1 day' AND height IS NOT NULL ORDER BY 1";
    let shown = panel.replace(
        "created_at > now() - interval '1 day'",
        "$__timeFilter(created_at)",
    );
    assert!(read("docs/ANALYSE.md").text.contains(&shown));
    app.db.execute(panel);
    for relation in [
        "telemetry_logs",
        "block_imports",
        "node_intervals",
        "finality",
        "transaction_pools",
        "substrate_logs",
        "tetcore_logs",
        "node_state",
        "node_hours",
        "events",
    ] {
        let rows = app.db.count(&format!("SELECT count(*) FROM {relation}"));
        assert!(rows > 0, "{relation}");
    }
}
