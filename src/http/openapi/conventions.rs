//! What routes have in common is said once, by the names of parameters and fields.

use serde_json::{Map, Value, json};

use crate::alerts::RULES;
use crate::feed::AggregateKind;
use crate::http::extractors::TEXT_CHARS_MAX as FIELD_CHARS_MAX;
use crate::http::v1;
use crate::query::PageCursor;
use crate::query::params::TEXT_CHARS_MAX;

/// A text that PostgreSQL can store.
const STORABLE: &str = "^[^\\u0000]*$";

/// Begins the names of what is sent to be entered.
const ENTERED: &str = "New";

/// Completes a description.
pub(super) fn apply(api: &mut Value) {
    add_same_routes(api);
    add_security(api);
    for operation in operations(api) {
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(bound_parameter);
    }
    let schemas = api.pointer_mut("/components/schemas");
    let schemas = schemas.and_then(Value::as_object_mut);
    for (name, schema) in schemas.into_iter().flatten() {
        if name.starts_with(ENTERED) {
            bound_body(schema);
        }
    }
    // Of the nodes of a chain the chain stands in the path.
    let parameters =
        api.pointer_mut("/paths/~1api~1v1~1chains~1{genesis_hash}~1nodes/get/parameters");
    if let Some(parameters) = parameters.and_then(Value::as_array_mut) {
        parameters.retain(|parameter| parameter["name"] != "chain");
    }
    if let Some(rule) = api.pointer_mut("/components/schemas/NewSilence/properties/rule") {
        let names = RULES.iter().map(|rule| json!(rule.name));
        rule["enum"] = names.chain([Value::Null]).collect();
    }
    // Without a `setup` a run has its times, as the older form of the route demands.
    if let Some(Value::Object(run)) = api.pointer_mut("/components/schemas/NewBenchmark") {
        let time = json!({"type": "string"});
        let forms = json!([
            {"required": ["setup"], "properties": {"setup": {"type": "object"}}},
            {"required": ["ts_start", "ts_end"], "properties": {"ts_start": time, "ts_end": time}},
        ]);
        run.insert("anyOf".to_owned(), forms);
    }
}

/// Describes the routes that are under `/api/v1` as they are elsewhere, and says at the
/// older ones where that is.
fn add_same_routes(api: &mut Value) {
    let Some(Value::Object(paths)) = api.get_mut("paths") else {
        return;
    };
    for path in v1::SAME {
        let Some(mut item) = paths.get(path).cloned() else {
            continue;
        };
        let operations = item.as_object_mut().into_iter().flatten();
        for (_method, operation) in operations {
            let id = operation["operationId"].as_str().unwrap_or_default();
            operation["operationId"] = json!(format!("{id}_v1"));
        }
        paths.insert(format!("{}{path}", v1::PREFIX), item);
    }
    let newer: Vec<String> = paths.keys().cloned().collect();
    for (path, item) in paths.iter_mut() {
        let under_v1 = format!("{}{path}", v1::PREFIX);
        if !newer.contains(&under_v1) {
            continue;
        }
        let note = match v1::SAME.contains(&path.as_str()) {
            true => format!("Also as `{under_v1}`."),
            false => format!("In the words of the newer routes: `{under_v1}`."),
        };
        for operation in item.as_object_mut().into_iter().flatten().map(|(_, it)| it) {
            let text = match operation["description"].as_str() {
                Some(text) if !text.is_empty() => format!("{text}\n\n{note}"),
                _ => note.clone(),
            };
            operation["description"] = json!(text);
        }
    }
}

