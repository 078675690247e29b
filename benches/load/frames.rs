//! Messages of nodes: frames rendered once from the catalogue of message kinds, in which only the
//! number of the message, its time and the block height are written anew before each use.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::{Value, json};

use crate::Outcome;
use crate::random::Random;

const CATALOGUE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/telemetry_messages.json");

/// How often each kind comes in [`BLOCK_FRAMES`] messages of a validator that reports at level 5:
/// two `system.interval` each five seconds, a block each five, a `txpool.import` each second or two,
/// and some votes of a small GRANDPA set.
/// The variant is that of the catalogue. The payloads have 145 bytes on average.
const MIX: [(&str, Option<&str>, usize); 16] = [
    ("system.interval", Some("chain"), 23),
    ("system.interval", Some("network"), 24),
    ("block.import", None, 24),
    ("notify.finalized", None, 22),
    ("txpool.import", None, 50),
    ("afg.received_prevote", None, 10),
    ("afg.received_precommit", None, 10),
    ("afg.finalized_blocks_up_to", None, 11),
    ("afg.prevote_issued", None, 6),
    ("afg.precommit_issued", None, 6),
    ("slots.starting_authorship", None, 6),
    ("prepared_block_for_proposing", None, 2),
    ("slots.pre_sealed_block", None, 2),
    ("afg.received_commit", None, 1),
    ("afg.announcing_blocks_to_voted_peers", None, 2),
    ("babe.checked_and_importing", None, 1),
];
/// Messages that go round: enough that no two on one page of a table hold the same hash, few enough
/// for the cache of the processor.
const BLOCK_FRAMES: usize = 200;

/// The mask of all frames. Four equal bytes: what is patched needs no regard to its place.
const MASK: u8 = 0x5a;
const FIN_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;

/// Numbers of messages have this many digits, as the field `n` of the event.
const NUMBER_FIRST: u64 = 100_000_000;
const HEIGHT_FIRST: u64 = 20_000_000;
/// Messages in which the chain grows by a block: at 10,000 a second, as of a network of so many
/// nodes, one each six seconds.
const MESSAGES_PER_BLOCK: u64 = 60_000;
/// Messages written together are this far from one another in their own time.
const SPACING: Duration = Duration::from_micros(7);
const TS: &str = "2026-01-01T00:00:00.000000000+00:00";
const TS_SECONDS: usize = "2026-01-01T00:00:00".len();

/// How the messages are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Flat, with a newline at the end: nodes until 2020.
    V1,
    /// With an envelope: nodes of today.
    V2,
}

/// The frames that go round, masked and ready to be sent.
#[derive(Debug)]
pub(crate) struct Frames {
    catalogue: Value,
    format: Format,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    cursor: usize,
    numbered: u64,
    second: Second,
}

/// Frames to be sent now.
#[derive(Debug)]
pub(crate) struct Ready<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) count: u64,
    /// Length of the header of the first one.
    pub(crate) header_bytes: usize,
}

/// Where in the bytes a frame and what changes in it is.
#[derive(Debug)]
struct Frame {
    start: usize,
    payload: usize,
    end: usize,
    number: usize,
    ts: usize,
    height: Option<usize>,
    /// The second that stands in `ts`.
    second: u64,
}

/// A second of Unix time, as text.
#[derive(Debug, Default)]
struct Second {
    unix: u64,
    text: String,
}

impl Frames {
    /// Renders the mix of kinds.
    pub(crate) fn new(format: Format) -> Outcome<Self> {
        let catalogue =
            fs::read_to_string(CATALOGUE).map_err(|error| format!("{CATALOGUE}: {error}"))?;
        let mut frames = Self {
            catalogue: serde_json::from_str(&catalogue)?,
            format,
            bytes: Vec::new(),
            frames: Vec::with_capacity(BLOCK_FRAMES),
            cursor: 0,
            numbered: 0,
            second: Second::default(),
        };
        let mut random = Random(1);
        for (msg, variant) in shuffled_mix() {
            let example = frames.example(msg, variant)?;
            let text = frames.render(example, &mut random)?;
            frames.add(&text)?;
        }
        Ok(frames)
    }

