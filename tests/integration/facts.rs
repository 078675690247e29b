//! The facts of a node are the same everywhere: the table in `telemetry` defines them,
//! and the messages, the database, the answers and the pages have them.

use std::collections::BTreeSet;

use serde_json::Value;
use tetcore_analytics::telemetry::{
    Fact, Formats, HardwareBenchmark, JsonType, NodeFacts, PoolImport, Reading, integer, number,
};

use crate::support::{TestApp, TestDb, corpus};

/// Facts of a session, which do not change.
fn of_sessions() -> impl Iterator<Item = &'static Fact> {
    NodeFacts::FACTS.iter().chain(HardwareBenchmark::FACTS)
}

/// Facts that change while a node runs.
fn reported() -> impl Iterator<Item = &'static Fact> {
    Reading::FACTS.iter()
}

/// Those that answers and pages leave out: `config` is empty in all nodes known.
const NOT_SHOWN: &str = "config";

/// Columns of a table with their types, and the units in their comments.
fn columns(db: &TestDb, table: &str) -> Vec<(String, String, String)> {
    let rows = db.texts(&format!(
        "SELECT concat_ws('|', attname, format_type(atttypid, NULL), col_description(attrelid, attnum)) AS value \
         FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    ));
    let parts = rows.iter().map(|row| {
        let mut parts = row.splitn(3, '|').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        (next(), next(), next())
    });
    parts.collect()
}

/// The names in `all` that are no facts have to be these.
#[track_caller]
fn assert_only(facts: &BTreeSet<&str>, others: &[&str], all: impl Iterator<Item = String>) {
    let all: BTreeSet<String> = all.collect();
    let missing: Vec<_> = facts.iter().filter(|fact| !all.contains(**fact)).collect();
    assert!(missing.is_empty(), "these facts are missing: {missing:?}");
    let unknown: Vec<_> = all
        .iter()
        .filter(|name| !facts.contains(name.as_str()) && !others.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "the table has no {unknown:?}");
}

#[test]
fn messages_of_each_format_carry_the_facts_that_the_table_promises() {
    for (format, file) in [(Formats::Both, "v1"), (Formats::V2, "v2")] {
        let messages: Vec<Value> = corpus(file)
            .iter()
            .filter_map(|frame| serde_json::from_slice::<Value>(frame).ok())
            .map(|frame| frame.get("payload").cloned().unwrap_or(frame))
            .collect();
        let all = of_sessions().chain(reported()).chain(PoolImport::FACTS);
        for (fact, kind, field) in all.flat_map(|fact| {
            fact.sources
                .iter()
                .map(move |(kind, field)| (fact, kind, field))
        }) {
            let path = format!("/{}", field.replace('.', "/"));
            let mut of_kind = messages.iter().filter(|message| message["msg"] == **kind);
            let is_there = of_kind.any(|message| {
                message.pointer(&path).is_some_and(|value| match fact.json {
                    JsonType::Text => value.is_string(),
                    JsonType::Flag => value.is_boolean(),
                    JsonType::Integer | JsonType::Number => {
                        value.is_number()
                            || value
                                .as_str()
                                .is_some_and(|text| text.parse::<f64>().is_ok())
                    }
                })
            });
            let is_promised = fact.formats == Formats::Both || format == Formats::V2;
            assert_eq!(is_there, is_promised, "{fact:?} in {file}");
        }
    }
}

#[test]
fn the_database_has_a_column_for_each_fact_with_its_type_and_unit() {
    let db = TestDb::new();
    let sessions = [
        "id",
        "ip_addr",
        "created_at",
        "audit",
        "node_id",
        "connection_id",
        "server_id",
        "last_seen_at",
        "disconnected_at",
        "disconnect_reason",
        "revision",
        "transaction_id",
    ];
    let nodes = [
        "peer_id",
        "genesis_hash",
        "name",
        "chain",
        "session_id",
        "session_at",
        "first_session_id",
        "first_seen_at",
        "last_seen_at",
        "online",
        "since",
        "disconnect_reason",
        "server_id",
        "conflict_since",
        "best_at",
        "best_session_at",
        "finalized_at",
        "finalized_session_at",
        "network_at",
        "network_message",
        "pool_at",
        "pool_message",
    ];
    let tables: [(&str, Vec<&Fact>, &[&str]); 2] = [
        ("peer_connections", of_sessions().collect(), &sessions),
        ("nodes", reported().collect(), &nodes),
    ];
    for (table, facts, others) in tables {
        let columns = columns(&db, table);
        let names = facts.iter().map(|fact| fact.name).collect();
        assert_only(
            &names,
            others,
            columns.iter().map(|(name, ..)| name.clone()),
        );
        for fact in facts {
            let (_, kind, comment) = columns.iter().find(|column| column.0 == fact.name).unwrap();
            let expected = match fact.json {
                JsonType::Text => "text",
                JsonType::Integer => "bigint",
                JsonType::Number => "double precision",
                JsonType::Flag => "boolean",
            };
            assert_eq!(kind, expected, "{table}.{}", fact.name);
            assert!(
                comment.contains(fact.unit),
                "{table}.{}: {comment}",
                fact.name
            );
        }
    }
}

pub(crate) fn answers_about_nodes_have_each_fact_with_its_type_and_unit(app: &TestApp) {
    let openapi = app.get("/api/openapi.json").json();
    let properties = openapi["components"]["schemas"]["Node"]["properties"]
        .as_object()
        .unwrap();
    let shown: Vec<&Fact> = of_sessions()
        .filter(|fact| fact.name != NOT_SHOWN)
        .collect();
    let others = [
        "id",
        "ip_addr",
        "created_at",
        "audit",
        "node_id",
        "last_seen_at",
        "disconnected_at",
        "disconnect_reason",
        "online",
    ];
    let names = shown.iter().map(|fact| fact.name).collect();
    assert_only(&names, &others, properties.keys().cloned());
    for fact in shown {
        let property = &properties[fact.name];
        let expected = match fact.json {
            JsonType::Text => "string",
            JsonType::Integer => "integer",
            JsonType::Number => "number",
            JsonType::Flag => "boolean",
        };
        let kinds = property["type"].to_string();
        assert!(kinds.contains(expected), "{}: {kinds}", fact.name);
        let description = property["description"].as_str().unwrap();
        assert!(
            description.contains(fact.unit),
            "{}: {description}",
            fact.name
        );
    }
}

#[test]
fn the_pages_have_a_column_for_each_fact_and_a_format_for_its_unit() {
    let columns = include_str!("../../static/nodes-columns.js");
    let session = include_str!("../../static/node-facts.js");
    let fields: BTreeSet<String> = columns
        .split("field: \"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    // In the table of nodes the best block is the height; how old a value is comes from its time.
    let shown = |fact: &Fact| match fact.name {
        "best_height" => "height",
        name => name,
    };
    // Those that a column shows beside another fact.
    let hints = ["genesis_hash", "finalized_hash", "startup_time"];
    let facts: Vec<&Fact> = of_sessions()
        .chain(reported())
        .filter(|fact| fact.name != NOT_SHOWN)
        .collect();
    let names = facts
        .iter()
        .map(|fact| shown(fact))
        .filter(|name| !hints.contains(name))
        .collect();
    // What follows from them, from the status, and from the address.
    let others = [
        "city",
        "country",
        "provider",
        "authority_id",
        "behind",
        "clock_ahead_ms",
        "finality_lag",
        "last_seen_s",
        "offline_s",
        "state",
        "state_since",
        "trouble",
        "block_age_s",
        "propagation_ms",
        "uptime_s",
        "connected_s",
    ];
    assert_only(&names, &others, fields.into_iter());
    for name in hints {
        assert!(
            columns.contains(&format!("row.{name}")),
            "{name} is not shown"
        );
    }
    for fact in of_sessions().filter(|fact| fact.name != NOT_SHOWN && fact.name != "name") {
        let used = format!("session.{}", fact.name);
        assert!(session.contains(&used), "{used} is not shown");
    }
    for fact in facts {
        let formatted = match fact.unit {
            "bytes" => "bytes(row.",
            "bytes per second" => "bytesPerSecond(row.",
            "MiB/s" => "score({ field: \"",
            _ => continue,
        };
        let name = shown(fact);
        let is_formatted = columns.contains(&format!("{formatted}{name}"));
        assert!(is_formatted, "{name} is not in {}", fact.unit);
    }
}

/// Values of fields as nodes send them, and as none should.
const VALUES: &[&str] = &[
    "0",
    "7",
    "-7",
    "007",
    "1.5",
    "-0.25",
    "7.0",
    "1e3",
    "1E-3",
    "235760",
    "999999999999999999",
    "1000000000000000000",
    "-99999999999999999",
    "-100000000000000000",
    "9223372036854775808",
    "1e30",
    "1e84",
    "1e99",
    "1e300",
    "1e85",
    "1e100",
    "+7",
    " 7",
    "7 ",
    ".5",
    "5.",
    "1e",
    "e1",
    "1e+2",
    "NaN",
    "inf",
    "Infinity",
    "0x10",
    "soon",
    "",
    "-",
];

#[test]
fn numbers_are_read_alike_by_the_server_and_in_sql() {
    let is_json = |text: &&&str| serde_json::from_str::<Value>(text).is_ok();
    let bare = VALUES.iter().filter(is_json).map(|text| (*text).to_owned());
    let texts = VALUES.iter().map(|text| format!("{text:?}"));
    let others = ["null", "true", "[]", "{}"].map(str::to_owned);
    let all: Vec<String> = bare.chain(texts).chain(others).collect();
    // As it is stored, and what SQL reads of it.
    let rows = TestDb::new().texts(&format!(
        "SELECT jsonb_build_array(logs -> 'v', telemetry_integer(logs, 'v'), telemetry_number(logs, 'v')::float8)::text AS value \
         FROM unnest(ARRAY['{}']) WITH ORDINALITY AS v (json, place), \
         LATERAL (SELECT jsonb_build_object('v', json::jsonb) AS logs) l ORDER BY place",
        all.join("', '")
    ));
    assert_eq!(rows.len(), all.len());
    for (json, row) in all.iter().zip(rows) {
        let row: Value = serde_json::from_str(&row).unwrap();
        let by_server = (integer(&row[0]), number(&row[0]));
        assert_eq!(by_server, (row[1].as_i64(), row[2].as_f64()), "{json}");
    }
}
