//! What a node reports of itself while it runs: the values in `system.interval`,
//! `block.import` and `notify.finalized`, old format and new.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::facts::{Fact, Formats, JsonType};
use super::scalar::Scalar;

/// Longest hash in bytes; those of today have 66.
const HASH_BYTES_MAX: usize = 130;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its number.
    pub height: i64,
    /// Its hash, if the message has one.
    pub hash: Option<Cow<'a, str>>,
}

/// How a node came by a block that it imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// It made it.
    Own,
    /// Another node announced it.
    Broadcast,
    /// Something else, as a broadcast of the consensus.
    Other,
    /// It fetches the chain, or has it from a file.
    Sync,
}

impl Origin {
    /// By its name in `block.import`.
    fn of(name: Option<&str>) -> Self {
        match name {
            Some("Own") => Self::Own,
            Some("NetworkBroadcast") => Self::Broadcast,
            Some("Genesis" | "NetworkInitialSync" | "File" | "WarpSync" | "GapSync") => Self::Sync,
            _ => Self::Other,
        }
    }
}

/// The values of one message; what it does not carry is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading<'a> {
    /// The node's best block.
    pub best: Option<Block<'a>>,
    /// How it came by it, if it was just imported.
    pub origin: Option<Origin>,
    /// The last block that it saw finalized.
    pub finalized: Option<Block<'a>>,
    /// Connected peers.
    pub peers: Option<i64>,
    /// Download, bytes per second.
    pub download_bytes_per_s: Option<f64>,
    /// Upload, bytes per second.
    pub upload_bytes_per_s: Option<f64>,
    /// Transactions in the pool.
    pub transactions: Option<i64>,
    /// State cache in use, bytes.
    pub state_cache_bytes: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    height: Scalar<'a>,
    #[serde(borrow)]
    best: Option<Cow<'a, str>>,
    #[serde(borrow)]
    origin: Scalar<'a>,
    #[serde(borrow)]
    finalized_height: Scalar<'a>,
    #[serde(borrow)]
    finalized_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    txcount: Scalar<'a>,
    #[serde(borrow)]
    used_state_cache_size: Scalar<'a>,
    #[serde(borrow)]
    peers: Scalar<'a>,
    #[serde(borrow)]
    bandwidth_download: Scalar<'a>,
    #[serde(borrow)]
    bandwidth_upload: Scalar<'a>,
}

impl<'a> Reading<'a> {
    /// Each half is due every 5 s: that of the chain and that of the network.
    pub const INTERVAL: &'static str = "system.interval";
    /// A block that became best.
    pub const IMPORT: &'static str = "block.import";
    /// A block that was finalized.
    pub const FINALIZED: &'static str = "notify.finalized";