    /// Messages that were numbered: their numbers are 0 and up to this one.
    pub(crate) fn numbered(&self) -> u64 {
        self.numbered
    }

    /// Mean length of what is stored of a message, with `msg` in it.
    pub(crate) fn mean_payload_bytes(&self) -> f64 {
        let envelope = match self.format {
            Format::V1 => r#""level":"INFO","ts":"","#.len() + TS.len() + "\n".len(),
            Format::V2 => r#"{"id":1,"payload":,"ts":""}"#.len() + TS.len(),
        };
        let lengths = self
            .frames
            .iter()
            .map(|frame| frame.end - frame.payload - envelope);
        lengths.sum::<usize>() as f64 / self.frames.len() as f64
    }

    /// The next messages, at most `count_max`, with new numbers and the time of now.
    pub(crate) fn next(&mut self, count_max: u64) -> Ready<'_> {
        let first = self.cursor;
        let count =
            (self.frames.len() - first).min(usize::try_from(count_max).unwrap_or(usize::MAX));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        for (place, frame) in self.frames[first..first + count].iter_mut().enumerate() {
            let said = now - SPACING * (count - place) as u32;
            let patch = Patch(&mut self.bytes);
            patch.frame(frame, self.numbered, said, &mut self.second);
            self.numbered += 1;
        }
        self.cursor = (first + count) % self.frames.len();
        let (head, tail) = (&self.frames[first], &self.frames[first + count - 1]);
        Ready {
            bytes: &self.bytes[head.start..tail.end],
            count: count as u64,
            header_bytes: head.payload - head.start,
        }
    }

    /// A `system.connected` of its own for a node, masked.
    pub(crate) fn connected(&mut self, chain: &str, node: usize) -> Outcome<Vec<u8>> {
        let mut example = self.example("system.connected", None)?;
        let event = event_of(&mut example, self.format);
        event["name"] = json!(format!("bench-{node}"));
        event["network_id"] = json!(peer_id(node));
        event["chain"] = json!(chain);
        let text = self.render(example, &mut Random(0))?;
        let mut alone = Self {
            catalogue: Value::Null,
            format: self.format,
            bytes: Vec::new(),
            frames: Vec::new(),
            cursor: 0,
            numbered: self.numbered,
            second: Second::default(),
        };
        alone.add(&text)?;
        let bytes = alone.next(1).bytes.to_vec();
        self.numbered += 1;
        Ok(bytes)
    }

    fn example(&self, msg: &str, variant: Option<&str>) -> Outcome<Value> {
        let format = match self.format {
            Format::V1 => "v1",
            Format::V2 => "v2",
        };
        let kinds = self.catalogue["kinds"].as_array().into_iter().flatten();
        let mut of_msg =
            kinds.filter(|kind| kind["msg"] == msg && kind["examples"][format].is_object());
        let is_variant = |kind: &&Value| variant.is_none_or(|variant| kind["variant"] == variant);
        let kind = of_msg.clone().find(is_variant).or_else(|| of_msg.next());
        let kind = kind.ok_or_else(|| format!("{CATALOGUE} has no {format} example of {msg}"))?;
        Ok(kind["examples"][format].clone())
    }

    /// The text of a message with digits wherever some will be patched.
    fn render(&self, mut frame: Value, random: &mut Random) -> Outcome<Vec<u8>> {
        frame["ts"] = json!(TS);
        let event = event_of(&mut frame, self.format);
        event["n"] = json!(NUMBER_FIRST);
        match &event["height"] {
            Value::Number(_) => event["height"] = json!(HEIGHT_FIRST),
            Value::String(_) => event["height"] = json!(HEIGHT_FIRST.to_string()),
            _ => {
                event
                    .as_object_mut()
                    .and_then(|event| event.remove("height"));
            }
        }
        let mut text = serde_json::to_vec(&frame)?;
        renew_hashes(&mut text, random);
        if self.format == Format::V1 {
            text.push(b'\n');
        }
        Ok(text)
    }

    /// Makes a masked frame of a message and adds it.
    fn add(&mut self, text: &[u8]) -> Outcome<()> {
        let start = self.bytes.len();
        self.bytes.push(FIN_BINARY);
        match u8::try_from(text.len()) {
            Ok(length) if length < 126 => self.bytes.push(MASKED | length),
            _ => {
                self.bytes.push(MASKED | 126);
                self.bytes.extend(u16::try_from(text.len())?.to_be_bytes());
            }
        }
        self.bytes.extend([MASK; 4]);
        let payload = self.bytes.len();
        self.bytes.extend(text.iter().map(|byte| byte ^ MASK));
        let digits_after = |key: &str| -> Option<usize> {
            let at = text
                .windows(key.len())
                .position(|part| part == key.as_bytes())?
                + key.len();
            Some(payload + at + usize::from(text[at] == b'"'))
        };
        self.frames.push(Frame {
            start,
            payload,
            end: self.bytes.len(),
            number: digits_after("\"n\":").ok_or("a frame without a number")?,
            ts: digits_after("\"ts\":").ok_or("a frame without a time")?,
            height: digits_after("\"height\":"),
            second: 0,
        });
        Ok(())
    }
}

