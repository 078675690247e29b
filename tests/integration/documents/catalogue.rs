//! The catalogue of messages is what nodes send.

use std::collections::HashSet;

use serde_json::Value;
use tetcore_analytics::telemetry::{Format, decode};

use crate::support::corpus;

fn catalogue() -> Vec<Value> {
    let text = include_str!("../../../telemetry_messages.json");
    let catalogue: Value = serde_json::from_str(text).unwrap();
    catalogue["kinds"].as_array().unwrap().clone()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether an entry of the catalogue describes a message: all its fields are
/// declared with their types, and none that has to be there is missing.
fn describes(entry: &Value, msg: &str, fields: &Value) -> bool {
    let declared = entry["fields"].as_array().unwrap();
    let fields = fields.as_object().unwrap();
    let of_type = |name: &str, value: &Value| {
        let field = declared.iter().find(|field| field["name"] == name);
        field.is_some_and(|field| {
            field["json_type"]
                .as_str()
                .unwrap()
                .split('|')
                .any(|json| json == type_of(value))
        })
    };
    let all_declared = fields.iter().all(|(name, value)| of_type(name, value));
    let none_missing = declared.iter().all(|field| {
        field["optional"] == true || fields.contains_key(field["name"].as_str().unwrap())
    });
    entry["msg"] == msg && all_declared && none_missing
}

#[test]
fn every_captured_frame_is_in_the_catalogue_with_its_fields() {
    let catalogue = catalogue();
    let mut seen = HashSet::new();
    for (name, format) in [("v1", Format::V1), ("v2", Format::V2)] {
        for frame in corpus(name) {
            let message = decode(&frame).unwrap();
            assert_eq!(message.format, format);
            let fields: Value = serde_json::from_slice(&message.fields.to_vec()).unwrap();
            let described = catalogue
                .iter()
                .any(|entry| describes(entry, &message.kind, &fields));
            assert!(described, "{}", String::from_utf8_lossy(&frame));
            seen.insert(message.kind.into_owned());
        }
    }
    assert_eq!(seen.len(), 46);
}

#[test]
fn every_example_of_the_catalogue_is_decoded_as_its_kind() {
    for entry in catalogue() {
        let mut examples = 0;
        for (name, format) in [("v1", Format::V1), ("v2", Format::V2)] {
            let example = &entry["examples"][name];
            if example.is_null() {
                continue;
            }
            examples += 1;
            let frame = example.to_string();
            let message = decode(frame.as_bytes()).unwrap();
            assert_eq!(
                (message.format, &*message.kind),
                (format, entry["msg"].as_str().unwrap())
            );
            assert!(message.ts.is_some());
            let fields: Value = serde_json::from_slice(&message.fields.to_vec()).unwrap();
            assert!(describes(&entry, &message.kind, &fields), "{frame}");
        }
        assert!(examples > 0, "{} has no example", entry["msg"]);
    }
}

#[test]
fn each_kind_of_the_catalogue_is_known_and_has_its_place_from_the_start() {
    let catalogue = catalogue();
    let mut kinds: Vec<_> = catalogue
        .iter()
        .map(|kind| kind["msg"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, tetcore_analytics::telemetry::KNOWN_KINDS);
    let migrated = crate::support::TestDb::new()
        .texts("SELECT msg AS value FROM message_kinds WHERE id <> 0 ORDER BY msg COLLATE \"C\"");
    assert_eq!(kinds, migrated);
}
