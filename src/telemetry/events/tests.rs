use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::event::{BYTES_MAX, is_event};
use super::*;

fn events(fields: &str) -> (Vec<Event>, usize, Vec<Malformed>) {
    let (mut events, mut ignored, mut malformed) = (Vec::new(), 0, Vec::new());
    search(fields, |found| match found {
        Found::Event(event) => events.push(event),
        Found::Ignored => ignored += 1,
        Found::Malformed(reason, _line) => malformed.push(reason),
    });
    (events, ignored, malformed)
}

/// What a full parser finds that looks at every string of a message.
fn naive(fields: &Value) -> Vec<Value> {
    fn walk(value: &Value, depth: usize, found: &mut Vec<Value>) {
        match value {
            Value::String(text) => {
                let lines = text.split('\n').map(serde_json::from_str::<Value>);
                found.extend(lines.flatten().filter(is_marked));
            }
            Value::Array(values) if depth < DEPTH_MAX => {
                values
                    .iter()
                    .for_each(|value| walk(value, depth + 1, found));
            }
            Value::Object(fields) if depth < DEPTH_MAX => {
                fields
                    .values()
                    .for_each(|value| walk(value, depth + 1, found));
            }
            _ => {}
        }
    }
    fn is_marked(value: &Value) -> bool {
        value.is_object() && value["_e"].as_f64() == Some(1.0)
    }
    let mut found = Vec::new();
    match is_marked(fields) {
        true => found.push(fields.clone()),
        false => walk(fields, 0, &mut found),
    }
    found
}