    /// What they are, with the names that projections give them.
    pub const FACTS: &'static [Fact] = &[
        fact(
            "best_height",
            JsonType::Integer,
            "",
            &[(Self::INTERVAL, "height"), (Self::IMPORT, "height")],
        ),
        fact(
            "best_hash",
            JsonType::Text,
            "",
            &[(Self::INTERVAL, "best"), (Self::IMPORT, "best")],
        ),
        fact(
            "finalized_height",
            JsonType::Integer,
            "",
            &[
                (Self::INTERVAL, "finalized_height"),
                (Self::FINALIZED, "height"),
            ],
        ),
        fact(
            "finalized_hash",
            JsonType::Text,
            "",
            &[
                (Self::INTERVAL, "finalized_hash"),
                (Self::FINALIZED, "best"),
            ],
        ),
        fact("peers", JsonType::Integer, "", &[(Self::INTERVAL, "peers")]),
        fact(
            "download_bytes_per_s",
            JsonType::Number,
            "bytes per second",
            &[(Self::INTERVAL, "bandwidth_download")],
        ),
        fact(
            "upload_bytes_per_s",
            JsonType::Number,
            "bytes per second",
            &[(Self::INTERVAL, "bandwidth_upload")],
        ),
        fact(
            "transactions",
            JsonType::Integer,
            "",
            &[(Self::INTERVAL, "txcount")],
        ),
        fact(
            "state_cache_bytes",
            JsonType::Number,
            "bytes",
            &[(Self::INTERVAL, "used_state_cache_size")],
        ),
    ];

    /// `msg` of the messages that carry values.
    pub const KINDS: [&'static str; 3] = [Self::INTERVAL, Self::IMPORT, Self::FINALIZED];

    /// Reads the fields of a message; none if it is of another kind or carries no
    /// value that can be read.
    pub fn from_fields(kind: &str, fields: &'a [u8]) -> Option<Self> {
        if !Self::KINDS.contains(&kind) {
            return None;
        }
        let fields: Fields<'a> = parse(fields)?;
        let block = |height: &Scalar<'_>, hash: Option<Cow<'a, str>>| {
            Some(Block {
                height: height.integer()?,
                hash: hash.and_then(short),
            })
        };
        let reading = if kind == Self::FINALIZED {
            Self {
                finalized: block(&fields.height, fields.best),
                ..Self::default()
            }
        } else {
            let best = block(&fields.height, fields.best);
            let is_import = kind == Self::IMPORT && best.is_some();
            Self {
                best,
                origin: is_import.then(|| Origin::of(fields.origin.text())),
                finalized: block(&fields.finalized_height, fields.finalized_hash),
                peers: fields.peers.integer(),
                download_bytes_per_s: fields.bandwidth_download.number(),
                upload_bytes_per_s: fields.bandwidth_upload.number(),
                transactions: fields.txcount.integer(),
                state_cache_bytes: fields.used_state_cache_size.number(),
            }
        };
        (reading != Self::default()).then_some(reading)
    }
}

/// The transaction pool of a node (`txpool.import`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolImport {
    /// Transactions that are ready for a block.
    pub ready: Option<i64>,
    /// Transactions that wait for others.
    pub future: Option<i64>,
}

impl PoolImport {
    /// `msg` of the messages that carry it.
    pub const KIND: &'static str = "txpool.import";

    /// What they are, with the names that projections give them.
    pub const FACTS: &'static [Fact] = &[
        fact("ready", JsonType::Integer, "", &[(Self::KIND, "ready")]),
        fact("future", JsonType::Integer, "", &[(Self::KIND, "future")]),
    ];

    /// Reads the fields of a message; none if it is of another kind or carries no
    /// number.
    pub fn from_fields(kind: &str, fields: &[u8]) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields<'a> {
            #[serde(borrow)]
            ready: Scalar<'a>,
            #[serde(borrow)]
            future: Scalar<'a>,
        }
        if kind != Self::KIND {
            return None;
        }
        let fields: Fields<'_> = parse(fields)?;
        let (ready, future) = (fields.ready.integer(), fields.future.integer());
        (ready.is_some() || future.is_some()).then_some(Self { ready, future })
    }
}

/// A block that the finality of a node reached (`afg.finalized_blocks_up_to`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalizedUpTo<'a>(pub Block<'a>);

impl<'a> FinalizedUpTo<'a> {
    /// `msg` of the messages that carry it.
    pub const KIND: &'static str = "afg.finalized_blocks_up_to";

    /// Reads the fields of a message; none if it is of another kind or carries no
    /// number.
    pub fn from_fields(kind: &str, fields: &'a [u8]) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields<'a> {
            #[serde(borrow)]
            number: Scalar<'a>,
            #[serde(borrow)]
            hash: Option<Cow<'a, str>>,
        }
        if kind != Self::KIND {
            return None;
        }
        let fields: Fields<'a> = parse(fields)?;
        Some(Self(Block {
            height: fields.number.integer()?,
            hash: fields.hash.and_then(short),
        }))
    }
}

/// Reads fields from JSON. A key that comes twice has its last value, as in `jsonb`.
fn parse<'a, T: Deserialize<'a>>(fields: &'a [u8]) -> Option<T> {
    let parsed = serde_json::from_slice(fields);
    let parsed = parsed.or_else(|_| T::deserialize(serde_json::from_slice::<Value>(fields)?));
    parsed.ok()
}

