//! One pass over a JSON text (RFC 8259): validates it, and gives the members of its
//! objects by their place in the text, so that nothing is copied.
//!
//! A library would build a tree or pass twice; at a hundred thousand frames a
//! second this pass is the largest part of the server's own work per message.

use std::ops::Range;

/// Levels of nesting that are followed. PostgreSQL stands more, the stack of a
/// thread far more; nodes send four.
pub(super) const DEPTH_MAX: usize = 1_000;

/// Characters up to which a number goes to the database as a number, written out as
/// `jsonb` writes it, without exponent: 1e999 would become 200 times as long. Every
/// double-precision number in its shortest form has fewer.
const NUMBER_CHARS_MAX: usize = 350;

/// Why a text is not JSON that we follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanError {
    /// Not JSON.
    Invalid,
    /// More than [`DEPTH_MAX`] levels.
    TooDeep,
}

/// Reads a text from its start.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Met an escaped NUL or surrogate, or a number beyond bounds: see `repair`.
    pub(super) needs_repair: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            needs_repair: false,
        }
    }

    /// The byte after white space, not taken.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Nothing but white space is left.
    pub(super) fn finish(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(ScanError::Invalid),
        }
    }

    /// Reads an object; `member` is called at the value of each member, reads
    /// it with [`Self::value`] or another reader, and gets the key's place.
    pub(super) fn object(
        &mut self,
        depth: usize,
        mut member: impl FnMut(&mut Self, Range<usize>) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.expect(b'{')?;
        if depth >= DEPTH_MAX {
            return Err(ScanError::TooDeep);
        }
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(ScanError::Invalid);
            }
            let key = self.string()?;
            self.expect(b':')?;
            member(self, key)?;
            match self.take()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(ScanError::Invalid),
            }
        }
    }

    /// Reads any value and returns its place.
    pub(super) fn value(&mut self, depth: usize) -> Result<Range<usize>, ScanError> {
        let first = self.peek().ok_or(ScanError::Invalid)?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' => self.object(depth, |scanner, _key| {
                scanner.value(depth + 1).map(|_place| ())
            })?,
            b'[' => self.array(depth)?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        Ok(start..self.at)
    }

    fn array(&mut self, depth: usize) -> Result<(), ScanError> {
        self.at += 1;
        if depth >= DEPTH_MAX {
            return Err(ScanError::TooDeep);
        }
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.take()? {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(ScanError::Invalid),
            }
        }
    }

    /// Reads a string and returns the place between its quotation marks.
    fn string(&mut self) -> Result<Range<usize>, ScanError> {
        self.at += 1;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)
                .ok_or(ScanError::Invalid)?;
            self.at += plain;
            match self.text.get(self.at) {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(start..end);
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(ScanError::Invalid),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let code = self
                    .text
                    .get(self.at + 2..self.at + 6)
                    .and_then(four_hex_digits)
                    .ok_or(ScanError::Invalid)?;
                if code == 0 || (0xD800..=0xDFFF).contains(&code) {
                    self.needs_repair = true;
                }
                self.at += 6;
            }
            _ => return Err(ScanError::Invalid),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        let mut has_exponent = false;
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let leading_zero = self.text.get(self.at) == Some(&b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return Err(ScanError::Invalid);
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
            has_exponent = true;
        }
        if has_exponent || self.at - start > NUMBER_CHARS_MAX {
            let number = self.text.get(start..self.at).unwrap_or_default();
            self.needs_repair |= is_long_number(number);
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<usize, ScanError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
        match self.at - start {
            0 => Err(ScanError::Invalid),
            count => Ok(count),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ScanError> {
        let end = self.at + word.len();
        if self.text.get(self.at..end) == Some(word) {
            self.at = end;
            Ok(())
        } else {
            Err(ScanError::Invalid)
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.take()? == byte {
            Ok(())
        } else {
            Err(ScanError::Invalid)
        }
    }

    fn take(&mut self) -> Result<u8, ScanError> {
        let byte = self.peek().ok_or(ScanError::Invalid)?;
        self.at += 1;
        Ok(byte)
    }
}

/// Whether a number is too long for the database once it is written out.
pub(super) fn is_long_number(number: &[u8]) -> bool {
    let mut parts = number.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let exponent = parts.next().map_or(Some(0), |digits| {
        std::str::from_utf8(digits).ok()?.parse::<i32>().ok()
    });
    let mut digits = mantissa.splitn(2, |byte| *byte == b'.').map(<[u8]>::len);
    let mut digits = || i32::try_from(digits.next().unwrap_or(0)).unwrap_or(i32::MAX);
    let (whole, fraction) = (digits(), digits());
    exponent.is_none_or(|exponent| {
        let before = whole.saturating_add(exponent).max(1);
        let after = fraction.saturating_sub(exponent).max(0);
        usize::try_from(before.saturating_add(after)).is_ok_and(|chars| chars > NUMBER_CHARS_MAX)
    })
}

/// The value of four hexadecimal digits.
pub(super) fn four_hex_digits(digits: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(digits).ok()?;
    // from_str_radix alone would take a sign.
    let all_hex = digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit);
    all_hex.then(|| u16::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &str) -> bool {
        let mut scanner = Scanner::new(text.as_bytes());
        scanner.value(0).is_ok() && scanner.finish().is_ok()
    }

    #[test]
    fn takes_what_a_full_parser_takes_and_refuses_what_it_refuses() {
        let texts = [
            "{}",
            "[]",
            " [ ] ",
            "{\"a\":1}",
            "{\"a\" : [1, 2.5e-3, -0, true, false, null, \"x\"] }\n",
            "\"\\u00e9\\n\"",
            "\"\\u12g4\"",
            "\"\\x\"",
            "\"\\u+123\"",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1e+5",
            "-0.0E-0",
            "{\"a\":1,}",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1}}",
            "[1 2]",
            "tru",
            "nul",
            "\"a",
            "\"\t\"",
            "",
            "{\"\":\"\"}",
            "\"\\",
            "\"\\u",
            "\"\\u12",
            "[[[[]]]]",
            "[[[[]]]",
            "\u{feff}{}",
            "NaN",
            "'a'",
        ];
        for text in texts {
            let expected = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(accepts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nesting_is_followed_to_the_limit_and_no_further() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(accepts(&nested(DEPTH_MAX)));
        let deep = nested(DEPTH_MAX + 1);
        assert_eq!(
            Scanner::new(deep.as_bytes()).value(0),
            Err(ScanError::TooDeep)
        );
        let endless = "[{\"a\":".repeat(1_000_000);
        assert_eq!(
            Scanner::new(endless.as_bytes()).value(0),
            Err(ScanError::TooDeep)
        );
    }

    #[test]
    fn what_postgres_refuses_is_noticed() {
        for (text, expected) in [
            ("\"\\u0000\"", true),
            ("\"\\ud83d\\ude00\"", true),
            ("\"\\u00e9\"", false),
            ("1e9999", true),
            ("1e999", true),
            ("-1E+400", true),
            ("1e-400", true),
            ("1e99999999999999999999", true),
            ("1e-99999999999999999999", true),
            ("1.7976931348623157e308", false),
            ("2.2250738585072014e-308", false),
            ("-4.9406564584124654e-324", false),
            ("1e300", false),
            ("18446744073709551616", false),
        ] {
            let mut scanner = Scanner::new(text.as_bytes());
            scanner.value(0).unwrap();
            assert_eq!(scanner.needs_repair, expected, "{text}");
        }
        let long = "9".repeat(NUMBER_CHARS_MAX + 1);
        let mut scanner = Scanner::new(long.as_bytes());
        scanner.value(0).unwrap();
        assert!(scanner.needs_repair);
    }
}
