//! The decoder against frames that no node would send: captured frames, changed
//! at random, the same ones in each run. Whatever comes, it does not panic, it
//! takes exactly the objects that a full parser takes, and what it keeps of them
//! says the same. See docs/FUZZING.md for the one that learns.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use tetcore_analytics::telemetry::{DecodeError, Format, Message, decode};

use crate::support::corpus;

const FRAMES: u64 = 1_000_000;

/// Each a sequence of its own, so that the frames do not depend on the machine.
const STREAMS: u64 = 8;

/// What decoding follows; `serde_json` builds trees up to 127 levels.
const DEPTH_MAX: usize = 1_000;
const TREE_DEPTH_MAX: usize = 100;

#[test]
fn a_million_mutated_frames_are_decoded_as_a_full_parser_would() {
    let seeds = [corpus("v1"), corpus("v2")].concat();
    let tally = std::thread::scope(|scope| {
        let seeds = &seeds;
        let runs: Vec<_> = (0..STREAMS)
            .map(|stream| scope.spawn(move || run(seeds, stream, FRAMES / STREAMS)))
            .collect();
        let tallies = runs.into_iter().map(|run| run.join().unwrap());
        tallies.fold(Tally::default(), |sum, tally| Tally {
            frames: sum.frames + tally.frames,
            taken: sum.taken + tally.taken,
            compared: sum.compared + tally.compared,
        })
    });
    // Of each sort there must be enough for the test to mean something.
    assert!(tally.frames >= FRAMES, "{tally:?}");
    assert!(tally.taken > FRAMES / 5, "{tally:?}");
    assert!(tally.frames - tally.taken > FRAMES / 5, "{tally:?}");
    assert!(tally.compared > FRAMES / 10, "{tally:?}");
}

#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    taken: u64,
    compared: u64,
}

fn run(seeds: &[Vec<u8>], stream: u64, frames: u64) -> Tally {
    let mut random = Random(0x5EED ^ (stream << 32));
    let mut tally = Tally::default();
    let mut frame = Vec::new();
    for _ in 0..frames {
        frame.clone_from(random.pick(seeds));
        for _ in 0..=random.below(3) {
            mutate(&mut frame, seeds, &mut random);
        }
        tally.frames += 1;
        let decoded = decode(&frame);
        assert_accepted_alike(&frame, decoded.as_ref().err());
        if let Ok(message) = decoded {
            tally.taken += 1;
            tally.compared += u64::from(assert_same_fields(&frame, &message));
        }
    }
    tally
}

/// A generator of numbers (splitmix64), the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A place in a text, its end included.
    fn place(&mut self, text: &[u8]) -> usize {
        self.below(text.len() + 1)
    }

    fn range(&mut self, text: &[u8]) -> std::ops::Range<usize> {
        let (one, other) = (self.place(text), self.place(text));
        one.min(other)..one.max(other).min(one.min(other) + 64)
    }
}

/// What is put between two bytes: escapes, numbers, names that mean something.
const PIECES: [&str; 40] = [
    r"\u0000",
    r"\ud83d",
    r"\ud83d\ude00",
    r"\udE00",
    r"\n",
    r"\/",
    r"\x",
    r"\u12",
    r"\u+123",
    "\\",
    "0",
    "-0",
    "1e5",
    "1e999",
    "1E-9999",
    "1e99999",
    "00",
    ".5",
    "-",
    "18446744073709551616",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\t",
    "\0",
    "\u{1f}",
    "\u{feff}",
    "é\u{10ffff}",
    r#""msg":"m","#,
    r#""ts":"","#,
    r#""level":1,"#,
    r#""payload":{"a":1},"#,
    r#""":null,"#,
    r#""target":"t","id":7,"#,
];

