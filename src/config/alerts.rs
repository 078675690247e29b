//! The file of rules of alerts: which are on, when they fire, how grave they are.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::reader::Reader;
use super::toml_error;

/// The setting that names the file.
const RULES: &str = "ALERT_RULES_PATH";

/// Longest time that a rule has to hold before it fires, seconds: a week.
const HOLD_MAX_S: u64 = 604_800;

/// How grave an alert is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look today.
    #[default]
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// All, the least grave first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The next graver one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Info => Self::Warning,
            Self::Warning | Self::Critical => Self::Critical,
        }
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.label() == text);
        found.ok_or_else(|| format!("'{text}' is not info, warning or critical"))
    }
}

/// What a file says of one rule; what it does not say is as the rule has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleOverride {
    /// Whether it is used.
    pub is_on: Option<bool>,
    /// How long it has to hold before it fires.
    pub hold: Option<Duration>,
    /// How grave it is.
    pub severity: Option<Severity>,
}

/// What a file says of all rules.
#[derive(Debug, Clone, Default)]
pub struct RuleOverrides(Arc<BTreeMap<String, RuleOverride>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    enabled: Option<bool>,
    for_s: Option<u64>,
    severity: Option<Severity>,
}

impl RuleOverrides {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let Some(path) = reader.text(RULES) else {
            return Self::default();
        };
        let read = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| text.parse());
        read.unwrap_or_else(|problem: String| {
            reader.fault(RULES, format!("{path}: {problem}"));
            Self::default()
        })
    }

    /// What it says of a rule.
    pub fn of(&self, rule: &str) -> RuleOverride {
        self.0.get(rule).copied().unwrap_or_default()
    }

    /// The rules that it names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromStr for RuleOverrides {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sections: BTreeMap<String, Section> =
            toml::from_str(text).map_err(|error| toml_error(text, &error))?;
        let long = |section: &Section| section.for_s.is_some_and(|seconds| seconds > HOLD_MAX_S);
        if let Some((rule, _)) = sections.iter().find(|(_, section)| long(section)) {
            return Err(format!("[{rule}] for_s: must be at most {HOLD_MAX_S}"));
        }
        let overrides = sections.into_iter().map(|(rule, section)| {
            let overrides = RuleOverride {
                is_on: section.enabled,
                hold: section.for_s.map(Duration::from_secs),
                severity: section.severity,
            };
            (rule, overrides)
        });
        Ok(Self(Arc::new(overrides.collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (file, problem) in [
            (
                "[node_late]\nenable = true",
                "line 2: unknown field `enable`",
            ),
            (
                "[node_late]\nseverity = \"grave\"",
                "unknown variant `grave`",
            ),
            (
                "[node_late]\nfor_s = 604801",
                "[node_late] for_s: must be at most 604800",
            ),
        ] {
            let error = file.parse::<RuleOverrides>().unwrap_err();
            assert!(error.contains(problem), "{problem} is missing in: {error}");
        }
    }
}
