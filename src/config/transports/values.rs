//! Values of settings of transports.

use std::fmt;
use std::str::FromStr;

use crate::config::WebhookKey;

/// Labels of Loki that this program sets itself.
const OWN_LABELS: [&str; 3] = ["job", "severity", "origin"];

/// Labels that an operator may add.
const LABELS_MAX: usize = 8;

/// A text that is sent and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

impl FromStr for SecretText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            true => Ok(Self(text.to_owned())),
            false => Err("has a character that no header may have".to_owned()),
        }
    }
}

/// Keys between commas.
pub(super) struct Keys(pub(super) Vec<WebhookKey>);

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parts(text)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Headers as `OTEL_EXPORTER_OTLP_HEADERS` has them.
pub(super) struct Headers(pub(super) Vec<(String, SecretText)>);

impl FromStr for Headers {
    type Err = String;

    /// The fault repeats no value.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let header = |part: &str| {
            let (name, value) = part.split_once('=')?;
            let name = name.trim();
            let is_good = !name.is_empty() && name.chars().all(is_name);
            let value = value.trim().parse().ok()?;
            is_good.then(|| (name.to_ascii_lowercase(), value))
        };
        let headers = parts(text).map(header).collect::<Option<_>>();
        headers
            .map(Self)
            .ok_or_else(|| "is not a list of NAME=VALUE between commas".to_owned())
    }
}

/// Labels of Loki.
pub(super) struct Labels(pub(super) Vec<(String, String)>);

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let label = |part: &str| {
            let (name, value) = part.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let is_good = begins_well && name.chars().all(is_name) && !value.is_empty();
            (is_good && !OWN_LABELS.contains(&name)).then(|| (name.to_owned(), value.to_owned()))
        };
        let labels: Option<Vec<_>> = parts(text).map(label).collect();
        labels
            .filter(|labels| labels.len() <= LABELS_MAX)
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "is not a list of up to {LABELS_MAX} labels NAME=VALUE between commas; {} are set already",
                    OWN_LABELS.join(", ")
                )
            })
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_a_closed_set_and_those_of_this_program_are_its_own() {
        let labels = |text: &str| text.parse::<Labels>().map(|Labels(labels)| labels);
        assert_eq!(
            labels("env=prod, site=a").unwrap(),
            [
                ("env".to_owned(), "prod".to_owned()),
                ("site".to_owned(), "a".to_owned())
            ]
        );
        for wrong in ["env", "1a=b", "a-b=c", "severity=x", "a="] {
            assert!(labels(wrong).is_err(), "{wrong}");
        }
    }
}