fn mutate(frame: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    match random.below(10) {
        0 if !frame.is_empty() => {
            let at = random.below(frame.len());
            frame[at] ^= 1 << random.below(8);
        }
        1 => frame.truncate(random.place(frame)),
        2 => drop(frame.drain(random.range(frame))),
        3 => {
            let other = random.pick(seeds);
            frame.truncate(random.place(frame));
            frame.extend_from_slice(&other[random.place(other)..]);
        }
        4 => {
            let copy = frame[random.range(frame)].to_vec();
            insert(frame, random.place(frame), &copy);
        }
        5 => {
            let levels = *random.pick(&[1, 3, 50, 90, 120, 200, 999, 1_001]);
            let (open, close) = *random.pick(&[("[", "]"), ("{\"\":", "}"), ("[{\"msg\":", "}]")]);
            let nested = [&open.repeat(levels), "1", &close.repeat(levels)].concat();
            replace_value(frame, nested.as_bytes(), random);
        }
        6 => {
            let digits = "9".repeat(*random.pick(&[1, 20, 299, 300, 301, 400]));
            let tail = random.pick(&["", ".5", "e3", "e+999", "E-0001", "e99999999999999999999"]);
            replace_value(frame, format!("-{digits}{tail}").as_bytes(), random);
        }
        7 => {
            // Behind a quotation mark, where most pieces leave the frame whole.
            let quotes: Vec<_> = (0..frame.len()).filter(|&at| frame[at] == b'"').collect();
            if !quotes.is_empty() {
                let piece = random.pick(&PIECES);
                insert(frame, *random.pick(&quotes) + 1, piece.as_bytes());
            }
        }
        8 => {
            let braces: Vec<_> = (0..frame.len()).filter(|&at| frame[at] == b'{').collect();
            if !braces.is_empty() {
                let piece = random.pick(&PIECES[34..]);
                insert(frame, *random.pick(&braces) + 1, piece.as_bytes());
            }
        }
        _ => {
            let piece = random.pick(&PIECES);
            insert(frame, random.place(frame), piece.as_bytes());
        }
    }
}

fn insert(frame: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    frame.splice(at..at, bytes.iter().copied());
}

/// Puts a value where a simple one was: behind a colon, up to what ends it.
fn replace_value(frame: &mut Vec<u8>, value: &[u8], random: &mut Random) {
    let starts: Vec<_> = (1..frame.len())
        .filter(|&at| frame[at - 1] == b':' && !matches!(frame[at], b'{' | b'['))
        .collect();
    if starts.is_empty() {
        return insert(frame, random.place(frame), value);
    }
    let start = *random.pick(&starts);
    let length = frame[start..]
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b']'));
    let end = length.map_or(frame.len(), |length| start + length);
    frame.splice(start..end, value.iter().copied());
}

/// The decoder refuses what is no JSON object, for the right reason, and nothing else.
#[track_caller]
fn assert_accepted_alike(frame: &[u8], refused: Option<&DecodeError>) {
    let shown = || String::from_utf8_lossy(frame);
    let Ok(text) = std::str::from_utf8(frame) else {
        assert_eq!(refused, Some(&DecodeError::NotUtf8), "{}", shown());
        return;
    };
    if refused == Some(&DecodeError::TooDeep) {
        let opened = frame.iter().filter(|byte| matches!(byte, b'[' | b'{'));
        assert!(opened.count() > DEPTH_MAX, "{}", shown());
        return;
    }
    let expected = match serde_json::from_str::<IgnoredAny>(text) {
        Err(_) => Some(DecodeError::NotJson),
        Ok(_) if !text.trim_start().starts_with('{') => Some(DecodeError::NotAnObject),
        Ok(_) => None,
    };
    assert_eq!(refused, expected.as_ref(), "{}", shown());
}

