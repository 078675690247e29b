//! Configuration of actix's extractors (query, path, JSON), so that their errors
//! have the form of all others, and the fields of a JSON body.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use actix_web::error::{JsonPayloadError, PathError, QueryPayloadError};
use actix_web::web::{JsonConfig, PathConfig, QueryConfig};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::AppError;
use crate::query::QueryError;
use crate::query::params::parse_time;
use crate::store::benchmarks::JsonText;
use crate::telemetry::is_storable;

/// Largest body: a chain specification with its genesis state may have megabytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest text of a field, characters.
pub(super) const TEXT_CHARS_MAX: usize = 65_536;

/// Errors of query strings.
pub(super) fn query_config() -> QueryConfig {
    QueryConfig::default().error_handler(|error, _request| {
        let QueryPayloadError::Deserialize(cause) = &error else {
            return AppError::bad_request(error.to_string()).into();
        };
        explain_field(&cause.to_string()).into()
    })
}

/// That a route takes no parameters: one that is meant for another would change nothing, unnoticed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParams {}

/// Errors of path parameters.
pub(super) fn path_config() -> PathConfig {
    PathConfig::default().error_handler(|error, _request| {
        let PathError::Deserialize(cause) = &error else {
            return AppError::bad_request(error.to_string()).into();
        };
        AppError::bad_request(cause.to_string()).into()
    })
}

/// Errors of bodies.
pub(super) fn json_config() -> JsonConfig {
    JsonConfig::default()
        .limit(BODY_BYTES_MAX)
        .error_handler(|error, _request| {
            let refused = match &error {
                JsonPayloadError::Overflow { .. }
                | JsonPayloadError::OverflowKnownLength { .. } => AppError::TooLarge {
                    bytes_max: BODY_BYTES_MAX,
                },
                JsonPayloadError::ContentType => AppError::UnsupportedMediaType,
                other => AppError::bad_request(format!("the body is no JSON object: {other}")),
            };
            refused.into()
        })
}

/// serde puts the name of the field between backticks.
fn explain_field(cause: &str) -> AppError {
    AppError::BadRequest {
        message: cause
            .replacen(" field ", " parameter ", 1)
            .replace("there are no fields", "this route has no parameters"),
        parameter: cause.split('`').nth(1).map(str::to_owned),
    }
}

/// The fields of a JSON object, each read once; those left at the end are unknown.
#[derive(Debug)]
pub(super) struct Fields(Object);

/// A JSON object, with its values as they were sent.
pub(super) type Object = BTreeMap<String, Box<RawValue>>;

impl Fields {
    pub(super) fn new(object: Object) -> Self {
        Self(object)
    }

    /// A text, if there is one.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, QueryError> {
        let is_short = |text: &str| text.chars().count() <= TEXT_CHARS_MAX;
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_short(&text) && !text.contains('\0') => Ok(Some(text)),
            Some(_) => Err(QueryError::invalid(
                name,
                format!("must be a text of at most {TEXT_CHARS_MAX} characters without U+0000"),
            )),
        }
    }

    /// A whole number from 1 on, if there is one.
    pub(super) fn positive(&mut self, name: &'static str) -> Result<Option<i64>, QueryError> {
        self.whole(name, 1..=i64::MAX)
    }

    /// A whole number within a range, if there is one.
    pub(super) fn whole(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, QueryError> {
        let Some(raw) = self.0.remove(name).filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        let number = whole(raw.get()).filter(|number| range.contains(number));
        let refuse = || {
            let (min, max) = (range.start(), range.end());
            QueryError::invalid(name, format!("must be a whole number from {min} to {max}"))
        };
        number.ok_or_else(refuse).map(Some)
    }

    /// A time, if there is one.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<DateTime<Utc>>, QueryError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => parse_time(name, &text).map(Some),
            // The same message as for a text that is no time.
            Some(_) => parse_time(name, "").map(Some),
        }
    }

    /// A JSON object, if there is one; stored and given back to the digit.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<JsonText>, QueryError> {
        let Some(raw) = self.0.remove(name).filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        // What is nested too deeply cannot be read either.
        let value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
        if !value.is_object() || has_large_number(&value) || !is_storable(raw.get()) {
            return Err(QueryError::invalid(
                name,
                "must be a JSON object without U+0000, with numbers up to 1e300",
            ));
        }
        Ok(Some(JsonText(raw)))
    }

    /// All fields were taken.
    pub(super) fn end(self) -> Result<(), AppError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(AppError::BadRequest {
                message: format!("unknown field `{name}`"),
                parameter: Some(name.clone()),
            }),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let raw = self.0.remove(name)?;
        // What cannot be read has the wrong type, whatever it is.
        let value = serde_json::from_str(raw.get()).unwrap_or(Value::Array(Vec::new()));
        Some(value).filter(|value| !value.is_null())
    }
}