#[test]
fn what_is_an_event_is_what_a_full_parser_says() {
    let of_line = |line: &str| {
        let (events, ignored, malformed) = events(&json!({"lines": line}).to_string());
        (events.len(), ignored, malformed)
    };
    for line in [
        r#"{"_e":1}"#,
        "  {\"_e\": 1.0 , \"a\":[{}]}\t\r",
        r#"{"_e":1e0}"#,
        r#"{"_e":0,"_e":1}"#,
        r#"{"\u005fe":1}"#,
        r#"{"_\u0065":10e-1}"#,
        r#"{"a":{"_e":2},"_e":1,"b":"}{\"_e\":3"}"#,
    ] {
        assert_eq!(of_line(line), (1, 0, vec![]), "{line}");
    }
    for line in [
        r#"{"_e":"1"}"#,
        r#"{"_e":true}"#,
        r#"{"_e":1,"_e":2}"#,
        r#"{"_e":[1]}"#,
        r#"{"a":{"_e":1}}"#,
        r#"[{"_e":1}]"#,
        r#"he said "_e" and left"#,
        r#"ok {"_e":1}"#,
    ] {
        assert_eq!(of_line(line), (0, 1, vec![]), "{line}");
    }
    for (line, reason) in [
        (r#"{"_e":1} // done"#, Malformed::NotJson),
        (r#"{"_e":1}{"_e":1}"#, Malformed::NotJson),
        (r#"{"_e":1,}"#, Malformed::NotJson),
        (r#"{"_e":01}"#, Malformed::NotJson),
        (r#"{/* one */"_e":1}"#, Malformed::NotJson),
        (r#"{"_e":1"#, Malformed::NotJson),
        (
            &format!(r#"{{"_e":1,"a":{}{}}}"#, "[".repeat(70), "]".repeat(70)),
            Malformed::TooDeep,
        ),
        (
            &format!(r#"{{"_e":1,"a":"{}"}}"#, "x".repeat(BYTES_MAX)),
            Malformed::TooLong,
        ),
    ] {
        assert_eq!(of_line(line), (0, 0, vec![reason]), "{line}");
    }
    assert_eq!(of_line("no event"), (0, 0, vec![]));
}

#[test]
fn events_are_found_in_every_place_of_a_message_in_order() {
    let line = |number: u32| format!(r#"{{"_e":1,"name":"{number}"}}"#);
    let lines = format!("start\n{}\r\n\n{}\nend", line(2), line(3));
    let fields = json!({"z": lines, "a": [{"b": line(1)}], "m": 5}).to_string();
    let names: Vec<_> = events(&fields)
        .0
        .into_iter()
        .filter_map(|one| one.name)
        .collect();
    assert_eq!(names, ["1", "2", "3"]);

    let own = r#"{"_e":1,"name":"own","text":"{\"_e\":1}"}"#;
    let found = events(own).0;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].json, own);

    let mut deep = json!(line(1));
    for depth in 1..=10 {
        deep = json!({"a": deep});
        let count = events(&deep.to_string()).0.len();
        assert_eq!(count, usize::from(depth <= DEPTH_MAX), "{depth}");
    }
}

#[test]
fn names_severities_and_times_are_read_in_all_their_forms() {
    let event = |line: &str| read(line).unwrap().unwrap();
    for (line, name, severity) in [
        (r#"{"_e":1}"#, None, Severity::Info),
        (
            r#"{"_e":1,"name":"a","event":"b","severity":"WARNING"}"#,
            Some("a"),
            Severity::Warn,
        ),
        (
            r#"{"_e":1,"name":"","event":"b","level":50}"#,
            Some("b"),
            Severity::Error,
        ),
        (
            r#"{"_e":1,"name":null,"level":"odd"}"#,
            None,
            Severity::Info,
        ),
        (
            r#"{"_e":1,"severity":"crit","level":"info"}"#,
            None,
            Severity::Fatal,
        ),
    ] {
        let event = event(line);
        assert_eq!(
            (event.name.as_deref(), event.severity),
            (name, severity),
            "{line}"
        );
    }
    let long = event(&format!(r#"{{"_e":1,"name":"{}"}}"#, "é".repeat(300)));
    assert_eq!(long.name.unwrap(), "é".repeat(200));

    let at = "2026-11-21T08:10:24Z".parse::<DateTime<Utc>>().unwrap();
    for timestamp in [
        r#""2026-11-21T08:10:24Z""#,
        r#""2026-11-21T09:10:24.000+01:00""#,
        "1795248624",
        "1795248624.0",
        "1795248624000",
        "1795248624000000",
        "1795248624000000000",
    ] {
        let line = format!(r#"{{"_e":1,"timestamp":{timestamp}}}"#);
        assert_eq!(event(&line).timestamp, Some(at), "{timestamp}");
    }
    for timestamp in [
        "\"soon\"",
        "null",
        "-1",
        "1e300",
        "[]",
        "\"9999999-01-01T00:00:00Z\"",
    ] {
        let line = format!(r#"{{"_e":1,"timestamp":{timestamp}}}"#);
        assert_eq!(event(&line).timestamp, None, "{timestamp}");
    }
}

#[test]
fn an_event_is_identified_by_its_id_or_by_all_that_it_says() {
    let time = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let digest = |line: &str| read(line).unwrap().unwrap().digest(time);
    let same = [
        (
            r#"{"_e":1,"_id":"x","a":1}"#,
            r#"{"_e":1.0,"a":2,"_id":"x"}"#,
        ),
        (r#"{"_e":1,"nonce":7}"#, r#"{"_e":1,"nonce":7,"a":1}"#),
        (r#"{"_e":1,"_id":"x"}"#, r#"{"_e":1,"nonce":"x"}"#),
        (
            r#"{"_e":1,"b":{"d":1,"c":"é"},"a":[]}"#,
            "{\"a\":[ ],\"b\":{\"c\":\"\\u00e9\",\"d\":1}, \"_e\":1}",
        ),
    ];
    for (one, other) in same {
        assert_eq!(digest(one), digest(other), "{one} {other}");
    }
    let different = [
        (r#"{"_e":1,"_id":"x"}"#, r#"{"_e":1,"_id":"y"}"#),
        (r#"{"_e":1,"_id":""}"#, r#"{"_e":1,"_id":null}"#),
        (r#"{"_e":1,"_id":"7"}"#, r#"{"_e":1,"_id":7}"#),
        (
            r#"{"_e":1,"a":12345678901234567890123}"#,
            r#"{"_e":1,"a":12345678901234567890124}"#,
        ),
        (r#"{"_e":1,"a":[1,2]}"#, r#"{"_e":1,"a":[2,1]}"#),
    ];
    for (one, other) in different {
        assert_ne!(digest(one), digest(other), "{one} {other}");
    }
    let event = read(r#"{"_e":1}"#).unwrap().unwrap();
    assert_ne!(event.digest(time), event.digest(DateTime::UNIX_EPOCH));
    let of = |source| identity(source, &event.digest(time));
    assert_ne!(of("a"), of("b"));
    assert_eq!(event_id(&of("a")).len(), 32);
}

#[test]
fn what_the_database_would_refuse_is_mended() {
    let event = read(r#"{"_e":1,"name":"a\u0000","b":"\ud800","c":1e9999}"#)
        .unwrap()
        .unwrap();
    assert_eq!(event.name.as_deref(), Some("a\u{fffd}"));
    let expected = json!({"_e": 1, "name": "a\u{fffd}", "b": "\u{fffd}", "c": "1e9999"});
    assert_eq!(
        serde_json::from_str::<Value>(&event.json).unwrap(),
        expected
    );
}

/// Parts of lines, put together at random.
fn line() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "{",
        "}",
        "\"_e\"",
        "\"\\u005fe\"",
        "\"_\\u0065\"",
        ":",
        "1",
        "1.0",
        "1e0",
        "\"1\"",
        "2",
        "true",
        ",",
        "\"a\"",
        "[",
        "]",
        " ",
        "\t",
        "// x",
        "\\",
        "\"",
        "_e",
        "é",
        "-0",
        "null",
        "\"\\\"_e\\\":1\"",
        "\r",
    ]);
    let member = prop::sample::select(vec![
        r#""_e":1"#,
        r#""_e":1.0"#,
        r#""_e": 1e0"#,
        r#""_e":"1""#,
        r#""_e":2"#,
        r#""\u005fe":1"#,
        r#""a":{"_e":1}"#,
        r#""b":[1,"\n"]"#,
        r#""c":null"#,
        r#""c":"{\"_e\":1}""#,
    ]);
    prop_oneof![
        prop::collection::vec(parts, 0..12).prop_map(|parts| parts.concat()),
        (prop::collection::vec(member, 0..5), 0..3_usize).prop_map(|(members, end)| {
            format!("{{{}}}{}", members.join(","), ["", " ", "x"][end])
        }),
    ]
}

proptest! {
    #[test]
    fn any_message_gives_what_a_full_parser_finds(
        lines in prop::collection::vec(line(), 0..6),
        depth in 0..10_usize,
        escapes in any::<bool>(),
        own in any::<bool>(),
    ) {
        let mut value = json!(lines.join("\n"));
        for level in 0..depth {
            value = match level % 2 {
                0 => json!([value, {"x": 1}]),
                _ => json!({"k": value, "_e": level}),
            };
        }
        let mut fields = json!({"msg": "log", "v": value});
        if own {
            fields["_e"] = json!(1);
        }
        let mut text = fields.to_string();
        if escapes {
            // Within strings, keys included; a backslash before it would change its meaning.
            text = text.replace("\"_e\"", "\"\\u005fe\"").replace(" _e", " \\u005fe");
        }
        let expected = naive(&serde_json::from_str(&text).unwrap());
        let found = events(&text).0;
        let found: Vec<Value> = found.iter().map(|event| serde_json::from_str(&event.json).unwrap()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let read = read(&text);
        let object = serde_json::from_str::<Object<'_>>(event::trim(&text));
        let is_marked = object.as_ref().is_ok_and(is_event);
        prop_assert_eq!(matches!(read, Ok(Some(_))), is_marked);
    }
}
