//! One frame becomes one [`Message`].
//!
//! Since 2021 nodes send `{"id":1,"payload":{"msg":…},"ts":…}` ([`Format::V2`]),
//! before that `{"msg":…,"level":"INFO","ts":…}` with all fields beside it
//! ([`Format::V1`]). An object under `payload` tells them apart; an `id` does
//! not, for `tracing.profiling` of old nodes has one too.

use std::borrow::Cow;
use std::ops::Range;

use chrono::{DateTime, Utc};

use super::repair::repair;
use super::scan::{ScanError, Scanner};
use super::time::parse_time;

/// Which of the two formats a frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Flat, up to the end of 2020.
    V1,
    /// With an envelope, since 2021.
    V2,
}

/// The message of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    /// Format of the frame.
    pub format: Format,
    /// `id` of the envelope; none in the flat format, or if it is no 64-bit number.
    pub node: Option<u64>,
    /// `msg`; empty if there is none.
    pub kind: Cow<'a, str>,
    /// The node's time; none if it is missing or cannot be read.
    pub ts: Option<DateTime<Utc>>,
    /// The field `target`, if it is a string.
    pub target: Option<Cow<'a, str>>,
    /// The event's own fields, without `msg`, and for the flat format without `level` and `ts`.
    pub fields: Fields<'a>,
}

/// A JSON object as runs of members of the frame, so that leaving one out
/// copies nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Fields<'a> {
    /// Members in the order of the frame; between two runs something was left out.
    Borrowed([&'a [u8]; RUNS_MAX]),
    /// The members in one run, for frames that had to be mended.
    Owned(Vec<u8>),
}

/// `msg`, `level` and `ts` are left out, which leaves four runs.
const RUNS_MAX: usize = 4;

/// Why a frame is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame is not UTF-8.
    #[error("the frame is not UTF-8")]
    NotUtf8,
    /// The frame is not JSON.
    #[error("the frame is not JSON")]
    NotJson,
    /// The frame is JSON, but no object.
    #[error("the frame is JSON, but no object")]
    NotAnObject,
    /// The frame is nested too deeply.
    #[error("the frame is nested more than 1000 levels deep")]
    TooDeep,
}

impl DecodeError {
    /// All kinds, for metrics that show each from the start.
    pub const ALL: [Self; 4] = [
        Self::NotUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::TooDeep,
    ];

    /// Name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::TooDeep => "too_deep",
        }
    }
}

impl From<ScanError> for DecodeError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Invalid => Self::NotJson,
            ScanError::TooDeep => Self::TooDeep,
        }
    }
}

/// Understands one frame. White space around the object, as the newline that
/// old nodes end each frame with, is fine.
///
/// # Errors
/// If the frame is not one JSON object in UTF-8. A message without `msg`, with
/// an unreadable `ts`, or with unknown fields is no error.
pub fn decode(frame: &[u8]) -> Result<Message<'_>, DecodeError> {
    let (message, needs_repair) = read(frame)?;
    if needs_repair {
        let repaired = repair(frame);
        // Once is enough, whatever the text still looks like.
        return read(&repaired).map(|(message, _needs_repair)| message.into_owned());
    }
    Ok(message)
}

/// Reads a frame as it is, and returns whether it needs repair.
fn read(frame: &[u8]) -> Result<(Message<'_>, bool), DecodeError> {
    std::str::from_utf8(frame).map_err(|_not_utf8| DecodeError::NotUtf8)?;
    let mut scanner = Scanner::new(frame);
    if scanner.peek() != Some(b'{') {
        let json = scanner.value(0).and_then(|_place| scanner.finish());
        return Err(json.err().map_or(DecodeError::NotAnObject, Into::into));
    }
    let places = Places::find(&mut scanner, frame)?;
    scanner.finish()?;
    Ok((places.into_message(frame), scanner.needs_repair))
}

/// Where in the frame everything is.
#[derive(Debug, Default)]
struct Places {
    node: Option<Range<usize>>,
    ts: Option<Range<usize>>,
    flat: Event,
    payload: Option<Event>,
}

/// Where in an object the parts of an event are.
#[derive(Debug, Default)]
struct Event {
    kind: Option<Range<usize>>,
    target: Option<Range<usize>>,
    fields: Runs,
}

/// The members that are kept, as runs of neighbours.
#[derive(Debug, Default)]
struct Runs {
    runs: [Range<usize>; RUNS_MAX],
    current: usize,
}

impl Places {
    fn find(scanner: &mut Scanner<'_>, frame: &[u8]) -> Result<Self, ScanError> {
        let mut places = Self::default();
        scanner.object(0, |scanner, key| {
            let name = frame.get(key.clone()).unwrap_or_default();
            if name == b"payload" && scanner.peek() == Some(b'{') {
                places.payload = Some(Event::find(scanner, frame)?);
                return Ok(());
            }
            let value = scanner.value(1)?;
            let left_out = match name {
                b"ts" => {
                    places.ts = Some(value.clone());
                    places.flat.fields.leave_out()
                }
                b"level" => places.flat.fields.leave_out(),
                _ => false,
            };
            if name == b"id" {
                places.node = Some(value.clone());
            }
            if !left_out {
                places.flat.member(frame, key, value);
            }
            Ok(())
        })?;
        Ok(places)
    }