/// Tokens: needed for reading if there are `READ_TOKENS`, and for writing if there are
/// `API_TOKENS`, so an operation may do without.
fn add_security(api: &mut Value) {
    let schemes = json!({
        "token": {
            "type": "http", "scheme": "bearer",
            "description": "One of `READ_TOKENS` for reading, one of `API_TOKENS` for reading and writing, \
                one of `TELEMETRY_TOKENS` for posting events. Not needed \
                while the server has no such setting.",
        },
        "password": {
            "type": "http", "scheme": "basic",
            "description": "For browsers, and for reading only: any name, and a token as the password.",
        },
    });
    if let Some(Value::Object(components)) = api.get_mut("components") {
        components.insert("securitySchemes".to_owned(), schemes);
    }
    api["security"] = json!([{}, {"token": []}, {"password": []}]);
    let paths = api.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        let is_door = ["/submit", "/audit"].contains(&path.as_str()) || path.starts_with("/t/");
        let is_open = is_door || path.trim_start_matches(v1::PREFIX).starts_with("/health");
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if is_open {
                operation["security"] = json!([]);
            } else if method != "get" {
                operation["security"] = json!([{}, {"token": []}]);
            }
            add_refusals(operation, is_door || !is_open);
        }
    }
}

/// What the guard of all routes answers, where a route does not say it itself. The doors
/// of nodes are open to upgrades only.
fn add_refusals(operation: &mut Value, needs_token: bool) {
    let Some(Value::Object(answers)) = operation.get_mut("responses") else {
        return;
    };
    let refusal = |why: &str| {
        let schema = json!({"$ref": "#/components/schemas/ErrorBody"});
        json!({"description": why, "content": {"application/json": {"schema": schema}}})
    };
    if needs_token {
        answers
            .entry("401")
            .or_insert_with(|| refusal("A token is needed (`READ_TOKENS`)."));
    }
    answers.entry("403").or_insert_with(|| {
        refusal("The request has an `Origin` or a `Host` that may be of another site; the error names the setting.")
    });
}

/// All operations, whatever their path and method.
fn operations(api: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = api.get_mut("paths").and_then(Value::as_object_mut);
    let items = paths.into_iter().flatten().map(|(_, item)| item);
    items
        .filter_map(Value::as_object_mut)
        .flatten()
        .map(|(_, operation)| operation)
}

/// The form of a parameter, by its name and type.
fn bound_parameter(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let Some(Value::Object(schema)) = parameter.get_mut("schema") else {
        return;
    };
    let is_text = schema.get("type") == Some(&json!("string"));
    let rules = match name.as_str() {
        "id" => json!({"minimum": 1}),
        // Any text is let in or not, like any other.
        "token" => json!({}),
        "cursor" => json!({"pattern": PageCursor::PATTERN}),
        "start_time" | "end_time" | "seen_after" | "at" => json!({"format": "date-time"}),
        "aggregate" => json!({"enum": AggregateKind::ALL.map(AggregateKind::name)}),
        "peer_id" => json!({"minLength": 1, "maxLength": TEXT_CHARS_MAX, "pattern": STORABLE}),
        _ if is_text => json!({"maxLength": TEXT_CHARS_MAX, "pattern": STORABLE}),
        _ => json!({}),
    };
    add(schema, rules);
}

/// The form of a body: no other fields than those that are known, and texts that can be
/// stored.
fn bound_body(schema: &mut Value) {
    let Value::Object(body) = schema else {
        return;
    };
    add(body, json!({"additionalProperties": false}));
    let fields = body.get_mut("properties").and_then(Value::as_object_mut);
    for (_name, field) in fields.into_iter().flatten() {
        let Value::Object(field) = field else {
            continue;
        };
        let kind = field.get("type").map(Value::to_string).unwrap_or_default();
        if kind.contains("string") && !field.contains_key("format") {
            add(
                field,
                json!({"maxLength": FIELD_CHARS_MAX, "pattern": STORABLE}),
            );
        }
    }
}

/// What a route says itself stays.
fn add(schema: &mut Map<String, Value>, rules: Value) {
    if let Value::Object(rules) = rules {
        for (name, rule) in rules {
            schema.entry(name).or_insert(rule);
        }
    }
}
