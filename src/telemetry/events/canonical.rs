//! One text for one JSON value, whatever the order of its keys and the spaces between: two
//! lines with the same text say the same. Numbers stay as they were written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Levels of objects and arrays within an event.
const NESTING_MAX: usize = 64;

/// The members of an object, sorted; of two with one name the last counts.
pub(super) type Object<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Writes the value; none if it is nested too deeply, or no JSON.
pub(super) fn canonical(json: &str) -> Option<String> {
    let mut out = String::with_capacity(json.len());
    write(json, 0, &mut out)?;
    Some(out)
}

fn write(json: &str, depth: usize, out: &mut String) -> Option<()> {
    if depth >= NESTING_MAX {
        return None;
    }
    match json.as_bytes().first()? {
        b'{' => {
            let object: Object<'_> = serde_json::from_str(json).ok()?;
            out.push('{');
            for (place, (name, value)) in object.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(name).ok()?);
                out.push(':');
                write(value.get(), depth + 1, out)?;
            }
            out.push('}');
        }
        b'[' => {
            let list: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            out.push('[');
            for (place, value) in list.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(value.get(), depth + 1, out)?;
            }
            out.push(']');
        }
        b'"' => {
            let text: String = serde_json::from_str(json).ok()?;
            out.push_str(&serde_json::to_string(&text).ok()?);
        }
        _ => out.push_str(json),
    }
    Some(())
}
