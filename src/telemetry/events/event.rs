//! One event: what is read of its line.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::canonical::{Object, canonical};
use crate::telemetry::repair::repair;
use crate::telemetry::scan::Scanner;
use crate::telemetry::time::parse_time;

/// The key that marks an event.
pub(super) const MARK: &str = "_e";

/// Longest event, bytes.
pub(super) const BYTES_MAX: usize = 64 * 1_024;

/// Characters of a name that are kept.
const NAME_CHARS_MAX: usize = 200;

/// Numbers below each of these are seconds, milliseconds and microseconds since 1970; larger
/// ones are nanoseconds. Seconds reach to the year 5138, milliseconds begin in 1973.
const SECONDS_END: i64 = 100_000_000_000;
const MILLISECONDS_END: i64 = SECONDS_END * 1_000;
const MICROSECONDS_END: i64 = MILLISECONDS_END * 1_000;

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Each step.
    Trace,
    /// For developers.
    Debug,
    /// As expected.
    Info,
    /// Unexpected, and goes on.
    Warn,
    /// Something failed.
    Error,
    /// It does not go on.
    Fatal,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `name`, else `event`.
    pub name: Option<String>,
    /// `severity`, else `level`.
    pub severity: Severity,
    /// `timestamp`, if it can be read.
    pub timestamp: Option<DateTime<Utc>>,
    /// What identifies it within its source, in canonical form.
    key: Key,
    /// The object, as it was written; what the database would refuse is mended.
    pub json: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    /// `_id`, else `nonce`.
    Given(String),
    /// All of it.
    Content(String),
}

/// Why what was meant to be an event is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A comment, a missing quote, text behind it.
    #[error("is no JSON")]
    NotJson,
    /// JSON, but no object.
    #[error("is no JSON object")]
    NotAnObject,
    /// Over the limit.
    #[error("has more than 64 KiB")]
    TooLong,
    /// Over the limit.
    #[error("is nested more than 64 levels deep")]
    TooDeep,
}

impl Severity {
    /// All, from the least grave.
    pub const ALL: [Self; 6] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The one that a program means: by the names of syslog, log4j, OpenTelemetry, or the numbers of bunyan.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "trace" | "verbose" | "10" => Some(Self::Trace),
            "debug" | "20" => Some(Self::Debug),
            "info" | "information" | "informational" | "notice" | "30" => Some(Self::Info),
            "warn" | "warning" | "40" => Some(Self::Warn),
            "error" | "err" | "50" => Some(Self::Error),
            "fatal" | "critical" | "crit" | "alert" | "emergency" | "emerg" | "panic" | "60" => {
                Some(Self::Fatal)
            }
            _ => None,
        }
    }
}

impl Event {
    /// Whether what identifies it follows from it alone, and not from when it is said.
    pub fn has_own_identity(&self) -> bool {
        self.timestamp.is_some() || matches!(self.key, Key::Given(_))
    }

    /// What identifies it within its source: `_id`, else `nonce`, else all of it and `time`.
    pub fn digest(&self, time: DateTime<Utc>) -> [u8; 32] {
        let mut hash = Sha256::new();
        match &self.key {
            Key::Given(id) => {
                hash.update(b"id\0");
                hash.update(id);
            }
            Key::Content(json) => {
                hash.update(b"content\0");
                hash.update(json);
                hash.update(b"\0");
                hash.update(time.timestamp_micros().to_be_bytes());
            }
        }
        hash.finalize().into()
    }
}

/// The identity of an event: that of its source and what identifies it there. PostgreSQL
/// computes the same where the source is known to it alone.
pub fn identity(source: &str, digest: &[u8; 32]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(source);
    hash.update(b"\0");
    hash.update(digest);
    let whole: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first
        .iter_mut()
        .zip(whole)
        .for_each(|(to, from)| *to = from);
    first
}

