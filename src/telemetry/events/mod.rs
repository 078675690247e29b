//! Structured events: one JSON object whose `_e` is the number 1, on a line of its own.
//!
//! A runtime, a sandboxed process or a service can't open a connection, but it can write a
//! line. [`search`] finds such lines in the strings of a message, and the message that is an
//! event itself; [`read`] understands one line. `docs/EVENTS.md` is the contract.

mod canonical;
mod event;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

pub use event::{Event, Malformed, Severity, event_id, identity, read};

use canonical::Object;

/// Levels of objects and arrays of a message whose strings are looked through.
const DEPTH_MAX: usize = 8;

/// What a line, or a message, is that holds the bytes of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// An event.
    Event(Event),
    /// It was meant to be one; with the line.
    Malformed(Malformed, Cow<'a, str>),
    /// Something else: prose, or another value of `_e`.
    Ignored,
}

/// Whether a JSON text may hold an event: it has the key `_e`, however often it is quoted, or
/// an escape that stands for one of its letters. A text without costs two searches for bytes.
pub fn may_hold_event(json: &[u8]) -> bool {
    static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"_e"));
    static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br"\u00"));
    let follows = |at: usize, length: usize| json.get(at..at + length).unwrap_or_default();
    KEY.find_iter(json)
        .any(|at| matches!(follows(at + 2, 1), [b'"' | b'\\']))
        || ESCAPE
            .find_iter(json)
            .any(|at| matches!(follows(at + 4, 2), [b'5', b'f' | b'F'] | [b'6', b'5']))
}

/// Finds the events of a message, in the order of the names of its fields and of the lines;
/// `fields` is its JSON object. A message that is an event is not looked through.
pub fn search(fields: &str, mut found: impl FnMut(Found<'_>)) {
    if !may_hold_event(fields.as_bytes()) {
        return;
    }
    let Ok(object) = serde_json::from_str::<Object<'_>>(fields) else {
        return;
    };
    if event::is_event(&object) {
        return found(match read(fields) {
            Ok(Some(event)) => Found::Event(event),
            Ok(None) => Found::Ignored,
            Err(malformed) => Found::Malformed(malformed, Cow::Borrowed(fields)),
        });
    }
    if object.contains_key(event::MARK) {
        found(Found::Ignored);
    }
    for value in object.values() {
        strings(value, 1, &mut found);
    }
}

/// Looks through the strings of a value that stands within so many objects and arrays.
fn strings(value: &RawValue, depth: usize, found: &mut impl FnMut(Found<'_>)) {
    let json = value.get();
    if !may_hold_event(json.as_bytes()) {
        return;
    }
    match json.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json).unwrap_or_default();
            for line in text
                .split('\n')
                .filter(|line| may_hold_event(line.as_bytes()))
            {
                found(of_line(line));
            }
        }
        Some(b'{') if depth < DEPTH_MAX => {
            let object: Object<'_> = serde_json::from_str(json).unwrap_or_default();
            object
                .values()
                .for_each(|value| strings(value, depth + 1, found));
        }
        Some(b'[') if depth < DEPTH_MAX => {
            let list: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            list.iter()
                .for_each(|value| strings(value, depth + 1, found));
        }
        _ => {}
    }
}

fn of_line(line: &str) -> Found<'_> {
    if !event::trim(line).starts_with('{') {
        return Found::Ignored;
    }
    match read(line) {
        Ok(Some(event)) => Found::Event(event),
        Ok(None) => Found::Ignored,
        Err(malformed) => Found::Malformed(malformed, Cow::Borrowed(line)),
    }
}

#[cfg(test)]
mod tests;