    fn into_message(self, frame: &[u8]) -> Message<'_> {
        let (format, event) = match self.payload {
            Some(event) => (Format::V2, event),
            None => (Format::V1, self.flat),
        };
        let node = match format {
            Format::V2 => self.node.and_then(|place| number(frame, place)),
            Format::V1 => None,
        };
        Message {
            format,
            node,
            kind: string(frame, event.kind).unwrap_or_default(),
            ts: string(frame, self.ts).and_then(|text| parse_time(&text)),
            target: string(frame, event.target),
            fields: event.fields.of(frame),
        }
    }
}

impl Event {
    fn find(scanner: &mut Scanner<'_>, frame: &[u8]) -> Result<Self, ScanError> {
        let mut event = Self::default();
        scanner.object(1, |scanner, key| {
            let value = scanner.value(2)?;
            event.member(frame, key, value);
            Ok(())
        })?;
        Ok(event)
    }

    fn member(&mut self, frame: &[u8], key: Range<usize>, value: Range<usize>) {
        let is_string = frame.get(value.start) == Some(&b'"');
        let place = key.start - 1..value.end;
        match frame.get(key).unwrap_or_default() {
            b"msg" if is_string && self.kind.is_none() && self.fields.leave_out() => {
                self.kind = Some(value);
                return;
            }
            b"target" if is_string => self.target = Some(value),
            _ => {}
        }
        self.fields.keep(place);
    }
}

impl Runs {
    fn keep(&mut self, place: Range<usize>) {
        if let Some(run) = self.runs.get_mut(self.current) {
            if run.start == run.end {
                *run = place;
            } else {
                run.end = place.end;
            }
        }
    }

    /// Ends the run; false if there are too many, and the member has to stay.
    fn leave_out(&mut self) -> bool {
        match self.runs.get(self.current) {
            Some(run) if run.start == run.end => true,
            _ if self.current + 1 < RUNS_MAX => {
                self.current += 1;
                true
            }
            _ => false,
        }
    }

    fn of<'a>(&self, frame: &'a [u8]) -> Fields<'a> {
        let place = |run: &Range<usize>| frame.get(run.clone()).unwrap_or_default();
        Fields::Borrowed(self.runs.each_ref().map(place))
    }
}

/// Writes an object with `msg` as its first member.
pub fn write_with_kind(kind: &str, members: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"msg\":");
    out.extend_from_slice(serde_json::Value::from(kind).to_string().as_bytes());
    let end = out.len();
    out.push(b',');
    members(out);
    if out.len() == end + 1 {
        out.truncate(end);
    }
    out.push(b'}');
}

impl Fields<'_> {
    /// Writes the object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_members(out);
        out.push(b'}');
    }

    /// Writes the object with `msg` as its first member.
    pub fn write_with_kind(&self, kind: &str, out: &mut Vec<u8>) {
        write_with_kind(kind, |out| self.write_members(out), out);
    }

    /// The object as a text of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write_members(&self, out: &mut Vec<u8>) {
        match self {
            Self::Owned(members) => out.extend_from_slice(members),
            Self::Borrowed(runs) => {
                let mut first = true;
                for run in runs.iter().filter(|run| !run.is_empty()) {
                    if !first {
                        out.push(b',');
                    }
                    out.extend_from_slice(run);
                    first = false;
                }
            }
        }
    }
}

impl Message<'_> {
    fn into_owned(self) -> Message<'static> {
        let mut members = Vec::new();
        self.fields.write_members(&mut members);
        Message {
            format: self.format,
            node: self.node,
            kind: Cow::Owned(self.kind.into_owned()),
            ts: self.ts,
            target: self.target.map(|target| Cow::Owned(target.into_owned())),
            fields: Fields::Owned(members),
        }
    }
}

/// The string at a place, escapes resolved.
fn string(frame: &[u8], place: Option<Range<usize>>) -> Option<Cow<'_, str>> {
    let quoted = frame.get(place?)?;
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        let resolved = serde_json::from_slice::<String>(quoted);
        return resolved.ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

