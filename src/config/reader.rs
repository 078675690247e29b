//! Reading of one setting: the value that was given, or its default, within its range;
//! faults are collected, so that all are reported at once.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use super::settings::{self, Allowed, DefaultValue, Setting};
use super::{DatabaseUrl, Fault};

/// Reads values one by one.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// `lookup` gives the value of a variable.
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            faults: Vec::new(),
        }
    }

    /// What was wrong so far.
    pub(super) fn faults(self) -> Vec<Fault> {
        self.faults
    }

    /// The text given, or the default; an empty text counts as not given.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.text_of(name, name)
    }

    /// The text given under a name, or the default of the setting that describes it.
    pub(super) fn text_of(&mut self, name: &str, described: &'static str) -> Option<String> {
        let given = (self.lookup)(name).map(|value| value.trim().to_owned());
        given.filter(|value| !value.is_empty()).or_else(|| {
            match settings::find(described).map(|setting| setting.default) {
                Some(DefaultValue::Text(value)) => Some(value.to_owned()),
                Some(DefaultValue::Cpus(times)) => {
                    Some(within(described, cpus() * times).to_string())
                }
                Some(DefaultValue::SameAs(other)) => self.text(other),
                Some(DefaultValue::Unset) | None => None,
            }
        })
    }

    pub(super) fn integer(&mut self, name: &'static str) -> u64 {
        let text = self.text(name).unwrap_or_default();
        let Some(&Setting {
            allowed: Allowed::Integer(least, most),
            ..
        }) = settings::find(name)
        else {
            debug_assert!(false, "{name} is not in the table as a number");
            return 0;
        };
        match text.parse::<u64>() {
            Ok(value) if (least..=most).contains(&value) => value,
            _ => {
                self.fault(
                    name,
                    format!("'{text}' is not a whole number from {least} to {most}"),
                );
                most
            }
        }
    }

    /// The number given, if one is.
    pub(super) fn given_integer(&self, name: &str) -> Option<u64> {
        (self.lookup)(name)?.trim().parse().ok()
    }

    /// A limit: 0 is none.
    pub(super) fn limit(&mut self, name: &'static str) -> u64 {
        match self.integer(name) {
            0 => u64::MAX,
            limit => limit,
        }
    }

    pub(super) fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.integer(name))
    }

    pub(super) fn path(&mut self, name: &'static str) -> PathBuf {
        PathBuf::from(self.text(name).unwrap_or_default())
    }

    pub(super) fn parsed<T: std::str::FromStr>(&mut self, name: &'static str, fallback: T) -> T {
        let text = self.text(name).unwrap_or_default();
        self.parse(name, &text).unwrap_or(fallback)
    }

    /// The value given, if one is.
    pub(super) fn optional<T: std::str::FromStr>(&mut self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        self.parse(name, &text)
    }

    fn parse<T: std::str::FromStr>(&mut self, name: &'static str, text: &str) -> Option<T> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let allowed = settings::find(name).map(Setting::allowed_text);
            self.fault(
                name,
                format!("'{text}' is not {}", allowed.unwrap_or_default()),
            );
        }
        parsed
    }

    /// The values between commas.
    pub(super) fn list<T: std::str::FromStr<Err = String>>(
        &mut self,
        name: &'static str,
    ) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let parts = text.split(',').map(str::trim);
        let mut values = Vec::new();
        for part in parts.filter(|part| !part.is_empty()) {
            match part.parse() {
                Ok(value) => values.push(value),
                Err(problem) => self.fault(name, problem),
            }
        }
        values
    }

    pub(super) fn database_url(&mut self, name: &'static str) -> Option<DatabaseUrl> {
        match self.text(name)?.parse() {
            Ok(url) => Some(url),
            Err(problem) => {
                self.fault(name, problem);
                None
            }
        }
    }

    pub(super) fn fault(&mut self, name: impl Into<Cow<'static, str>>, problem: String) {
        let name = name.into();
        self.faults.push(Fault { name, problem });
    }
}

fn cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, |cpus| u64::try_from(cpus.get()).unwrap_or(1))
}

/// A default that depends on the machine, kept within the range of its setting.
fn within(name: &str, value: u64) -> u64 {
    match settings::find(name).map(|setting| setting.allowed) {
        Some(Allowed::Integer(least, most)) => value.clamp(least, most),
        _ => value,
    }
}