/// What the decoder keeps is JSON that a database takes, and says what the frame
/// says. Returns whether it could be compared.
#[track_caller]
fn assert_same_fields(frame: &[u8], message: &Message<'_>) -> bool {
    let shown = || String::from_utf8_lossy(frame);
    let kept = message.fields.to_vec();
    let valid = serde_json::from_slice::<IgnoredAny>(&kept);
    assert!(valid.is_ok(), "{valid:?} of {}", shown());
    if depth(frame) > TREE_DEPTH_MAX {
        return false;
    }
    let whole = members(frame);
    let payload = whole
        .iter()
        .rev()
        .find(|(key, value)| key.get() == "\"payload\"" && value.get().starts_with('{'));
    let (format, fields) = match payload {
        Some((_, payload)) => (Format::V2, members(payload.get().as_bytes())),
        None => (Format::V1, whole),
    };
    assert_eq!(message.format, format, "{}", shown());
    let left_out = |key: &str| match format {
        Format::V1 => matches!(key, "\"msg\"" | "\"level\"" | "\"ts\""),
        Format::V2 => key == "\"msg\"",
    };
    let kept_members = members(&kept);
    let pairs = |members: &Members<'_>| {
        let own = members.iter().filter(|(key, _)| !left_out(key.get()));
        own.map(|(key, value)| {
            let tree = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
            (tree(key), tree(value), value.get().len())
        })
        .collect::<Vec<_>>()
    };
    let (said, kept) = (pairs(&fields), pairs(&kept_members));
    assert_eq!(said.len(), kept.len(), "{}", shown());
    let mut compared = true;
    for ((said_key, said, _), (kept_key, kept, _)) in said.iter().zip(&kept) {
        // serde_json has no lone surrogates and no numbers beyond f64; the
        // former must be mended, the latter may be kept.
        match (said_key, kept_key) {
            (Some(said), Some(kept)) => assert!(is_same(said, kept), "{}", shown()),
            (None, Some(_)) => compared = false,
            (_, None) => panic!("a key is not mended: {}", shown()),
        }
        match (said, kept) {
            (Some(said), Some(kept)) => assert!(is_same(said, kept), "{}", shown()),
            (None, _) => compared = false,
            (Some(_), None) => panic!("a value is broken: {}", shown()),
        }
    }
    compared
}

/// Equal but for what is mended: NUL, and numbers beyond what the database takes.
fn is_same(said: &Value, kept: &Value) -> bool {
    match (said, kept) {
        (Value::String(said), Value::String(kept)) => {
            said == kept || said.replace('\0', "\u{fffd}") == *kept
        }
        (Value::Number(said), Value::String(kept)) => {
            let has_long_exponent = kept
                .rsplit_once(['e', 'E'])
                .is_some_and(|(_, exponent)| exponent.trim_start_matches(['+', '-']).len() > 3);
            (kept.len() > 300 || has_long_exponent)
                && serde_json::from_str::<Value>(kept)
                    .is_ok_and(|kept| kept == Value::from(said.clone()))
        }
        (Value::Array(said), Value::Array(kept)) => {
            said.len() == kept.len()
                && said
                    .iter()
                    .zip(kept)
                    .all(|(said, kept)| is_same(said, kept))
        }
        (Value::Object(said), Value::Object(kept)) => {
            said == kept
                || (said.len() == kept.len()
                    && said.iter().all(|(key, said)| {
                        let kept = kept.get(&key.replace('\0', "\u{fffd}"));
                        kept.is_some_and(|kept| is_same(said, kept))
                    }))
        }
        (said, kept) => said == kept,
    }
}

/// Levels of brackets, those in strings too: never fewer than there are.
fn depth(frame: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in frame {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

type Members<'a> = Vec<(&'a RawValue, &'a RawValue)>;

/// The members of an object as they stand there, repeated ones too.
fn members(object: &[u8]) -> Members<'_> {
    struct InOrder<'a>(Members<'a>);

    impl<'de> Deserialize<'de> for InOrder<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(OfMap).map(InOrder)
        }
    }

    struct OfMap;

    impl<'de> Visitor<'de> for OfMap {
        type Value = Members<'de>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    serde_json::from_slice::<InOrder<'_>>(object).unwrap().0
}