/// libp2p identity of a node of this bench.
pub(crate) fn peer_id(node: usize) -> String {
    format!("12D3KooW{:z>44}", node.to_string().replace('0', "z"))
}

/// The object that holds the fields of the event.
fn event_of(frame: &mut Value, format: Format) -> &mut Value {
    match format {
        Format::V1 => frame,
        Format::V2 => &mut frame["payload"],
    }
}

/// The kinds of [`MIX`], each kind spread over the whole block.
fn shuffled_mix() -> Vec<(&'static str, Option<&'static str>)> {
    let mut kinds = Vec::with_capacity(BLOCK_FRAMES);
    for (msg, variant, count) in MIX {
        kinds.extend((0..count).map(|turn| ((2 * turn + 1) * BLOCK_FRAMES / count, msg, variant)));
    }
    kinds.sort_by_key(|(place, ..)| *place);
    kinds
        .into_iter()
        .map(|(_, msg, variant)| (msg, variant))
        .collect()
}

/// Writes into masked bytes.
struct Patch<'a>(&'a mut [u8]);

impl Patch<'_> {
    fn frame(self, frame: &mut Frame, number: u64, said: Duration, second: &mut Second) {
        let Self(bytes) = self;
        digits(
            &mut bytes[frame.number..frame.number + 9],
            NUMBER_FIRST + number,
        );
        if let Some(at) = frame.height {
            digits(
                &mut bytes[at..at + 8],
                HEIGHT_FIRST + number / MESSAGES_PER_BLOCK,
            );
        }
        if frame.second != said.as_secs() {
            frame.second = said.as_secs();
            let place = &mut bytes[frame.ts..frame.ts + TS_SECONDS];
            for (byte, text) in place.iter_mut().zip(second.text_of(said.as_secs()).bytes()) {
                *byte = text ^ MASK;
            }
        }
        let fraction = frame.ts + TS_SECONDS + ".".len();
        digits(
            &mut bytes[fraction..fraction + 9],
            u64::from(said.subsec_nanos()),
        );
    }
}

/// Fills the place with the last digits of a number.
fn digits(place: &mut [u8], mut number: u64) {
    for byte in place.iter_mut().rev() {
        *byte = (b'0' + (number % 10) as u8) ^ MASK;
        number /= 10;
    }
}

impl Second {
    fn text_of(&mut self, unix: u64) -> &str {
        if self.unix != unix {
            let time = DateTime::from_timestamp(unix as i64, 0).unwrap_or_default();
            self.text = time.format("%Y-%m-%dT%H:%M:%S").to_string();
            self.unix = unix;
        }
        &self.text
    }
}

/// Replaces each hash (`0x` and 64 digits) by one that comes nowhere else, because PostgreSQL
/// compresses pages that it writes to its log.
fn renew_hashes(text: &mut [u8], random: &mut Random) {
    let mut at = 0;
    while let Some(hash) = text.get_mut(at..at + 66) {
        if hash.starts_with(b"0x") && hash[2..].iter().all(u8::is_ascii_hexdigit) {
            let digits: String = (0..4).map(|_| format!("{:016x}", random.next())).collect();
            hash[2..].copy_from_slice(digits.as_bytes());
            at += hash.len();
        } else {
            at += 1;
        }
    }
}