fn number(frame: &[u8], place: Range<usize>) -> Option<u64> {
    std::str::from_utf8(frame.get(place)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(message: &Message<'_>) -> Value {
        serde_json::from_slice(&message.fields.to_vec()).unwrap()
    }

    #[test]
    fn a_frame_of_today_is_understood() {
        let frame = br#"{"id":7,"payload":{"best":"0x1","height":12,"msg":"block.import","origin":"Own"},"ts":"2026-11-21T13:40:24.5+05:30"}"#;
        let message = decode(frame).unwrap();
        assert_eq!(message.format, Format::V2);
        assert_eq!(message.node, Some(7));
        assert_eq!(message.kind, "block.import");
        let ts = message.ts.unwrap().to_rfc3339();
        assert_eq!(ts, "2026-11-21T08:10:24.500+00:00");
        let expected = json!({"best": "0x1", "height": 12, "origin": "Own"});
        assert_eq!(fields(&message), expected);
    }

    #[test]
    fn a_flat_frame_is_understood_and_keeps_its_own_id() {
        let frame = b"{\"msg\":\"tracing.profiling\",\"level\":\"INFO\",\"ts\":\"2026-11-21T08:02:07Z\",\"values\":{\"ts\":1},\"id\":2251799813685249,\"target\":\"pallet_babe\"}\n";
        let message = decode(frame).unwrap();
        assert_eq!(message.format, Format::V1);
        assert_eq!(message.node, None);
        assert_eq!(message.target.as_deref(), Some("pallet_babe"));
        let expected =
            json!({"values": {"ts": 1}, "id": 2_251_799_813_685_249_i64, "target": "pallet_babe"});
        assert_eq!(fields(&message), expected);
    }

    #[test]
    fn members_left_out_anywhere_leave_a_whole_object() {
        for (frame, expected) in [
            (r#"{"msg":"a"}"#, json!({})),
            (r#"{}"#, json!({})),
            (r#"{"msg":"a","x":1}"#, json!({"x": 1})),
            (r#"{"x":1,"msg":"a"}"#, json!({"x": 1})),
            (
                r#"{"x":1,"ts":"","y":2,"level":"INFO","z":3,"msg":"a","w":4}"#,
                json!({"x": 1, "y": 2, "z": 3, "w": 4}),
            ),
            (
                r#"{"x":1,"ts":"","y":2,"ts":"","z":3,"ts":"","w":4,"ts":"5","v":5}"#,
                json!({"x": 1, "y": 2, "z": 3, "w": 4, "v": 5, "ts": "5"}),
            ),
            (r#"{"payload":{},"ts":""}"#, json!({})),
            (r#"{"payload":{"msg":"m"},"id":1}"#, json!({})),
            (r#"{"payload":5,"msg":"m"}"#, json!({"payload": 5})),
            (r#"{"payload":{"msg":5,"":""}}"#, json!({"msg": 5, "": ""})),
        ] {
            let message = decode(frame.as_bytes()).unwrap();
            assert_eq!(fields(&message), expected, "{frame}");
        }
    }

    #[test]
    fn the_kind_can_be_put_back() {
        let mut out = Vec::new();
        let message = decode(br#"{"payload":{"msg":"a\"b","x":1}}"#).unwrap();
        message.fields.write_with_kind(&message.kind, &mut out);
        assert_eq!(out, br#"{"msg":"a\"b","x":1}"#);
        out.clear();
        decode(b"{}").unwrap().fields.write_with_kind("", &mut out);
        assert_eq!(out, br#"{"msg":""}"#);
    }

    #[test]
    fn what_the_database_would_refuse_is_mended() {
        let frame = br#"{"id":1,"payload":{"a":"x\u0000","b":"\ud800","c":1e99999,"msg":"m\u0000"},"ts":"nonsense"}"#;
        let message = decode(frame).unwrap();
        assert_eq!(message.kind, "m\u{fffd}");
        assert_eq!(message.ts, None);
        let expected = json!({"a": "x\u{fffd}", "b": "\u{fffd}", "c": "1e99999"});
        assert_eq!(fields(&message), expected);
        let pair = decode(br#"{"payload":{"a":"\ud83d\ude00"}}"#).unwrap();
        assert_eq!(fields(&pair), json!({"a": "\u{1f600}"}));
    }

    #[test]
    fn envelope_ids_that_are_no_number_count_as_none() {
        for id in ["\"1\"", "1.5", "-1", "null", "18446744073709551616"] {
            let frame = format!(r#"{{"id":{id},"payload":{{"msg":"m"}}}}"#);
            assert_eq!(decode(frame.as_bytes()).unwrap().node, None, "{id}");
        }
        let largest = br#"{"id":18446744073709551615,"payload":{}}"#;
        assert_eq!(decode(largest).unwrap().node, Some(u64::MAX));
    }

    #[test]
    fn what_is_no_message_is_sorted_by_kind() {
        assert_eq!(decode(b"\xff{}"), Err(DecodeError::NotUtf8));
        assert_eq!(decode(b"{\"a\":"), Err(DecodeError::NotJson));
        assert_eq!(decode(b"{} {}"), Err(DecodeError::NotJson));
        assert_eq!(decode(b""), Err(DecodeError::NotJson));
        assert_eq!(decode(b"[1,2]"), Err(DecodeError::NotAnObject));
        let deep = format!("{{\"a\":{}", "[".repeat(2_000_000));
        assert_eq!(decode(deep.as_bytes()), Err(DecodeError::TooDeep));
    }
}
