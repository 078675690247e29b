//! Orders of the list, and where a page of it ended.

use std::fmt;

use utoipa::ToSchema;

use crate::query::{PageCursor, QueryError};

/// Longest key of a cursor, bytes: 200 characters of a name, and some more.
const KEY_BYTES_MAX: usize = 1_000;

/// Orders of the list, for the description.
#[derive(Debug, ToSchema)]
pub enum OrderName {
    /// The newest session first.
    #[schema(rename = "-created_at")]
    CreatedAtDown,
    /// The oldest session first.
    #[schema(rename = "created_at")]
    CreatedAt,
    /// By name.
    #[schema(rename = "name")]
    Name,
    /// By name, turned around.
    #[schema(rename = "-name")]
    NameDown,
    /// The worst first, then by name.
    #[schema(rename = "state")]
    State,
    /// The best first, then by name turned around.
    #[schema(rename = "-state")]
    StateDown,
    /// The longest silent first.
    #[schema(rename = "last_seen_at")]
    LastSeen,
    /// The last message first.
    #[schema(rename = "-last_seen_at")]
    LastSeenDown,
    /// The least behind its chain first.
    #[schema(rename = "behind")]
    Behind,
    /// The furthest behind its chain first.
    #[schema(rename = "-behind")]
    BehindDown,
    /// The smallest finality lag first.
    #[schema(rename = "finality_lag")]
    FinalityLag,
    /// The largest finality lag first.
    #[schema(rename = "-finality_lag")]
    FinalityLagDown,
}

/// An order that is not that of the newest session first, which has an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    key: &'static str,
    is_descending: bool,
}

/// Names and keys. Numbers become texts that sort as they do; what is not known is the smallest.
const KEYS: [(&str, &str); 6] = [
    (
        "created_at",
        "lpad((extract(epoch FROM f.session_at) * 1000000)::bigint::text, 20, '0')",
    ),
    ("name", "left(lower(coalesce(f.name, '')), 200)"),
    (
        "state",
        "CASE WHEN f.attention THEN CASE f.state WHEN 'conflict' THEN '0' WHEN 'offline' THEN '1' WHEN 'missing' THEN '2' \
         WHEN 'telemetry_lost' THEN '3' WHEN 'stalled' THEN '4' WHEN 'lagging' THEN '5' ELSE '6' END \
         ELSE CASE f.state WHEN 'syncing' THEN '7' WHEN 'offline' THEN '9' ELSE '8' END END || left(lower(coalesce(f.name, '')), 200)",
    ),
    (
        "last_seen_at",
        "lpad((extract(epoch FROM f.seen_at) * 1000000)::bigint::text, 20, '0')",
    ),
    (
        "behind",
        "lpad((coalesce(f.behind, -1) + 1)::text, 20, '0')",
    ),
    (
        "finality_lag",
        "lpad((greatest(coalesce(f.finality_lag, -1), -1) + 1)::text, 20, '0')",
    ),
];

impl Order {
    /// Reads the name of an order; none is that of the newest session first.
    ///
    /// # Errors
    /// If it is no such name.
    pub(super) fn parse(text: Option<&str>) -> Result<Option<Self>, QueryError> {
        let Some(text) = text.filter(|text| *text != "-created_at") else {
            return Ok(None);
        };
        let name = text.strip_prefix('-').unwrap_or(text);
        let found = KEYS.into_iter().find(|(known, _)| *known == name);
        let order = found.map(|(_, key)| Self {
            key,
            is_descending: text.starts_with('-'),
        });
        order.map(Some).ok_or_else(|| {
            let names = KEYS.map(|(name, _)| name).join(", ");
            QueryError::invalid(
                "sort",
                format!("must be one of {names}, with - before it for the other direction"),
            )
        })
    }

    /// The statement with this order.
    pub(super) fn apply(self, statement: &str) -> String {
        let (order, after) = match self.is_descending {
            true => ("sort_key DESC, id DESC", "(sort_key, id) <"),
            false => ("sort_key, id", "(sort_key, id) >"),
        };
        statement
            .replace("(/* key */ ''::text)", &format!("({})", self.key))
            .replace("/* order */ session_at DESC, id DESC", order)
            .replace("(sort_key, id) > /* after */", after)
    }
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeListCursor {
    /// In the order of sessions.
    Session(PageCursor),
    /// In another order: its key, and the number of the session.
    Key(String, i64),
}

impl NodeListCursor {
    /// Reads what [`fmt::Display`] wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let Some(by_key) = text.strip_prefix('k') else {
            return PageCursor::parse(text).map(Self::Session);
        };
        let parse = || {
            let (id, key) = by_key.split_once('_')?;
            let key = from_hex(key).filter(|key| key.len() <= KEY_BYTES_MAX)?;
            // What is no text was made by somebody else, and is before or after all that is.
            let key = String::from_utf8_lossy(&key).replace('\0', "");
            Some(Self::Key(key, id.parse().ok()?))
        };
        parse().ok_or_else(|| {
            QueryError::invalid(
                "cursor",
                "must be taken from the X-Next-Cursor header of an answer",
            )
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else {
        return None;
    };
    Some(pairs.iter().map(|[high, low]| high * 16 + low).collect())
}

impl fmt::Display for NodeListCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(cursor) => cursor.fmt(formatter),
            Self::Key(key, id) => {
                write!(formatter, "k{id}_")?;
                let mut bytes = key.bytes();
                bytes.try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_way_to_the_asker_and_back() {
        for cursor in [
            NodeListCursor::Key("0ali ce".to_owned(), -7),
            NodeListCursor::Key(String::new(), i64::MAX),
            NodeListCursor::Key("0é".to_owned(), 5),
        ] {
            assert_eq!(NodeListCursor::parse(&cursor.to_string()).unwrap(), cursor);
        }
        for text in [
            "",
            "!",
            "k",
            "k1",
            "k_00",
            "k1_0",
            "k1_xy",
            &format!("k1_{}", "00".repeat(1_001)),
        ] {
            assert!(NodeListCursor::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_order_has_its_place_in_the_statement() {
        let list = include_str!("list.sql");
        for (name, _) in KEYS {
            for (name, order, after) in [
                (
                    name.to_owned(),
                    "ORDER BY sort_key, id",
                    "(sort_key, id) > (",
                ),
                (
                    format!("-{name}"),
                    "ORDER BY sort_key DESC, id DESC",
                    "(sort_key, id) < (",
                ),
            ] {
                let Some(by) = Order::parse(Some(&name)).unwrap() else {
                    assert_eq!(name, "-created_at");
                    continue;
                };
                let text = by.apply(list);
                assert_eq!(text.matches(order).count(), 2, "{name}");
                assert_eq!(text.matches(after).count(), 1, "{name}");
            }
        }
        assert!(Order::parse(Some("height")).is_err());
    }
}
