//! Mends the few things that are legal JSON and that `jsonb` refuses, so that a
//! message is kept instead of rejected: an escaped NUL and a lone surrogate
//! become U+FFFD, and a number that is very long once it is written out becomes a
//! string, exactly as it was sent.

use super::scan::{four_hex_digits, is_long_number};

/// The replacement character, escaped.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// The text with everything mended. `text` has passed the scanner.
pub(super) fn repair(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'"' => rest = string(rest, &mut out),
            b'-' | b'0'..=b'9' => rest = number(rest, &mut out),
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// Whether the database holds a JSON text exactly as it is: it has no NUL, no lone
/// surrogate, and no number that is hundreds of digits long once it is written out.
pub fn is_storable(text: &str) -> bool {
    repair(text.as_bytes()) == text.as_bytes()
}

/// Copies the string at the start of `text`, and gives what follows it.
fn string<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.push(b'"');
    let mut rest = text.get(1..).unwrap_or_default();
    loop {
        match rest {
            [b'"', tail @ ..] => {
                out.push(b'"');
                return tail;
            }
            [b'\\', b'u', tail @ ..] => rest = unicode_escape(rest, tail, out),
            [b'\\', escaped, tail @ ..] => {
                out.extend_from_slice(&[b'\\', *escaped]);
                rest = tail;
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
            [] => return rest,
        }
    }
}

/// Copies the escape at the start of `text`; `tail` begins with its digits.
fn unicode_escape<'a>(text: &'a [u8], tail: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let code = tail.get(..4).and_then(four_hex_digits).unwrap_or(0);
    let length = match code {
        0 | 0xDC00..=0xDFFF => 6,
        0xD800..=0xDBFF => {
            let second = tail.get(4..10).and_then(|next| match next {
                [b'\\', b'u', digits @ ..] => four_hex_digits(digits),
                _ => None,
            });
            if matches!(second, Some(0xDC00..=0xDFFF)) {
                out.extend_from_slice(text.get(..12).unwrap_or_default());
                return text.get(12..).unwrap_or_default();
            }
            6
        }
        _ => {
            out.extend_from_slice(text.get(..6).unwrap_or_default());
            return text.get(6..).unwrap_or_default();
        }
    };
    out.extend_from_slice(REPLACEMENT);
    text.get(length..).unwrap_or_default()
}

/// Copies the number at the start of `text`, in quotation marks if it is too long.
fn number<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let length = text
        .iter()
        .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(length);
    let is_long = is_long_number(digits);
    if is_long {
        out.push(b'"');
    }
    out.extend_from_slice(digits);
    if is_long {
        out.push(b'"');
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> String {
        String::from_utf8(repair(text.as_bytes())).unwrap()
    }

    #[test]
    fn nul_and_lone_surrogates_become_the_replacement_character() {
        assert_eq!(repaired(r#"{"a":"x\u0000y"}"#), r#"{"a":"x\ufffdy"}"#);
        assert_eq!(repaired(r#"{"\u0000":1}"#), r#"{"\ufffd":1}"#);
        assert_eq!(repaired(r#""\ud83d""#), r#""\ufffd""#);
        assert_eq!(repaired(r#""\ude00\ud83d""#), r#""\ufffd\ufffd""#);
        assert_eq!(
            repaired(r#""\ud83d\ud83d\ude00""#),
            r#""\ufffd\ud83d\ude00""#
        );
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            r#"{"a":"\ud83d\ude00","b":[1,-2.5e10,true],"c":"\\u0000","d":"\"\\"}"#,
            r#"{"big":123456789012345678901234567890}"#,
        ] {
            assert_eq!(repaired(text), text);
        }
    }

    #[test]
    fn numbers_beyond_the_database_become_strings() {
        assert_eq!(repaired("[1e9999,1]"), "[\"1e9999\",1]");
        assert_eq!(repaired("[1.50E-999,1e30]"), "[\"1.50E-999\",1e30]");
        let long = "7".repeat(400);
        assert_eq!(repaired(&format!("[-{long}]")), format!("[\"-{long}\"]"));
    }
}
