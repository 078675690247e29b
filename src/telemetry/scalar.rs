//! A number or a text in JSON, read without a copy; nodes write numbers both ways.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What fits into 18 characters.
const INTEGERS: RangeInclusive<i64> = -99_999_999_999_999_999..=999_999_999_999_999_999;

/// A value in JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Scalar<'a> {
    Integer(i64),
    Number(f64),
    Text(Cow<'a, str>),
    /// Nothing, or of another type.
    #[default]
    Other,
}

impl Scalar<'_> {
    /// The text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As [`integer`].
    pub(super) fn integer(&self) -> Option<i64> {
        let number = match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) if is_number(text, |c| c.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| INTEGERS.contains(number))
    }

    /// As [`number`].
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "the nearest number"
    )]
    pub(super) fn number(&self) -> Option<f64> {
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        let (number, max) = match self {
            Self::Integer(number) => (Some(*number as f64), 1e86),
            Self::Number(number) => (Some(*number), 1e86),
            Self::Text(text) if is_number(text, is_part) => (text.parse().ok(), 1e100),
            _ => (None, 0.0),
        };
        number.filter(|number: &f64| number.abs() < max)
    }
}

/// A whole number from -(10^17) to 10^18, both exclusive, whether the node sent a
/// number or a string. `telemetry_integer` in SQL reads the same.
pub fn integer(value: &Value) -> Option<i64> {
    Scalar::from(value).integer()
}

/// A number below 10^86, whether the node sent a number or a string, there below
/// 10^100. `telemetry_number` in SQL reads the same.
pub fn number(value: &Value) -> Option<f64> {
    Scalar::from(value).number()
}

/// Whether a text is made of these characters, and begins and ends with a digit but
/// for a minus in front.
fn is_number(text: &str, is_part: impl Fn(char) -> bool) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digit = |c: char| c.is_ascii_digit();
    digits.starts_with(is_digit) && digits.ends_with(is_digit) && digits.chars().all(is_part)
}

impl<'a> From<&'a Value> for Scalar<'a> {
    fn from(value: &'a Value) -> Self {
        Self::deserialize(value).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(value))
    }

    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "the nearest number"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Scalar::Number(value as f64), Scalar::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(value.to_owned().into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Scalar::Text(value.into()))
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_numbers_and_strings() {
        for (json, whole, number) in [
            ("7", Some(7), Some(7.0)),
            ("-7", Some(-7), Some(-7.0)),
            (r#""7""#, Some(7), Some(7.0)),
            ("7.5", None, Some(7.5)),
            (r#""7.5e1""#, None, Some(75.0)),
            ("1000000000000000000", None, Some(1e18)),
            ("18446744073709551615", None, Some(1.8446744073709552e19)),
            ("1e87", None, None),
            (r#""1e99""#, None, Some(1e99)),
            (r#"" 7""#, None, None),
            ("null", None, None),
            ("true", None, None),
            (r#"[7, {"a": 1}]"#, None, None),
            (r#"{"a": [7]}"#, None, None),
        ] {
            let read: Scalar<'_> = serde_json::from_str(json).unwrap();
            assert_eq!((read.integer(), read.number()), (whole, number), "{json}");
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(Scalar::from(&value), read, "{json}");
        }
    }
}