/// The database writes numbers without exponent, and not everybody can read those
/// that come near the end of doubles.
fn has_large_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_none_or(|number| number.abs() > 1e300),
        Value::Array(values) => values.iter().any(has_large_number),
        Value::Object(fields) => fields.values().any(has_large_number),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// A whole number to the digit; JSON may also write `5.0` or `5e3`.
fn whole(json: &str) -> Option<i64> {
    const DIGITS_MAX: usize = 19;
    let (mantissa, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().ok()?;
    let zeros = exponent.checked_sub(i64::try_from(after.len()).ok()?)?;
    let digits = format!("{before}{after}");
    let zeros_max = usize::try_from(zeros.unsigned_abs()).ok()?;
    if zeros >= 0 {
        let zeros = "0".repeat(zeros_max.min(DIGITS_MAX));
        return format!("{digits}{zeros}").parse().ok();
    }
    let (whole, part) = digits.split_at_checked(digits.len().checked_sub(zeros_max)?)?;
    let is_whole = part.bytes().all(|digit| digit == b'0');
    is_whole.then(|| whole.parse().ok())?
}

/// A field that must be there.
pub(super) fn required<T>(name: &'static str, value: Option<T>) -> Result<T, QueryError> {
    value.ok_or_else(|| QueryError::invalid(name, "is required"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::new(serde_json::from_str(&value.to_string()).unwrap())
    }

    #[test]
    fn fields_are_checked_by_type() {
        let mut body = fields(
            json!({"t": 1, "n": "1", "m": 0, "w": 1, "o": [], "p": {"a": ["\0"]}, "f": 1.5, "e": 1e19,
                "g": 5595.0, "x": "é".repeat(TEXT_CHARS_MAX), "y": "x".repeat(TEXT_CHARS_MAX + 1)}),
        );
        assert!(body.text("t").is_err());
        assert!(body.positive("n").is_err());
        assert!(body.positive("m").is_err());
        assert!(body.positive("f").is_err());
        assert!(body.positive("e").is_err());
        assert_eq!(body.positive("g").unwrap(), Some(5_595));
        assert!(body.text("x").is_ok());
        assert!(body.text("y").is_err());
        assert!(body.time("w").is_err());
        assert!(body.object("o").is_err());
        assert!(body.object("p").is_err());
        assert!(body.end().is_ok());
    }

    #[test]
    fn whole_numbers_are_read_to_the_digit_however_they_are_written() {
        for (json, number) in [
            ("5595.0", Some(5_595)),
            ("5e3", Some(5_000)),
            ("5.5e+1", Some(55)),
            ("1200E-2", Some(12)),
            ("1902243846449787.0", Some(1_902_243_846_449_787)),
            ("9007199254740993.00", Some(9_007_199_254_740_993)),
            ("9.223372036854775807e18", Some(i64::MAX)),
            ("-3", Some(-3)),
            ("9223372036854775808", None),
            ("1e99999999999", None),
            ("1e-99999999999", None),
            ("1e-9223372036854775808", None),
            ("5.5", None),
            ("12e-3", None),
            ("\"5\"", None),
            ("[5]", None),
            ("true", None),
        ] {
            assert_eq!(whole(json), number, "{json}");
        }
    }

    #[test]
    fn null_equals_absent_and_unknown_fields_are_named() {
        let mut body = fields(json!({"t": null, "x": 1}));
        assert_eq!(body.text("t").unwrap(), None);
        match body.end() {
            Err(AppError::BadRequest { parameter, .. }) => {
                assert_eq!(parameter.as_deref(), Some("x"))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_of_query_strings_name_the_parameter() {
        match explain_field("unknown field `peer`, expected one of `peer_id`, `msg`") {
            AppError::BadRequest { parameter, .. } => {
                assert_eq!(parameter.as_deref(), Some("peer"))
            }
            other => panic!("{other:?}"),
        }
    }
}