/// A fact that nodes of all times report: fields by `msg`.
const fn fact(
    name: &'static str,
    json: JsonType,
    unit: &'static str,
    sources: &'static [(&'static str, &'static str)],
) -> Fact {
    Fact {
        name,
        json,
        unit,
        sources,
        formats: Formats::Both,
    }
}

/// How long a section of code of a node took (`tracing.profiling`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its time, nanoseconds.
    pub time_ns: i64,
}

impl Span {
    /// `msg` of the messages that carry it.
    pub const KIND: &'static str = "tracing.profiling";

    /// Reads the fields of a message; none if it is of another kind or carries no
    /// time.
    pub fn from_fields(kind: &str, fields: &[u8]) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields<'a> {
            name: Value,
            #[serde(borrow)]
            time: Scalar<'a>,
        }
        if kind != Self::KIND {
            return None;
        }
        let fields: Fields<'_> = parse(fields)?;
        let name = match fields.name {
            Value::Null => String::new(),
            Value::String(name) => name,
            odd => odd.to_string(),
        };
        let time_ns = whole(fields.time.number()?);
        Some(Self { name, time_ns })
    }
}

fn short(hash: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (hash.len() <= HASH_BYTES_MAX).then_some(hash)
}

/// The nearest whole number.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "what is too large becomes the largest"
)]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_read_from_numbers_and_strings() {
        fn read<'a>(kind: &str, fields: &'a str) -> Option<Reading<'a>> {
            Reading::from_fields(kind, fields.as_bytes())
        }
        let block = |height, hash: &str| {
            Some(Block {
                height,
                hash: Some(hash.to_owned().into()),
            })
        };
        let finalized = read("notify.finalized", r#"{"height":"12","best":"0xa"}"#).unwrap();
        assert_eq!(
            (finalized.best, finalized.finalized),
            (None, block(12, "0xa"))
        );
        let chain = read("system.interval", r#"{"height":7,"best":"0xb","finalized_height":5,"finalized_hash":"0xc","txcount":3,"used_state_cache_size":9}"#).unwrap();
        assert_eq!(
            (chain.best, chain.finalized),
            (block(7, "0xb"), block(5, "0xc"))
        );
        assert_eq!(
            (chain.transactions, chain.state_cache_bytes, chain.peers),
            (Some(3), Some(9.0), None)
        );
        let network = read(
            "system.interval",
            r#"{"peers":4,"bandwidth_download":1.5,"bandwidth_upload":"2"}"#,
        )
        .unwrap();
        assert_eq!(
            (
                network.peers,
                network.download_bytes_per_s,
                network.upload_bytes_per_s
            ),
            (Some(4), Some(1.5), Some(2.0))
        );
        assert_eq!(network.best, None);
    }

    #[test]
    fn spans_have_whole_nanoseconds() {
        let read = |fields: &str| Span::from_fields(Span::KIND, fields.as_bytes());
        let span = |name: &str, time_ns| {
            let name = name.to_owned();
            Some(Span { name, time_ns })
        };
        assert_eq!(read(r#"{"name":"a","time":"235760"}"#), span("a", 235_760));
        assert_eq!(read(r#"{"time":1.5,"name":7}"#), span("7", 2));
        assert_eq!(read(r#"{"time":1e30}"#), span("", i64::MAX));
        assert_eq!(read(r#"{"time":1e300}"#), None);
        assert_eq!(read(r#"{"name":"a","time":"soon"}"#), None);
        assert_eq!(Span::from_fields("other", br#"{"time":1}"#), None);
    }

    #[test]
    fn what_carries_no_value_is_no_reading() {
        for (kind, fields) in [
            ("txpool.import", r#"{"height":1}"#),
            ("block.import", r#"{"height":{},"best":"0xa"}"#),
            ("block.import", "[]"),
            ("system.interval", "{}"),
        ] {
            assert_eq!(
                Reading::from_fields(kind, fields.as_bytes()),
                None,
                "{kind} {fields}"
            );
        }
    }
}
