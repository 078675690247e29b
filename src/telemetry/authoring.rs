//! What a node says of the blocks that it builds itself.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::scalar::integer;

/// The hash of a block.
pub type BlockHash = [u8; 32];

/// A hash as nodes write it: 0x and 64 hexadecimal digits.
pub fn block_hash(text: &str) -> Option<BlockHash> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let mut hash = BlockHash::default();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = u8::try_from(value(*high)? << 4 | value(*low)?).ok()?;
    }
    Some(hash)
}

/// A step on the way of a block that a node builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authoring {
    /// Number of the block.
    pub height: i64,
    /// Its hash before it is sealed.
    pub prepared: BlockHash,
    /// Its hash after that; none while it is prepared.
    pub sealed: Option<BlockHash>,
}

impl Authoring {
    /// It was prepared.
    pub const PREPARED: &'static str = "prepared_block_for_proposing";

    /// It was sealed.
    pub const SEALED: &'static str = "slots.pre_sealed_block";

    /// Reads the fields of a message; none if it is of another kind, or says no block.
    pub fn from_fields(kind: &str, fields: &[u8]) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields<'a> {
            number: Value,
            header_num: Value,
            #[serde(borrow)]
            hash: Option<Cow<'a, str>>,
            #[serde(borrow)]
            hash_now: Option<Cow<'a, str>>,
            #[serde(borrow)]
            hash_previously: Option<Cow<'a, str>>,
        }
        if kind != Self::PREPARED && kind != Self::SEALED {
            return None;
        }
        let fields: Fields<'_> = serde_json::from_slice(fields).ok()?;
        match kind == Self::PREPARED {
            true => Some(Self {
                height: integer(&fields.number)?,
                prepared: block_hash(&fields.hash?)?,
                sealed: None,
            }),
            false => Some(Self {
                height: integer(&fields.header_num)?,
                prepared: block_hash(&fields.hash_previously?)?,
                sealed: Some(block_hash(&fields.hash_now?)?),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_32_bytes() {
        let hash = block_hash(&format!("0x{}ff0A", "0".repeat(60))).unwrap();
        assert_eq!(hash.last_chunk(), Some(&[0, 255, 10]));
        let none = [
            "",
            "0x",
            "0xa",
            &"a".repeat(66),
            &format!("0x{}", "g".repeat(64)),
            &format!("0x{}é", "0".repeat(62)),
        ];
        assert!(none.iter().all(|text| block_hash(text).is_none()));
        assert_eq!(block_hash(&format!("0x{}", "0".repeat(66))), None);
    }

    #[test]
    fn a_block_is_prepared_and_then_sealed_with_another_hash() {
        let (before, after) = ("11".repeat(32), "22".repeat(32));
        let prepared = format!(r#"{{"number":"1003","hash":"0x{before}"}}"#);
        let sealed = format!(
            r#"{{"header_num":"1003","hash_previously":"0x{before}","hash_now":"0x{after}"}}"#
        );
        let first = Authoring::from_fields(Authoring::PREPARED, prepared.as_bytes()).unwrap();
        let second = Authoring::from_fields(Authoring::SEALED, sealed.as_bytes()).unwrap();
        assert_eq!(
            (first.height, first.prepared, first.sealed),
            (1003, [0x11; 32], None)
        );
        assert_eq!(
            (second.height, second.prepared, second.sealed),
            (1003, [0x11; 32], Some([0x22; 32]))
        );
        let wrong = [
            Authoring::from_fields(Authoring::SEALED, prepared.as_bytes()),
            Authoring::from_fields("other", prepared.as_bytes()),
            Authoring::from_fields(Authoring::PREPARED, br#"{"number":"x","hash":"0x1"}"#),
        ];
        assert_eq!(wrong, [None; 3]);
    }
}