/// An identity in hexadecimal digits.
pub fn event_id(identity: &[u8; 16]) -> String {
    identity.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads one line; none if it is a JSON object and no event.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &str) -> Result<Option<Event>, Malformed> {
    let line = trim(line);
    if line.len() > BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let json = mended(line)?;
    let object: Object<'_> =
        serde_json::from_str(&json).map_err(|_other| Malformed::NotAnObject)?;
    if !is_event(&object) {
        return Ok(None);
    }
    let whole = canonical(&json).ok_or(Malformed::TooDeep)?;
    let given = ["_id", "nonce"]
        .iter()
        .find_map(|name| given_id(&object, name));
    let text = |name: &str| object.get(name).and_then(|value| scalar(value));
    let name = ["name", "event"].iter().find_map(|name| text(name));
    let severity = ["severity", "level"].iter().find_map(|name| text(name));
    let event = Event {
        name: name.map(|name| name.chars().take(NAME_CHARS_MAX).collect()),
        severity: severity
            .and_then(|text| Severity::parse(&text))
            .unwrap_or(Severity::Info),
        timestamp: object.get("timestamp").and_then(|value| time(value)),
        key: given.map_or(Key::Content(whole), Key::Given),
        json: json.clone().into_owned(),
    };
    Ok(Some(event))
}

/// Whether an object is an event, well-formed or not.
pub(super) fn is_event(object: &Object<'_>) -> bool {
    let mark = object
        .get(MARK)
        .map(|value| serde_json::from_str::<f64>(value.get()));
    matches!(mark, Some(Ok(1.0)))
}

/// Without the white space of JSON around it.
pub(super) fn trim(line: &str) -> &str {
    line.trim_matches([' ', '\t', '\r', '\n'])
}

/// The text as the database takes it.
fn mended(line: &str) -> Result<Cow<'_, str>, Malformed> {
    let mut scanner = Scanner::new(line.as_bytes());
    scanner
        .value(0)
        .and_then(|_place| scanner.finish())
        .map_err(|_invalid| Malformed::NotJson)?;
    if !scanner.needs_repair {
        return Ok(Cow::Borrowed(line));
    }
    let mended = String::from_utf8(repair(line.as_bytes()));
    mended
        .map(Cow::Owned)
        .map_err(|_invalid| Malformed::NotJson)
}

/// A text, or a number as it is written; none of an empty one.
fn scalar(value: &RawValue) -> Option<String> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str(value.get()).ok(),
        b'-' | b'0'..=b'9' => Some(value.get().to_owned()),
        _ => None,
    }
    .filter(|text: &String| !text.is_empty())
}

/// The id that the sender gave, if it gave one.
fn given_id(object: &Object<'_>, name: &str) -> Option<String> {
    let value = object.get(name)?;
    scalar(value).and_then(|_text| canonical(value.get()))
}

/// A time in RFC 3339, or a number since 1970 whose unit follows from its size.
fn time(value: &RawValue) -> Option<DateTime<Utc>> {
    let time = match serde_json::from_str(value.get()).ok()? {
        Value::String(text) => parse_time(&text)?,
        Value::Number(number) => of_number(&number)?,
        _ => return None,
    };
    // PostgreSQL and RFC 3339 know these years.
    let years = DateTime::from_timestamp(0, 0)?..DateTime::from_timestamp(253_402_300_800, 0)?;
    years.contains(&time).then_some(time)
}

fn of_number(number: &serde_json::Number) -> Option<DateTime<Utc>> {
    match number.as_i64() {
        Some(whole) if whole < SECONDS_END => DateTime::from_timestamp(whole, 0),
        Some(whole) if whole < MILLISECONDS_END => DateTime::from_timestamp_millis(whole),
        Some(whole) if whole < MICROSECONDS_END => DateTime::from_timestamp_micros(whole),
        Some(whole) => Some(DateTime::from_timestamp_nanos(whole)),
        None => of_fraction(number.as_f64()?),
    }
}

/// Seconds with a fraction, or milliseconds.
fn of_fraction(number: f64) -> Option<DateTime<Utc>> {
    // Both are exact in microseconds up to 2^53 of them.
    let seconds = match number.abs() < 1e11 {
        true => number,
        false => number / 1e3,
    };
    let whole = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    DateTime::from_timestamp_micros(i64::try_from(whole.as_micros()).ok()?)
}
